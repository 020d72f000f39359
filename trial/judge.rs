//! From evidence to verdict to reports, after the run.
//!
//! Everything is read back from disk: what is judged is what was recorded, and `tribunal check` on the same
//! directory gives the same result.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tribunal_checker::check::Options;
use tribunal_checker::limits::{Limits, Progress};
use tribunal_checker::verdict::{Answer, Verdict};
use tribunal_reports::judgement::{CheckCost, Circumstances, HarnessFailure, Judgement};
use tribunal_reports::render::render_all;
use tribunal_reports::run_dir::{Evidence, RunDir, write_judgement};
use tribunal_reports::run_info::RunInfo;
use tribunal_reports::wording::one_line;

use crate::announcer::Announcer;
use crate::catch_panic::catch_panic;
use crate::error::TrialError;
use crate::limits::{CheckLimits, memory};
use crate::observer::{CheckProgress, TrialEvent};
use crate::registry::RunModel;
use crate::store::Store;

/// How to check: the model, the resource limits, and a condition for giving up.
pub(crate) struct Checking<'a> {
    pub(crate) model: &'a RunModel,
    pub(crate) limits: CheckLimits,
    pub(crate) gives_up: &'a (dyn Fn() -> bool + Sync),
    /// Whether to render reports.
    pub(crate) reports: bool,
}

/// Judges the run, writes the verdict, completes the directory and renders the reports. `info` is used if
/// run.json cannot be read.
///
/// # Errors
/// When the verdict cannot be written; the error contains it.
pub(crate) fn judge(
    store: &mut Store,
    check: &Checking<'_>,
    info: RunInfo,
    mut circumstances: Circumstances,
    announcer: &Announcer,
) -> Result<RunDir, TrialError> {
    announcer.emit(&TrialEvent::Phase("checking"));
    let mut fail = |source: &str, error: anyhow::Error| {
        let failure = HarnessFailure { source: source.into(), error: one_line(&format!("{error:#}")) };
        circumstances.harness_failure.get_or_insert(failure);
    };
    let (evidence, verdict, cost) = match Evidence::load(store.path()) {
        Ok(evidence) => match catch_panic(|| check.check_with_progress(&evidence, announcer)) {
            Ok(Ok((verdict, cost))) => (evidence, Some(verdict), Some(cost)),
            Ok(Err(error)) | Err(error) => {
                fail("checker", error);
                (evidence, None, None)
            }
        },
        Err(error) => {
            fail("store", error.into());
            (Evidence { info, ..Evidence::default() }, None, None)
        }
    };
    circumstances.check_cost = cost;
    // An interrupted check that nevertheless decided counts as complete.
    let undecided = verdict.as_ref().is_some_and(|verdict| verdict.answer == Answer::Unknown);
    circumstances.interrupted |= undecided && (check.gives_up)();
    announcer.emit(&TrialEvent::Phase("reporting"));
    let Evidence { info, history, faults } = &evidence;
    let judgement = Judgement::of(info, history, faults, verdict, circumstances);
    let kept = write_judgement(store.path(), &judgement).or_else(|_| {
        store.drop_data()?;
        write_judgement(store.path(), &judgement).context("cannot write verdict.json")
    });
    if let Err(error) = kept {
        let run = Box::new(RunDir::of(store.path(), evidence, judgement));
        return Err(TrialError::NotStored { run, why: format!("{error:#}") });
    }

    // From here on nothing can change the verdict or the exit code.
    if let Err(error) = store.complete(judgement.outcome.is_good()) {
        announcer.warn(&format!("warning: {error:#}"));
    }
    Ok(report(store, evidence, judgement, announcer, check.reports))
}

impl Checking<'_> {
    /// Checks the evidence, and reports the progress every second.
    fn check_with_progress(
        &self,
        evidence: &Evidence,
        announcer: &Announcer,
    ) -> Result<(Verdict, CheckCost)> {
        let (done, ended) = mpsc::channel::<()>();
        let progress = &Progress::default();
        thread::scope(|scope| {
            let show = move || {
                let start = Instant::now();
                let mut before = 0;
                while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                    let states = progress.states.load(Relaxed);
                    announcer.emit(&TrialEvent::Checking(CheckProgress {
                        elapsed: start.elapsed(),
                        limit: self.limits.time,
                        keys: (progress.keys_done.load(Relaxed), progress.keys.load(Relaxed)),
                        states_per_second: states - before,
                        resident_bytes: memory("VmRSS:"),
                        shrinking: progress.shrinking.load(Relaxed),
                    }));
                    before = states;
                }
            };
            // If the thread cannot be started, no progress is reported.
            let _ = thread::Builder::new().spawn_scoped(scope, show);
            let checked = self.check(evidence, progress);
            drop(done);
            checked
        })
    }

    /// Checks the recorded history.
    fn check(&self, evidence: &Evidence, progress: &Progress) -> Result<(Verdict, CheckCost)> {
        let limited = Limits { progress: Some(progress), ..Limits::default() };
        let first = evidence.info.seen_live.as_ref().map(|seen| &seen.key);
        let how = Options { limits: limited, first, certify: true, ..Options::default() };
        let check = |options: &Options<'_>| self.model.check(&evidence.history, options);
        Ok(self.limits.check(how, self.gives_up, check)?)
    }
}

/// Renders every report. A report that cannot be rendered is skipped with a warning.
fn report(
    store: &Store,
    evidence: Evidence,
    judgement: Judgement,
    announcer: &Announcer,
    rendered: bool,
) -> RunDir {
    // The evidence was read back from disk, so `tribunal report` renders the same later.
    let run = RunDir::of(store.path(), evidence, judgement);
    let run = RunDir { name: store.typed_path().display().to_string(), ..run };
    if !rendered {
        return run;
    }
    for (name, rendered) in render_all(&run, store.path()) {
        if let Err(error) = rendered {
            announcer.warn(&format!("warning: no {name}: {error}"));
        }
    }
    run
}
