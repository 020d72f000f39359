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

use anyhow::{Context, Result, anyhow};
use tribunal_checker::check::Options;
use tribunal_checker::limits::{Limits, Progress};
use tribunal_checker::model::{Initial, ModelKind};
use tribunal_checker::verdict::Verdict;
use tribunal_reports::judgement::{CheckCost, Circumstances, HarnessFailure, Judgement};
use tribunal_reports::render::render_all;
use tribunal_reports::run_dir::{Evidence, RunDir, write_judgement};
use tribunal_reports::text;

use crate::cli::{RunArgs, Style};
use crate::exit;
use crate::github;
use crate::junit;
use crate::limits::{LimitArgs, memory};
use crate::live::Live;
use crate::live::status::{Check, Whole};
use crate::store::Store;

/// Judges the run, puts the verdict on disk, completes the directory, renders the reports and prints the outcome.
///
/// # Errors
/// When the evidence cannot be read or the verdict cannot be written.
pub(crate) fn judge_and_report(
    store: &mut Store,
    args: &RunArgs,
    mut circumstances: Circumstances,
    live: &Live,
) -> Result<ExitCode> {
    live.phase("checking");
    let checked = Evidence::load(store.path())
        .map(|evidence| (shown(live, args, |progress| check(&evidence, &args.limits, progress)), evidence));
    live.phase("reporting");
    let (checked, evidence) = checked?;
    let verdict = match checked {
        Ok((verdict, cost)) => {
            circumstances.check_cost = Some(cost);
            Some(verdict)
        }
        Err(error) => {
            let failure = HarnessFailure { source: "checker".into(), error: format!("{error:#}") };
            circumstances.harness_failure.get_or_insert(failure);
            None
        }
    };
    let Evidence { info, history, faults } = &evidence;
    let judgement = Judgement::of(info, history, faults, verdict, circumstances);
    write_judgement(store.path(), &judgement).context("cannot write verdict.json")?;

    // From here on nothing can change the verdict or the exit code.
    if let Err(error) = store.complete(judgement.outcome.is_good()) {
        eprintln!("warning: {error:#}");
    }
    report(store.path(), &judgement, args, live);
    Ok(ExitCode::from(judgement.exit_code))
}

/// Does a check, and shows every second how far it is.
fn shown<T>(live: &Live, args: &RunArgs, check: impl FnOnce(&Progress) -> T) -> T {
    let (done, ended) = mpsc::channel::<()>();
    let progress = &Progress::default();
    thread::scope(|scope| {
        scope.spawn(move || {
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
        });
        let checked = check(progress);
        drop(done);
        checked
    })
}

/// Checks what was recorded by the model that the run names.
fn check(evidence: &Evidence, limits: &LimitArgs, progress: &Progress) -> Result<(Verdict, CheckCost)> {
    let model: ModelKind = evidence.info.model.parse()?;
    let limited = Limits { progress: Some(progress), ..Limits::default() };
    Ok(limits.check(
        &evidence.history,
        &Initial::new(model),
        Options { limits: limited, ..Options::default() },
    )?)
}

/// Renders every report, and prints the outcome: all of report.txt unless all is well. Where the report is comes last. With
/// `--format json` standard output has the verdict alone, and what is for people goes to standard error.
fn report(dir: &Path, judgement: &Judgement, args: &RunArgs, live: &Live) {
    let rendered = RunDir::load(dir).map(|run| (render_all(&run, dir), run));
    let json = args.format == Style::Json;
    live.end();
    if json {
        exit::say(&(serde_json::to_string(judgement).expect("a verdict has no maps with odd keys") + "\n"));
    }
    let say = |text: &str| match json {
        true => eprint!("{}", exit::shown(text)),
        false => exit::say_outcome(text, judgement.outcome),
    };
    let (rendered, run) = match rendered {
        Ok(rendered) => rendered,
        Err(error) => {
            say(&format!("{}\n", judgement.sentence));
            eprintln!("warning: no reports: {:#}", anyhow::Error::new(error));
            return;
        }
    };
    for (name, rendered) in rendered {
        if let Err(error) = rendered {
            eprintln!("warning: no {name}: {error}");
        }
    }
    if let Some(path) = &args.junit
        && let Err(error) = write_junit(path, &run)
    {
        eprintln!("warning: {error:#}");
    }
    github::announce(&run);
    match std::panic::catch_unwind(|| text::render(&run)) {
        Ok(text) if !args.quiet && !judgement.outcome.is_good() => say(&text),
        _ => say(&format!("{}\n  report   {}\n", judgement.sentence, dir.join("report.html").display())),
    }
}

/// Puts junit.xml where `--junit` wants it. A renderer that panics leaves there that the run did not end.
fn write_junit(path: &Path, run: &RunDir) -> Result<()> {
    let text = std::panic::catch_unwind(|| tribunal_reports::junit::render(run));
    junit::write(path, &text.map_err(|_| anyhow!("--junit: the renderer panicked"))?)
}
