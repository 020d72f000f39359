//! Which parts of term, vote and log are on disk or being written. The [ledger](crate::replica::ledger) holds
//! the messages that wait for them. A leader's own entries count towards a majority once they are durable.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::log::Log;
use super::super::message::{HardState, Index, Message, NodeId, Snapshot};
use super::{Restart, Write};
use crate::replica::ledger;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    writes: ledger::Ledger<Message>,
    /// The changes since the last write.
    state_changed: bool,
    log_changed_from: Option<Index>,
    restarted: bool,
    /// The last entry that is durable.
    durable_index: Index,
    /// Writes in progress, each with the last log index when it was taken.
    in_flight: VecDeque<(u64, Index)>,
    /// The last write with a new term or vote.
    state_in: u64,
}

impl Ledger {
    /// Everything up to `durable_index` was read from the disk.
    pub(super) fn new(durable_index: Index) -> Self {
        Ledger { durable_index, ..Ledger::default() }
    }

    /// The last entry known to be on disk.
    pub(super) fn durable_index(&self) -> Index {
        self.durable_index
    }

    /// Whether the current term and vote are on disk.
    pub(super) fn state_is_durable(&self) -> bool {
        self.writes.is_durable(self.state_in)
    }

    pub(super) fn state_changed(&mut self) {
        self.state_changed = true;
        self.state_in = self.writes.changed();
    }

    /// The log has new entries from `from` on, which replace the old ones.
    pub(super) fn log_changed(&mut self, from: Index) {
        self.writes.changed();
        self.log_changed_from = Some(self.log_changed_from.map_or(from, |before| before.min(from)));
        // What is durable at these indexes is no longer what the log holds there.
        self.durable_index = self.durable_index.min(from - 1);
        for (_, last) in &mut self.in_flight {
            *last = (*last).min(from - 1);
        }
    }

    /// A snapshot was taken or installed; the log begins after it.
    pub(super) fn restarted(&mut self) {
        self.writes.changed();
        self.restarted = true;
    }

    /// Returns a message that may be sent at once; holds it back if a change is not durable yet.
    pub(super) fn hold(&mut self, to: NodeId, message: Message) -> Option<(NodeId, Message)> {
        self.writes.hold(to, message)
    }

    /// Collects the changes since the last write.
    pub(super) fn take_write(
        &mut self,
        state: &HardState,
        log: &Log,
        snapshot: Option<&Arc<Snapshot>>,
    ) -> Option<Write> {
        let number = self.writes.take()?;
        let restart = match snapshot {
            Some(snapshot) if self.restarted => {
                Some(Restart { snapshot: snapshot.clone(), base: log.base() })
            }
            _ => None,
        };
        let write = Write {
            number,
            state: (self.state_changed || restart.is_some()).then(|| state.clone()),
            entries: match (&restart, self.log_changed_from) {
                (Some(_), _) => log.from(log.base().index + 1).to_vec(),
                (None, Some(from)) => log.from(from).to_vec(),
                (None, None) => Vec::new(),
            },
            restart,
        };
        self.in_flight.push_back((number, log.last().index));
        (self.state_changed, self.log_changed_from, self.restarted) = (false, None, false);
        Some(write)
    }

    /// The writes up to and including `number` are durable; returns the messages that waited for them.
    pub(super) fn persisted(&mut self, number: u64) -> Vec<(NodeId, Message)> {
        while let Some(&(first, last)) = self.in_flight.front()
            && first <= number
        {
            self.durable_index = self.durable_index.max(last);
            self.in_flight.pop_front();
        }
        self.writes.persisted(number)
    }
}
