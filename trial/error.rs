//! Why there is no report of a trial.

use tribunal_reports::run_dir::RunDir;

/// Why a trial could not be held, or its verdict not be kept.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The description is wrong: nothing was started.
    #[error("{0}")]
    Spec(String),
    /// The trial itself broke before there was anything to judge.
    #[error("{0}")]
    Harness(String),
    /// The verdict could not be written.
    #[error("{why}: the verdict is kept nowhere")]
    NotKept {
        /// What came of the trial.
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
