//! The protocol without the world: inputs and time go in, messages and effects come out.
//!
//! The core is a [`Protocol`](crate::replica::Protocol), and as pure as those are. Asking once what follows from several
//! inputs makes batches: one write to disk, one AppendEntries per follower, one round for all the reads.
//!
//! **Persist before you speak.** What a node says about its term, its vote or its log must still be true after a crash
//! (Figure 2: "updated on stable storage before responding to RPCs"). The core enforces that itself: such messages wait
//! in the [ledger](durability) until the write that they rely on is reported durable, so `messages` may always be sent
//! at once. A leader's AppendEntries rely on nothing and go out in parallel with its own write (thesis, section 10.2.1).
//!
//! Told in parts: [`election`] (section 5.2), [`replication`] (5.3, 5.4), [`reads`] (8, thesis 6.4), [`lease`] (thesis 6.4.1),
//! [`snapshot`] (7), [`membership`] (thesis 4.1, 3.10).

mod durability;
mod election;
mod lease;
mod membership;
mod reads;
mod replication;
mod snapshot;

use std::collections::BTreeSet;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

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

/// What a node finds on its disk when it starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) state: HardState,
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    pub(crate) log: Log,
}

/// The state of Figure 4, with the pre-candidate of the thesis.
#[derive(Debug)]
enum Role {
    Follower,
    /// Asks whether it would be elected, in its old term.
    PreCandidate {
        granted: BTreeSet<NodeId>,
    },
    Candidate {
        granted: BTreeSet<NodeId>,
        /// When to ask again those who have not answered.
        ask_at: Time,
        /// The leader bade it stand.
        transfer: bool,
    },
    Leader(Leading),
}

/// What must be made durable, as one: all of it or nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Write {
    /// Writes are numbered from 1; a later write must not become durable before an earlier one.
    pub(crate) number: u64,
    pub(crate) state: Option<HardState>,
    /// An entry replaces the one at its index on disk, and all that follow that one.
    pub(crate) entries: Vec<Entry>,
    /// The log starts anew: nothing on disk counts any more but this snapshot, and `entries` after `base`.
    pub(crate) restart: Option<Restart>,
}

/// The start of a log whose beginning was compacted.
#[derive(Clone, Debug)]
pub(crate) struct Restart {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) base: Position,
}

/// A thing worth a line in the log.
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

/// How a node is set up.
pub(crate) type Config = crate::replica::Config<Bug, Options>;

/// All that must happen outside.
pub(crate) type Ready = crate::replica::Ready<Core>;

/// One node's part in the protocol.
pub(crate) struct Core {
    config: Config,
    rng: ChaCha8Rng,
    now: Time,
    state: HardState,
    log: Log,
    snapshot: Option<Arc<Snapshot>>,
    /// The last entry known to be committed, and the last one handed out to be applied.
    commit: Index,
    applied: Index,
    membership: Membership,
    role: Role,
    leader: Option<NodeId>,
    /// When the leader was last heard.
    heard: Option<Time>,
    election_at: Time,
    /// With leases: votes for nobody before that.
    promised_until: Time,
    /// A snapshot that is arriving.
    incoming: Option<(Position, Vec<u8>)>,
    ledger: Ledger,
    ready: Ready,
}

impl Core {
    /// A node that starts, for the first time or again, as a follower (section 5.2).
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

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Time) {
        self.now = self.now.max(now);
        match self.role {
            Role::Leader(_) => {
                self.look_at_lease();
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

    /// The next moment at which [`Core::tick`] has something to do.
    pub(crate) fn next_tick(&self) -> Time {
        match &self.role {
            Role::Leader(leading) => leading.heartbeat_at(),
            Role::Candidate { ask_at, .. } => self.election_at.min(*ask_at),
            Role::Follower | Role::PreCandidate { .. } => self.election_at,
        }
    }

    /// A message has arrived, maybe late, maybe not for the first time.
    pub(crate) fn receive(&mut self, now: Time, from: &NodeId, message: Message) {
        self.now = self.now.max(now);
        if self.keeps_promise(&message) {
            return;
        }
        // Section 5.1: whoever sees a later term takes it on and follows; whoever is addressed from an earlier one
        // says so. Answers from an earlier term answer nothing any more.
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
            // NoStepDown: two may lead one term.
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

    /// A client's command, for the log. Only a leader takes it; that it was taken does not mean that it will be
    /// committed.
    pub(crate) fn propose(&mut self, command: Arc<[u8]>) -> Result<Position, NotLeader> {
        if !self.is_leader() || self.is_handing_over() {
            return Err(NotLeader);
        }
        Ok(self.append_as_leader(Payload::Command(command)))
    }

    /// The writes up to and with this number are on disk.
    pub(crate) fn persisted(&mut self, number: u64) {
        self.ready.messages.extend(self.ledger.persisted(number));
        self.count_own_vote();
        self.advance_commit();
    }

    /// Takes what must happen outside.
    pub(crate) fn ready(&mut self) -> Ready {
        let mut write = None;
        self.renew_lease();
        self.begin_read_round();
        if !self.writes_behind() {
            self.replicate();
            write = self.ledger.take_write(&self.state, &self.log, self.snapshot.as_ref());
        }
        self.mishandle(&mut write);
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

    /// Who leads, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<&NodeId> {
        self.leader.as_ref()
    }

    pub(crate) fn id(&self) -> &NodeId {
        &self.config.id
    }

    /// The role as a word: leader, candidate or follower.
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

    /// ForgetTerm, ForgetVote: what does not get to the disk.
    fn mishandle(&mut self, write: &mut Option<Write>) {
        let Some(write) = write else { return };
        if let Some(state) = &mut write.state {
            if self.config.has(Bug::ForgetTerm) {
                *state = HardState::default();
            } else if self.config.has(Bug::ForgetVote) {
                state.vote = None;
            }
        }
    }

    /// AckBeforeWrite: a leader leaves writing and replicating to the next heartbeat.
    fn writes_behind(&self) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        self.config.has(Bug::AckBeforeWrite) && self.now + self.config.heartbeat != leading.heartbeat_at()
    }

    /// Drops the entry at `from` and all that follow.
    fn truncate(&mut self, from: Index) {
        self.log.truncate(from);
        self.membership.truncated(from);
    }

    /// Adds an entry at the end of the log.
    fn push(&mut self, entry: Entry) {
        self.membership.appended(entry.at.index, &entry.payload);
        self.log.push(entry);
    }

    /// Sends a message that relies on nothing that a crash could undo.
    fn send(&mut self, to: &NodeId, body: Body) {
        self.ready.messages.push((to.clone(), Message { term: self.state.term, body }));
    }

    /// Sends a message once everything that this node has decided so far is on disk.
    fn send_durably(&mut self, to: &NodeId, body: Body) {
        let message = Message { term: self.state.term, body };
        self.ready.messages.extend(self.ledger.hold(to.clone(), message));
    }
}
