//! Log replication (section 5.3) and commitment (section 5.4).
//!
//! For each follower the leader keeps the index up to which its log is known to match, and the next index to
//! send:
//!
//! ```text
//!   1 ............ matched ............ next ............ last
//!     known equal            sent, on          not sent
//!                            its way
//! ```
//!
//! Each follower has one of three flow states. **Probe**: the matching index is unknown; one AppendEntries at
//! a time, with big steps back at each conflict. **Pipeline**: it is known; entries are sent ahead of the
//! acknowledgements, up to a limit. A gap (a lost message) shows as a conflict and leads back to probe.
//! **Snapshot**: the entries that the follower needs are compacted; see [`super::snapshot`].
//!
//! An entry is committed once a majority has it on disk and it is of the leader's own term (section 5.4.2).

use std::collections::{BTreeMap, VecDeque};

use super::super::message::{Appended, Body, Entry, Index, NodeId, Payload, Position};
use super::membership::Transfer;
use super::reads::Reads;
use super::snapshot::Outgoing;
use super::{Bug, Config, Core, Notice, Role, Time};

/// Limits of one AppendEntries, and of the messages in flight to one follower.
const ENTRIES_MAX: usize = 512;
const BYTES_MAX: usize = 256 << 10;
const IN_FLIGHT_MAX: usize = 32;

/// The state of a leader.
#[derive(Debug)]
pub(super) struct Leading {
    /// The first entry of its own term. It must be applied before the leader answers reads.
    pub(super) term_start: Index,
    pub(super) followers: BTreeMap<NodeId, Follower>,
    pub(super) reads: Reads,
    pub(super) transfer: Option<Transfer>,
    heartbeat_at: Time,
}

#[derive(Debug)]
pub(super) struct Follower {
    pub(super) matched: Index,
    pub(super) next: Index,
    pub(super) flow: Flow,
    heard: Time,
    /// The last heartbeat round that it answered.
    pub(super) round: u64,
}

#[derive(Debug)]
pub(super) enum Flow {
    Probe {
        asked: bool,
    },
    /// The last index of each message in flight.
    Pipeline {
        in_flight: VecDeque<Index>,
    },
    Snapshot(Outgoing),
}

impl Leading {
    pub(super) fn new(config: &Config, others: Vec<NodeId>, last: Index, now: Time) -> Self {
        Leading {
            term_start: if config.has(Bug::CommitPriorTerm) { last } else { last + 1 },
            followers: others.into_iter().map(|id| (id, Follower::new(last, now))).collect(),
            reads: Reads::default(),
            transfer: None,
            heartbeat_at: now + config.heartbeat,
        }
    }

    pub(super) fn heartbeat_at(&self) -> Time {
        self.heartbeat_at
    }

    /// The number of followers heard since `then`.
    pub(super) fn heard_since(&self, then: Time) -> usize {
        self.followers.values().filter(|follower| follower.heard >= then).count()
    }

    /// The highest number that a majority has reached; `own` is this node's, if it counts.
    pub(super) fn majority(&self, own: Option<u64>, of: impl Fn(&Follower) -> u64) -> u64 {
        let reached = self.followers.values().map(of).chain(own);
        majority(reached.collect())
    }
}

impl Core {
    pub(super) fn tick_leader(&mut self) {
        self.check_quorum();
        let (now, heartbeat) = (self.now, self.config.heartbeat);
        let Role::Leader(leading) = &mut self.role else { return };
        if now >= leading.heartbeat_at {
            leading.heartbeat_at = now + heartbeat;
            for follower in leading.followers.values_mut() {
                follower.may_have_lost(self.log.base().index);
            }
            self.resend_snapshots();
            self.begin_round();
            self.hand_over();
        }
    }

    pub(super) fn append_as_leader(&mut self, payload: Payload) -> Position {
        let at = Position { term: self.state.term, index: self.log.last().index + 1 };
        let changes = matches!(payload, Payload::Members(_));
        self.push(Entry { at, payload });
        self.ledger.log_changed(at.index);
        if changes {
            self.follow_members();
        }
        at
    }

