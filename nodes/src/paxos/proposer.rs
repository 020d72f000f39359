//! The distinguished proposer (PMS sections 2.4 and 3): one ballot for all slots, kept until it hears of a
//! higher one.

use super::bug::Bug;
use super::core::{Core, Notice};
use super::learner::SLOTS_MAX;
use super::message::{Accepted, Ballot, Body, Slot};
use crate::replica::{NodeId, NotLeader, Payload, ReadId, Time};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) enum Role {
    Follower,
    /// In phase 1.
    Candidate {
        ballot: Ballot,
        promises: BTreeMap<NodeId, (Slot, Vec<(Slot, Accepted)>)>,
    },
    /// In phase 2, for any number of slots.
    Leader(Leading),
}

#[derive(Debug)]
pub(super) struct Leading {
    pub(super) ballot: Ballot,
    next: Slot,
    /// Other nodes knew the chosen values up to here when the ballot began. The leader proposes nothing there
    /// and learns the values from them.
    inherited: Slot,
    /// Its proposals in slots that it does not know to be chosen.
    pub(super) proposed: BTreeMap<Slot, Payload>,
    /// The first slot that was not sent yet.
    unsent: Slot,
    /// What was chosen at the last heartbeat: without progress everything is sent again.
    progress: Slot,
    heartbeat_at: Time,
    heard: BTreeMap<NodeId, Time>,
    /// Reads without a slot yet; reads that wait for theirs to be chosen; reads that wait for it to be
    /// applied.
    reads: Vec<ReadId>,
    awaiting: BTreeMap<Slot, Vec<ReadId>>,
    confirmed: BTreeMap<Slot, Vec<ReadId>>,
}

impl Leading {
    pub(super) fn await_slot(&mut self, id: ReadId) {
        self.reads.push(id);
    }

    /// The slot was chosen in this very ballot, so no later ballot had chosen anything when it was proposed.
    pub(super) fn confirm_reads(&mut self, slot: Slot) {
        if let Some(reads) = self.awaiting.remove(&slot) {
            self.confirmed.insert(slot, reads);
        }
    }

    pub(super) fn release_reads(&mut self, applied: Slot) -> Vec<ReadId> {
        let later = self.confirmed.split_off(&(applied + 1));
        std::mem::replace(&mut self.confirmed, later).into_values().flatten().collect()
    }

    pub(super) fn chosen_upto(&mut self, chosen: Slot) {
        while self.proposed.first_key_value().is_some_and(|(slot, _)| *slot <= chosen) {
            self.proposed.pop_first();
        }
    }
}

impl Role {
    pub(super) fn ballot(&self) -> Option<&Ballot> {
        match self {
            Role::Follower => None,
            Role::Candidate { ballot, .. } => Some(ballot),
            Role::Leader(leading) => Some(&leading.ballot),
        }
    }

    pub(super) fn leading(&self) -> Option<&Leading> {
        if let Role::Leader(leading) = self { Some(leading) } else { None }
    }

    pub(super) fn leading_mut(&mut self) -> Option<&mut Leading> {
        if let Role::Leader(leading) = self { Some(leading) } else { None }
    }

    pub(super) fn heartbeat_at(&self) -> Option<Time> {
        self.leading().map(|leading| leading.heartbeat_at)
    }
}

impl Core {
    pub(super) fn reset_election_timer(&mut self) {
        self.election_at = self.now + self.config.draw_election_timeout(&mut self.rng);
    }

    pub(super) fn tick_proposer(&mut self) {
        match &self.role {
            Role::Leader(leading) if self.now >= leading.heartbeat_at => self.beat(),
            Role::Leader(_) => {}
            _ if self.now < self.election_at => {}
            // It is still the highest ballot that this node knows: the messages may have been lost.
            Role::Candidate { ballot, .. } if *ballot == self.promised => self.ask_for_promises(),
            _ => self.prepare(),
        }
    }

    /// Whether this node is, or has recently heard, a proposer other than `node`.
    pub(super) fn hears_other_than(&self, node: &NodeId) -> bool {
        let recent = |heard: Time| self.now < heard + self.config.election_timeout.0;
        match (&self.role, &self.leader) {
            (Role::Leader(_), _) => *node != self.config.id,
            (_, Some((leader, heard))) => leader != node && recent(*heard),
            (_, None) => false,
        }
    }

