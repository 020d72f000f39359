//! `tribunal matrix`: runs all known bugs and all correct systems, and reports how often each was detected.
//!
//! ```text
//! DIR/matrix.json          the plan, and the result of every run so far: an interrupted matrix resumes from it
//! DIR/matrix.md, .html     the same for people
//! DIR/runs/                the store of the runs: `tribunal serve --store DIR/runs` shows them all
//! ```
//!
//! Each run is a `tribunal run` in a child process, with the same arguments that a user would type, so that
//! the matrix measures what users get. The files are rewritten after every run: an interruption loses no
//! finished run.

mod child;
mod plan;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tribunal_reports::files::{self, Durable};
use tribunal_reports::html::matrix_page;
use tribunal_reports::judgement::RunOutcome;
use tribunal_reports::matrix::words::{
    besides, command, conclusion, frequent, interval, median_ops, median_time, rate,
};
use tribunal_reports::matrix::{self, Finding, Matrix, Row};
use tribunal_reports::run_dir::load_json;
use tribunal_reports::summary;
use tribunal_reports::wording::{count, counted, elide, millis};

use crate::interrupts::Interrupts;
use crate::list::table;
use tribunal::executable;
use tribunal_records::quantity::{parse_duration, parse_within};

use crate::exit;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these systems, separated by commas [default: all that can run here]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    system: Vec<String>,

    /// Only these bugs, separated by commas, and no correct system
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    bug: Vec<String>,

    /// Only buggy, or only correct systems
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "bug")]
    only: Option<plan::Only>,

    /// Run this workload and no other, without the flags that some bugs need: what do the defaults find?
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,

    /// Faults, as for `tribunal run`; may be repeated: one column each [default: usual]
    #[arg(long, value_name = "FAULTS")]
    nemesis: Vec<String>,

    /// Maximum duration of a run; it ends at the first violation
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true)]
    budget: Duration,

    /// Number of runs of each row, with the seeds 1 to N; at most 10000
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = parse_seeds, allow_hyphen_values = true)]
    seeds: u64,

    /// Number of concurrent runs, 1 to 64; they disturb each other's timing
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = parse_jobs, allow_hyphen_values = true)]
    jobs: u8,

    /// Directory to create for the results [default: matrix/<UTC time>]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Print the rows and their maximum duration, and start no run
    #[arg(long, conflicts_with = "resume")]
    plan: bool,

    /// Continue an interrupted matrix
    #[arg(long, value_name = "DIR", conflicts_with_all = ["system", "bug", "only", "workload", "nemesis", "budget", "seeds", "dir"])]
    resume: Option<PathBuf>,
}

fn parse_seeds(text: &str) -> Result<u64, String> {
    parse_within(text, &(1..=10_000))
}

fn parse_jobs(text: &str) -> Result<u8, String> {
    parse_within(text, &(1..=64))
}

