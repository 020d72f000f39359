//! Linearizable reads without the log: ReadIndex (section 8; thesis, section 6.4).
//!
//! A leader may answer a read from its state machine if, after the read arrived, (1) it was confirmed that it
//! still leads, and (2) everything that was committed when the read arrived is applied. For (1) it begins a
//! numbered round of heartbeats; a majority's answers to that round, or a later one, confirm it. A new leader
//! does not know what is committed until its first entry is, so its reads wait for that entry.
//!
//! Reads do not wait for the periodic heartbeat. A round begins at once unless one is in flight; reads that
//! arrive meanwhile share the next:
//!
//! ```text
//!   reads     a   b c d          e
//!   rounds    |--1--||-----2----||---3---|
//!   answered         a           bcd     e
//! ```

use std::collections::VecDeque;

use super::super::message::Index;
use super::lease::Lease;
use super::{Bug, Core, NotLeader, ReadId, Ready, Role};

#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The last round that was begun.
    pub(super) round: u64,
    pub(super) lease: Lease,
    waiting: VecDeque<Read>,
}

#[derive(Debug)]
struct Read {
    id: ReadId,
    /// The index that must be applied, and the round that must be confirmed.
    index: Index,
    round: u64,
}

impl Core {
    /// Registers a read. [`Ready`] returns it, unless this node is deposed first.
    pub(crate) fn read(&mut self, id: ReadId) -> Result<(), NotLeader> {
        let careless = self.config.has(Bug::StaleRead) || self.lease_held();
        let Role::Leader(leading) = &mut self.role else { return Err(NotLeader) };
        if careless {
            self.ready.reads.push(id);
            return Ok(());
        }
        let read = Read { id, index: self.commit.max(leading.term_start), round: leading.reads.round + 1 };
        leading.reads.waiting.push_back(read);
        Ok(())
    }

    /// Begins a round if reads wait for one and none is in flight.
    pub(super) fn begin_read_round(&mut self) {
        let Role::Leader(leading) = &self.role else { return };
        let wanted = leading.reads.waiting.back().is_some_and(|read| read.round > leading.reads.round);
        if wanted && !self.lease_holds(self.now) && self.confirmed_round() == Some(leading.reads.round) {
            self.begin_round();
        }
    }

    /// Begins a round, even if one is in flight.
    pub(super) fn begin_round(&mut self) {
        let Role::Leader(leading) = &mut self.role else { return };
        leading.reads.round += 1;
        let round = leading.reads.round;
        self.lease_round(round);
        self.heartbeat(round);
    }

    /// The last round that a majority has answered.
    pub(super) fn confirmed_round(&self) -> Option<u64> {
        let Role::Leader(leading) = &self.role else { return None };
        let own = self.is_member().then_some(leading.reads.round);
        Some(leading.majority(own, |follower| follower.round))
    }

    /// Moves the confirmed reads to `ready`.
    pub(super) fn release_reads(&mut self, ready: &mut Ready) {
        let leased = self.lease_holds(self.now);
        let Some(confirmed) = self.confirmed_round() else { return };
        let Role::Leader(leading) = &mut self.role else { return };
        while let Some(read) = leading.reads.waiting.front()
            && (leased || read.round <= confirmed)
            && read.index <= self.applied
        {
            let list = if read.round <= confirmed { &mut ready.reads } else { &mut ready.leased };
            list.push(read.id);
            leading.reads.waiting.pop_front();
        }
    }
}