    /// Begins a ballot higher than any heard of. It goes to disk first, so the node never uses it twice.
    fn prepare(&mut self) {
        let node = (!self.config.has(Bug::EqualBallots)).then(|| self.config.id.clone());
        let ballot = Ballot { round: self.round.max(self.promised.round) + 1, node };
        self.ready.notices.push(Notice::Prepares { ballot: ballot.clone() });
        self.leader = None;
        self.role = Role::Candidate { ballot: ballot.clone(), promises: BTreeMap::new() };
        self.promise(ballot);
        self.ask_for_promises();
    }

    fn ask_for_promises(&mut self) {
        self.reset_election_timer();
        self.leader = None;
        let Some(ballot) = self.role.ballot().cloned() else { return };
        for peer in self.config.peers.clone() {
            self.send_durably(&peer, ballot.clone(), Body::Prepare);
        }
        let me = self.config.id.clone();
        self.answer_prepare(&me, ballot);
    }

    pub(super) fn on_promise(
        &mut self,
        from: &NodeId,
        promised: &Ballot,
        chosen: Slot,
        accepted: Vec<(Slot, Accepted)>,
    ) {
        self.heard_from(from, promised);
        let quorum = self.config.quorum();
        if let Role::Candidate { ballot, promises } = &mut self.role
            && ballot == promised
        {
            promises.insert(from.clone(), (chosen, accepted));
            if promises.len() >= quorum {
                self.lead();
            }
        }
    }

    /// A majority has promised. In a slot where one of them has accepted a proposal, only the one with the
    /// highest ballot may be proposed (P2c): it may be chosen. In a slot where none has, nothing is chosen
    /// and any value may be proposed: a no-op lets the following slots be applied (PMS section 3).
    fn lead(&mut self) {
        let Role::Candidate { ballot, promises } = std::mem::replace(&mut self.role, Role::Follower) else {
            return;
        };
        let (known, source) = promises
            .iter()
            .map(|(node, (chosen, _))| (*chosen, node.clone()))
            .max()
            .expect("a majority is some");
        let mut highest: BTreeMap<Slot, Accepted> = BTreeMap::new();
        if !self.config.has(Bug::OwnValueOverAccepted) {
            let reported = promises.into_values().flat_map(|(_, accepted)| accepted);
            for (slot, accepted) in reported.filter(|(slot, _)| *slot > known) {
                match highest.get(&slot) {
                    Some(held) if held.ballot >= accepted.ballot => {}
                    _ => drop(highest.insert(slot, accepted)),
                }
            }
        }
        let last = highest.keys().next_back().copied().unwrap_or(known);
        let value = |slot| highest.get(&slot).map_or(Payload::Noop, |accepted| accepted.payload.clone());
        let proposed = (known + 1..=last).map(|slot| (slot, value(slot))).collect();
        self.ready.notices.push(Notice::Leads { ballot: ballot.clone(), next: last + 1 });
        self.leader = None;
        self.role = Role::Leader(Leading {
            ballot,
            next: last + 1,
            inherited: known,
            proposed,
            unsent: known + 1,
            progress: 0,
            heartbeat_at: self.now,
            heard: self.config.peers.iter().map(|peer| (peer.clone(), self.now)).collect(),
            reads: Vec::new(),
            awaiting: BTreeMap::new(),
            confirmed: BTreeMap::new(),
        });
        if known > self.learner.chosen {
            self.request_chosen(&source);
        }
    }

    /// Proposes in the next free slot.
    pub(super) fn propose_next(&mut self, payload: Payload) -> Result<Slot, NotLeader> {
        let leading = self.role.leading_mut().ok_or(NotLeader)?;
        let slot = leading.next;
        leading.proposed.insert(slot, payload);
        leading.next += 1;
        Ok(slot)
    }

    pub(super) fn give_reads_a_slot(&mut self) {
        let Some(leading) = self.role.leading_mut() else { return };
        let reads = std::mem::take(&mut leading.reads);
        if !reads.is_empty()
            && let Ok(slot) = self.propose_next(Payload::Noop)
            && let Some(leading) = self.role.leading_mut()
        {
            leading.awaiting.insert(slot, reads);
        }
    }

    /// Phase 2a, for the slots that were not sent yet.
    pub(super) fn send_proposals(&mut self) {
        let Some(leading) = self.role.leading_mut() else { return };
        let from = std::mem::replace(&mut leading.unsent, leading.next);
        self.send_proposals_from(from, usize::MAX);
    }

