//! Linearizable reads without a message: leader leases (thesis, section 6.4.1), an option.
//!
//! A node that hears a leader promises to vote for no other node for the shortest election timeout. A node
//! that starts makes the same promise, because it may have forgotten one. So a round of heartbeats that a
//! majority has answered proves more than that this node led when the round began: no other node can be
//! elected for some time after that. During this time the leader answers reads at once:
//!
//! ```text
//!   leader     round begins ----------- lease ------------>|  margin  |
//!   follower           hears it -------- votes for nobody else ---------------->
//! ```
//!
//! The lease counts from the moment before the round was *sent*, whenever the answers arrive. It is shorter
//! than the promise by the allowed difference of the two clock rates
//! ([`Options::lease_for`](super::super::Options)).
//!
//! **A pause** may happen between any two steps, and a process notices it only by reading the clock. So the
//! lease is checked *after* the state machine was read, with the time of that moment. After a pause before
//! the check, the check fails and the read is retried. A pause between the check and the sending only delays
//! the answer: the lease held when the state was read, so the state was the newest at a moment between the
//! read's arrival and its answer. Writes during the pause are concurrent with the read.
//!
//! CAVEATS. A lease depends on clocks; ReadIndex does not. If the clocks drift more than allowed, reads may
//! be stale. The clock is CLOCK_MONOTONIC. It advances while a process is stopped, but not while the whole
//! machine sleeps, so a virtual machine that is suspended and resumed may answer stale reads (CLOCK_BOOTTIME
//! would advance).

use std::collections::VecDeque;

use super::super::message::{Body, Message};
use super::{Bug, Core, Role, Time};

#[derive(Debug, Default)]
pub(super) struct Lease {
    /// The rounds that are not confirmed yet, and when they began.
    begun: VecDeque<(u64, Time)>,
    /// The end of the lease.
    until: Time,
    /// Whether there are no more leases in this term.
    given_up: bool,
    /// LeaseWithoutMargin: whether the lease held at the last tick.
    held: bool,
}

impl Lease {
    /// Gives up the lease: another node may be elected despite the promises.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }
}

impl Core {
    pub(super) fn has_lease(&self) -> bool {
        self.config.options.lease || self.config.has(Bug::LeaseWithoutMargin)
    }

    /// Whether no other node can have been elected by a majority before `now`.
    pub(crate) fn lease_holds(&self, now: Time) -> bool {
        matches!(&self.role, Role::Leader(leading) if now < leading.reads.lease.until && !leading.reads.lease.given_up)
    }

    /// Promises to vote for no other node for some time.
    pub(super) fn promise_leader(&mut self) {
        if self.has_lease() {
            self.promised_until = self.now + self.config.election_timeout.0;
        }
    }

    /// Whether to ignore a message: a request for a vote that this node has promised not to give, even with a
    /// later term (thesis, section 4.2.3).
    pub(super) fn keeps_promise(&self, message: &Message) -> bool {
        matches!(message.body, Body::RequestVote { transfer: false, .. }) && self.now < self.promised_until
    }

    /// Records the start of a round.
    pub(super) fn lease_round(&mut self, round: u64) {
        let (now, wanted) = (self.now, self.has_lease());
        if let Role::Leader(leading) = &mut self.role
            && wanted
        {
            leading.reads.lease.begun.push_back((round, now));
        }
    }

    /// Extends the lease by the last confirmed round.
    pub(super) fn renew_lease(&mut self) {
        let Some(confirmed) = self.confirmed_round() else { return };
        let promised = self.config.election_timeout.0;
        let length = self.config.options.lease_for(promised);
        let careless = self.config.has(Bug::LeaseWithoutMargin);
        let (now, (_, longest)) = (self.now, self.config.election_timeout);
        let Role::Leader(leading) = &mut self.role else { return };
        let lease = &mut leading.reads.lease;
        while let Some(&(round, began)) = lease.begun.front()
            && round <= confirmed
        {
            lease.begun.pop_front();
            let until = if careless { now + longest } else { began + length };
            lease.until = lease.until.max(until);
        }
    }

    /// LeaseWithoutMargin: checks the lease once, for all reads until the next tick.
    pub(super) fn sample_lease(&mut self) {
        let held = self.config.has(Bug::LeaseWithoutMargin) && self.lease_holds(self.now);
        if let Role::Leader(leading) = &mut self.role {
            leading.reads.lease.held = held;
        }
    }

    /// LeaseWithoutMargin: whether the lease held at that check.
    pub(super) fn lease_held(&self) -> bool {
        matches!(&self.role, Role::Leader(leading) if leading.reads.lease.held)
    }
}
