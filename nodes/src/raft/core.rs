//! The protocol without I/O: inputs and the time go in, messages and effects come out.
//!
//! The core is a [`Protocol`](crate::replica::Protocol) and as pure as the others. One call of `ready` after
//! several inputs makes batches: one write to disk, one AppendEntries per follower, one round for all reads.
//!
//! **Persist before you send.** What a node says about its term, its vote or its log must still be true after
//! a crash (Figure 2: "updated on stable storage before responding to RPCs"). The core enforces this itself.
//! Such messages wait in the [ledger](durability) until the write that they depend on is durable, so the
//! server may always send `messages` at once. A leader's AppendEntries depend on no write and go out in
//! parallel with its own (thesis, section 10.2.1).
//!
//! The parts: [`election`] (section 5.2), [`replication`] (5.3, 5.4), [`reads`] (8, thesis 6.4), [`lease`]
//! (thesis 6.4.1), [`snapshot`] (7), [`membership`] (thesis 4.1, 3.10).

mod durability;
mod election;
mod lease;
mod membership;
mod reads;
mod replication;
mod snapshot;

use std::collections::BTreeSet;
use std::sync::Arc;

use chacha20::ChaCha8Rng;

use self::durability::Ledger;
use self::membership::Membership;
use self::replication::Leading;
use super::bug::Bug;
use super::log::Log;
use super::message::{
    Appended, Body, Entry, HardState, Index, Message, NodeId, Payload, Position, Snapshot, Term,
};
use super::options::Options;
pub(crate) use crate::replica::{NotLeader, ReadId, Time};

/// The contents of the disk when a node starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) state: HardState,
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    pub(crate) log: Log,
}

/// The states of Figure 4, and the pre-candidate of the thesis.
#[derive(Debug)]
enum Role {
    Follower,
    /// Asks in its old term whether it would be elected.
    PreCandidate {
        granted: BTreeSet<NodeId>,
    },
    Candidate {
        granted: BTreeSet<NodeId>,
        /// When to send the request again to the voters that have not answered.
        ask_at: Time,
        /// The leader requested this election, to transfer the leadership.
        transfer: bool,
    },
    Leader(Leading),
}

/// A write that must become durable atomically.
#[derive(Clone, Debug, Default)]
pub(crate) struct Write {
    /// Writes are numbered from 1 and become durable in order.
    pub(crate) number: u64,
    pub(crate) state: Option<HardState>,
    /// An entry replaces the one at its index on disk, and all after it.
    pub(crate) entries: Vec<Entry>,
    /// A new log: only this snapshot, and `entries` after `base`, count from now on.
    pub(crate) restart: Option<Restart>,
}

/// The start of a compacted log.
#[derive(Clone, Debug)]
pub(crate) struct Restart {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) base: Position,
}

/// An event that is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    BecameFollower { term: Term, leader: Option<NodeId>, why: &'static str },
    BecamePreCandidate { term: Term },
    BecameCandidate { term: Term },
    BecameLeader { term: Term, last: Position },
    Truncated { from: Index, last: Position },
    Compacted { at: Position, bytes: usize },
    SendingSnapshot { to: NodeId, at: Position, bytes: usize },
    InstalledSnapshot { at: Position, bytes: usize },
}

/// The configuration of a node.
pub(crate) type Config = crate::replica::Config<Bug, Options>;

/// The effects for the server to carry out.
pub(crate) type Ready = crate::replica::Ready<Core>;

/// The state of one node in the protocol.
pub(crate) struct Core {
    config: Config,
    rng: ChaCha8Rng,
    now: Time,
    state: HardState,
    log: Log,
    snapshot: Option<Arc<Snapshot>>,
    /// The last entry known to be committed, and the last one handed to the state machine.
    commit: Index,
    applied: Index,
    membership: Membership,
    role: Role,
    leader: Option<NodeId>,
    /// When the leader was last heard.
    heard: Option<Time>,
    election_at: Time,
    /// With leases: the node gives no vote before this time.
    promised_until: Time,
    /// A snapshot that is being received.
    incoming: Option<(Position, Vec<u8>)>,
    ledger: Ledger,
    ready: Ready,
}

