//! **Persist before you speak.** What a node says of what it remembers must still be true after a crash. So a message
//! that relies on a change is held back until the write with that change is durable:
//!
//! ```text
//!   changed()   --take-->   in flight   --persisted(n)-->   durable
//!   hold(message): waits for all that changed so far        the messages that waited go out
//! ```

use std::collections::VecDeque;

use super::NodeId;

/// Which write the next change belongs to, and who waits for which.
#[derive(Debug)]
pub(crate) struct Ledger<M> {
    /// The number that the next write will have, and whether there is anything to put into it.
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
    /// Something changed that must be written; gives the number of the write that it will be in.
    pub(crate) fn changed(&mut self) -> u64 {
        self.changed = true;
        self.next
    }

    pub(crate) fn is_durable(&self, number: u64) -> bool {
        number <= self.durable
    }

    /// Lets a message through if all changes so far are durable, else keeps it until they are.
    pub(crate) fn hold(&mut self, to: NodeId, message: M) -> Option<(NodeId, M)> {
        let awaits = if self.changed { self.next } else { self.next - 1 };
        if self.is_durable(awaits) {
            return Some((to, message));
        }
        self.held.push_back((awaits, to, message));
        None
    }

    /// The number of a write with all that changed since the last one, if anything did.
    pub(crate) fn take(&mut self) -> Option<u64> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// The writes up to and with `number` are durable; gives the messages that waited for them.
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
