//! `tribunal check`: judges histories that exist, many at once in parallel. It only reads, unless `--report` names a
//! directory to put the reports of one history into.
//!
//! Standard output has the verdicts, in the order of the arguments and nothing else; what is to be said besides goes to
//! standard error. A run directory is judged by the model that it names. What is judged is the history alone: whether
//! the faults of a run did what they should is said by the run itself.

mod keep;
mod text;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use tribunal_checker::check::Options;
use tribunal_checker::formats::Reading;
use tribunal_checker::model::{Initial, ModelKind};
use tribunal_checker::op::Value;
use tribunal_checker::verdict::Answer;
use tribunal_reports::judgement::{Circumstances, Judgement, RunOutcome};
use tribunal_reports::junit::{Suite, render_suites};
use tribunal_reports::run_info::RunInfo;

use crate::cli::Style;
use crate::exit;
use crate::input::{InputArgs, is_standard};
use crate::junit;
use crate::limits::LimitArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run directories, history files, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The model to judge by [default: the one that a run directory names]
    #[arg(long, value_name = "MODEL", value_parser = model_parser())]
    model: Option<ModelKind>,

    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    limits: LimitArgs,

    /// What the objects hold before the first operation, in JSON or as text; KEY=VALUE for one key [default: nothing]
    #[arg(long, value_name = "[KEY=]VALUE")]
    initial: Vec<String>,

    /// How many threads work on it [default: one for each processor]
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,

    /// Replay the certificate of every linearizable part through the plain model
    #[arg(long)]
    certify: bool,

    /// Go on after the first violation, until every key is decided
    #[arg(long)]
    all_parts: bool,

    /// Put the history, its verdict, report.html and the rest into this new directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,

    /// Write junit.xml to this file, a test suite per history
    #[arg(long, value_name = "PATH")]
    junit: Option<PathBuf>,

    /// How to print the verdicts
    #[arg(long, value_enum, default_value = "text", value_name = "HOW")]
    format: Style,
}

fn model_parser() -> impl TypedValueParser<Value = ModelKind> {
    PossibleValuesParser::new(ModelKind::ALL.map(ModelKind::name)).try_map(|name| name.parse::<ModelKind>())
}

/// What came of one path.
#[derive(Serialize)]
struct Judged {
    file: String,
    timed: bool,
    #[serde(flatten)]
    judgement: Judgement,
    #[serde(skip)]
    notes: Vec<String>,
}

/// `tribunal check`: prints a verdict for every path and exits with the worst.
pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(dir) = &args.report
        && let Err(error) = keep::prepare(dir, &args.paths)
    {
        return exit::usage(error);
    }
    let begun = RunInfo {
        args: std::env::args().skip(1).collect(),
        workload: "histories".into(),
        ..RunInfo::default()
    };
    if let Some(path) = &args.junit
        && let Err(error) =
            junit::write(path, &render_suites(&[Suite::unfinished(&begun, "the check did not end")]))
    {
        return exit::usage(error);
    }
    let mut suites = Vec::new();
    let threads = args.threads.or(thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let workers = threads.min(args.paths.len());
    let next = AtomicUsize::new(0);
    let (done, arrivals) = mpsc::channel();
    let mut tally = Tally::default();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (done, next) = (done.clone(), &next);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = args.paths.get(at) else { return };
                    if done.send((at, judge(path, args, threads / workers))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        // They arrive as they are decided and leave in the order of the arguments.
        let mut early = BTreeMap::new();
        let mut due = 0;
        for (at, judged) in arrivals {
            early.insert(at, judged);
            while let Some(judged) = early.remove(&due) {
                tally.count(&judged);
                if args.junit.is_some() {
                    suites.push(suite(&args.paths[due], &judged));
                }
                print(judged, args.format);
                due += 1;
            }
        }
    });
    if let Some(path) = &args.junit
        && let Err(error) = junit::write(path, &render_suites(&suites))
    {
        eprintln!("warning: {error:#}");
    }
    if args.paths.len() > 1 {
        eprintln!("{tally}");
    }
    ExitCode::from(tally.exit_code())
}

/// What CI is told of one history.
fn suite(path: &Path, judged: &Result<Judged>) -> Suite {
    match judged {
        Ok(Judged { file, timed, judgement, .. }) => {
            Suite::of_history(file, judgement, text::render(file, judgement, *timed))
        }
        Err(error) => Suite::unreadable(&path.display().to_string(), &format!("{error:#}")),
    }
}

