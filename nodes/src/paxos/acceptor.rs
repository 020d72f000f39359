//! The acceptor (PMS section 2.2): it promises not to accept anything below a ballot, accepts, and forgets
//! neither.

use super::bug::Bug;
use super::core::Core;
use super::message::{Accepted, Ballot, Body, Slot};
use crate::replica::{NodeId, Payload};

impl Core {
    /// Phase 1b. An acceptor may always stay silent. It does while it hears a proposer: no other is needed,
    /// and a node that was isolated must not end a working ballot.
    pub(super) fn on_prepare(&mut self, from: &NodeId, ballot: Ballot) {
        if self.hears_other_than(from) {
            return;
        }
        if ballot < self.promised {
            let promised = self.promised.clone();
            return self.send_durably(from, ballot, Body::Refusal { promised });
        }
        if ballot > self.promised {
            self.promise(ballot.clone());
            self.step_down_below(&ballot, "promised another");
            self.reset_election_timer();
        }
        self.answer_prepare(from, ballot);
    }

    /// "A promise never again to accept a proposal numbered less than n, and the proposal with the highest
    /// number less than n that it has accepted", for every slot that may be open.
    pub(super) fn answer_prepare(&mut self, to: &NodeId, ballot: Ballot) {
        let chosen = self.learner.chosen;
        let open = self.accepted.range(chosen + 1..);
        let accepted = open.map(|(slot, accepted)| (*slot, accepted.clone())).collect();
        self.send_durably(to, ballot, Body::Promise { chosen, accepted });
    }

    pub(super) fn promise(&mut self, ballot: Ballot) {
        self.promised = ballot.clone();
        if !self.config.has(Bug::PromiseNotPersisted) {
            self.record.promised = Some(ballot);
            self.ledger.changed();
        }
    }

    /// Phase 2b, unless the acceptor has promised not to (P1a).
    pub(super) fn on_accept(
        &mut self,
        from: &NodeId,
        ballot: Ballot,
        first: Slot,
        payloads: Vec<Payload>,
        chosen: Slot,
    ) {
        let below = ballot < self.promised;
        if below && !self.config.has(Bug::AcceptBelowPromise) {
            let promised = self.promised.clone();
            return self.send_durably(from, ballot, Body::Refusal { promised });
        }
        if ballot > self.promised {
            self.promise(ballot.clone());
        }
        let last = first + payloads.len() as u64 - 1;
        for (slot, payload) in (first..).zip(payloads) {
            self.accept(slot, Accepted { ballot: ballot.clone(), payload });
        }
        if !below {
            self.follow(from, &ballot);
            self.learn_upto(&ballot, chosen);
        }
        let learners =
            if self.config.has(Bug::CountAcrossBallots) { self.all_nodes() } else { vec![from.clone()] };
        for learner in learners {
            self.send_durably(&learner, ballot.clone(), Body::Accepted { first, last });
        }
    }

    /// A slot in the snapshot was chosen, so this is the same proposal again.
    pub(super) fn accept(&mut self, slot: Slot, accepted: Accepted) {
        if slot > self.learner.base && self.accepted.get(&slot) != Some(&accepted) {
            self.record.accepted.push((slot, accepted.clone()));
            self.ledger.changed();
            self.accepted.insert(slot, accepted);
        }
    }
}
