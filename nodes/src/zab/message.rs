//! The data types of ZAB: epochs, zxids, messages, and disk records.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::replica::NodeId;

/// A period with at most one established leader; 0 is before the first.
pub(crate) type Epoch = u64;

/// The ID of a transaction.
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

/// A node's credentials as a leader. The order is that of the election: the later epoch, then the longer
/// history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// The last epoch whose leader's history the node has taken on (f.a in the paper).
    pub(crate) current: Epoch,
    pub(crate) last: Zxid,
}

/// The last epoch that a node has promised (f.p), and to which leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Promise {
    pub(crate) epoch: Epoch,
    pub(crate) leader: Option<NodeId>,
}

/// A change of the persistent state, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The history begins after this; earlier records are void.
    pub(crate) base: Option<Zxid>,
    pub(crate) promised: Option<Promise>,
    pub(crate) current: Option<Epoch>,
    /// Everything after this in the history is erased.
    pub(crate) keep: Option<Zxid>,
    pub(crate) txns: Vec<Txn>,
}

/// How a follower takes on its leader's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sync {
    /// Erase everything after `keep`, and append.
    Difference { keep: Zxid, txns: Vec<Txn> },
    /// Replace everything.
    Snapshot { snapshot: Arc<Snapshot>, txns: Vec<Txn> },
    /// With the bug `skip-sync`: nothing.
    Nothing,
}

/// A message between nodes. Any message may be lost, duplicated or late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// Phase 0: the sender looks for a leader and has these credentials.
    Notification(Credentials),
    /// Phase 1: the sender follows, and has made this promise (CEPOCH).
    FollowerInfo(Promise),
    /// Requests a promise of this epoch to the sender (NEWEPOCH).
    NewEpoch {
        epoch: Epoch,
    },
    /// Promises it, with the sender's credentials (ACK-E). `join` identifies this attempt, so that late
    /// answers to an earlier one are ignored.
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
    /// In this epoch the sender's history equals the leader's up to here, on disk: acknowledges NewLeader and
    /// proposals.
    Ack {
        epoch: Epoch,
        upto: Zxid,
    },
    Commit {
        epoch: Epoch,
        upto: Zxid,
    },
    /// The leader is alive, and everything up to here is committed.
    Ping {
        epoch: Epoch,
        upto: Zxid,
    },
    Pong {
        epoch: Epoch,
    },
}
