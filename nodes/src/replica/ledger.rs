//! **Persist before you send.** What a node says about its state must still be true after a crash. So a
//! message that depends on a change is held back until the write with that change is durable:
//!
//! ```text
//!   changed()   --take-->   in flight   --persisted(n)-->   durable
//!   hold(message): waits for all that changed so far        the messages that waited go out
//! ```

use std::collections::VecDeque;

use super::NodeId;

/// The write that the next change belongs to, and the messages that wait for each write.
#[derive(Debug)]
pub(crate) struct Ledger<M> {
    /// The number of the next write, and whether there is anything in it.
    next: u64,
    changed: bool,
    /// The last write that is durable.
    durable: u64,
    /// In the order of their writes.
    held: VecDeque<(u64, NodeId, M)>,
}

impl<M> Default for Ledger<M> {
    fn default() -> Self {
        Ledger { next: 1, changed: false, durable: 0, held: VecDeque::new() }
    }
}

impl<M> Ledger<M> {
    /// Records a change that must be written; returns the number of its write.
    pub(crate) fn changed(&mut self) -> u64 {
        self.changed = true;
        self.next
    }

    pub(crate) fn is_durable(&self, number: u64) -> bool {
        number <= self.durable
    }

    /// Returns a message that may be sent at once; holds it back if a change is not durable yet.
    pub(crate) fn hold(&mut self, to: NodeId, message: M) -> Option<(NodeId, M)> {
        let awaits = if self.changed { self.next } else { self.next - 1 };
        if self.is_durable(awaits) {
            return Some((to, message));
        }
        self.held.push_back((awaits, to, message));
        None
    }

    /// Takes the number of a write with all changes since the last one, if there are any.
    pub(crate) fn take(&mut self) -> Option<u64> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// The writes up to and including `number` are durable; returns the messages that waited for them.
    pub(crate) fn persisted(&mut self, number: u64) -> Vec<(NodeId, M)> {
        self.durable = self.durable.max(number);
        let free = self.held.partition_point(|(awaits, ..)| *awaits <= number);
        self.held.drain(..free).map(|(_, to, message)| (to, message)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_waits_for_what_changed_before_it() {
        let mut ledger = Ledger::default();
        let to = || NodeId::from("n2");
        assert_eq!(ledger.hold(to(), "nothing to wait for"), Some((to(), "nothing to wait for")));
        ledger.changed();
        assert_eq!(ledger.hold(to(), "first"), None);
        assert_eq!(ledger.take(), Some(1));
        assert_eq!(ledger.take(), None);
        assert_eq!(ledger.hold(to(), "also first"), None);
        ledger.changed();
        assert_eq!(ledger.hold(to(), "second"), None);
        assert_eq!(ledger.take(), Some(2));
        assert_eq!(ledger.persisted(1), [(to(), "first"), (to(), "also first")]);
        assert_eq!(ledger.persisted(2), [(to(), "second")]);
        assert_eq!(ledger.hold(to(), "third"), Some((to(), "third")));
    }
}
