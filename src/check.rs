//! `tribunal check`: checks existing histories, several in parallel. It only reads, unless `--report` names a
//! directory for the reports of one history.
//!
//! Standard output contains the verdicts only, in the order of the arguments. Everything else goes to
//! standard error. A run directory is checked as the run itself was: with the model that it names, its faults
//! and its ending, so the check never claims more than the run showed. Incomplete evidence is an error that
//! names file and line, never a verdict. A violation that the run proved while its evidence was complete
//! still stands, and determines the exit code.

mod again;
mod keep;
mod text;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use tribunal::catch_panic::catch_panic;
use tribunal::user_file::{ensure_not_read, write};
use tribunal_checker::check::{Options, Unfit, check_from};
use tribunal_checker::formats::{self, OpPlace, Reading};
use tribunal_checker::history::History;
use tribunal_checker::model::{Initial, Objects};
use tribunal_checker::op::{F, Op, Value};
use tribunal_checker::verdict::{OpId, Verdict};
use tribunal_records::quantity::parse_within;
use tribunal_reports::imported;
use tribunal_reports::judgement::{CheckCost, Circumstances, Judgement, RunOutcome};
use tribunal_reports::junit::{Suite, render_suites};
use tribunal_reports::run_info::RunInfo;
use tribunal_reports::wording::counted;

use crate::cli::{LimitArgs, OutputFormat};
use crate::exit;
use crate::input::{InputArgs, is_standard};
use crate::interrupts::Interrupts;
use crate::jepsen_store;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run directories, history files (also .gz), Jepsen store directories, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Model to check against [default: the model of the run directory]
    #[arg(long, value_name = "MODEL", value_parser = model_parser())]
    model: Option<Objects>,

    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    limits: LimitArgs,

    /// Value of every object before the first operation, in JSON or as text; KEY=VALUE for one key [default: none]
    #[arg(long, value_name = "[KEY=]VALUE")]
    initial: Vec<String>,

    /// Number of threads, 1 to 1024 [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = parse_threads, allow_hyphen_values = true)]
    threads: Option<u16>,

    /// Replay the linearization of every part through the model
    #[arg(long)]
    certify: bool,

    /// Check every key, even after a violation
    #[arg(long)]
    all_parts: bool,

    /// Merge all PATHs into one history, ordered by time (for one file per client)
    #[arg(long)]
    merge: bool,

    /// Create this directory with the history, its verdict, report.html and other reports
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,

    /// Write JUnit XML to this file: one test suite per history
    #[arg(long, value_name = "PATH")]
    junit: Option<PathBuf>,

    /// Format of the verdicts on standard output
    #[arg(long, value_enum, default_value = "text", value_name = "HOW")]
    format: OutputFormat,
}

fn parse_threads(text: &str) -> Result<u16, String> {
    parse_within(text, &(1..=1_024))
}

fn model_parser() -> impl TypedValueParser<Value = Objects> {
    PossibleValuesParser::new(Objects::all().map(Objects::name)).try_map(|name| name.parse::<Objects>())
}

/// Result for one path.
#[derive(Serialize)]
struct Judged {
    file: String,
    timed: bool,
    #[serde(flatten)]
    judgement: Judgement,
    #[serde(skip)]
    notes: Vec<String>,
    /// Source positions of the operations, if known.
    #[serde(skip)]
    source: Option<Source>,
    /// Why the history was not checked, if the judgement is an earlier one.
    #[serde(skip)]
    unchecked: Option<String>,
}