    /// Sends every follower the entries that it lacks, as its flow state allows.
    pub(super) fn replicate(&mut self) {
        let Role::Leader(leading) = &mut self.role else { return };
        let (last, round) = (self.log.last().index, leading.reads.round);
        let mut sends = Vec::new();
        for (id, follower) in &mut leading.followers {
            while follower.next <= last && !follower.must_wait() {
                let Some(prev) = self.log.position(follower.next - 1) else {
                    let Some(snapshot) = &self.snapshot else { break };
                    let notice = Notice::SendingSnapshot {
                        to: id.clone(),
                        at: snapshot.last,
                        bytes: snapshot.data.len(),
                    };
                    self.ready.notices.push(notice);
                    let outgoing = Outgoing::new(snapshot.clone(), self.now);
                    sends.push((id.clone(), outgoing.chunk(round)));
                    follower.flow = Flow::Snapshot(outgoing);
                    break;
                };
                let entries = batch(self.log.from(follower.next));
                let upto = prev.index + entries.len() as u64;
                match &mut follower.flow {
                    Flow::Probe { asked } => *asked = true,
                    Flow::Pipeline { in_flight } => {
                        in_flight.push_back(upto);
                        follower.next = upto + 1;
                    }
                    Flow::Snapshot(_) => {}
                }
                sends.push((id.clone(), Body::AppendEntries { prev, entries, commit: self.commit, round }));
            }
        }
        for (to, body) in sends {
            self.send(&to, body);
        }
    }

    /// Sends an empty AppendEntries to all followers, to confirm the leadership.
    pub(super) fn heartbeat(&mut self, round: u64) {
        let Role::Leader(leading) = &self.role else { return };
        let mut sends = Vec::new();
        for (id, follower) in &leading.followers {
            // If the position is no longer known, the message says nothing about the log.
            let prev = self.log.position(follower.next - 1).unwrap_or(Position::START);
            let body = Body::AppendEntries { prev, entries: Vec::new(), commit: self.commit, round };
            sends.push((id.clone(), body));
        }
        for (to, body) in sends {
            self.send(&to, body);
        }
    }

    pub(super) fn on_append_entries(
        &mut self,
        from: &NodeId,
        mut prev: Position,
        mut entries: Vec<Entry>,
        commit: Index,
        round: u64,
    ) {
        // Everything before the base was committed, so every later leader's log has it.
        let base = self.log.base();
        if prev.index < base.index {
            let known = (base.index - prev.index).min(entries.len() as u64);
            entries.drain(..known as usize);
            prev = base;
        }
        let unchecked = self.config.has(Bug::SkipPreviousEntryCheck) && prev.index <= self.log.last().index;
        if !self.log.holds(prev) && !unchecked {
            let term = self.log.position(prev.index).map(|at| at.term);
            let from_index = match term {
                Some(_) => self.log.first_of_term_at(prev.index),
                None => prev.index.min(self.log.last().index + 1),
            };
            let result = Appended::Conflict { prev: prev.index, term, from: from_index };
            self.send_durably(from, Body::AppendReply { round, result });
            return;
        }
        let upto = prev.index + entries.len() as u64;
        let heartbeat = entries.is_empty();
        if self.config.has(Bug::TruncateUnconditionally) && !heartbeat && upto < self.log.last().index {
            self.truncate(prev.index + 1);
            self.ledger.log_changed(prev.index + 1);
        }
        self.append_as_follower(entries);
        self.commit = self.commit.max(commit.min(upto));
        if heartbeat && self.ledger.state_is_durable() {
            // The reply covers no entries that are still being written, so it goes out at once: reads wait
            // for it.
            let result = Appended::Matched(upto.min(self.ledger.durable_index()));
            self.send(from, Body::AppendReply { round, result });
        } else {
            self.send_durably(from, Body::AppendReply { round, result: Appended::Matched(upto) });
        }
    }