impl Core {
    /// A node that starts or restarts is a follower (section 5.2).
    pub(crate) fn new(config: Config, stored: Stored, rng: ChaCha8Rng, now: Time) -> Self {
        let applied = stored.snapshot.as_ref().map_or(0, |snapshot| snapshot.last.index);
        let membership = Membership::new(&config, stored.snapshot.as_deref(), &stored.log);
        let mut core = Core {
            config,
            membership,
            rng,
            now,
            state: stored.state,
            ledger: Ledger::new(stored.log.last().index),
            log: stored.log,
            snapshot: stored.snapshot,
            commit: applied,
            applied,
            role: Role::Follower,
            leader: None,
            heard: None,
            election_at: now,
            promised_until: now,
            incoming: None,
            ready: Ready::default(),
        };
        if core.config.has(Bug::ReuseIndexAfterRestart) {
            let last = core.log.last().index.max(applied + 1);
            core.truncate(last);
            core.ledger.log_changed(last);
        }
        core.reset_election_timer();
        core.promise_leader();
        core
    }

    /// Advances the time.
    pub(crate) fn tick(&mut self, now: Time) {
        self.now = self.now.max(now);
        match self.role {
            Role::Leader(_) => {
                self.sample_lease();
                self.tick_leader();
            }
            Role::Candidate { ask_at, .. } if self.now >= ask_at && self.now < self.election_at => {
                self.ask_for_votes();
            }
            _ if self.now < self.election_at => {}
            _ if self.may_stand() => self.start_pre_vote(),
            _ => self.hear_nobody(),
        }
    }

    /// The next time at which [`Core::tick`] has work.
    pub(crate) fn next_tick(&self) -> Time {
        match &self.role {
            Role::Leader(leading) => leading.heartbeat_at(),
            Role::Candidate { ask_at, .. } => self.election_at.min(*ask_at),
            Role::Follower | Role::PreCandidate { .. } => self.election_at,
        }
    }

    /// Receives a message, which may be late or a duplicate.
    pub(crate) fn receive(&mut self, now: Time, from: &NodeId, message: Message) {
        self.now = self.now.max(now);
        if self.keeps_promise(&message) {
            return;
        }
        // Section 5.1: a node that sees a later term takes it on and follows; it answers an earlier term with
        // its own. Replies to an earlier term are ignored.
        if message.term > self.state.term {
            if self.is_leader() && self.config.has(Bug::NoStepDown) {
                self.state.term = message.term;
            } else {
                self.become_follower(message.term, "saw a later term");
            }
        }
        let stale = message.term < self.state.term;
        match message.body {
            Body::PreVote { last } => self.on_pre_vote(from, last, stale),
            Body::RequestVote { last, .. } => self.on_request_vote(from, last, stale),
            Body::AppendEntries { round, .. } | Body::InstallSnapshot { round, .. } if stale => {
                self.send_durably(from, Body::AppendReply { round, result: Appended::Stale });
            }
            _ if stale => {}
            // NoStepDown: two leaders may share one term.
            Body::AppendEntries { .. } | Body::InstallSnapshot { .. }
                if self.is_leader() && self.config.has(Bug::NoStepDown) => {}
            Body::PreVoteReply { granted } => self.on_pre_vote_reply(from, granted),
            Body::VoteReply { granted } => self.on_vote_reply(from, granted),
            Body::AppendEntries { prev, entries, commit, round } => {
                self.follow(from);
                self.on_append_entries(from, prev, entries, commit, round);
            }
            Body::AppendReply { round, result } => self.on_append_reply(from, round, result),
            Body::InstallSnapshot { last, members, offset, data, done, round } => {
                self.follow(from);
                self.on_install_snapshot(from, last, members, offset, data, done, round);
            }
            Body::TimeoutNow => self.on_timeout_now(from),
            Body::SnapshotReply { last, received, round } => {
                self.on_snapshot_reply(from, last, received, round)
            }
        }
    }

