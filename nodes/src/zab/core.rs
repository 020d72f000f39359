//! The state of one node, and message dispatch.
//!
//! A leader is also its own follower and sends itself messages as to any other node, the disk included. So it
//! counts its own acknowledgements only once they are durable.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use chacha20::ChaCha8Rng;
use serde_json::json;

use super::broadcast::Leading;
use super::bug::Bug;
use super::history::History;
use super::message::{Credentials, Epoch, Message, Promise, Record, Snapshot, Txn, Zxid};
use crate::replica::journal::{Journal, Write};
use crate::replica::ledger::Ledger;
use crate::replica::{NodeId, NotLeader, Opened, Payload, Protocol, ReadId, Ready, ServerBugs, Time};
use crate::wal::{Found, Magic, Wal, WalError};

const MAGIC: Magic = *b"ZABL";

pub(crate) type Config = crate::replica::Config<Bug>;

/// The contents of the disk when a node starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    pub(crate) promised: Promise,
    pub(crate) current: Epoch,
    pub(crate) history: History,
}

impl Stored {
    /// Adds a record to the stored state.
    pub(crate) fn take(&mut self, record: Record) {
        if let Some(base) = record.base {
            self.history = History::new(base);
        }
        if let Some(promised) = record.promised {
            self.promised = promised;
        }
        self.current = record.current.unwrap_or(self.current);
        if let Some(keep) = record.keep {
            self.history.keep(keep);
        }
        let last = self.history.last();
        record.txns.into_iter().filter(|txn| txn.at > last).for_each(|txn| self.history.push(txn));
    }

    /// A crash between the two renames of a compaction leaves a snapshot that is newer than the history.
    pub(crate) fn reconcile(&mut self) {
        let covered = self.snapshot.as_ref().map_or(Zxid::START, |snapshot| snapshot.last);
        if self.history.floor(covered) != Some(covered) {
            self.history = History::new(covered);
        }
    }
}

#[derive(Debug)]
pub(super) enum Role {
    /// Phase 0: the credentials of the other nodes that look for a leader, and when each was heard; the best
    /// at the last check.
    Looking {
        heard: BTreeMap<NodeId, (Credentials, Time)>,
        best: Option<NodeId>,
    },
    Following {
        leader: NodeId,
        /// The ID of this attempt to follow.
        join: u64,
        synced: bool,
        ask_at: Time,
    },
    Leading(Leading),
}

/// An event that is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Looks { why: &'static str, has: Credentials },
    Follows { leader: NodeId },
    Elected { has: Credentials },
    Established { epoch: Epoch, from: Zxid },
    Synced { leader: NodeId, epoch: Epoch, how: &'static str, last: Zxid },
    Compacted { at: Zxid, bytes: usize },
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Looks { why, has } => {
                write!(out, "looks for a leader: {why}; has {} of epoch {}", has.last, has.current)
            }
            Notice::Follows { leader } => write!(out, "follows {leader}"),
            Notice::Elected { has } => write!(out, "is to lead, with {} of epoch {}", has.last, has.current),
            Notice::Established { epoch, from } => write!(out, "leads epoch {epoch}, after {from}"),
            Notice::Synced { leader, epoch, how, last } => {
                write!(out, "has the history of {leader} up to {last}, epoch {epoch}, by {how}")
            }
            Notice::Compacted { at, bytes } => write!(out, "took a snapshot at {at}, {bytes} bytes"),
        }
    }
}

/// The state of one node in the protocol.
pub(crate) struct Core {
    pub(super) config: Config,
    pub(super) rng: ChaCha8Rng,
    pub(super) now: Time,
    pub(super) promised: Promise,
    pub(super) current: Epoch,
    pub(super) history: History,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// The last transaction known to be committed, and the last one handed to the state machine.
    pub(super) commit: Zxid,
    pub(super) handed: Zxid,
    pub(super) since_snapshot: u64,
    pub(super) role: Role,
    pub(super) beat_at: Time,
    /// When a follower that hears nothing looks for another leader, and a leader that is not established
    /// gives up.
    pub(super) deadline: Time,
    /// The content of the next write; `restarted` if it replaces everything before.
    pub(super) record: Record,
    pub(super) restarted: bool,
    pub(super) ledger: Ledger<Message>,
    /// With the bug `ack-before-log`: transactions that are acknowledged but not written yet, and when they
    /// will be.
    pub(super) late: Vec<Txn>,
    pub(super) late_until: Time,
    /// Messages from this node to itself.
    pub(super) own: VecDeque<Message>,
    pub(super) ready: Ready<Core>,
}

