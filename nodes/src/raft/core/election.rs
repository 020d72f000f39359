//! Elections (section 5.2), with pre-vote (thesis, section 9.6) and check-quorum (thesis, section 6.2).
//!
//! ```text
//!             timeout             quorum would vote        quorum votes
//!   Follower ---------> PreCandidate ---------> Candidate ---------> Leader
//!      ^                    | timeout: again        |                   |
//!      +--------------------+-----------------------+-------------------+
//!            a leader is heard, or a later term is seen, or the quorum is out of reach
//! ```
//!
//! A pre-candidate asks in its old term whether it would win; a node that hears a leader refuses. So a node
//! that was isolated does not return with a high term and depose a working leader.
//!
//! A leader that has not heard from a quorum for an election timeout steps down: it cannot commit anything,
//! and its clients should try another node.

use std::collections::BTreeSet;

use super::super::message::{Body, NodeId, Payload, Position, Term};
use super::replication::Leading;
use super::{Bug, Core, Notice, Role};

impl Core {
    /// Draws a new random election timeout, which keeps split votes rare (section 5.2).
    pub(super) fn reset_election_timer(&mut self) {
        self.election_at = self.now + self.config.draw_election_timeout(&mut self.rng);
    }

    pub(super) fn become_follower(&mut self, term: Term, why: &'static str) {
        if term > self.state.term {
            self.state.term = term;
            self.state.vote = None;
            self.ledger.state_changed();
        }
        self.ready.deposed |= self.is_leader();
        if !matches!(self.role, Role::Follower) {
            self.reset_election_timer();
            self.ready.notices.push(Notice::BecameFollower { term, leader: None, why });
        }
        self.role = Role::Follower;
        self.leader = None;
        self.heard = None;
        self.incoming = None;
    }

    /// Follows the leader of the current term.
    pub(super) fn follow(&mut self, leader: &NodeId) {
        if self.leader.as_ref() != Some(leader) {
            self.ready.deposed |= self.is_leader();
            self.role = Role::Follower;
            self.leader = Some(leader.clone());
            let term = self.state.term;
            let why = "hears its leader";
            self.ready.notices.push(Notice::BecameFollower { term, leader: Some(leader.clone()), why });
        }
        self.heard = Some(self.now);
        self.promise_leader();
        self.reset_election_timer();
    }

    /// A node that is no member waits for a leader that adds it.
    pub(super) fn hear_nobody(&mut self) {
        self.become_follower(self.state.term, "hears no leader, and is no member");
        self.reset_election_timer();
    }

    /// Asks the others whether they would vote for this node in the next term.
    pub(super) fn start_pre_vote(&mut self) {
        if !matches!(self.role, Role::PreCandidate { .. }) {
            self.ready.notices.push(Notice::BecamePreCandidate { term: self.state.term });
        }
        self.leader = None;
        self.role = Role::PreCandidate { granted: BTreeSet::from([self.config.id.clone()]) };
        self.reset_election_timer();
        let last = self.log.last();
        for peer in self.others() {
            self.send(&peer, Body::PreVote { last });
        }
        self.count_votes();
    }

    /// Grants a pre-vote under the rules of RequestVote, and only while it hears no leader. A pre-vote
    /// promises nothing and stores nothing.
    pub(super) fn on_pre_vote(&mut self, from: &NodeId, last: Position, stale: bool) {
        let (shortest, _) = self.config.election_timeout;
        let leader_heard = self.is_leader()
            || self.now < self.promised_until
            || self.heard.is_some_and(|heard| self.now < heard + shortest);
        let granted = !stale && !leader_heard && self.is_up_to_date(last);
        // The reply carries this node's term, which must survive a crash.
        self.send_durably(from, Body::PreVoteReply { granted });
    }

    /// Whether a log with this last entry is at least as complete as this node's (section 5.4.1).
    fn is_up_to_date(&self, last: Position) -> bool {
        last >= self.log.last() || self.config.has(Bug::VoteWithoutLogCheck)
    }