    /// Appends a client's command to the log. Only a leader accepts it, and an accepted command may still not
    /// be committed.
    pub(crate) fn propose(&mut self, command: Arc<[u8]>) -> Result<Position, NotLeader> {
        if !self.is_leader() || self.is_handing_over() {
            return Err(NotLeader);
        }
        Ok(self.append_as_leader(Payload::Command(command)))
    }

    /// The writes up to and including this number are on disk.
    pub(crate) fn persisted(&mut self, number: u64) {
        self.ready.messages.extend(self.ledger.persisted(number));
        self.count_own_vote();
        self.advance_commit();
    }

    /// Takes the pending effects.
    pub(crate) fn ready(&mut self) -> Ready {
        let mut write = None;
        self.renew_lease();
        self.begin_read_round();
        if !self.delays_writes() {
            self.replicate();
            write = self.ledger.take_write(&self.state, &self.log, self.snapshot.as_ref());
        }
        self.drop_unpersisted(&mut write);
        let mut ready = std::mem::take(&mut self.ready);
        ready.write = write;
        ready.committed = self.log.between(self.applied, self.commit).to_vec();
        self.applied = ready.committed.last().map_or(self.applied, |entry| entry.at.index);
        self.release_reads(&mut ready);
        ready
    }

    pub(crate) fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The leader that this node knows.
    pub(crate) fn leader(&self) -> Option<&NodeId> {
        self.leader.as_ref()
    }

    pub(crate) fn id(&self) -> &NodeId {
        &self.config.id
    }

    /// The role by name: leader, candidate or follower.
    pub(crate) fn role(&self) -> &'static str {
        match self.role {
            Role::Follower => "follower",
            Role::PreCandidate { .. } | Role::Candidate { .. } => "candidate",
            Role::Leader(_) => "leader",
        }
    }

    pub(crate) fn term(&self) -> Term {
        self.state.term
    }

    pub(crate) fn commit(&self) -> Index {
        self.commit
    }

    pub(crate) fn applied(&self) -> Index {
        self.applied
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The last entry that the newest snapshot covers.
    pub(crate) fn snapshot_index(&self) -> Index {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.last.index)
    }

    /// ForgetTerm, ForgetVote: removes state from the write.
    fn drop_unpersisted(&mut self, write: &mut Option<Write>) {
        let Some(write) = write else { return };
        if let Some(state) = &mut write.state {
            if self.config.has(Bug::ForgetTerm) {
                *state = HardState::default();
            } else if self.config.has(Bug::ForgetVote) {
                state.vote = None;
            }
        }
    }

    /// AckBeforeWrite: a leader delays writing and replicating until the next heartbeat.
    fn delays_writes(&self) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        self.config.has(Bug::AckBeforeWrite) && self.now + self.config.heartbeat != leading.heartbeat_at()
    }

    /// Drops the entry at `from` and all after it.
    fn truncate(&mut self, from: Index) {
        self.log.truncate(from);
        self.membership.truncated(from);
    }

    /// Adds an entry at the end of the log.
    fn push(&mut self, entry: Entry) {
        self.membership.appended(entry.at.index, &entry.payload);
        self.log.push(entry);
    }

    /// Sends a message that does not depend on unsynced state.
    fn send(&mut self, to: &NodeId, body: Body) {
        self.ready.messages.push((to.clone(), Message { term: self.state.term, body }));
    }

    /// Sends a message once all state so far is on disk.
    fn send_durably(&mut self, to: &NodeId, body: Body) {
        let message = Message { term: self.state.term, body };
        self.ready.messages.extend(self.ledger.hold(to.clone(), message));
    }
}
