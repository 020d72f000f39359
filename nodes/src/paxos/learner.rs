//! The learner: a proposal that a majority has accepted in one ballot is chosen (PMS section 2.3).
//!
//! ```text
//!   1 .... base | .... handed .... chosen | 8   9   10
//!   in the snapshot,   applied     known    ?  yes  ?        9 waits for 8
//!   not kept
//! ```
//!
//! The acceptors notify the proposer. It is the distinguished learner and tells the other nodes how far it
//! knows the chosen values. A learner with a gap requests the chosen values, or the snapshot, from a node
//! that knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::bug::Bug;
use super::core::{Core, Notice, entry};
use super::message::{Accepted, Ballot, Body, Slot, Snapshot};
use crate::replica::{Entry, NodeId, Payload, Time};

/// Limits of one message.
pub(super) const SLOTS_MAX: usize = 512;
const BYTES_MAX: usize = 256 << 10;

/// The retry timeout of a request.
const RETRY_TIMEOUT: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct Learner {
    pub(super) base: Slot,
    pub(super) handed: Slot,
    pub(super) chosen: Slot,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// The acceptors of each open slot, in the highest ballot heard of.
    votes: BTreeMap<Slot, (Ballot, BTreeSet<NodeId>)>,
    /// Slots chosen after a gap.
    early: BTreeMap<Slot, Payload>,
    /// What was chosen at the last heartbeat, and the earliest time of the next request.
    seen: Slot,
    ask_at: Time,
}

impl Learner {
    pub(super) fn new(
        snapshot: Option<Arc<Snapshot>>,
        base: Slot,
        chosen: Slot,
        accepted: &BTreeMap<Slot, Accepted>,
    ) -> Self {
        let handed = snapshot.as_ref().map_or(0, |snapshot| snapshot.last);
        // If the snapshot is newer than the log, there are slots in between that only other nodes know.
        let known = (handed + 1..=chosen).take_while(|slot| accepted.contains_key(slot)).last();
        Learner { base, handed, chosen: known.unwrap_or(handed), snapshot, ..Learner::default() }
    }

    pub(super) fn snapshot_slot(&self) -> Slot {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.last)
    }
}

impl Core {
    pub(super) fn on_accepted(&mut self, from: &NodeId, ballot: &Ballot, first: Slot, last: Slot) {
        self.heard_from(from, ballot);
        let any_ballot = self.config.has(Bug::CountAcrossBallots);
        if !any_ballot {
            self.step_down_below(ballot, "another was accepted");
        }
        for slot in first.max(self.learner.chosen + 1)..=last {
            let (highest, by) =
                self.learner.votes.entry(slot).or_insert_with(|| (ballot.clone(), BTreeSet::new()));
            if !any_ballot && ballot < highest {
                continue;
            }
            if !any_ballot && ballot > highest {
                *highest = ballot.clone();
                by.clear();
            }
            by.insert(from.clone());
            self.try_to_learn(slot);
        }
        self.advance();
    }

    /// Learns a slot once a majority has accepted it in one ballot and this node has the value.
    pub(super) fn try_to_learn(&mut self, slot: Slot) {
        let Some((ballot, by)) = self.learner.votes.get(&slot) else { return };
        let Some(accepted) = self.accepted.get(&slot) else { return };
        let same = accepted.ballot == *ballot || self.config.has(Bug::CountAcrossBallots);
        if by.len() < self.config.quorum() || !same {
            return;
        }
        if let Some(leading) = self.role.leading_mut()
            && leading.ballot == *ballot
        {
            leading.confirm_reads(slot);
        }
        self.learner.early.insert(slot, accepted.payload.clone());
        self.learner.votes.remove(&slot);
    }

    /// The proposer of that ballot knows that all slots up to `upto` are chosen: a value that this node
    /// accepted in that ballot is the chosen one.
    pub(super) fn learn_upto(&mut self, ballot: &Ballot, upto: Slot) {
        let same = |slot| self.accepted.get(&slot).is_some_and(|accepted| accepted.ballot == *ballot);
        let from = self.learner.chosen + 1;
        if let Some(known) = (from..=upto).take_while(|slot| same(*slot)).last() {
            self.learner.chosen = known;
            self.learner.early = self.learner.early.split_off(&(known + 1));
            self.advance();
        }
    }

