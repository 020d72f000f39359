//! What is on disk, what is on its way there, and who waits for it.
//!
//! Changes of the state and the log are gathered into numbered writes. A message that relies on a change is held back
//! until the write with that change is durable; a leader's own entries count towards a majority only from then on.
//!
//! ```text
//!   changed   --take_write-->   in flight    --persisted(n)-->   durable
//!   (next number)               (numbers up to the last taken)   held messages go out, entries count
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::log::Log;
use super::super::message::{HardState, Index, Message, NodeId, Snapshot};
use super::{Restart, Write};

#[derive(Debug)]
pub(super) struct Ledger {
    /// The number that the next write will have; what changed since the last one.
    next: u64,
    state_changed: bool,
    log_changed_from: Option<Index>,
    restarted: bool,
    /// The last write that is durable, and the last entry that is.
    durable: u64,
    durable_index: Index,
    /// Writes on their way, each with the last entry of the log when it was taken.
    in_flight: VecDeque<(u64, Index)>,
    /// The last write with a new term or vote.
    state_in: u64,
    held: VecDeque<(u64, NodeId, Message)>,
}

impl Ledger {
    /// Everything up to `durable_index` was read from the disk.
    pub(super) fn new(durable_index: Index) -> Self {
        Ledger {
            next: 1,
            state_changed: false,
            log_changed_from: None,
            restarted: false,
            durable: 0,
            durable_index,
            in_flight: VecDeque::new(),
            state_in: 0,
            held: VecDeque::new(),
        }
    }

    /// The last entry known to be on disk.
    pub(super) fn durable_index(&self) -> Index {
        self.durable_index
    }

    /// Whether the current term and vote are on disk.
    pub(super) fn state_is_durable(&self) -> bool {
        self.state_in <= self.durable
    }

    pub(super) fn state_changed(&mut self) {
        self.state_changed = true;
        self.state_in = self.next;
    }

    /// The log has new entries from `from` on; what was there before is gone.
    pub(super) fn log_changed(&mut self, from: Index) {
        self.log_changed_from = Some(self.log_changed_from.map_or(from, |before| before.min(from)));
        // What is durable at these indexes is not what the log holds there now.
        self.durable_index = self.durable_index.min(from - 1);
        for (_, last) in &mut self.in_flight {
            *last = (*last).min(from - 1);
        }
    }

    /// A snapshot was taken or installed, and the log starts anew after it.
    pub(super) fn restarted(&mut self) {
        self.restarted = true;
    }

    /// Lets a message through if all changes so far are durable, else keeps it until they are.
    pub(super) fn hold(&mut self, to: NodeId, message: Message) -> Option<(NodeId, Message)> {
        let changed = self.state_changed || self.log_changed_from.is_some() || self.restarted;
        let awaits = if changed { self.next } else { self.next - 1 };
        if awaits <= self.durable {
            return Some((to, message));
        }
        self.held.push_back((awaits, to, message));
        None
    }

    /// Gathers what changed since the last write.
    pub(super) fn take_write(
        &mut self,
        state: &HardState,
        log: &Log,
        snapshot: Option<&Arc<Snapshot>>,
    ) -> Option<Write> {
        let restart = match snapshot {
            Some(snapshot) if self.restarted => {
                Some(Restart { snapshot: snapshot.clone(), base: log.base() })
            }
            _ => None,
        };
        if !self.state_changed && self.log_changed_from.is_none() && restart.is_none() {
            return None;
        }
        let write = Write {
            number: self.next,
            state: (self.state_changed || restart.is_some()).then(|| state.clone()),
            entries: match (&restart, self.log_changed_from) {
                (Some(_), _) => log.from(log.base().index + 1).to_vec(),
                (None, Some(from)) => log.from(from).to_vec(),
                (None, None) => Vec::new(),
            },
            restart,
        };
        self.in_flight.push_back((self.next, log.last().index));
        self.next += 1;
        (self.state_changed, self.log_changed_from, self.restarted) = (false, None, false);
        Some(write)
    }

    /// The writes up to and with `number` are durable; gives the messages that waited for them.
    pub(super) fn persisted(&mut self, number: u64) -> Vec<(NodeId, Message)> {
        self.durable = self.durable.max(number);
        while let Some(&(first, last)) = self.in_flight.front()
            && first <= number
        {
            self.durable_index = self.durable_index.max(last);
            self.in_flight.pop_front();
        }
        // Held in the order of their writes, so the free ones are in front.
        let free = self.held.partition_point(|(awaits, ..)| *awaits <= number);
        self.held.drain(..free).map(|(_, to, message)| (to, message)).collect()
    }
}