impl Core {
    pub(crate) fn new(config: Config, stored: Stored, rng: ChaCha8Rng, now: Time) -> Self {
        let covered = stored.snapshot.as_ref().map_or(Zxid::START, |snapshot| snapshot.last);
        Core {
            config,
            rng,
            now,
            promised: stored.promised,
            current: stored.current,
            history: stored.history,
            snapshot: stored.snapshot,
            commit: covered,
            handed: covered,
            since_snapshot: 0,
            role: Role::Looking { heard: BTreeMap::new(), best: None },
            beat_at: now,
            deadline: now,
            record: Record::default(),
            restarted: false,
            ledger: Ledger::default(),
            late: Vec::new(),
            late_until: now,
            own: VecDeque::new(),
            ready: Ready::default(),
        }
    }

    pub(super) fn credentials(&self) -> Credentials {
        Credentials { current: self.current, last: self.history.last() }
    }

    /// Sends a message that does not depend on unsynced state.
    pub(super) fn send(&mut self, to: &NodeId, message: Message) {
        self.post((to.clone(), message));
    }

    /// Sends a message once all promises and acceptances so far are on disk.
    pub(super) fn send_durably(&mut self, to: &NodeId, message: Message) {
        if let Some(free) = self.ledger.hold(to.clone(), message) {
            self.post(free);
        }
    }

    fn post(&mut self, (to, message): (NodeId, Message)) {
        if to == self.config.id {
            self.own.push_back(message);
        } else {
            self.ready.messages.push((to, message));
        }
    }

    fn deliver_to_self(&mut self) {
        let me = self.config.id.clone();
        while let Some(message) = self.own.pop_front() {
            self.take(&me, message);
        }
    }

    fn take(&mut self, from: &NodeId, message: Message) {
        match message {
            Message::Notification(has) => self.on_notification(from, has),
            Message::FollowerInfo(promised) => self.on_follower_info(from, promised),
            Message::NewEpoch { epoch } => self.on_new_epoch(from, epoch),
            Message::AckEpoch { epoch, has, join } => self.on_ack_epoch(from, epoch, has, join),
            Message::NewLeader { epoch, join, sync } => self.on_new_leader(from, epoch, join, sync),
            Message::Propose { epoch, prev, txns } => self.on_propose(from, epoch, prev, txns),
            Message::Ack { epoch, upto } => self.on_ack(from, epoch, upto),
            Message::Commit { epoch, upto } => self.on_commit(from, epoch, upto),
            Message::Ping { epoch, upto } => self.on_ping(from, epoch, upto),
            Message::Pong { epoch } => self.on_pong(from, epoch),
        }
    }

    /// Accepts a transaction at the end of the history.
    pub(super) fn append(&mut self, txn: Txn) {
        if self.config.has(Bug::AckBeforeLog) {
            self.late.push(txn.clone());
        } else {
            self.record.txns.push(txn.clone());
            self.ledger.changed();
        }
        self.history.push(txn);
    }

    fn take_write(&mut self) -> Option<Write<Snapshot, Record>> {
        if !self.late.is_empty() && self.now >= self.late_until {
            self.late_until = self.now + super::broadcast::LATE;
            self.record.txns.append(&mut self.late);
            self.ledger.changed();
        }
        let number = self.ledger.take()?;
        let mut record = std::mem::take(&mut self.record);
        let restart = if std::mem::take(&mut self.restarted) { self.snapshot.clone() } else { None };
        if restart.is_some() {
            record = Record {
                base: Some(self.history.base()),
                promised: Some(self.promised.clone()),
                current: Some(self.current),
                keep: None,
                txns: self.history.after(Zxid::START).to_vec(),
            };
        }
        Some(Write { number, record, restart })
    }
}

impl Protocol for Core {
    type Bug = Bug;
    type Options = ();
    type At = Zxid;
    type Message = Message;
    type Notice = Notice;
    type Disk = Journal<Snapshot, Record>;

    fn server_bugs(bugs: &[Bug]) -> ServerBugs {
        ServerBugs { reads_here: bugs.contains(&Bug::LocalRead), ..ServerBugs::default() }
    }