    /// Advances `chosen` over all slots without a gap.
    pub(super) fn advance(&mut self) {
        while self.learner.early.remove(&(self.learner.chosen + 1)).is_some() {
            self.learner.chosen += 1;
        }
        let chosen = self.learner.chosen;
        while self.learner.votes.first_key_value().is_some_and(|(slot, _)| *slot <= chosen) {
            self.learner.votes.pop_first();
        }
        if let Some(leading) = self.role.leading_mut() {
            leading.chosen_upto(chosen);
        }
    }

    /// The chosen slots that were not applied yet.
    pub(super) fn hand_out(&mut self) -> Vec<Entry<Slot>> {
        let fresh =
            self.accepted.range(self.learner.handed + 1..=self.learner.chosen.max(self.learner.handed + 1));
        let fresh = fresh.filter(|(slot, _)| **slot <= self.learner.chosen);
        let entries = fresh.map(|(slot, accepted)| entry(*slot, accepted.payload.clone())).collect();
        self.learner.handed = self.learner.chosen;
        entries
    }

    /// The leader knows more. The missing slots may be in flight, so the node requests them only if it has
    /// learned nothing since its last heartbeat.
    pub(super) fn catch_up(&mut self, leader: &NodeId, chosen: Slot) {
        let Learner { chosen: own, seen, ask_at, .. } = self.learner;
        self.learner.seen = own;
        if own < chosen && own == seen && self.now >= ask_at {
            self.request_chosen(leader);
        }
    }

    pub(super) fn request_chosen(&mut self, source: &NodeId) {
        self.learner.ask_at = self.now + RETRY_TIMEOUT;
        let first = self.learner.chosen + 1;
        self.send(source, self.promised.clone(), Body::Learn { first });
    }

    pub(super) fn on_learn(&mut self, from: &NodeId, first: Slot) {
        let ballot = self.promised.clone();
        if first <= self.learner.base {
            if let Some(snapshot) = self.learner.snapshot.clone() {
                self.send(from, ballot, Body::Install(snapshot));
            }
            return;
        }
        let upto = self.learner.chosen;
        let mut bytes = 0;
        let known = self.accepted.range(first..).take_while(|(slot, _)| **slot <= upto).take(SLOTS_MAX);
        let fitting = known.take_while(|(_, accepted)| {
            let fits = bytes < BYTES_MAX;
            bytes += accepted.payload.size();
            fits
        });
        let payloads: Vec<Payload> = fitting.map(|(_, accepted)| accepted.payload.clone()).collect();
        if !payloads.is_empty() {
            self.send(from, ballot, Body::Chosen { first, payloads, upto });
        }
    }

    pub(super) fn on_chosen(&mut self, from: &NodeId, first: Slot, payloads: Vec<Payload>, upto: Slot) {
        let before = self.learner.chosen;
        for (slot, payload) in (first..).zip(payloads) {
            if slot == self.learner.chosen + 1 {
                if self.accepted.get(&slot).is_none_or(|held| held.payload != payload) {
                    // The ballot in which it was chosen no longer matters.
                    self.accept(slot, Accepted { ballot: Ballot::default(), payload });
                }
                self.learner.early.remove(&slot);
                self.learner.chosen = slot;
            }
        }
        self.advance();
        if before < self.learner.chosen && self.learner.chosen < upto {
            self.request_chosen(from);
        }
    }

    pub(super) fn on_install(&mut self, from: &NodeId, snapshot: Arc<Snapshot>) {
        let last = snapshot.last;
        if last <= self.learner.chosen {
            return;
        }
        self.ready.notices.push(Notice::Installed { at: last, bytes: snapshot.data.len() });
        self.learner.base = last;
        self.learner.handed = last;
        self.learner.chosen = last;
        self.learner.early = self.learner.early.split_off(&(last + 1));
        self.learner.snapshot = Some(snapshot.clone());
        self.accepted = self.accepted.split_off(&(last + 1));
        self.ready.install = Some(snapshot);
        self.restarted = true;
        self.ledger.changed();
        self.advance();
        self.request_chosen(from);
    }

    /// Takes the state machine's snapshot after all applied slots; drops these slots except the last `keep`.
    pub(super) fn compact(&mut self, keep: u64, data: Arc<[u8]>) {
        let last = self.learner.handed;
        self.ready.notices.push(Notice::Compacted { at: last, bytes: data.len() });
        self.learner.snapshot = Some(Arc::new(Snapshot { last, members: Vec::new(), data }));
        self.learner.base = last.saturating_sub(keep).max(self.learner.base);
        self.accepted = self.accepted.split_off(&(self.learner.base + 1));
        self.restarted = true;
        self.ledger.changed();
    }
}
