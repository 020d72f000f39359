//! Phases 1 and 2: a majority promises a new epoch to one leader, and takes on its history.
//!
//! The paper's leader fetches the best history of its majority. This leader, like ZooKeeper's, gives up if a
//! follower has a better one, and the next election finds that follower.
//!
//! **Where do two histories agree?** Say the follower's history ends with zxid (e, c). Any node that has a
//! transaction of epoch e has, before it, everything that e began with and the transactions of e in order. So
//! both agree up to the leader's last zxid at or before (e, c): the follower erases what follows, and the
//! leader sends the rest, or the snapshot if that is compacted.

use super::bug::Bug;
use super::core::{Core, Notice, Role};
use super::history::History;
use super::message::{Credentials, Epoch, Message, Promise, Sync, Zxid};
use crate::replica::NodeId;

/// Heartbeats after which a follower repeats an unanswered request.
const ASK_AGAIN: u32 = 2;

impl Core {
    pub(super) fn beat_following(&mut self) {
        let (now, deadline) = (self.now, self.deadline);
        let Role::Following { leader, synced, ask_at, .. } = &mut self.role else { return };
        if now >= deadline {
            return self.look("hears no leader");
        }
        if !*synced && now >= *ask_at {
            *ask_at = now + self.config.heartbeat * ASK_AGAIN;
            let leader = leader.clone();
            self.send_durably(&leader, Message::FollowerInfo(self.promised.clone()));
        }
    }

    /// Phase 1, the leader: an epoch later than any that a majority has promised.
    pub(super) fn on_follower_info(&mut self, from: &NodeId, promised: Promise) {
        let (now, own) = (self.now, self.promised.clone());
        let Role::Leading(leading) = &mut self.role else { return };
        leading.heard.insert(from.clone(), now);
        match leading.epoch {
            None => {
                leading.infos.insert(from.clone(), promised.epoch);
                self.begin_epoch();
            }
            // The follower can never promise this epoch: the leader needs a later one.
            Some(epoch) if promised.epoch > epoch || (promised.epoch == epoch && promised != own) => {
                self.look("a follower has promised another leader");
            }
            Some(epoch) => self.send_durably(from, Message::NewEpoch { epoch }),
        }
    }

    /// The leader promises the epoch to itself first, so that it never uses it twice.
    pub(super) fn begin_epoch(&mut self) {
        let Role::Leading(leading) = &mut self.role else { return };
        if leading.infos.len() < self.config.quorum() {
            return;
        }
        let epoch = 1 + leading.infos.values().copied().max().unwrap_or(0);
        leading.epoch = Some(epoch);
        let followers: Vec<NodeId> = leading.infos.keys().cloned().collect();
        let me = self.config.id.clone();
        self.promise(Promise { epoch, leader: Some(me.clone()) });
        let has = self.credentials();
        for follower in followers.iter().filter(|follower| **follower != me) {
            self.send_durably(follower, Message::NewEpoch { epoch });
        }
        self.send_durably(&me, Message::AckEpoch { epoch, has, join: 0 });
    }

    fn promise(&mut self, promise: Promise) {
        self.promised = promise.clone();
        self.record.promised = Some(promise);
        self.ledger.changed();
    }

    /// Phase 1, the follower: it promises an epoch to one leader only, and only a later epoch.
    pub(super) fn on_new_epoch(&mut self, from: &NodeId, epoch: Epoch) {
        let Role::Following { leader, join, synced: false, .. } = &self.role else { return };
        if leader != from {
            return;
        }
        let join = *join;
        let promise = Promise { epoch, leader: Some(from.clone()) };
        if epoch < self.promised.epoch || (epoch == self.promised.epoch && promise != self.promised) {
            return self.look("has promised another epoch");
        }
        if promise != self.promised {
            self.promise(promise);
        }
        self.heard_leader();
        let has = self.credentials();
        self.send_durably(from, Message::AckEpoch { epoch, has, join });
    }