    fn send_proposals_from(&mut self, from: Slot, most: usize) {
        let Some(leading) = self.role.leading() else { return };
        let (ballot, chosen) = (leading.ballot.clone(), self.learner.chosen);
        let slots: Vec<(Slot, Payload)> =
            leading.proposed.range(from..).take(most).map(|(slot, value)| (*slot, value.clone())).collect();
        // Slots learned from others in the meantime leave gaps.
        for run in
            slots.chunk_by(|(slot, _), (next, _)| slot + 1 == *next).flat_map(|run| run.chunks(SLOTS_MAX))
        {
            let payloads: Vec<Payload> = run.iter().map(|(_, value)| value.clone()).collect();
            for acceptor in self.all_nodes() {
                let body = Body::Accept { first: run[0].0, payloads: payloads.clone(), chosen };
                self.send(&acceptor, ballot.clone(), body);
            }
        }
    }

    /// Sends heartbeats, and proposals again that are not chosen. Steps down if no majority answers, so that
    /// clients try another node.
    fn beat(&mut self) {
        let (now, chosen) = (self.now, self.learner.chosen);
        let alive_since = now.saturating_sub(self.config.election_timeout.1);
        let Some(leading) = self.role.leading_mut() else { return };
        leading.heartbeat_at = now + self.config.heartbeat;
        let stuck = std::mem::replace(&mut leading.progress, chosen) == chosen;
        let (ballot, inherited) = (leading.ballot.clone(), leading.inherited);
        if 1 + leading.heard.values().filter(|heard| **heard >= alive_since).count() < self.config.quorum() {
            return self.step_down("a majority is out of reach");
        }
        for peer in self.config.peers.clone() {
            self.send(&peer, ballot.clone(), Body::Heartbeat { chosen });
        }
        if stuck {
            self.send_proposals_from(chosen + 1, SLOTS_MAX);
        }
        if stuck && chosen < inherited {
            // The nodes that knew them may have crashed.
            for peer in self.config.peers.clone() {
                self.request_chosen(&peer);
            }
        }
    }

    pub(super) fn on_heartbeat(&mut self, from: &NodeId, ballot: Ballot, chosen: Slot) {
        if ballot < self.promised {
            let promised = self.promised.clone();
            return self.send_durably(from, ballot, Body::Refusal { promised });
        }
        self.follow(from, &ballot);
        self.learn_upto(&ballot, chosen);
        self.send(from, ballot, Body::HeartbeatReply);
        self.catch_up(from, chosen);
    }

    /// Follows a proposer whose ballot is at least as high as any seen.
    pub(super) fn follow(&mut self, leader: &NodeId, ballot: &Ballot) {
        self.step_down_below(ballot, "another leads");
        if *leader == self.config.id || self.is_leading() {
            return;
        }
        if self.leader.as_ref().is_none_or(|(known, _)| known != leader) {
            self.ready.notices.push(Notice::Follows { leader: leader.clone(), ballot: ballot.clone() });
        }
        self.role = Role::Follower;
        self.leader = Some((leader.clone(), self.now));
        self.reset_election_timer();
    }

    fn is_leading(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    pub(super) fn heard_from(&mut self, from: &NodeId, ballot: &Ballot) {
        let now = self.now;
        if let Some(leading) = self.role.leading_mut()
            && leading.ballot == *ballot
            && let Some(heard) = leading.heard.get_mut(from)
        {
            *heard = now;
        }
    }

    /// An acceptor has promised a higher ballot. A leader prepares a still higher one for that acceptor; a
    /// candidate lets the other proposer go first.
    pub(super) fn on_refusal(&mut self, refused: &Ballot, promised: &Ballot) {
        self.round = self.round.max(promised.round);
        if self.role.ballot() != Some(refused) || promised <= refused {
            return;
        }
        let led = self.is_leading();
        self.step_down("an acceptor has promised a higher one");
        if led {
            self.prepare();
        }
    }

    pub(super) fn step_down_below(&mut self, ballot: &Ballot, why: &'static str) {
        if self.role.ballot().is_some_and(|own| own < ballot) {
            self.step_down(why);
        }
    }

    pub(super) fn step_down(&mut self, why: &'static str) {
        let Some(ballot) = self.role.ballot().cloned() else { return };
        self.ready.deposed |= self.is_leading();
        self.ready.notices.push(Notice::SteppedDown { ballot, why });
        self.role = Role::Follower;
        self.reset_election_timer();
    }
}