/// `tribunal check`: prints a verdict for every path; the exit code is the worst one.
pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(dir) = &args.report
        && let Err(error) = keep::prepare(dir, &args.paths, args.merge)
    {
        return exit::usage(error);
    }
    let begun = RunInfo { args: arguments(), workload: "histories".into(), ..RunInfo::default() };
    if let Some(path) = &args.junit
        && let Err(error) = ensure_not_read(path, args.paths.iter().map(PathBuf::as_path))
            .context("--junit")
            .and_then(|()| write_junit(path, &[Suite::unfinished(&begun, "the check did not end")]))
    {
        return exit::usage(error);
    }
    if let Err(error) = give_up_on_interrupt() {
        return exit::harness(error);
    }
    let mut suites = Vec::new();
    let available = || thread::available_parallelism().map_or(1, NonZero::get);
    let threads = args.threads.map_or_else(available, usize::from);
    // Each job is one history.
    let jobs: Vec<&[PathBuf]> =
        if args.merge { vec![&args.paths[..]] } else { args.paths.chunks(1).collect() };
    let workers = threads.min(jobs.len());
    let next = AtomicUsize::new(0);
    let (done, arrivals) = mpsc::channel();
    let mut tally = Tally::default();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (done, next, jobs) = (done.clone(), &next, &jobs);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(paths) = jobs.get(at) else { return };
                    if gives_up() {
                        return;
                    }
                    let judged = catch_panic(|| judge(paths, args, threads / workers));
                    let judged = judged.map_err(|error| error.context(Broken)).and_then(|judged| judged);
                    if done.send((at, judged)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        // Results arrive as they are decided, and are printed in the order of the arguments.
        let mut early = BTreeMap::new();
        let mut due = 0;
        for (at, judged) in arrivals {
            early.insert(at, judged);
            while let Some(judged) = early.remove(&due) {
                tally.count(&judged);
                if args.junit.is_some() {
                    suites.push(suite(&jobs[due][0], &judged));
                }
                print(judged, args.format);
                due += 1;
            }
        }
    });
    if gives_up() {
        tally.interrupted += 1;
        let left = jobs[suites.len()..].iter().filter(|_| args.junit.is_some());
        let not_judged = |paths: &&[PathBuf]| {
            Suite::unreadable(&paths[0].display().to_string(), "not judged: the check was interrupted")
        };
        let not_judged: Vec<Suite> = left.map(not_judged).collect();
        suites.extend(not_judged);
    }
    if let Some(path) = &args.junit
        && let Err(error) = write_junit(path, &suites)
    {
        exit::eprint_line(&format!("warning: {error:#}"));
    }
    if jobs.len() > 1 {
        exit::eprint_line(&tally.to_string());
    }
    ExitCode::from(tally.exit_code())
}

/// Set by the first interrupt: checks give up, and report how far they got.
static GIVE_UP: AtomicBool = AtomicBool::new(false);

fn gives_up() -> bool {
    GIVE_UP.load(Ordering::Relaxed)
}

/// The arguments of the command line, without the program's name; not valid UTF-8 is converted lossily.
fn arguments() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// On the first interrupt, the check gives up, prints what it has found and exits. The second one ends the
/// program.
fn give_up_on_interrupt() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut interrupts = {
        let _inside = runtime.enter();
        Interrupts::listen()?
    };
    thread::Builder::new().spawn(move || {
        runtime.block_on(interrupts.next());
        GIVE_UP.store(true, Ordering::Relaxed);
        exit::eprint_line("interrupted: the check stops");
        runtime.block_on(interrupts.next());
        std::process::exit(exit::INTERRUPTED.into());
    })?;
    Ok(())
}

/// Error context: the error is a bug in Tribunal, not in the history.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("harness failure")
    }
}

fn write_junit(path: &Path, suites: &[Suite]) -> Result<()> {
    write(path, &render_suites(suites)).with_context(|| format!("--junit: cannot write {}", path.display()))
}

/// The JUnit suite of one history.
fn suite(path: &Path, judged: &Result<Judged>) -> Suite {
    match judged {
        Ok(Judged { file, timed, judgement, source, .. }) => {
            Suite::of_history(file, judgement, text::render(file, judgement, *timed, source.as_ref()))
        }
        Err(error) => Suite::unreadable(&path.display().to_string(), &format!("{error:#}")),
    }
}

/// The files that the operations of a history were read from.
struct Source {
    files: Vec<PathBuf>,
    places: Vec<OpPlace>,
}

impl Source {
    /// `FILE:LINE:COLUMN` of an operation.
    fn place(&self, op: OpId) -> Option<String> {
        let place = self.places.get(op)?;
        Some(format!("{}:{}:{}", self.files.get(place.file)?.display(), place.line, place.column))
    }

    /// The lines of an operation: `lines 3–4`, with the file name if there are several files.
    fn lines(&self, op: &Op, id: OpId) -> Option<String> {
        let place = self.places.get(id)?;
        let lines = match place.end {
            Some(end) if end == place.line => format!("line {end}"),
            Some(end) => format!("lines {}–{end}", place.line),
            None if op.completed.is_some() => format!("line {}", place.line),
            None => format!("line {}–", place.line),
        };
        let file = self.files.get(place.file).filter(|_| self.files.len() > 1);
        Some(file.map_or(lines.clone(), |file| format!("{lines} of {}", file.display())))
    }
}

/// Reads and judges a run directory, or one history in one or more files.
fn judge(paths: &[PathBuf], args: &Args, threads: usize) -> Result<Judged> {
    match paths {
        [path] if path.is_dir() && !jepsen_store::is_store(path) => again::judge(path, args, threads),
        _ => judge_history(paths, args, threads),
    }
}