    fn open(config: Config, data: &Path, rng: ChaCha8Rng) -> Result<Opened<Self>, WalError> {
        let Found { wal, snapshot, batches, torn } = Wal::open::<Snapshot, Vec<Record>>(data, MAGIC)?;
        let mut stored = Stored { snapshot: snapshot.clone(), ..Stored::default() };
        batches.into_iter().flatten().for_each(|record| stored.take(record));
        if snapshot.is_none() && stored.history.base() != Zxid::START {
            return Err(WalError::unreadable(
                data,
                "the history begins after its start, and there is no snapshot",
            ));
        }
        stored.reconcile();
        let protocol = Core::new(config, stored, rng, Time::ZERO);
        Ok(Opened { protocol, disk: Journal::new(wal), snapshot, torn })
    }

    fn start_summary(&self) -> String {
        format!("epoch {}, history up to {}, snapshot at {}", self.current, self.history.last(), self.handed)
    }

    fn tick(&mut self, now: Time) {
        self.now = self.now.max(now);
        if self.now >= self.beat_at {
            self.beat_at = self.now + self.config.heartbeat;
            match &self.role {
                Role::Looking { .. } => self.beat_looking(),
                Role::Following { .. } => self.beat_following(),
                Role::Leading(_) => self.beat_leading(),
            }
        }
        self.deliver_to_self();
    }

    fn next_tick(&self) -> Time {
        self.beat_at
    }

    fn receive(&mut self, now: Time, from: &NodeId, message: Message) {
        self.now = self.now.max(now);
        self.take(from, message);
        self.deliver_to_self();
    }

    fn propose(&mut self, command: Arc<[u8]>) -> Result<(), NotLeader> {
        self.propose_next(Payload::Command(command)).map(|_| ())
    }

    fn read(&mut self, id: ReadId) -> Result<(), NotLeader> {
        self.established_mut().ok_or(NotLeader)?.reads.push(id);
        Ok(())
    }

    fn persisted(&mut self, number: u64) {
        for free in self.ledger.persisted(number) {
            self.post(free);
        }
        self.deliver_to_self();
    }

    fn ready(&mut self) -> Ready<Self> {
        self.sync_reads();
        self.broadcast();
        self.deliver_to_self();
        self.announce_commit();
        let committed = self.history.between(self.handed, self.commit).to_vec();
        self.handed = committed.last().map_or(self.handed, |txn| txn.at);
        self.since_snapshot += committed.len() as u64;
        let write = self.take_write();
        let handed = self.handed;
        let mut ready = std::mem::take(&mut self.ready);
        ready.reads = self.established_mut().map_or(Vec::new(), |leading| leading.release_reads(handed));
        Ready { committed, write, ..ready }
    }

    /// Keeps a tail of the history for slow followers.
    fn compact_if_due(&mut self, every: u64, data: impl FnOnce() -> Arc<[u8]>) {
        if self.since_snapshot >= every {
            self.compact(every as usize / 4, data());
        }
    }

    fn leader(&self) -> Option<&NodeId> {
        match &self.role {
            Role::Looking { .. } => None,
            Role::Following { leader, synced, .. } => synced.then_some(leader),
            Role::Leading(leading) => leading.is_established().then_some(&self.config.id),
        }
    }

    fn is_leader(&self) -> bool {
        matches!(&self.role, Role::Leading(leading) if leading.is_established())
    }

    fn term(&self) -> u64 {
        self.current
    }

    fn leadership(&self) -> Option<String> {
        self.is_leader().then(|| format!("epoch {}", self.current))
    }

    fn pending(&self) -> Vec<Payload> {
        self.history.after(self.handed).iter().map(|txn| txn.payload.clone()).collect()
    }

    fn status(&self) -> serde_json::Value {
        let role = match (self.leader(), &self.role) {
            (Some(_), Role::Leading(_)) => "leader",
            (Some(_), _) => "follower",
            (None, _) => "candidate",
        };
        json!({
            "id": self.config.id.to_string(),
            "role": role,
            "term": self.term(),
            "leader": self.leader().map(|leader| leader.to_string()),
            "commit": self.commit.to_string(),
            "applied": self.handed.to_string(),
            "last": self.history.last().to_string(),
            "snapshot": self.snapshot.as_ref().map(|snapshot| snapshot.last.to_string()),
        })
    }
}
