//! The words that ZAB nodes share: epochs, zxids, messages, and what goes to the disk.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::replica::NodeId;

/// A period with at most one established leader; 0 is before the first.
pub(crate) type Epoch = u64;

/// The name of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub(crate) struct Zxid {
    pub(crate) epoch: Epoch,
    pub(crate) counter: u64,
}

impl Zxid {
    /// Before the first transaction.
    pub(crate) const START: Zxid = Zxid { epoch: 0, counter: 0 };
}

impl fmt::Display for Zxid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.epoch, self.counter)
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A transaction.
pub(crate) type Txn = crate::replica::Entry<Zxid>;

/// The state machine after every transaction up to `last`.
pub(crate) type Snapshot = crate::replica::Snapshot<Zxid>;

/// What a node has to offer as a leader. The order is the one of the election: the later epoch, then the longer history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// The last epoch whose leader's history it has taken on (f.a in the paper).
    pub(crate) current: Epoch,
    pub(crate) last: Zxid,
}

/// The last epoch that a node has promised to (f.p), and to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Promise {
    pub(crate) epoch: Epoch,
    pub(crate) leader: Option<NodeId>,
}

/// A change of what a node must not forget, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The history begins after this, and nothing recorded before counts.
    pub(crate) base: Option<Zxid>,
    pub(crate) promised: Option<Promise>,
    pub(crate) current: Option<Epoch>,
    /// What follows this in the history is erased.
    pub(crate) keep: Option<Zxid>,
    pub(crate) txns: Vec<Txn>,
}

/// How a follower comes by its leader's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sync {
    /// Erase what follows `keep`, if anything does, and append.
    Difference { keep: Zxid, txns: Vec<Txn> },
    /// Replace everything.
    Snapshot { snapshot: Arc<Snapshot>, txns: Vec<Txn> },
    /// With the bug `skip-sync`: nothing.
    Nothing,
}

/// One message from node to node. Any may be lost, doubled and late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// Phase 0: "I look for a leader, and this is what I have."
    Notification(Credentials),
    /// Phase 1: "I follow you; this is what I have promised" (CEPOCH).
    FollowerInfo(Promise),
    /// "Promise this one, to me" (NEWEPOCH).
    NewEpoch {
        epoch: Epoch,
    },
    /// "I do, and this is what I have" (ACK-E). `join` names this attempt, so that no late answer is taken for one to it.
    AckEpoch {
        epoch: Epoch,
        has: Credentials,
        join: u64,
    },
    /// Phase 2 (NEWLEADER).
    NewLeader {
        epoch: Epoch,
        join: u64,
        sync: Sync,
    },
    /// Phase 3: transactions that follow `prev`.
    Propose {
        epoch: Epoch,
        prev: Zxid,
        txns: Vec<Txn>,
    },
    /// "In this epoch my history is yours up to there, on disk": the acknowledgement of NewLeader and of proposals.
    Ack {
        epoch: Epoch,
        upto: Zxid,
    },
    Commit {
        epoch: Epoch,
        upto: Zxid,
    },
    /// The leader is alive, and so far everything is committed.
    Ping {
        epoch: Epoch,
        upto: Zxid,
    },
    Pong {
        epoch: Epoch,
    },
}