/// Reads one history. Also returns the files that it was read from.
fn read(paths: &[PathBuf], args: &Args) -> Result<(Reading, Vec<PathBuf>)> {
    match paths {
        [path] if path.is_dir() => jepsen_store::read(path, &args.input),
        [path] if !args.merge => Ok((args.input.read(path)?, vec![path.clone()])),
        _ => {
            let options = args.input.options()?;
            let read = |(at, path): (usize, &PathBuf)| {
                // In a file per process, lines need not name the process.
                args.input.read_with(path, &formats::Options { process: Some(at as u64), ..options.clone() })
            };
            let readings = paths.iter().enumerate().map(read).collect::<Result<Vec<Reading>>>()?;
            let merged = formats::merge(readings);
            let merged = merged.map_err(|(at, why)| anyhow!("{}: {why}", paths[at].display()))?;
            Ok((merged, paths.to_vec()))
        }
    }
}

/// Checks a history; checks the key `first` first, if given.
fn check(
    name: &str,
    history: &History,
    initial: &Initial,
    first: Option<&Value>,
    source: Option<&Source>,
    args: &Args,
    threads: usize,
) -> Result<(Verdict, CheckCost)> {
    // Reports must contain certificates.
    let certify = args.certify || args.report.is_some();
    let how = Options { threads, certify, all_parts: args.all_parts, first, ..Options::default() };
    let check = |options: &Options<'_>| check_from(history, initial, options);
    args.limits.limits().check(how, &gives_up, check).map_err(|unfit| {
        let named = matches!(history.ops.get(unfit.op).map(|op| &op.f), Some(F::Other(_)));
        let hint = if named { " (`--map OURS=THEIRS` names an operation, as in write=SET)" } else { "" };
        match source.and_then(|source| source.place(unfit.op)) {
            Some(place) => {
                let Unfit { shown, model, expected, .. } = unfit;
                anyhow!("{place}: `{shown}` does not fit the model {model}: expected {expected}{hint}")
            }
            None => anyhow!("{name}: {unfit}{hint}"),
        }
    })
}

/// Judges a history that was not recorded by Tribunal.
fn judge_history(paths: &[PathBuf], args: &Args, threads: usize) -> Result<Judged> {
    let path = &*paths[0];
    let mut name = if is_standard(path) { "<stdin>".into() } else { path.display().to_string() };
    if let more @ 1.. = paths.len() - 1 {
        name += &format!(" and {}", counted(more, "other file"));
    }
    let model = match args.model {
        Some(model) => model,
        None if !is_standard(path) && !path.exists() => {
            return Err(anyhow!("{name}: no such file or directory"));
        }
        None => {
            return Err(anyhow!(
                "{name}: expected --model: a history file does not name its model (tribunal list models)"
            ));
        }
    };
    let initial = initial(model, &args.initial)?;
    let (reading, mut files) = read(paths, args)?;
    for file in files.iter_mut().filter(|file| is_standard(file)) {
        *file = "<stdin>".into();
    }
    let Reading { history, timed, mut notes, places, nemesis, .. } = reading;
    let source = Source { files, places };
    let (verdict, cost) = check(&name, &history, &initial, None, Some(&source), args, threads)?;
    let circumstances = Circumstances { check_cost: Some(cost), ..Circumstances::default() };
    let faults = imported::faults(&nemesis);
    let judgement = Judgement::of(&RunInfo::default(), &history, &faults, Some(verdict), circumstances);
    if path.is_dir() {
        notes.extend(jepsen_store::comparison(path, judgement.outcome));
    }
    if let Some(dir) = &args.report {
        match keep::keep(dir, &name, model, history, &faults, &judgement) {
            Ok(warnings) => notes.extend(warnings),
            Err(error) => notes.push(format!("no report: {error:#}")),
        }
    }
    Ok(Judged { file: name, timed, judgement, notes, source: Some(source), unchecked: None })
}

/// The initial values of the objects.
fn initial(model: Objects, values: &[String]) -> Result<Initial> {
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::str(text));
    values.iter().try_fold(Initial::new(model), |initial, text| {
        let (key, held) = match text.split_once('=') {
            Some((key, held)) if serde_json::from_str::<Value>(text).is_err() => (Some(value(key)), held),
            _ => (None, &text[..]),
        };
        initial.with(key, value(held)).map_err(|expected| anyhow!("--initial {text}: expected {expected}"))
    })
}

