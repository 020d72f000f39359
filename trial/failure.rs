//! What breaks in the harness itself.
//!
//! Everything that happens in a run is either an outcome, which is recorded, or a harness failure, which stops
//! the run in order. The first one is kept; what follows from it is noise. It never erases a violation that was
//! proved, and never proves one.

use std::fmt::Display;
use std::sync::Mutex;

use crate::lock::locked;

use tokio_util::sync::CancellationToken;
use tribunal_reports::judgement::HarnessFailure;

/// Keeps the first failure and asks the run to stop.
pub(crate) struct Failures {
    first: Mutex<Option<HarnessFailure>>,
    stop: CancellationToken,
}

impl Failures {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Failures { first: Mutex::new(None), stop }
    }

    /// Something broke in this part of the harness.
    pub(crate) fn raise(&self, source: &str, error: impl Display) {
        // `{:#}` gives an anyhow error with its causes. Said before the lock is taken: a panic is a failure, too.
        let failure = HarnessFailure { source: source.into(), error: format!("{error:#}") };
        locked(&self.first).get_or_insert(failure);
        self.stop.cancel();
    }

    /// What is cancelled when the run is to end.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// The first one, if any.
    pub(crate) fn first(&self) -> Option<HarnessFailure> {
        locked(&self.first).clone()
    }
}
