//! Ending a trial early.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Requests the end of trials. It may be passed to several trials, and its clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    interrupts: Arc<watch::Sender<usize>>,
    token: CancellationToken,
}

impl Stop {
    /// Without a request so far.
    pub fn new() -> Self {
        Stop::default()
    }

    /// Requests the end. A running trial heals, stops its nodes, and checks what was recorded. A trial that
    /// is being checked gives up the check. The second request gives up every check.
    pub fn interrupt(&self) {
        self.interrupts.send_modify(|count| *count += 1);
        self.token.cancel();
    }

    /// Cancelled by the first interrupt.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Number of interrupts; the receiver can wait for changes.
    pub(crate) fn interrupts(&self) -> watch::Receiver<usize> {
        self.interrupts.subscribe()
    }

    /// Whether to give up a check that began after `before` interrupts.
    pub(crate) fn gives_up(&self, before: usize) -> bool {
        *self.interrupts.borrow() > before.min(1)
    }

    /// Number of interrupts so far.
    pub fn count(&self) -> usize {
        *self.interrupts.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_interrupt_ends_the_run_or_the_check_of_it() {
        let stop = Stop::new();
        assert!(!stop.gives_up(stop.count()) && !stop.token().is_cancelled());
        stop.interrupt();
        assert!(stop.token().is_cancelled());
        assert!(stop.gives_up(0), "a check that had begun before");
        assert!(!stop.gives_up(1), "the check of a run that was cut short");
        stop.interrupt();
        assert!(stop.gives_up(1));
        assert!(stop.gives_up(2), "one that begins after both");
    }
}
