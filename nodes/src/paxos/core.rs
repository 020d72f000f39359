//! The state of one node, and message dispatch.
//!
//! A message to the node itself takes the same path as any other, the disk included. So a proposer counts its
//! own promise and a learner its own acceptance only once they are durable.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use chacha20::ChaCha8Rng;
use serde_json::json;

use super::bug::Bug;
use super::learner::Learner;
use super::message::{Accepted, Ballot, Body, Message, Record, Slot, Snapshot};
use super::proposer::Role;
use crate::replica::journal::{Journal, Write};
use crate::replica::ledger::Ledger;
use crate::replica::{Entry, NodeId, NotLeader, Opened, Payload, Protocol, ReadId, Ready, ServerBugs, Time};
use crate::wal::{Found, Magic, Wal, WalError};

const MAGIC: Magic = *b"PAXO";

pub(crate) type Config = crate::replica::Config<Bug>;

/// The contents of the disk when a node starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    pub(crate) base: Slot,
    pub(crate) promised: Ballot,
    pub(crate) accepted: BTreeMap<Slot, Accepted>,
    pub(crate) chosen: Slot,
}

impl Stored {
    /// Adds a record to the stored state.
    pub(crate) fn take(&mut self, record: Record) {
        if let Some(base) = record.base {
            self.accepted.clear();
            self.base = base;
        }
        self.promised = record.promised.unwrap_or(std::mem::take(&mut self.promised));
        self.accepted.extend(record.accepted);
        self.chosen = self.chosen.max(record.chosen);
    }
}

/// An event that is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Follows { leader: NodeId, ballot: Ballot },
    Prepares { ballot: Ballot },
    Leads { ballot: Ballot, next: Slot },
    SteppedDown { ballot: Ballot, why: &'static str },
    Compacted { at: Slot, bytes: usize },
    Installed { at: Slot, bytes: usize },
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Follows { leader, ballot } => write!(out, "follows {leader} in ballot {ballot}"),
            Notice::Prepares { ballot } => write!(out, "prepares ballot {ballot}"),
            Notice::Leads { ballot, next } => write!(out, "leads in ballot {ballot}, from slot {next}"),
            Notice::SteppedDown { ballot, why } => write!(out, "gives up ballot {ballot}: {why}"),
            Notice::Compacted { at, bytes } => write!(out, "took a snapshot at {at}, {bytes} bytes"),
            Notice::Installed { at, bytes } => write!(out, "installed a snapshot at {at}, {bytes} bytes"),
        }
    }
}

/// The state of one node in the protocol.
pub(crate) struct Core {
    pub(super) config: Config,
    pub(super) rng: ChaCha8Rng,
    pub(super) now: Time,
    /// The acceptor's state.
    pub(super) promised: Ballot,
    pub(super) accepted: BTreeMap<Slot, Accepted>,
    pub(super) learner: Learner,
    /// The proposer's state, and the highest round that it has heard of.
    pub(super) role: Role,
    pub(super) round: u64,
    /// The last proposer heard, and when.
    pub(super) leader: Option<(NodeId, Time)>,
    pub(super) election_at: Time,
    /// The content of the next write; `restarted` if it replaces everything before.
    pub(super) record: Record,
    pub(super) restarted: bool,
    pub(super) ledger: Ledger<Message>,
    /// Messages from this node to itself.
    pub(super) own: VecDeque<Message>,
    pub(super) ready: Ready<Core>,
}

impl Core {
    pub(crate) fn new(config: Config, stored: Stored, rng: ChaCha8Rng, now: Time) -> Self {
        let mut core = Core {
            config,
            rng,
            now,
            round: stored.promised.round,
            promised: stored.promised,
            learner: Learner::new(stored.snapshot, stored.base, stored.chosen, &stored.accepted),
            accepted: stored.accepted,
            role: Role::Follower,
            leader: None,
            election_at: now,
            record: Record::default(),
            restarted: false,
            ledger: Ledger::default(),
            own: VecDeque::new(),
            ready: Ready::default(),
        };
        core.reset_election_timer();
        core
    }

    /// Sends a message that does not depend on unsynced state.
    pub(super) fn send(&mut self, to: &NodeId, ballot: Ballot, body: Body) {
        self.post((to.clone(), Message { ballot, body }));
    }

