//! Phase 3: the leader proposes, a majority logs and acknowledges, the leader commits; in the order of the
//! zxids.
//!
//! For each synchronised follower the leader knows how far its history is acknowledged and how far it was
//! sent. Without new acknowledgements for a heartbeat, messages may be lost, and are sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::bug::Bug;
use super::core::{Config, Core, Notice, Role};
use super::message::{Credentials, Epoch, Message, Snapshot, Txn, Zxid};
use crate::replica::{NodeId, NotLeader, Payload, ReadId, Time};

/// Transactions in one proposal, at most.
const TXNS_MAX: usize = 512;

/// With the bug `ack-before-log`: the longest delay until a transaction is written.
pub(super) const LATE: Duration = Duration::from_secs(1);

/// The state of a leader, in the order in which it learns it.
#[derive(Debug)]
pub(super) struct Leading {
    /// Phase 1: the followers' earlier promises; the proposed epoch; the followers that have promised it,
    /// with their credentials.
    pub(super) infos: BTreeMap<NodeId, Epoch>,
    pub(super) epoch: Option<Epoch>,
    pub(super) promised: BTreeMap<NodeId, (Credentials, u64)>,
    /// Phase 2: where the epoch begins.
    pub(super) initial: Option<Zxid>,
    followers: BTreeMap<NodeId, Follower>,
    /// Phase 3.
    established: bool,
    announced: Zxid,
    /// Followers that need compacted transactions. The leader is silent to them until they look for a leader
    /// and are synchronised again.
    pub(super) to_resync: BTreeSet<NodeId>,
    pub(super) heard: BTreeMap<NodeId, Time>,
    /// Reads without a sync yet; reads that wait for theirs.
    pub(super) reads: Vec<ReadId>,
    awaiting: BTreeMap<Zxid, Vec<ReadId>>,
}

#[derive(Debug)]
struct Follower {
    /// `None` until the follower has the leader's history.
    acked: Option<Zxid>,
    sent: Zxid,
    acked_before: Option<Zxid>,
}

impl Leading {
    pub(super) fn new(config: &Config, promised: Epoch, now: Time) -> Self {
        Leading {
            infos: BTreeMap::from([(config.id.clone(), promised)]),
            epoch: None,
            promised: BTreeMap::new(),
            initial: None,
            followers: BTreeMap::new(),
            established: false,
            announced: Zxid::START,
            to_resync: BTreeSet::new(),
            heard: config.peers.iter().map(|peer| (peer.clone(), now)).collect(),
            reads: Vec::new(),
            awaiting: BTreeMap::new(),
        }
    }

    pub(super) fn is_established(&self) -> bool {
        self.established
    }

    pub(super) fn begin_to_sync(&mut self, node: &NodeId, sent: Zxid) {
        self.followers.insert(node.clone(), Follower { acked: None, sent, acked_before: None });
    }

    pub(super) fn release_reads(&mut self, applied: Zxid) -> Vec<ReadId> {
        let mut free = Vec::new();
        while let Some(entry) = self.awaiting.first_entry()
            && *entry.key() <= applied
        {
            free.extend(entry.remove());
        }
        free
    }

    /// How far a majority has acknowledged.
    fn majority(&self, quorum: usize) -> Option<Zxid> {
        let mut acked: Vec<Zxid> = self.followers.values().filter_map(|follower| follower.acked).collect();
        acked.sort_unstable_by(|a, b| b.cmp(a));
        acked.get(quorum - 1).copied()
    }
}

impl Core {
    pub(super) fn established_mut(&mut self) -> Option<&mut Leading> {
        match &mut self.role {
            Role::Leading(leading) if leading.established => Some(leading),
            _ => None,
        }
    }

    pub(super) fn beat_leading(&mut self) {
        let (now, deadline, commit) = (self.now, self.deadline, self.commit);
        let alive_since = now.saturating_sub(self.config.election_timeout.1);
        let Role::Leading(leading) = &mut self.role else { return };
        let alive = 1 + leading.heard.values().filter(|heard| **heard >= alive_since).count();
        if leading.established && alive < self.config.quorum() {
            return self.look("a majority is out of reach");
        }
        if !leading.established && now >= deadline {
            return self.look("was not established in time");
        }
        for follower in leading.followers.values_mut() {
            if let Some(acked) = follower.acked
                && acked < follower.sent
                && follower.acked_before == follower.acked
            {
                follower.sent = acked;
            }
            follower.acked_before = follower.acked;
        }
        let Some(epoch) = leading.epoch.filter(|_| leading.initial.is_some()) else { return };
        let to_resync = leading.to_resync.clone();
        for peer in self.config.peers.clone().iter().filter(|peer| !to_resync.contains(*peer)) {
            self.send(peer, Message::Ping { epoch, upto: commit });
        }
    }

    pub(super) fn on_pong(&mut self, from: &NodeId, epoch: Epoch) {
        let now = self.now;
        if let Role::Leading(leading) = &mut self.role
            && leading.epoch == Some(epoch)
        {
            leading.heard.insert(from.clone(), now);
        }
    }