    /// Keeps matching entries, drops the log from the first conflict, and appends new entries. So a late
    /// message with old entries erases nothing (Figure 2, AppendEntries, steps 3 and 4).
    fn append_as_follower(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if self.log.position(entry.at.index) == Some(entry.at) {
                continue;
            }
            if entry.at.index <= self.log.last().index {
                self.ready.notices.push(Notice::Truncated { from: entry.at.index, last: self.log.last() });
                self.truncate(entry.at.index);
            }
            self.ledger.log_changed(entry.at.index);
            self.push(entry);
        }
    }

    pub(super) fn on_append_reply(&mut self, from: &NodeId, round: u64, result: Appended) {
        let Role::Leader(leading) = &mut self.role else { return };
        let Some(follower) = leading.followers.get_mut(from) else { return };
        match result {
            Appended::Matched(index) => {
                follower.answered(self.now, round);
                follower.matched_upto(index);
            }
            Appended::Conflict { prev, term, from } => {
                follower.answered(self.now, round);
                let same = term.and_then(|term| self.log.last_of_term(term));
                follower.conflicted(prev, same.map_or(from, |last| last + 1));
            }
            // The follower refused an earlier term of this node. That confirms no round of this term, whose
            // numbers begin again.
            Appended::Stale => return,
        }
        self.advance_commit();
        self.hand_over();
    }

    /// Commits what a majority has on disk, if it is of this term; everything before it is committed with it
    /// (section 5.4.2, Figure 8).
    pub(super) fn advance_commit(&mut self) {
        let Role::Leader(leading) = &self.role else { return };
        let mut matched: Vec<Index> = leading.followers.values().map(|follower| follower.matched).collect();
        if self.config.has(Bug::AckCreditedToWrongFollower) {
            let next = matched.iter().cycle().skip(1);
            matched = matched.iter().zip(next).map(|(own, next)| *own.max(next)).collect();
        }
        if self.config.has(Bug::CommitWithoutMajority) {
            let most = matched.iter().copied().max().unwrap_or(0);
            matched.fill(most);
        }
        matched.extend(self.is_member().then(|| self.ledger.durable_index()));
        let majority = majority(matched);
        let own_term = self.log.position(majority).map(|at| at.term) == Some(self.state.term);
        if majority > self.commit && (own_term || self.config.has(Bug::CommitPriorTerm)) {
            self.commit = majority;
            self.leave_if_removed();
        }
    }
}

impl Follower {
    /// A follower of which nothing is known.
    pub(super) fn new(last: Index, now: Time) -> Self {
        Follower { matched: 0, next: last + 1, flow: Flow::Probe { asked: false }, heard: now, round: 0 }
    }

    /// The follower is alive, and it accepted this node as leader after that round had begun.
    pub(super) fn answered(&mut self, now: Time, round: u64) {
        self.heard = now;
        self.round = self.round.max(round);
    }

    fn must_wait(&self) -> bool {
        match &self.flow {
            Flow::Probe { asked } => *asked,
            Flow::Pipeline { in_flight } => in_flight.len() >= IN_FLIGHT_MAX,
            Flow::Snapshot(_) => true,
        }
    }

    pub(super) fn matched_upto(&mut self, index: Index) {
        self.matched = self.matched.max(index);
        match &mut self.flow {
            Flow::Pipeline { in_flight } => {
                while in_flight.front().is_some_and(|upto| *upto <= self.matched) {
                    in_flight.pop_front();
                }
            }
            Flow::Probe { .. } if self.matched + 1 < self.next => {}
            Flow::Snapshot(outgoing) if self.matched < outgoing.last().index => {}
            Flow::Probe { .. } | Flow::Snapshot(_) => {
                self.flow = Flow::Pipeline { in_flight: VecDeque::new() }
            }
        }
        self.next = self.next.max(self.matched + 1);
    }

    /// A heartbeat has passed without an answer: messages in flight may be lost.
    fn may_have_lost(&mut self, base: Index) {
        match &mut self.flow {
            Flow::Probe { asked } => *asked = false,
            // What precedes the gap is compacted, so heartbeats can no longer reveal the gap.
            Flow::Pipeline { .. } if self.next <= base => {
                self.next = self.matched + 1;
                self.flow = Flow::Probe { asked: false };
            }
            Flow::Pipeline { .. } | Flow::Snapshot(_) => {}
        }
    }

    /// The follower does not have the entry at `prev`; the logs may match before `next`.
    fn conflicted(&mut self, prev: Index, next: Index) {
        let late = match self.flow {
            Flow::Probe { .. } => prev + 1 != self.next,
            Flow::Pipeline { .. } => prev <= self.matched,
            Flow::Snapshot(_) => true,
        };
        if late {
            return;
        }
        self.next = next.min(prev).max(self.matched + 1);
        self.flow = Flow::Probe { asked: false };
    }
}

/// The highest number that a majority has reached.
fn majority(mut reached: Vec<u64>) -> u64 {
    reached.sort_unstable();
    reached[(reached.len() - 1) / 2]
}

/// The first entries, as many as fit into one message.
fn batch(entries: &[Entry]) -> Vec<Entry> {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        bytes += entry.payload.size();
        bytes <= BYTES_MAX
    };
    let count = entries.iter().take(ENTRIES_MAX).take_while(fits).count().max(1);
    entries[..count].to_vec()
}