/// `tribunal matrix`
pub(crate) fn run(args: &Args) -> ExitCode {
    if args.plan {
        return match planned(args) {
            Ok(text) => {
                exit::print_text(&text);
                ExitCode::SUCCESS
            }
            Err(error) => exit::usage(error),
        };
    }
    let mut session = match Session::open(args) {
        Ok(session) => session,
        Err(error) => return exit::usage(error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.context("cannot start").and_then(|runtime| runtime.block_on(session.work(args.jobs)));
    match ended {
        Ok(interrupted) => session.conclude(interrupted),
        Err(error) => exit::harness(error),
    }
}

/// The rows of a new matrix, and its maximum duration.
fn planned(args: &Args) -> Result<String> {
    let matrix = plan::of(args, executable::path()?)?;
    let rows: Vec<[String; 4]> = matrix
        .rows
        .iter()
        .map(|row| {
            let kind = if row.is_correct() { "correct" } else { "buggy" };
            [kind.into(), row.name(), row.workload.clone(), command(row)]
        })
        .collect();
    Ok(format!("{}{}\n", table(&rows), length(&matrix, matrix.rows.len() * matrix.seeds as usize, args.jobs)))
}

/// The number of pending runs of a matrix, and their maximum duration.
fn length(matrix: &Matrix, due: usize, jobs: u8) -> String {
    let correct = matrix.rows.iter().filter(|row| row.is_correct()).count();
    let batches = due.div_ceil(usize::from(jobs)) as u64;
    // Minutes are accurate enough for an estimate.
    let minutes = (batches * matrix.budget_ms).div_ceil(60_000);
    format!(
        "{} left ({} buggy and {correct} correct rows, {}), at most {} each, {jobs} at a time: up to {}",
        counted(due, "run"),
        matrix.rows.len() - correct,
        counted(matrix.seeds as usize, "seed"),
        millis(matrix.budget_ms),
        humantime::format_duration(Duration::from_secs(60 * minutes)),
    )
}

/// A running matrix.
struct Session {
    dir: PathBuf,
    matrix: Matrix,
}

/// One pending run.
#[derive(Clone, Copy)]
struct Task {
    row: usize,
    seed: u64,
}

impl Session {
    fn open(args: &Args) -> Result<Session> {
        if let Some(dir) = &args.resume {
            let path = dir.join("matrix.json");
            let matrix: Matrix = load_json(&path, matrix::SCHEMA_VERSION).with_context(|| {
                format!("--resume: {}: expected the directory of a matrix", dir.display())
            })?;
            ensure!(
                matrix.schema_version == matrix::SCHEMA_VERSION,
                "--resume: {}: it was begun by an older tribunal, and cannot go on",
                dir.display()
            );
            let session = Session { dir: dir.canonicalize()?, matrix };
            session.save()?; // rewrite the reports with the current wording
            return Ok(session);
        }
        let matrix = plan::of(args, executable::path()?)?;
        let dir = match &args.dir {
            Some(dir) => dir.clone(),
            None => {
                let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
                Path::new("matrix").join(now.replace(['-', ':'], ""))
            }
        };
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let mut entries =
            std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        ensure!(
            entries.next().is_none(),
            "{}: expected an empty directory (--resume goes on with a matrix)",
            dir.display()
        );
        let session = Session { dir: dir.canonicalize()?, matrix };
        session.save()?;
        Ok(session)
    }

    /// The pending runs: one seed of every row, then the next seed, so that early results cover all rows.
    fn tasks(&self) -> VecDeque<Task> {
        let rows = &self.matrix.rows;
        let is_due = |task: &Task| rows[task.row].runs.iter().all(|run| run.seed != task.seed);
        (1..=self.matrix.seeds)
            .flat_map(|seed| (0..rows.len()).map(move |row| Task { row, seed }))
            .filter(is_due)
            .collect()
    }

    /// Executes the runs, `jobs` at a time. Returns whether it was interrupted.
    async fn work(&mut self, jobs: u8) -> Result<bool> {
        let mut interrupts = Interrupts::listen()?;
        let stop = CancellationToken::new();
        let mut due = self.tasks();
        let all = self.matrix.rows.len() * self.matrix.seeds as usize;
        let mut done = all - due.len();
        exit::eprint_line(&length(&self.matrix, due.len(), jobs));
        exit::eprint_line(&format!("results in {}", self.dir.display()));
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < usize::from(jobs) && !stop.is_cancelled() {
                let Some(task) = due.pop_front() else { break };
                let child = child::Child {
                    dir: self.dir.clone(),
                    spec: child::trial(&self.matrix.rows[task.row], task.seed, &self.dir),
                    seed: task.seed,
                    patience: Duration::from_millis(self.matrix.budget_ms) + child::TIMEOUT,
                };
                let stop = stop.clone();
                running.push(async move { (task, child.run(&stop).await) });
            }
            if running.is_empty() {
                return Ok(self.matrix.due() > 0);
            }
            tokio::select! {
                Some((task, found)) = running.next() => {
                    let Some(finding) = found? else { continue }; // interrupted: no result
                    done += 1;
                    exit::eprint_line(&result_line(done, all, &self.matrix.rows[task.row], &finding));
                    let row = &mut self.matrix.rows[task.row];
                    row.runs.push(finding);
                    row.summarise();
                    self.save()?;
                }
                () = interrupts.next() => wind_down(&stop),
            }
        }
    }

    /// Writes all files, each atomically.
    fn save(&self) -> Result<()> {
        let mut json = serde_json::to_string_pretty(&self.matrix).context("cannot encode the matrix")?;
        json.push('\n');
        let files = [
            ("matrix.json", json),
            ("matrix.md", matrix::markdown(&self.matrix)),
            ("matrix.html", matrix_page::render(&self.matrix)),
        ];
        for (name, text) in files {
            files::replace(&self.dir, name, text.as_bytes(), Durable::No)
                .with_context(|| format!("cannot write {}", self.dir.join(name).display()))?;
        }
        Ok(())
    }

    /// Prints the results and returns the exit code.
    fn conclude(&self, interrupted: bool) -> ExitCode {
        let (correct, flaws): (Vec<&Row>, Vec<&Row>) =
            self.matrix.rows.iter().partition(|row| row.is_correct());
        let rows: Vec<[String; 7]> = flaws.into_iter().map(flaw_line).collect();
        let correct: Vec<[String; 4]> = correct.into_iter().map(correct_line).collect();
        let sections = [table(&rows), table(&correct)];
        let sections: Vec<&str> = sections.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
        let text = format!(
            "{}\n{}\n\n  page     {}\n",
            sections.join("\n"),
            conclusion(&self.matrix),
            self.dir.join("matrix.html").display()
        );
        exit::print_text(&text);
        if interrupted {
            exit::print_text(&format!("  resume   tribunal matrix --resume {}\n", self.dir.display()));
            return ExitCode::from(exit::INTERRUPTED);
        }
        let totals = self.matrix.totals();
        ExitCode::from(match () {
            () if totals.false_alarms > 0 => 1,
            () if totals.broke > 0 => exit::HARNESS,
            () if totals.found < totals.flaws || self.matrix.due() > 0 || totals.quiet < totals.correct => 2,
            () => 0,
        })
    }
}

fn wind_down(stop: &CancellationToken) {
    if !stop.is_cancelled() {
        exit::eprint_line("interrupted: stopping the current runs");
    }
    stop.cancel();
}

/// One run in a line.
fn result_line(done: usize, all: usize, row: &Row, finding: &Finding) -> String {
    let what = format!(
        "{} on {} {}",
        row.workload,
        row.name(),
        if row.nemesis == "default" { "" } else { &row.nemesis }
    );
    let head = format!("{done:>4}/{all}  {:<44} seed {:<4}", elide(what.trim(), 44), finding.seed);
    let sign = summary::sign(finding.outcome);
    let rest = match finding.outcome {
        RunOutcome::Violation => {
            let after = finding.after_ms.map_or(String::new(), |ms| format!(" after {}", millis(ms)));
            let ops = finding.counterexample.map_or(String::new(), |ops| format!(", {ops} ops"));
            let what = finding.class.as_deref().unwrap_or("violation");
            let under = if finding.faults.is_empty() {
                String::new()
            } else {
                format!(", {}", finding.faults.join(", "))
            };
            format!("{what}{after}{ops}{under}")
        }
        RunOutcome::Linearizable | RunOutcome::Convergent => {
            format!("clean, {} ops", count(finding.ops))
        }
        RunOutcome::Unknown | RunOutcome::HarnessFailure | RunOutcome::TooSlow => finding.sentence.clone(),
    };
    format!("{head} {sign} {}", elide(&rest, 160))
}

fn flaw_line(row: &Row) -> [String; 7] {
    let it = &row.summary;
    let besides = besides(it);
    let found = if it.found > 0 { "✗" } else { " " };
    [
        format!("{found} {}", row.name()),
        format!("{} {}", row.workload, row.nemesis),
        rate(it),
        interval(it),
        median_time(it),
        format!("{} ops", median_ops(it)),
        if besides.is_empty() {
            frequent(&it.by_fault)
        } else {
            format!("{}; {besides}", frequent(&it.by_fault))
        },
    ]
}

fn correct_line(row: &Row) -> [String; 4] {
    let it = &row.summary;
    let sign = if it.found > 0 { "✗" } else { "✓" };
    [
        format!("{sign} {} (correct)", row.name()),
        format!("{} {}", row.workload, row.nemesis),
        format!("{} false alarms", rate(it)),
        besides(it),
    ]
}
