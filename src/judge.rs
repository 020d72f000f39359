//! From evidence to verdict to reports: what happens when the run itself is over.
//!
//! Everything is read back from disk: what is judged is what was recorded, and `tribunal check` on the same
//! directory judges the same.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tribunal_checker::check::Options;
use tribunal_checker::limits::{Limits, Progress};
use tribunal_checker::model::{Initial, ModelKind};
use tribunal_checker::verdict::{Answer, Verdict};
use tribunal_reports::judgement::{CheckCost, Circumstances, HarnessFailure, Judgement};
use tribunal_reports::render::render_all;
use tribunal_reports::run_dir::{Evidence, RunDir, write_judgement};
use tribunal_reports::run_info::RunInfo;
use tribunal_reports::text;
use tribunal_reports::wording::one_line;

use crate::cli::{RunArgs, Style};
use crate::exit;
use crate::github;
use crate::junit;
use crate::limits::{GIVE_UP, LimitArgs, memory};
use crate::live::Live;
use crate::live::status::{Check, Whole};
use crate::panics::caught;
use crate::store::Store;

/// Judges the run, puts the verdict on disk, completes the directory, renders the reports and prints the outcome. `info` is
/// what run.json should say, for a run of which it cannot be read.
///
/// A verdict that cannot be kept is printed all the same. A violation is one wherever it is written; any other outcome is then
/// a harness failure.
pub(crate) fn judge_and_report(
    store: &mut Store,
    args: &RunArgs,
    info: RunInfo,
    mut circumstances: Circumstances,
    live: &Live,
) -> ExitCode {
    live.phase("checking");
    let mut fail = |source: &str, error: anyhow::Error| {
        let failure = HarnessFailure { source: source.into(), error: one_line(&format!("{error:#}")) };
        circumstances.harness_failure.get_or_insert(failure);
    };
    let (evidence, verdict, cost) = match Evidence::load(store.path()) {
        Ok(evidence) => {
            match caught(|| shown(live, args, |progress| check(&evidence, &args.limits, progress))) {
                Ok(Ok((verdict, cost))) => (evidence, Some(verdict), Some(cost)),
                Ok(Err(error)) | Err(error) => {
                    fail("checker", error);
                    (evidence, None, None)
                }
            }
        }
        Err(error) => {
            fail("store", error.into());
            (Evidence { info, ..Evidence::default() }, None, None)
        }
    };
    circumstances.check_cost = cost;
    // A check that was cut short and has decided all the same is as good as any.
    let undecided = verdict.as_ref().is_some_and(|verdict| verdict.answer == Answer::Unknown);
    circumstances.interrupted |= undecided && GIVE_UP.load(Relaxed);
    live.phase("reporting");
    let Evidence { info, history, faults } = &evidence;
    let judgement = Judgement::of(info, history, faults, verdict, circumstances);
    let kept = write_judgement(store.path(), &judgement).or_else(|_| {
        store.drop_data()?;
        write_judgement(store.path(), &judgement).context("cannot write verdict.json")
    });
    if let Err(error) = kept {
        print(&RunDir::of(store.path(), evidence, judgement.clone()), args, live);
        return match judgement.exit_code {
            1 => {
                exit::complain(&format!("warning: {error:#}: the verdict is kept nowhere"));
                ExitCode::from(1)
            }
            _ => exit::harness(error),
        };
    }

    // From here on nothing can change the verdict or the exit code.
    if let Err(error) = store.complete(judgement.outcome.is_good()) {
        exit::complain(&format!("warning: {error:#}"));
    }
    report(store.path(), evidence, &judgement, args, live);
    ExitCode::from(judgement.exit_code)
}

/// Does a check, and shows every second how far it is.
fn shown<T>(live: &Live, args: &RunArgs, check: impl FnOnce(&Progress) -> T) -> T {
    let (done, ended) = mpsc::channel::<()>();
    let progress = &Progress::default();
    thread::scope(|scope| {
        let show = move || {
            let start = Instant::now();
            let mut before = 0;
            while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                let states = progress.states.load(Relaxed);
                live.check(Check::Whole(Whole {
                    took: start.elapsed(),
                    limit: args.limits.check_time_limit,
                    keys: (progress.keys_done.load(Relaxed), progress.keys.load(Relaxed)),
                    states_per_second: states - before,
                    held: memory("VmRSS:"),
                    shrinking: progress.shrinking.load(Relaxed),
                }));
                before = states;
            }
        };
        // Without a thread nothing is shown.
        let _ = thread::Builder::new().spawn_scoped(scope, show);
        let checked = check(progress);
        drop(done);
        checked
    })
}

/// Checks what was recorded by the model that the run names.
fn check(evidence: &Evidence, limits: &LimitArgs, progress: &Progress) -> Result<(Verdict, CheckCost)> {
    let model: ModelKind = evidence.info.model.parse()?;
    let limited = Limits { progress: Some(progress), ..Limits::default() };
    let first = evidence.info.seen_live.as_ref().map(|seen| &seen.key);
    let how = Options { limits: limited, first, certify: true, ..Options::default() };
    Ok(limits.check(&evidence.history, &Initial::new(model), how)?)
}

/// Renders every report and prints the outcome. A report that cannot be made is named and missing.
fn report(dir: &Path, evidence: Evidence, judgement: &Judgement, args: &RunArgs, live: &Live) {
    // Reports are made of what is on disk, so that making them again gives the same.
    let run = RunDir::load(dir).unwrap_or_else(|error| {
        exit::complain(&format!("warning: {:#}", anyhow::Error::new(error)));
        RunDir::of(dir, evidence, judgement.clone())
    });
    let rendered = render_all(&run, dir);
    live.end();
    for (name, rendered) in rendered {
        if let Err(error) = rendered {
            exit::complain(&format!("warning: no {name}: {error}"));
        }
    }
    if let Some(path) = &args.junit
        && let Err(error) = write_junit(path, &run)
    {
        exit::complain(&format!("warning: {error:#}"));
    }
    github::announce(&run, args.format == Style::Json);
    print(&run, args, live);
}

/// Prints the outcome: all of report.txt unless all is well. Where the report is comes last. With `--format json` standard
/// output has the verdict alone, and what is for people goes to standard error.
fn print(run: &RunDir, args: &RunArgs, live: &Live) {
    live.end();
    let judgement = &run.judgement;
    let json = args.format == Style::Json;
    if json {
        exit::print(&exit::json_line(judgement));
    }
    let say = |text: &str| match json {
        true => exit::say_aside(text),
        false => exit::say_outcome(text, judgement.outcome),
    };
    match caught(|| text::render(run)) {
        Ok(text) if !args.quiet && !judgement.outcome.is_good() => say(&text),
        _ => say(&format!("{}\n  report   {}/report.html\n", judgement.sentence, run.name)),
    }
}

/// Puts junit.xml where `--junit` wants it. A renderer that panics leaves there that the run did not end.
fn write_junit(path: &Path, run: &RunDir) -> Result<()> {
    junit::write(path, &caught(|| tribunal_reports::junit::render(run)).context("--junit: the renderer")?)
}
