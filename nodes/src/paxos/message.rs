//! The words that Paxos nodes share: ballots, slots, messages, and what goes to the disk.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::replica::{NodeId, Payload};

/// A place in the log, counted from 1. Each is decided by itself.
pub(crate) type Slot = u64;

/// The number of a proposal (PMS section 2.2). No two proposers share one: the later round wins, then the greater name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub(crate) struct Ballot {
    pub(crate) round: u64,
    /// Whose it is; nobody's before the first, and with the bug `equal-ballots`.
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

/// A change of what a node must not forget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Slots up to here are in the snapshot, and nothing recorded before counts.
    pub(crate) base: Option<Slot>,
    pub(crate) promised: Option<Ballot>,
    pub(crate) accepted: Vec<(Slot, Accepted)>,
    /// All slots up to here are known to be chosen. Nothing relies on this; it saves a node that starts from asking.
    pub(crate) chosen: Slot,
}

/// One message from node to node, and the ballot that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) ballot: Ballot,
    pub(crate) body: Body,
}

/// What a message says. Any may be lost, doubled and late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Phase 1a, for all slots at once.
    Prepare,
    /// Phase 1b. Up to `chosen` the acceptor knows what is chosen, so these slots need no proposal; what it has accepted
    /// after that follows.
    Promise {
        chosen: Slot,
        accepted: Vec<(Slot, Accepted)>,
    },
    /// The ballot is too low: this one is promised.
    Refusal {
        promised: Ballot,
    },
    /// Phase 2a, for slots in a row. Up to `chosen` the proposer knows what is chosen.
    Accept {
        first: Slot,
        payloads: Vec<Payload>,
        chosen: Slot,
    },
    /// Phase 2b: these slots, as proposed in that ballot.
    Accepted {
        first: Slot,
        last: Slot,
    },
    /// The proposer is alive, and knows what is chosen up to there.
    Heartbeat {
        chosen: Slot,
    },
    HeartbeatReply,
    /// "What was chosen from there on?"
    Learn {
        first: Slot,
    },
    /// What was chosen in slots in a row, and how far the sender knows it.
    Chosen {
        first: Slot,
        payloads: Vec<Payload>,
        upto: Slot,
    },
    /// What was asked for is compacted.
    Install(Arc<Snapshot>),
}
