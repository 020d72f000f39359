//! The data types of Paxos: ballots, slots, messages, and disk records.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::replica::{NodeId, Payload};

/// A position in the log, counted from 1. Each slot is decided separately.
pub(crate) type Slot = u64;

/// The number of a proposal (PMS section 2.2). No two proposers share one: the later round wins, then the
/// greater name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub(crate) struct Ballot {
    pub(crate) round: u64,
    /// The proposer; `None` before the first ballot, and with the bug `equal-ballots`.
    pub(crate) node: Option<NodeId>,
}

impl fmt::Display for Ballot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(out, "{}.{node}", self.round),
            None => write!(out, "{}", self.round),
        }
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// What an acceptor has accepted in a slot: the proposal of the highest ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) ballot: Ballot,
    pub(crate) payload: Payload,
}

/// The state machine after every slot up to `last`.
pub(crate) type Snapshot = crate::replica::Snapshot<Slot>;

/// A change of the persistent state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Slots up to here are in the snapshot; earlier records are void.
    pub(crate) base: Option<Slot>,
    pub(crate) promised: Option<Ballot>,
    pub(crate) accepted: Vec<(Slot, Accepted)>,
    /// All slots up to here are known to be chosen. Safety does not depend on it; it saves a restarted node a
    /// request.
    pub(crate) chosen: Slot,
}

/// A message between nodes, and its ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) ballot: Ballot,
    pub(crate) body: Body,
}

/// The content of a message. Any message may be lost, duplicated or late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Phase 1a, for all slots at once.
    Prepare,
    /// Phase 1b. The acceptor knows the chosen values up to `chosen`, so these slots need no proposal; the
    /// proposals that it has accepted after that follow.
    Promise {
        chosen: Slot,
        accepted: Vec<(Slot, Accepted)>,
    },
    /// The ballot is too low; the acceptor has promised this one.
    Refusal {
        promised: Ballot,
    },
    /// Phase 2a, for consecutive slots. The proposer knows all chosen slots up to `chosen`.
    Accept {
        first: Slot,
        payloads: Vec<Payload>,
        chosen: Slot,
    },
    /// Phase 2b: accepted these slots, as proposed in that ballot.
    Accepted {
        first: Slot,
        last: Slot,
    },
    /// The proposer is alive and knows all chosen slots up to `chosen`.
    Heartbeat {
        chosen: Slot,
    },
    HeartbeatReply,
    /// Requests the chosen values from `first` on.
    Learn {
        first: Slot,
    },
    /// The chosen values of consecutive slots, and how far the sender knows them.
    Chosen {
        first: Slot,
        payloads: Vec<Payload>,
        upto: Slot,
    },
    /// The requested slots are compacted: the snapshot instead.
    Install(Arc<Snapshot>),
}
