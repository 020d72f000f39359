//! The verbs of the box: set it up, and ask what only a run that repeats can answer.
//!
//! ```text
//!   setup     QEMU and a kernel
//!   replay    failure.tribunal, bit for bit
//!   convict   from a violation that was seen once to a box that shows it every time
//!   shrink    to the smallest schedule, with a proof that each fault of it is needed
//!   bisect    the first of several binaries that shows it
//!   branch    from a moment before it, many ways: how many of them show it
//! ```

pub(crate) mod bisect;
pub(crate) mod branch;
pub(crate) mod convict;
pub(crate) mod replay;
pub(crate) mod setup;
pub(crate) mod shrink;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tribunal::boxed::schedule::Faults;
use tribunal::boxed::search::{Booted, Candidate, Search, Snapshots};
use tribunal::{Observer, Registry, Run, RunDir, Stop, TrialError, TrialSpec};
use tribunal_records::quantity::parse_duration;
use tribunal_reports::judgement::{Judgement, RunOutcome};
use tribunal_reports::run_dir::{load_info, load_judgement};
use tribunal_reports::text;

use crate::exit;
use crate::live::width;
use crate::run::listen;

/// What all searches have in common.
#[derive(clap::Args)]
pub(crate) struct SearchArgs {
    /// The run directory of the violation
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,

    /// How long to search
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = parse_duration, allow_hyphen_values = true)]
    within: Duration,

    /// Number of boxes that run side by side [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Directory in which the run directory of the result is created
    #[arg(long, default_value = "store", value_name = "DIR")]
    pub(crate) store: PathBuf,
}

/// A violation that was recorded: its trial, and its faults.
pub(crate) struct Recorded {
    pub(crate) spec: TrialSpec,
    pub(crate) faults: Faults,
    pub(crate) judgement: Judgement,
    /// The time of the last event of the violation's evidence, in nanoseconds of the run.
    pub(crate) last: Option<u64>,
    /// Whether the run was in a box.
    pub(crate) is_boxed: bool,
}

impl SearchArgs {
    /// Reads the run.
    ///
    /// # Errors
    /// When it is no run directory, or shows no violation.
    pub(crate) fn recorded(&self) -> Result<Recorded> {
        let info = load_info(&self.run)?;
        let judgement = load_judgement(&self.run)?;
        let shown = self.run.display();
        if judgement.outcome != RunOutcome::Violation {
            return Err(anyhow!(
                "{shown}: expected a violation, and this run is {}",
                judgement.outcome.name()
            ));
        }
        let spec =
            info.spec.clone().ok_or_else(|| anyhow!("{shown}: its run.json does not contain the trial"))?;
        let file = self.run.join("faults.jsonl");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let faults = Faults::parse(&text).map_err(|why| anyhow!("{}: {why}", file.display()))?;
        let began =
            info.phases.iter().find(|phase| phase.name == "running").map_or(0, |phase| phase.start_ns);
        let (is_boxed, last) = (info.boxed.is_some(), last_moment(&judgement));
        let spec = spec.with(|spec| {
            (spec.boxed, spec.seed) = (true, Some(info.seed));
            // What came after the violation is of no interest. A run in a box repeats as it was.
            if let Some(last) = last.filter(|_| !is_boxed) {
                spec.no_fail_fast = false;
                let after_start = Duration::from_millis(last.saturating_sub(began) / 1_000_000);
                let enough = after_start + AFTERWARDS;
                spec.time_limit = spec.time_limit.min(enough);
            }
        });
        let faults = last.map_or(faults.clone(), |last| faults.until(last));
        Ok(Recorded { spec, faults, judgement, last, is_boxed })
    }

    /// A search that prints every boot.
    pub(crate) fn search<'a>(
        &self,
        registry: &'a Registry,
        stop: &'a Stop,
        told: &'a (dyn Fn(&Booted<'_>) + Sync),
    ) -> Search<'a> {
        remove_scratch_of_the_dead(&self.store);
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Search {
            registry,
            stop,
            jobs: self.jobs.map_or(processors, usize::from),
            deadline: Some(Instant::now() + self.within),
            scratch: self.store.join(format!("{SCRATCH}{}", std::process::id())),
            told,
            snapshots: Snapshots::default(),
        }
    }

    /// Runs what a search has found, in the store, with its reports. Its schedule is kept there for the commands
    /// that name it.
    pub(crate) fn run(&self, found: &Candidate, stop: &Stop) -> Result<RunDir, TrialError> {
        let spec = found.spec.clone().with(|spec| spec.store.clone_from(&self.store));
        let kept = found.faults.as_ref().map(|faults| self.keep(faults)).transpose();
        let spec = match kept.map_err(|error| TrialError::Harness(format!("{error:#}")))? {
            Some(Some(schedule)) => spec.replaying(schedule),
            Some(None) => spec.without_faults(),
            None => spec,
        };
        let observer: Arc<dyn Observer> = Arc::new(());
        spec.run(&Registry::built_in(), &observer, stop)
    }

    /// Keeps a schedule; `None` if there are no faults.
    fn keep(&self, faults: &Faults) -> Result<Option<PathBuf>> {
        if faults.is_empty() {
            return Ok(None);
        }
        let (directory, text) = (self.store.join("schedules"), faults.to_text());
        let file = directory.join(format!("{}.jsonl", &tribunal::boxes::hash(text.as_bytes())[..12]));
        let written = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&file, text));
        written.with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Some(file))
    }
}

/// Name of a search's directory in the store, before its process.
const SCRATCH: &str = ".boots-";

/// Removes what searches left that were killed.
fn remove_scratch_of_the_dead(store: &Path) {
    for entry in std::fs::read_dir(store).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(SCRATCH).and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// How long a run goes on after the moment of the recorded violation.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// The time of the last event of the evidence.
fn last_moment(judgement: &Judgement) -> Option<u64> {
    let of_ops = judgement.ops.iter().map(|numbered| numbered.op.completed.unwrap_or(numbered.op.call));
    let of_finding = judgement.decisive_finding().map(|finding| finding.t);
    of_ops.chain(of_finding).max()
}

/// Whether a run shows a violation.
pub(crate) fn shows(run: &RunDir) -> bool {
    run.judgement.outcome == RunOutcome::Violation
}

/// Prints a boot.
pub(crate) fn tell(booted: &Booted<'_>) {
    let Booted { number, candidate, run, shows } = booted;
    let mark = if *shows { "✗" } else { "–" };
    let found = match run.judgement.class() {
        Some(class) => class.to_owned(),
        None => run.judgement.outcome.name().to_owned(),
    };
    let ops = run.judgement.stats.tally.all();
    let seed = candidate.spec.box_seed;
    exit::eprint_line(&format!("{mark} boot {number}, box seed {seed}: {found}, {ops} operations"));
}

/// The report of a run, as `tribunal run` prints it.
pub(crate) fn print_report(run: &RunDir) {
    exit::print_outcome(&text::render_within(run, width(&std::io::stdout())), run.judgement.outcome);
}

/// Signals end the search.
pub(crate) fn interruptible() -> Result<Stop> {
    let stop = Stop::new();
    listen(stop.clone(), None)?;
    Ok(stop)
}

/// How a search ends: with its own exit code, or with an error of the arguments.
pub(crate) fn ended(searched: Result<ExitCode>) -> ExitCode {
    searched.unwrap_or_else(exit::usage)
}