/// Reads and judges one history.
fn judge(path: &Path, args: &Args, threads: usize) -> Result<Judged> {
    let name = if is_standard(path) { "<stdin>".into() } else { path.display().to_string() };
    let is_run = path.is_dir();
    let model = match args.model {
        Some(model) => model,
        None if is_run => model_of_run(path)?,
        None if !is_standard(path) && !path.exists() => {
            return Err(anyhow!(
                "{name}: expected a run directory or a file with a history: there is neither"
            ));
        }
        None => {
            return Err(anyhow!(
                "{name}: expected --model: a history does not say what it should be judged by"
            ));
        }
    };
    let initial = initial(model, &args.initial)?;
    let reading = if is_run { args.input.read(&path.join("history.jsonl")) } else { args.input.read(path) }?;
    let how = Options { threads, certify: args.certify, all_parts: args.all_parts, ..Options::default() };
    let checked = args.limits.check(&reading.history, &initial, how);
    let (verdict, cost) = checked.map_err(|unfit| anyhow!("{name}: {unfit}"))?;
    let circumstances = Circumstances { check_cost: Some(cost), ..Circumstances::default() };
    let Reading { history, timed, mut notes, .. } = reading;
    let mut judgement = Judgement::of(&RunInfo::default(), &history, &[], Some(verdict), circumstances);
    let answer = judgement.checker.as_ref().map(|verdict| verdict.answer);
    if !is_run && answer == Some(Answer::Linearizable) && !history.ops.is_empty() {
        // A run in which nothing succeeded shows nothing. A history has no such purpose: it is what it is.
        let good = RunOutcome::good(model.name());
        if !judgement.outcome.is_good() {
            let sentence = if good == RunOutcome::Convergent { "Convergent." } else { "Linearizable." };
            notes.push(std::mem::replace(&mut judgement.sentence, sentence.into()));
        }
        (judgement.outcome, judgement.exit_code) = (good, 0);
    }
    if let Some(dir) = &args.report {
        match keep::keep(dir, &name, model, &history, &judgement) {
            Ok(warnings) => notes.extend(warnings),
            Err(error) => notes.push(format!("no report: {error:#}")),
        }
    }
    Ok(Judged { file: name, timed, judgement, notes })
}

/// What the objects hold before the first operation.
fn initial(model: ModelKind, values: &[String]) -> Result<Initial> {
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::str(text));
    values.iter().try_fold(Initial::new(model), |initial, text| {
        let (key, held) = match text.split_once('=') {
            Some((key, held)) if serde_json::from_str::<Value>(text).is_err() => (Some(value(key)), held),
            _ => (None, &text[..]),
        };
        initial.with(key, value(held)).map_err(|expected| anyhow!("--initial {text}: expected {expected}"))
    })
}

/// The model that a run directory names.
fn model_of_run(dir: &Path) -> Result<ModelKind> {
    let path = dir.join("run.json");
    let run = std::fs::read(&path)
        .with_context(|| format!("{}: expected a run directory, but cannot open run.json", dir.display()))?;
    let info: RunInfo = serde_json::from_slice(&run).with_context(|| path.display().to_string())?;
    info.model.parse().with_context(|| path.display().to_string())
}

/// Prints one verdict, or why there is none. Nobody may be there to read it: that changes no verdict.
fn print(judged: Result<Judged>, style: Style) {
    let judged = match judged {
        Ok(judged) => judged,
        Err(error) => return eprintln!("error: {error:#}"),
    };
    for note in &judged.notes {
        eprintln!("note: {}: {note}", judged.file);
    }
    let mut text = match style {
        Style::Text => exit::shown(&text::render(&judged.file, &judged.judgement, judged.timed)).into_owned(),
        Style::Json => serde_json::to_string(&judged).expect("a verdict has no maps with odd keys"),
    };
    if style == Style::Json {
        text.push('\n');
    }
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// How many histories came to what.
#[derive(Default)]
struct Tally {
    linearizable: usize,
    convergent: usize,
    violations: usize,
    unknown: usize,
    errors: usize,
}

impl Tally {
    fn count(&mut self, judged: &Result<Judged>) {
        let outcome = judged.as_ref().map(|judged| judged.judgement.outcome);
        *match outcome {
            Ok(RunOutcome::Linearizable) => &mut self.linearizable,
            Ok(RunOutcome::Convergent) => &mut self.convergent,
            Ok(RunOutcome::Violation) => &mut self.violations,
            Ok(RunOutcome::Unknown | RunOutcome::HarnessFailure) => &mut self.unknown,
            Err(_) => &mut self.errors,
        } += 1;
    }

    /// A violation wins over everything, an error over a doubt.
    fn exit_code(&self) -> u8 {
        match self {
            Tally { violations: 1.., .. } => 1,
            Tally { errors: 1.., .. } => exit::USAGE,
            Tally { unknown: 1.., .. } => 2,
            _ => 0,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { linearizable, convergent, violations, unknown, errors } = self;
        let all = linearizable + convergent + violations + unknown + errors;
        write!(out, "{all} histories: {linearizable} linearizable, ")?;
        if *convergent > 0 {
            write!(out, "{convergent} convergent, ")?;
        }
        write!(out, "{violations} not, {unknown} unknown")?;
        if *errors > 0 { write!(out, ", {errors} could not be read") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_many_decides_the_exit_code() {
        let exit_code = |violations, errors, unknown| {
            Tally { linearizable: 5, violations, unknown, errors, ..Tally::default() }.exit_code()
        };
        assert_eq!(exit_code(1, 1, 1), 1);
        assert_eq!(exit_code(0, 1, 1), 64);
        assert_eq!(exit_code(0, 0, 1), 2);
        assert_eq!(exit_code(0, 0, 0), 0);
    }
}