/// Prints one verdict, or the error instead. A failure to print does not change the verdict.
fn print(judged: Result<Judged>, style: OutputFormat) {
    let judged = match judged {
        Ok(judged) => judged,
        Err(error) => return exit::eprint_line(&format!("error: {error:#}")),
    };
    if let Some(why) = &judged.unchecked {
        exit::eprint_line(&format!("error: {why}"));
    }
    for note in &judged.notes {
        exit::eprint_line(&format!("note: {}: {note}", judged.file));
    }
    match style {
        OutputFormat::Text => {
            exit::print_text(&text::render(
                &judged.file,
                &judged.judgement,
                judged.timed,
                judged.source.as_ref(),
            ));
        }
        OutputFormat::Json => exit::print(&exit::json_line(&judged)),
    }
}

/// Number of histories per result.
#[derive(Default)]
struct Tally {
    linearizable: usize,
    convergent: usize,
    violations: usize,
    unknown: usize,
    too_slow: usize,
    failures: usize,
    errors: usize,
    /// Number of interrupted runs among the unknown ones.
    interrupted: usize,
    broke: usize,
}

impl Tally {
    fn count(&mut self, judged: &Result<Judged>) {
        let judgement = judged.as_ref().map(|judged| &judged.judgement);
        let outcome = judgement.map(|judgement| judgement.outcome);
        *match outcome {
            Ok(RunOutcome::Linearizable) => &mut self.linearizable,
            Ok(RunOutcome::Convergent) => &mut self.convergent,
            Ok(RunOutcome::Violation) => &mut self.violations,
            Ok(RunOutcome::Unknown) => &mut self.unknown,
            Ok(RunOutcome::HarnessFailure) => &mut self.failures,
            Ok(RunOutcome::TooSlow) => &mut self.too_slow,
            Err(error) if error.is::<Broken>() => &mut self.broke,
            Err(_) => &mut self.errors,
        } += 1;
        self.interrupted +=
            usize::from(judgement.is_ok_and(|judgement| judgement.exit_code == exit::INTERRUPTED));
    }

    /// The worst result: violation, then crash of the checker, input error, harness failure, interrupted,
    /// unknown.
    fn exit_code(&self) -> u8 {
        match self {
            Tally { violations: 1.., .. } => 1,
            Tally { broke: 1.., .. } => exit::HARNESS,
            Tally { errors: 1.., .. } => exit::USAGE,
            Tally { failures: 1.., .. } => exit::HARNESS,
            Tally { interrupted: 1.., .. } => exit::INTERRUPTED,
            Tally { unknown: 1.., .. } => 2,
            Tally { too_slow: 1.., .. } => 1,
            _ => 0,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally {
            linearizable, convergent, violations, unknown, too_slow, failures, errors, broke, ..
        } = self;
        let all = linearizable + convergent + violations + unknown + too_slow + failures + errors + broke;
        write!(out, "{all} histories: {linearizable} linearizable, ")?;
        if *convergent > 0 {
            write!(out, "{convergent} convergent, ")?;
        }
        write!(out, "{violations} not, {unknown} unknown")?;
        if *too_slow > 0 {
            write!(out, ", {too_slow} too slow")?;
        }
        if *failures > 0 {
            write!(out, ", {failures} in which the harness failed")?;
        }
        if *broke > 0 {
            write!(out, ", {broke} broke the checker")?;
        }
        if *errors > 0 { write!(out, ", {errors} could not be read") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_many_decides_the_exit_code() {
        let worst = |tally: Tally| Tally { linearizable: 5, ..tally }.exit_code();
        let all =
            Tally { violations: 1, errors: 1, failures: 1, interrupted: 1, unknown: 1, ..Tally::default() };
        assert_eq!(worst(Tally { ..all }), 1);
        let all = Tally { violations: 0, ..all };
        assert_eq!(worst(Tally { ..all }), 64);
        let all = Tally { errors: 0, ..all };
        assert_eq!(worst(Tally { ..all }), 3);
        let all = Tally { failures: 0, ..all };
        assert_eq!(worst(Tally { ..all }), 130);
        let all = Tally { interrupted: 0, ..all };
        assert_eq!(worst(Tally { ..all }), 2);
        assert_eq!(worst(Tally { unknown: 0, ..all }), 0);
        let mut tally = Tally { linearizable: 5, errors: 1, ..Tally::default() };
        tally.count(&catch_panic(|| panic!("a mistake")).map_err(|error| error.context(Broken)));
        assert_eq!(tally.exit_code(), exit::HARNESS);
        assert_eq!(
            tally.to_string(),
            "7 histories: 5 linearizable, 0 not, 0 unknown, 1 broke the checker, 1 could not be read"
        );
    }
}
