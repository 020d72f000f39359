//! Ending a trial before its time.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Asks trials to end. One may be given to several, and clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    interrupts: Arc<watch::Sender<usize>>,
    token: CancellationToken,
}

impl Stop {
    /// Nothing is asked for yet.
    pub fn new() -> Self {
        Stop::default()
    }

    /// Asks for an end. A trial that is under way heals, stops its nodes, saves what exists and checks that; one that is being
    /// checked gives up the check. Asked a second time, every check is given up.
    pub fn interrupt(&self) {
        self.interrupts.send_modify(|count| *count += 1);
        self.token.cancel();
    }

    /// What is cancelled by the first interrupt.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// How many interrupts there were; changes can be waited for.
    pub(crate) fn interrupts(&self) -> watch::Receiver<usize> {
        self.interrupts.subscribe()
    }

    /// Whether a check is to give up that began after so many interrupts.
    pub(crate) fn gives_up(&self, before: usize) -> bool {
        *self.interrupts.borrow() > before.min(1)
    }

    /// How many interrupts there were so far.
    pub(crate) fn count(&self) -> usize {
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
