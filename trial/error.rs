//! Errors that leave a trial without a report.

use tribunal_reports::run_dir::RunDir;

/// Why a trial could not be run, or its verdict could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The spec is invalid; nothing was started.
    #[error("{0}")]
    Spec(String),
    /// The harness failed before there was anything to judge.
    #[error("{0}")]
    Harness(String),
    /// The verdict could not be written.
    #[error("{why}: the verdict is kept nowhere")]
    NotStored {
        /// The run and its judgement.
        run: Box<RunDir>,
        /// Why it could not be written.
        why: String,
    },
}

impl TrialError {
    pub(crate) fn spec(error: anyhow::Error) -> Self {
        TrialError::Spec(format!("{error:#}"))
    }

    pub(crate) fn harness(error: anyhow::Error) -> Self {
        TrialError::Harness(format!("{error:#}"))
    }
}