    /// Phase 1 ends when a majority has promised and no follower has better credentials; phase 2 begins with
    /// the leader's history.
    pub(super) fn on_ack_epoch(&mut self, from: &NodeId, epoch: Epoch, has: Credentials, join: u64) {
        let (now, own) = (self.now, self.credentials());
        let any_history = self.config.has(Bug::ElectWithoutHighestZxid);
        let (quorum, me) = (self.config.quorum(), self.config.id.clone());
        let Role::Leading(leading) = &mut self.role else { return };
        if leading.epoch != Some(epoch) {
            return;
        }
        leading.heard.insert(from.clone(), now);
        if leading.initial.is_none() {
            if has > own && !any_history {
                return self.look("a follower has a more complete history");
            }
            leading.promised.insert(from.clone(), (has, join));
            if leading.promised.len() < quorum || !leading.promised.contains_key(&me) {
                return;
            }
            leading.initial = Some(own.last);
            let waiting = std::mem::take(&mut leading.promised);
            self.current = epoch;
            self.record.current = Some(epoch);
            self.ledger.changed();
            self.send_durably(&me, Message::Ack { epoch, upto: own.last });
            for (follower, (has, join)) in waiting.into_iter().filter(|(node, _)| *node != me) {
                self.send_sync(&follower, epoch, has.last, join);
            }
        } else if *from != me {
            self.send_sync(from, epoch, has.last, join);
        }
    }

    /// Phase 2, the leader: sends what makes the follower's history equal to its own.
    fn send_sync(&mut self, to: &NodeId, epoch: Epoch, last: Zxid, join: u64) {
        let sync = match (self.history.floor(last), &self.snapshot) {
            _ if self.config.has(Bug::SkipSync) => Sync::Nothing,
            (None, Some(snapshot)) => Sync::Snapshot {
                snapshot: snapshot.clone(),
                txns: self.history.after(snapshot.last).to_vec(),
            },
            (keep, _) => {
                let keep = keep.unwrap_or_default();
                Sync::Difference { keep, txns: self.history.after(keep).to_vec() }
            }
        };
        let sent = self.history.last();
        if let Role::Leading(leading) = &mut self.role {
            leading.begin_to_sync(to, sent);
        }
        // The leader's history counts from here on only if its epoch is durable.
        self.send_durably(to, Message::NewLeader { epoch, join, sync });
    }

    /// Phase 2, the follower: it takes on the history and the epoch in one step, and acknowledges when they
    /// are on disk.
    pub(super) fn on_new_leader(&mut self, from: &NodeId, epoch: Epoch, join: u64, sync: Sync) {
        let promise = Promise { epoch, leader: Some(from.clone()) };
        match &self.role {
            Role::Following { leader, join: own, synced: false, .. }
                if leader == from && *own == join && self.promised == promise => {}
            _ => return,
        }
        self.heard_leader();
        let how = match sync {
            Sync::Nothing => "nothing at all",
            Sync::Difference { keep, txns } => {
                if self.history.floor(keep) != Some(keep) {
                    // The history ends earlier than the follower's: the leader has to look again.
                    return self.look("shares no transaction with the leader where it should");
                }
                let how = if self.history.last() > keep { "truncation" } else { "difference" };
                if self.history.last() > keep {
                    self.history.keep(keep);
                    self.late.retain(|txn| txn.at <= keep);
                    self.record.txns.retain(|txn| txn.at <= keep);
                    self.record.keep = Some(self.record.keep.map_or(keep, |before| before.min(keep)));
                }
                txns.into_iter().for_each(|txn| self.append(txn));
                how
            }
            Sync::Snapshot { snapshot, txns } => {
                self.history = History::new(snapshot.last);
                self.late.clear();
                self.commit = snapshot.last;
                self.handed = snapshot.last;
                self.since_snapshot = 0;
                self.snapshot = Some(snapshot.clone());
                self.ready.install = Some(snapshot);
                self.restarted = true;
                txns.into_iter().for_each(|txn| self.append(txn));
                "snapshot"
            }
        };
        self.current = epoch;
        self.record.current = Some(epoch);
        self.ledger.changed();
        if let Role::Following { synced, .. } = &mut self.role {
            *synced = true;
        }
        let last = self.history.last();
        self.ready.notices.push(Notice::Synced { leader: from.clone(), epoch, how, last });
        self.send_durably(from, Message::Ack { epoch, upto: last });
    }
}
