//! Single-server membership changes (thesis, section 4.1), and leadership transfer (3.10).
//!
//! The members are part of the log: an entry defines them from its position on, and each node uses the last
//! such entry in its log, committed or not. A change adds or removes one node at most, so every majority of
//! the old members shares a node with every majority of the new ones, and the two cannot decide
//! independently. This holds only between consecutive changes, hence two rules:
//!
//! - a change begins only when the previous one is committed;
//! - a leader begins one only when it has committed an entry of its own term (the erratum that Ongaro sent to
//!   raft-dev on 10 July 2015): otherwise its predecessor may have left a change that it does not know.
//!
//! A leader that removes itself leads until the change is committed, without counting itself. A node that
//! knows that it is no member does not stand for election, but still votes (4.2.2).
//!
//! For a transfer, a leader accepts no more commands, brings the target's log up to date and tells it to
//! stand for election at once. After an election timeout without success it continues to lead.
//!
//! CAVEATS. Every node that may ever be a member must be known to all others when they start (`--peer`). A
//! new member counts at once, however far behind it is (4.2.1 would let it catch up first): until it has
//! caught up, fewer of the other nodes may fail.

use std::collections::BTreeSet;

use super::super::log::Log;
use super::super::message::{Body, Index, NodeId, Payload, Snapshot};
use super::{Bug, Config, Core, Role, Time};
use crate::replica::Operation;

pub(super) type Members = BTreeSet<NodeId>;

/// The members, now and before.
#[derive(Debug)]
pub(super) struct Membership {
    /// The index from which each membership holds, oldest first. The first is from the snapshot or the
    /// command line.
    known: Vec<(Index, Members)>,
}

impl Membership {
    pub(super) fn new(config: &Config, snapshot: Option<&Snapshot>, log: &Log) -> Self {
        let all = || config.peers.iter().cloned().chain([config.id.clone()]).collect();
        let first = match snapshot {
            Some(snapshot) => (snapshot.last.index, snapshot.members.iter().cloned().collect()),
            None => (0, all()),
        };
        let mut membership = Membership { known: vec![first] };
        for entry in log.from(membership.known[0].0 + 1) {
            membership.appended(entry.at.index, &entry.payload);
        }
        membership
    }

    /// An entry was appended to the log.
    pub(super) fn appended(&mut self, index: Index, payload: &Payload) {
        if let Payload::Members(members) = payload {
            self.known.push((index, members.iter().cloned().collect()));
        }
    }

    /// The log was truncated from `from` on.
    pub(super) fn truncated(&mut self, from: Index) {
        while self.known.len() > 1 && self.known.last().is_some_and(|(index, _)| *index >= from) {
            self.known.pop();
        }
    }

    /// The current members, and the index of the entry that defines them.
    pub(super) fn last(&self) -> &(Index, Members) {
        self.known.last().expect("the first stays")
    }

    /// The members as of `index`.
    pub(super) fn at(&self, index: Index) -> &Members {
        let found = self.known.iter().rev().find(|(from, _)| *from <= index);
        &found.unwrap_or(&self.known[0]).1
    }
}

/// A leadership transfer in progress.
#[derive(Debug)]
pub(super) struct Transfer {
    to: NodeId,
    until: Time,
}

impl Core {
    pub(super) fn members(&self) -> &Members {
        &self.membership.last().1
    }

    pub(super) fn is_member(&self) -> bool {
        self.members().contains(&self.config.id)
    }

    /// Whether this node may stand for election: as a member, or until the change that removes it is known to
    /// be committed, because it may be the only node that can be elected (4.2.2).
    pub(super) fn may_stand(&self) -> bool {
        self.is_member() || self.membership.last().0 > self.commit
    }

    /// The members except this node.
    pub(super) fn others(&self) -> Vec<NodeId> {
        self.members().iter().filter(|member| **member != self.config.id).cloned().collect()
    }

    /// The size of a majority of the members.
    pub(super) fn quorum(&self) -> usize {
        self.members().len() / 2 + 1
    }

    /// The members that this node knows to be committed.
    pub(crate) fn agreed_members(&self) -> &Members {
        self.membership.at(self.commit)
    }

    /// Starts an operator's request; the error is the reason for a refusal.
    pub(crate) fn operate(&mut self, operation: &Operation) -> Result<(), String> {
        let Role::Leader(leading) = &mut self.role else { return Err("it does not lead".into()) };
        let (Operation::Add(node) | Operation::Remove(node) | Operation::Transfer(node)) = operation;
        if *node != self.config.id && !self.config.peers.contains(node) {
            return Err(format!("it knows no {node}"));
        }
        if let Operation::Transfer(to) = operation {
            if *to == self.config.id {
                return Ok(());
            }
            if !leading.followers.contains_key(to) {
                return Err(format!("{to} is no member"));
            }
            let until = self.now + self.config.election_timeout.1;
            leading.transfer = Some(Transfer { to: to.clone(), until });
            self.hand_over();
            return Ok(());
        }
        let (since, members) = self.membership.last();
        let mut members = members.clone();
        let changed = match operation {
            Operation::Add(node) => members.insert(node.clone()),
            _ => members.remove(node),
        };
        if !changed {
            return Ok(());
        }
        if members.is_empty() {
            return Err("somebody must remain".into());
        }
        if !self.config.has(Bug::MembershipTwoAtOnce) {
            if *since > self.commit {
                return Err("another change is under way".into());
            }
            if self.commit < leading.term_start {
                return Err("it has committed nothing in its term yet".into());
            }
        }
        self.append_as_leader(Payload::Members(members.into_iter().collect()));
        Ok(())
    }

    /// The members have changed: the leader replicates to the new ones only.
    pub(super) fn follow_members(&mut self) {
        let (others, last, now) = (self.others(), self.log.last().index, self.now);
        let Role::Leader(leading) = &mut self.role else { return };
        leading.followers.retain(|id, _| others.contains(id));
        for id in others {
            leading.followers.entry(id).or_insert_with(|| super::replication::Follower::new(last, now));
        }
    }

    /// Steps down once the removal of this node is committed.
    pub(super) fn leave_if_removed(&mut self) {
        if self.is_leader() && !self.is_member() && self.membership.last().0 <= self.commit {
            // Lets the other nodes learn of the commitment, which a new leader would have to find out.
            self.begin_round();
            self.become_follower(self.state.term, "is no member any more");
        }
    }

    /// Whether commands are refused because of a leadership transfer.
    pub(super) fn is_handing_over(&self) -> bool {
        matches!(&self.role, Role::Leader(leading) if leading.transfer.is_some())
    }

    /// Tells the target to stand for election once its log is complete; called at each of its answers and at
    /// each heartbeat.
    pub(super) fn hand_over(&mut self) {
        let (now, last) = (self.now, self.log.last().index);
        let Role::Leader(leading) = &mut self.role else { return };
        let Some(transfer) = &leading.transfer else { return };
        if now >= transfer.until {
            leading.transfer = None;
            return;
        }
        let to = transfer.to.clone();
        if leading.followers.get(&to).is_some_and(|follower| follower.matched == last) {
            // This election ignores all promises, so the lease ends.
            leading.reads.lease.give_up();
            self.send(&to, Body::TimeoutNow);
        }
    }

    /// The leader transfers the leadership to this node.
    pub(super) fn on_timeout_now(&mut self, from: &NodeId) {
        if self.leader.as_ref() == Some(from) && self.is_member() && !self.is_leader() {
            self.start_election(true);
        }
    }
}
