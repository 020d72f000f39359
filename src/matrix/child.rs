//! One run of a matrix: a `tribunal run` in a child process, and its result.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tribunal_reports::judgement::{Judgement, RunOutcome};
use tribunal_reports::matrix::{Finding, Row};
use tribunal_reports::run_dir::{load_info, load_judgement};
use tribunal_reports::runs;
use tribunal_reports::wording::elide;

use tribunal::TrialSpec;

use crate::child;

/// Time that a run may take beyond its budget, for start, check and reports, before it counts as a harness
/// failure.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);

/// Time that a run may take to end after it was interrupted.
const EXIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Store of the runs, below the directory of the matrix.
const RUNS: &str = "runs";

/// A run to be executed.
pub(super) struct Child {
    /// The directory of the matrix.
    pub(super) dir: PathBuf,
    /// [`trial`]
    pub(super) spec: TrialSpec,
    pub(super) seed: u64,
    pub(super) patience: Duration,
}

/// The trial of one run of a row. Each run of a matrix has a different one.
pub(super) fn trial(row: &Row, seed: u64, dir: &Path) -> TrialSpec {
    row.spec.clone().with(|spec| (spec.seed, spec.store) = (Some(seed), dir.join(RUNS)))
}

impl Child {
    /// Executes the run. `None` if it was interrupted by `stop`.
    ///
    /// # Errors
    /// When the child cannot be started, or its run directory cannot be read.
    pub(super) async fn run(self, stop: &CancellationToken) -> Result<Option<Finding>> {
        let shown = ["--quiet", "--progress", "none"].map(OsString::from);
        let mut command = child::command(&self.spec, shown)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().context("cannot start a run")?;
        let pid = child::pid(&child);
        let ended = child.wait_with_output();
        tokio::pin!(ended);
        let mut late = false;
        let output = tokio::select! {
            output = &mut ended => output,
            () = async { tokio::select! { () = stop.cancelled() => {}, () = sleep(self.patience) => late = true } } => {
                child::signal(pid, Signal::SIGTERM);
                tokio::select! {
                    output = &mut ended => output,
                    () = sleep(EXIT_TIMEOUT) => {
                        child::signal(pid, Signal::SIGKILL);
                        ended.await
                    }
                }
            }
        };
        let output = output.context("cannot wait for a run")?;
        match self.result()? {
            Some((_, judgement)) if judgement.interrupted && judgement.outcome != RunOutcome::Violation => {
                Ok(late.then(|| self.broke(format!("it did not end within {:?}", self.patience))))
            }
            Some((path, _)) => Ok(Some(Finding::load(&self.dir.join(&path), &path)?)),
            None if stop.is_cancelled() => Ok(None),
            None => {
                let said = String::from_utf8_lossy(&output.stderr);
                let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
                Ok(Some(self.broke(format!("{}: {}", output.status, elide(last, 300)))))
            }
        }
    }

    /// The newest run directory of this run (path below the matrix directory) and its judgement; `None` if
    /// there is none.
    fn result(&self) -> Result<Option<(String, Judgement)>> {
        let store = self.dir.join(RUNS);
        let Ok(paths) = runs::paths(&store) else { return Ok(None) }; // no store was created
        for path in paths.iter().filter(|path| path.starts_with(&format!("{}/", self.spec.workload))) {
            let dir = store.join(path);
            if !dir.join("verdict.json").is_file() {
                continue;
            }
            let info = load_info(&dir)?;
            if info.spec.as_ref() == Some(&self.spec) {
                return Ok(Some((format!("{RUNS}/{path}"), load_judgement(&dir)?)));
            }
        }
        Ok(None)
    }

    fn broke(&self, why: String) -> Finding {
        Finding {
            seed: self.seed,
            outcome: RunOutcome::HarnessFailure,
            sentence: why,
            ops: 0,
            class: None,
            after_ms: None,
            counterexample: None,
            faults: Vec::new(),
            path: String::new(),
        }
    }
}