    /// Sends a message once all promises and acceptances so far are on disk.
    pub(super) fn send_durably(&mut self, to: &NodeId, ballot: Ballot, body: Body) {
        if let Some(free) = self.ledger.hold(to.clone(), Message { ballot, body }) {
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

    /// All nodes, this one last.
    pub(super) fn all_nodes(&self) -> Vec<NodeId> {
        let me = std::iter::once(&self.config.id);
        self.config.peers.iter().chain(me).cloned().collect()
    }

    /// Delivers this node's messages to itself.
    fn deliver_to_self(&mut self) {
        let me = self.config.id.clone();
        while let Some(message) = self.own.pop_front() {
            self.take(&me, message);
        }
    }

    fn take(&mut self, from: &NodeId, Message { ballot, body }: Message) {
        self.round = self.round.max(ballot.round);
        match body {
            Body::Prepare => self.on_prepare(from, ballot),
            Body::Promise { chosen, accepted } => self.on_promise(from, &ballot, chosen, accepted),
            Body::Refusal { promised } => self.on_refusal(&ballot, &promised),
            Body::Accept { first, payloads, chosen } => self.on_accept(from, ballot, first, payloads, chosen),
            Body::Accepted { first, last } => self.on_accepted(from, &ballot, first, last),
            Body::Heartbeat { chosen } => self.on_heartbeat(from, ballot, chosen),
            Body::HeartbeatReply => self.heard_from(from, &ballot),
            Body::Learn { first } => self.on_learn(from, first),
            Body::Chosen { first, payloads, upto } => self.on_chosen(from, first, payloads, upto),
            Body::Install(snapshot) => self.on_install(from, snapshot),
        }
    }

    fn take_write(&mut self) -> Option<Write<Snapshot, Record>> {
        let number = self.ledger.take()?;
        let mut record = std::mem::take(&mut self.record);
        let restart = if std::mem::take(&mut self.restarted) { self.learner.snapshot.clone() } else { None };
        if restart.is_some() {
            let promised = (!self.config.has(Bug::PromiseNotPersisted)).then(|| self.promised.clone());
            let accepted = self.accepted.iter().map(|(slot, accepted)| (*slot, accepted.clone())).collect();
            record = Record { base: Some(self.learner.base), promised, accepted, chosen: 0 };
        }
        record.chosen = self.learner.chosen;
        Some(Write { number, record, restart })
    }
}

impl Protocol for Core {
    type Bug = Bug;
    type Options = ();
    type At = Slot;
    type Message = Message;
    type Notice = Notice;
    type Disk = Journal<Snapshot, Record>;

    fn server_bugs(bugs: &[Bug]) -> ServerBugs {
        ServerBugs { reads_here: bugs.contains(&Bug::ReadLocal), ..ServerBugs::default() }
    }

    fn open(config: Config, data: &Path, rng: ChaCha8Rng) -> Result<Opened<Self>, WalError> {
        let Found { wal, snapshot, batches, torn } = Wal::open::<Snapshot, Vec<Record>>(data, MAGIC)?;
        let mut stored = Stored { snapshot: snapshot.clone(), ..Stored::default() };
        batches.into_iter().flatten().for_each(|record| stored.take(record));
        if stored.base > snapshot.as_ref().map_or(0, |snapshot| snapshot.last) {
            return Err(WalError::unreadable(
                data,
                "the log begins after its start, and there is no snapshot",
            ));
        }
        Ok(Opened {
            protocol: Core::new(config, stored, rng, Time::ZERO),
            disk: Journal::new(wal),
            snapshot,
            torn,
        })
    }

    fn start_summary(&self) -> String {
        let Learner { chosen, .. } = self.learner;
        format!(
            "ballot {}, chosen up to {chosen}, snapshot at {}",
            self.promised,
            self.learner.snapshot_slot()
        )
    }

    fn tick(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.tick_proposer();
        self.deliver_to_self();
    }

    fn next_tick(&self) -> Time {
        self.role.heartbeat_at().unwrap_or(self.election_at)
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
        self.role.leading_mut().ok_or(NotLeader)?.await_slot(id);
        Ok(())
    }

    fn persisted(&mut self, number: u64) {
        for free in self.ledger.persisted(number) {
            self.post(free);
        }
        self.deliver_to_self();
    }

    fn ready(&mut self) -> Ready<Self> {
        self.give_reads_a_slot();
        self.send_proposals();
        self.deliver_to_self();
        let committed = self.hand_out();
        let write = self.take_write();
        let mut ready = std::mem::take(&mut self.ready);
        let handed = self.learner.handed;
        ready.reads = self.role.leading_mut().map_or(Vec::new(), |leading| leading.release_reads(handed));
        Ready { committed, write, ..ready }
    }

    fn compact_if_due(&mut self, every: u64, data: impl FnOnce() -> Arc<[u8]>) {
        if self.learner.handed >= self.learner.snapshot_slot() + every {
            self.compact(every / 4, data());
        }
    }

    fn leader(&self) -> Option<&NodeId> {
        match &self.role {
            Role::Leader(_) => Some(&self.config.id),
            _ => self.leader.as_ref().map(|(leader, _)| leader),
        }
    }

    fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    fn term(&self) -> u64 {
        self.role.ballot().unwrap_or(&self.promised).round
    }

    fn leadership(&self) -> Option<String> {
        let ballot = self.role.ballot().filter(|_| self.is_leader());
        ballot.map(|ballot| format!("ballot {ballot}"))
    }

    fn pending(&self) -> Vec<Payload> {
        self.role.leading().map_or(Vec::new(), |leading| leading.proposed.values().cloned().collect())
    }

    fn status(&self) -> serde_json::Value {
        let role = match &self.role {
            Role::Follower => "follower",
            Role::Candidate { .. } => "candidate",
            Role::Leader(_) => "leader",
        };
        json!({
            "id": self.config.id.to_string(),
            "role": role,
            "term": self.term(),
            "leader": self.leader().map(|leader| leader.to_string()),
            "commit": self.learner.chosen,
            "applied": self.learner.handed,
            "last": self.accepted.keys().next_back().copied().unwrap_or(self.learner.base),
            "snapshot": self.learner.snapshot_slot(),
        })
    }
}

/// An entry to apply: a slot and the payload chosen for it.
pub(super) fn entry(slot: Slot, payload: Payload) -> Entry<Slot> {
    Entry { at: slot, payload }
}
