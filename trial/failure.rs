//! Failures of the harness itself.
//!
//! Every event of a run is either an outcome, which is recorded, or a harness failure, which stops the run in
//! order. Only the first failure is kept, since later ones follow from it. A harness failure never erases a
//! violation that was proved, and never proves one.

use std::fmt::Display;
use std::sync::Mutex;

use crate::lock::locked;

use tokio_util::sync::CancellationToken;
use tribunal_reports::judgement::HarnessFailure;

/// Keeps the first failure, and stops the run.
pub(crate) struct Failures {
    first: Mutex<Option<HarnessFailure>>,
    stop: CancellationToken,
}

impl Failures {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Failures { first: Mutex::new(None), stop }
    }

    /// Reports a failure in the part of the harness named `source`.
    pub(crate) fn raise(&self, source: &str, error: impl Display) {
        // `{:#}` prints an anyhow error with its causes. Formatted before locking: formatting may panic, and
        // a panic is reported here, too.
        let failure = HarnessFailure { source: source.into(), error: format!("{error:#}") };
        locked(&self.first).get_or_insert(failure);
        self.stop.cancel();
    }

    /// Cancelled when the run is to end.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// The first failure, if any.
    pub(crate) fn first(&self) -> Option<HarnessFailure> {
        locked(&self.first).clone()
    }
}