    pub(super) fn on_pre_vote_reply(&mut self, from: &NodeId, granted: bool) {
        if let Role::PreCandidate { granted: by } = &mut self.role
            && granted
        {
            by.insert(from.clone());
            self.count_votes();
        }
    }

    /// Starts a new term with a vote for itself; the vote is on disk before any request is sent.
    pub(super) fn start_election(&mut self, transfer: bool) {
        self.state.term += 1;
        self.state.vote = Some(self.config.id.clone());
        self.ledger.state_changed();
        self.role = Role::Candidate { granted: BTreeSet::new(), ask_at: self.now, transfer };
        self.reset_election_timer();
        self.ready.notices.push(Notice::BecameCandidate { term: self.state.term });
        self.ask_for_votes();
    }

    /// Requests votes from the nodes that have not granted one, and again at the next heartbeat: requests may
    /// be lost (section 5.1: "retry RPCs if they do not receive a response in a timely manner").
    pub(super) fn ask_for_votes(&mut self) {
        let (last, next, others) = (self.log.last(), self.now + self.config.heartbeat, self.others());
        let Role::Candidate { granted, ask_at, transfer } = &mut self.role else { return };
        let transfer = *transfer;
        *ask_at = next;
        let silent: Vec<_> = others.into_iter().filter(|other| !granted.contains(other)).collect();
        for peer in silent {
            self.send_durably(&peer, Body::RequestVote { last, transfer });
        }
    }

    /// The candidate's own vote counts once it is durable, like any other.
    pub(super) fn count_own_vote(&mut self) {
        if let Role::Candidate { granted, .. } = &mut self.role
            && self.ledger.state_is_durable()
            && granted.insert(self.config.id.clone())
        {
            self.count_votes();
        }
    }

    /// One vote per term, first come first served, and only for a log as complete as the voter's own (section
    /// 5.4.1).
    pub(super) fn on_request_vote(&mut self, from: &NodeId, last: Position, stale: bool) {
        let free = self.state.vote.is_none() || self.state.vote.as_ref() == Some(from);
        let granted = !stale && free && !self.is_leader() && self.is_up_to_date(last);
        if granted {
            if self.state.vote.is_none() {
                self.state.vote = Some(from.clone());
                self.ledger.state_changed();
            }
            self.reset_election_timer();
        }
        self.send_durably(from, Body::VoteReply { granted });
    }

    pub(super) fn on_vote_reply(&mut self, from: &NodeId, granted: bool) {
        if let Role::Candidate { granted: by, .. } = &mut self.role
            && granted
        {
            by.insert(from.clone());
            self.count_votes();
        }
    }

    fn count_votes(&mut self) {
        let wins = |granted: &BTreeSet<NodeId>| granted.intersection(self.members()).count() >= self.quorum();
        match &self.role {
            Role::PreCandidate { granted } if wins(granted) => self.start_election(false),
            Role::Candidate { granted, .. } if wins(granted) => self.become_leader(),
            _ => {}
        }
    }

    /// Becomes leader and appends an entry of its own term: only such an entry can be committed by counting
    /// (section 5.4.2), and it commits all before it (section 8).
    fn become_leader(&mut self) {
        let last = self.log.last();
        self.role = Role::Leader(Leading::new(&self.config, self.others(), last.index, self.now));
        self.leader = Some(self.config.id.clone());
        self.ready.notices.push(Notice::BecameLeader { term: self.state.term, last });
        // A leader that commits entries of earlier terms by counting seems not to need it.
        if !self.config.has(Bug::CommitPriorTerm) {
            self.append_as_leader(Payload::Noop);
        }
    }

    /// Steps down if a quorum, this node included, was not heard within the longest election timeout.
    pub(super) fn check_quorum(&mut self) {
        let Role::Leader(leading) = &self.role else { return };
        if self.config.has(Bug::StaleRead) || self.config.has(Bug::NoStepDown) {
            return;
        }
        let (_, longest) = self.config.election_timeout;
        let own = usize::from(self.is_member());
        if own + leading.heard_since(self.now.saturating_sub(longest)) < self.quorum() {
            self.become_follower(self.state.term, "the quorum is out of reach");
        }
    }
}
