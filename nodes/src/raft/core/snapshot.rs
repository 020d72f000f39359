//! Log compaction (section 7) and InstallSnapshot (Figure 13).
//!
//! The owner of the state machine takes snapshots and hands them in. The log drops the entries that the
//! snapshot covers, except a tail that slow followers may still need. A follower that needs older entries is
//! sent the snapshot, one chunk at a time: the reply to each chunk requests the next.
//!
//! Heartbeats continue during the transfer. A lost chunk or reply is sent again after some heartbeats.

use std::sync::Arc;

use super::super::message::{Appended, Body, Index, NodeId, Position, Snapshot};
use super::membership::Membership;
use super::replication::Flow;
use super::{Bug, Core, Notice, Role, Time};

/// Bytes of a snapshot in one message.
const CHUNK_BYTES: usize = 256 << 10;

/// Heartbeats without progress after which a chunk is sent again.
const RESEND_HEARTBEATS: u32 = 6;

/// A snapshot being sent to a follower.
#[derive(Debug)]
pub(super) struct Outgoing {
    snapshot: Arc<Snapshot>,
    offset: usize,
    sent: Time,
}

impl Outgoing {
    pub(super) fn new(snapshot: Arc<Snapshot>, now: Time) -> Self {
        Outgoing { snapshot, offset: 0, sent: now }
    }

    pub(super) fn last(&self) -> Position {
        self.snapshot.last
    }

    /// The message with the bytes from `offset` on.
    pub(super) fn chunk(&self, round: u64) -> Body {
        let data = &self.snapshot.data;
        let end = data.len().min(self.offset + CHUNK_BYTES);
        Body::InstallSnapshot {
            last: self.snapshot.last,
            members: self.snapshot.members.clone(),
            offset: self.offset as u64,
            data: data[self.offset..end].to_vec(),
            done: end == data.len(),
            round,
        }
    }
}

impl Core {
    /// Takes a snapshot of the state machine after entry `index`, which must be applied; drops the entries up
    /// to `index` except the last `keep`.
    pub(crate) fn compact(&mut self, index: Index, keep: u64, data: Arc<[u8]>) {
        let lie = self.config.has(Bug::SnapshotLosesTail);
        let index = if lie { self.log.last().index } else { index };
        let Some(last) = self.log.position(index).filter(|at| at.index > self.snapshot_index()) else {
            return;
        };
        self.ready.notices.push(Notice::Compacted { at: last, bytes: data.len() });
        let members = self.membership.at(index).iter().cloned().collect();
        self.snapshot = Some(Arc::new(Snapshot { last, members, data }));
        self.log.compact(index.saturating_sub(keep).max(self.log.base().index));
        self.ledger.restarted();
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(super) fn on_install_snapshot(
        &mut self,
        from: &NodeId,
        last: Position,
        members: Vec<NodeId>,
        offset: u64,
        data: Vec<u8>,
        done: bool,
        round: u64,
    ) {
        if last.index <= self.commit {
            // The follower has all of it already, and a committed prefix is the same everywhere.
            self.incoming = None;
            let result = Appended::Matched(last.index);
            self.send_durably(from, Body::AppendReply { round, result });
            return;
        }
        let mut held = match self.incoming.take() {
            Some(incoming) if incoming.0 == last => incoming.1,
            _ => Vec::new(),
        };
        if offset == held.len() as u64 {
            held.extend_from_slice(&data);
            if done {
                self.install(Snapshot { last, members, data: held.into() });
                let result = Appended::Matched(last.index);
                self.send_durably(from, Body::AppendReply { round, result });
                return;
            }
        }
        let received = held.len() as u64;
        self.incoming = Some((last, held));
        self.send_durably(from, Body::SnapshotReply { last, received, round });
    }

    /// Replaces the state machine. The log keeps the entries after the snapshot if it agrees with it (Figure
    /// 13, steps 6-8).
    fn install(&mut self, snapshot: Snapshot) {
        let last = snapshot.last;
        self.ready.notices.push(Notice::InstalledSnapshot { at: last, bytes: snapshot.data.len() });
        if self.log.holds(last) {
            self.log.compact(last.index);
        } else {
            self.log = super::Log::new(last, Vec::new());
            self.ledger.log_changed(1);
        }
        let snapshot = Arc::new(snapshot);
        self.membership = Membership::new(&self.config, Some(&snapshot), &self.log);
        self.commit = last.index;
        self.applied = last.index;
        self.snapshot = Some(snapshot.clone());
        self.ready.install = Some(snapshot);
        self.ledger.restarted();
    }

    pub(super) fn on_snapshot_reply(&mut self, from: &NodeId, last: Position, received: u64, round: u64) {
        let now = self.now;
        let Role::Leader(leading) = &mut self.role else { return };
        let current = leading.reads.round;
        let Some(follower) = leading.followers.get_mut(from) else { return };
        follower.answered(now, round);
        if let Flow::Snapshot(outgoing) = &mut follower.flow
            && outgoing.last() == last
            && received as usize <= outgoing.snapshot.data.len()
            && received as usize != outgoing.offset
        {
            outgoing.offset = received as usize;
            outgoing.sent = now;
            let chunk = outgoing.chunk(current);
            self.send(from, chunk);
        }
    }

    /// Resends chunks that were not answered for some time.
    pub(super) fn resend_snapshots(&mut self) {
        let (now, resend_after) = (self.now, self.config.heartbeat * RESEND_HEARTBEATS);
        let Role::Leader(leading) = &mut self.role else { return };
        let round = leading.reads.round;
        let mut chunks = Vec::new();
        for (id, follower) in &mut leading.followers {
            if let Flow::Snapshot(outgoing) = &mut follower.flow
                && now >= outgoing.sent + resend_after
            {
                outgoing.sent = now;
                chunks.push((id.clone(), outgoing.chunk(round)));
            }
        }
        for (to, chunk) in chunks {
            self.send(&to, chunk);
        }
    }
}