    /// Assigns a zxid to a transaction and accepts it.
    pub(super) fn propose_next(&mut self, payload: Payload) -> Result<Zxid, NotLeader> {
        let epoch = self.established_mut().and_then(|leading| leading.epoch).ok_or(NotLeader)?;
        let last = self.history.last();
        let counter = if last.epoch == epoch { last.counter + 1 } else { 1 };
        let at = Zxid { epoch, counter };
        self.append(Txn { at, payload });
        Ok(at)
    }

    /// One sync serves all concurrent reads.
    pub(super) fn sync_reads(&mut self) {
        let Some(leading) = self.established_mut() else { return };
        let reads = std::mem::take(&mut leading.reads);
        if !reads.is_empty()
            && let Ok(at) = self.propose_next(Payload::Noop)
            && let Some(leading) = self.established_mut()
        {
            leading.awaiting.insert(at, reads);
        }
    }

    /// Sends each synchronised follower the new transactions.
    pub(super) fn broadcast(&mut self) {
        let (me, last) = (self.config.id.clone(), self.history.last());
        let Role::Leading(leading) = &mut self.role else { return };
        let Some(epoch) = leading.epoch else { return };
        let base = self.history.base();
        leading.followers.retain(|node, follower| {
            let lost = follower.acked.is_some() && follower.sent < base;
            if lost {
                leading.to_resync.insert(node.clone());
            }
            !lost
        });
        let mut sends = Vec::new();
        for (node, follower) in &mut leading.followers {
            while follower.acked.is_some() && follower.sent < last {
                let prev = follower.sent;
                let rest = self.history.after(prev);
                let txns = rest[..rest.len().min(TXNS_MAX)].to_vec();
                follower.sent = txns.last().map_or(last, |txn| txn.at);
                sends.push((node.clone(), Message::Propose { epoch, prev, txns }));
            }
        }
        for (to, message) in sends {
            if to == me {
                self.acknowledge(&me, epoch);
            } else {
                self.send(&to, message);
            }
        }
    }

    pub(super) fn on_propose(&mut self, from: &NodeId, epoch: Epoch, prev: Zxid, txns: Vec<Txn>) {
        if !self.is_synced_with(from, epoch) {
            return;
        }
        self.heard_leader();
        let any_history = self.config.has(Bug::SkipSync);
        if prev > self.history.last() && !any_history {
            // Transactions in between are missing; they will be sent again.
            return;
        }
        let last = self.history.last();
        txns.into_iter().filter(|txn| txn.at > last).for_each(|txn| self.append(txn));
        self.acknowledge(from, epoch);
    }

    /// With the bug `ack-before-log` nothing holds this back: the transactions are not being written yet.
    pub(super) fn acknowledge(&mut self, leader: &NodeId, epoch: Epoch) {
        let upto = self.history.last();
        self.send_durably(leader, Message::Ack { epoch, upto });
    }

    pub(super) fn is_synced_with(&self, node: &NodeId, epoch: Epoch) -> bool {
        matches!(&self.role, Role::Following { leader, synced: true, .. } if leader == node)
            && self.current == epoch
    }

    pub(super) fn on_ack(&mut self, from: &NodeId, epoch: Epoch, upto: Zxid) {
        let (now, quorum) = (self.now, self.config.quorum());
        let Role::Leading(leading) = &mut self.role else { return };
        if leading.epoch != Some(epoch) {
            return;
        }
        leading.heard.insert(from.clone(), now);
        if upto < self.history.base() && !leading.followers.contains_key(from) {
            leading.to_resync.insert(from.clone());
            return;
        }
        let unknown = || Follower { acked: None, sent: upto, acked_before: None };
        let follower = leading.followers.entry(from.clone()).or_insert_with(unknown);
        follower.acked = follower.acked.max(Some(upto));
        follower.sent = follower.sent.max(upto);
        let (Some(majority), Some(initial)) = (leading.majority(quorum), leading.initial) else { return };
        if !leading.established && (majority >= initial || self.config.has(Bug::SkipSync)) {
            leading.established = true;
            self.ready.notices.push(Notice::Established { epoch, from: initial });
        }
        if leading.established {
            self.commit = self.commit.max(majority.min(self.history.last()));
        }
    }

    /// Notifies the followers as soon as more is committed.
    pub(super) fn announce_commit(&mut self) {
        let commit = self.commit;
        let Some(leading) = self.established_mut() else { return };
        let Some(epoch) = leading.epoch.filter(|_| leading.announced < commit) else { return };
        leading.announced = commit;
        for peer in self.config.peers.clone() {
            self.send(&peer, Message::Commit { epoch, upto: commit });
        }
    }

    pub(super) fn on_commit(&mut self, from: &NodeId, epoch: Epoch, upto: Zxid) {
        if self.is_synced_with(from, epoch) {
            self.commit = self.commit.max(upto.min(self.history.last()));
        }
    }

    /// Takes the state machine's snapshot after all applied transactions; drops these from the history except
    /// the last `keep`.
    pub(super) fn compact(&mut self, keep: usize, data: Arc<[u8]>) {
        let last = self.handed;
        self.ready.notices.push(Notice::Compacted { at: last, bytes: data.len() });
        self.snapshot = Some(Arc::new(Snapshot { last, members: Vec::new(), data }));
        self.history.compact(last, keep);
        self.since_snapshot = 0;
        self.late.clear();
        self.restarted = true;
        self.ledger.changed();
    }
}
