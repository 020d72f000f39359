//! Linearizable reads without asking anybody: leader leases (thesis, section 6.4.1), an option.
//!
//! Whoever hears a leader promises not to vote for another one for the shortest election timeout, and a node that starts
//! has promised it, too, as it may have forgotten. A round of heartbeats that a majority has answered therefore proves more
//! than that this node led when the round began: nobody else can be elected for some time after that. So long reads are
//! answered at once:
//!
//! ```text
//!   leader     round begins ----------- lease ------------>|  margin  |
//!   follower           hears it -------- votes for nobody else ---------------->
//! ```
//!
//! The lease counts from the moment before the round was *sent*; when the answers came says nothing. It is shorter than
//! the promise by as much as the two clocks may differ in their rates ([`Options::lease_for`](super::super::Options)).
//!
//! **A pause** may strike between any two steps, and its end is noticed only by who looks at the clock. So the lease is
//! checked *after* the state machine was read, with the time of that moment. A pause before the check makes it fail, and
//! the read is tried again. One between the check and the sending only makes the answer late: the lease held when the
//! state was read, so it was the newest there was, at a moment between the read's arrival and its answer. Whatever is
//! written during the pause is concurrent with the read.
//!
//! CAVEATS. This rests on clocks, which ReadIndex does not: beyond the drift that is allowed for, reads may be stale. The
//! clock is CLOCK_MONOTONIC. It goes on while a process is stopped, but stands still while the whole machine sleeps, so a
//! virtual machine that is suspended and resumed may answer stale reads (CLOCK_BOOTTIME would not stand still).

use std::collections::VecDeque;

use super::super::message::{Body, Message};
use super::{Bug, Core, Role, Time};

#[derive(Debug, Default)]
pub(super) struct Lease {
    /// The rounds that are not confirmed yet, and when they began.
    begun: VecDeque<(u64, Time)>,
    /// When the lease is over.
    until: Time,
    /// Whether there is none any more in this term.
    given_up: bool,
    /// LeaseWithoutMargin: whether the lease held at the last tick.
    held: bool,
}

impl Lease {
    /// Somebody may be elected in spite of all promises.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }
}

impl Core {
    pub(super) fn has_lease(&self) -> bool {
        self.config.options.lease || self.config.has(Bug::LeaseWithoutMargin)
    }

    /// Whether a majority cannot have elected anybody else until that moment.
    pub(crate) fn lease_holds(&self, now: Time) -> bool {
        matches!(&self.role, Role::Leader(leading) if now < leading.reads.lease.until && !leading.reads.lease.given_up)
    }

    /// Votes for nobody for some time.
    pub(super) fn promise_leader(&mut self) {
        if self.has_lease() {
            self.promised_until = self.now + self.config.election_timeout.0;
        }
    }

    /// Whether a message is to be ignored: a vote that this node has promised not to give, and a term that it would begin
    /// (thesis, section 4.2.3).
    pub(super) fn keeps_promise(&self, message: &Message) -> bool {
        matches!(message.body, Body::RequestVote { transfer: false, .. }) && self.now < self.promised_until
    }

    /// A round begins now.
    pub(super) fn lease_round(&mut self, round: u64) {
        let (now, wanted) = (self.now, self.has_lease());
        if let Role::Leader(leading) = &mut self.role
            && wanted
        {
            leading.reads.lease.begun.push_back((round, now));
        }
    }

    /// Lets the lease last as long as the last confirmed round allows.
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

    /// LeaseWithoutMargin: looks at the clock now, for all reads until the next tick.
    pub(super) fn look_at_lease(&mut self) {
        let held = self.config.has(Bug::LeaseWithoutMargin) && self.lease_holds(self.now);
        if let Role::Leader(leading) = &mut self.role {
            leading.reads.lease.held = held;
        }
    }

    /// LeaseWithoutMargin: whether the lease held when it was looked at.
    pub(super) fn lease_held(&self) -> bool {
        matches!(&self.role, Role::Leader(leading) if leading.reads.lease.held)
    }
}
