//! Nodes as the nemesis sees them: a number, and what can be done to the process behind it.
//!
//! The cluster implements [`Nodes`]. Every action *leads to a state* rather than toggling one (`start` on a running node
//! is `Ok` and does nothing), because healing repeats actions without knowing how far an interrupted fault had come.

use std::{fmt, future::Future, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Act,
    disks::{Damage, DiskCounters, Trouble},
    processes::family::family,
};

/// A node of the cluster, counted from 0 and written from 1: `NodeId(0)` reads `n1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct NodeId(pub usize);

impl NodeId {
    /// All clients: no node, but what may stand in a node's place where a link is named. Those of n1 ask it over the link
    /// `clients>n1` and are answered over `n1>clients`.
    pub const CLIENTS: NodeId = NodeId(usize::MAX);

    /// Reads one end of a link: a node, or `clients`.
    pub(crate) fn parse_end(text: &str) -> Result<NodeId, ParseNodeError> {
        if text == "clients" { Ok(NodeId::CLIENTS) } else { text.parse() }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` and not `write!`, so that a width given by the caller is kept in tables.
        if *self == NodeId::CLIENTS {
            return f.pad("clients");
        }
        f.pad(&format!("n{}", self.0 + 1))
    }
}

/// A text that should have named a node and did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a node: nodes are n1, n2, n3, ...")]
pub struct ParseNodeError(String);

impl FromStr for NodeId {
    type Err = ParseNodeError;

    fn from_str(text: &str) -> Result<NodeId, ParseNodeError> {
        let number = text.strip_prefix('n').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        match number.and_then(|digits| digits.parse::<usize>().ok()) {
            Some(number) if number > 0 => Ok(NodeId(number - 1)),
            _ => Err(ParseNodeError(text.to_owned())),
        }
    }
}

impl From<NodeId> for String {
    fn from(node: NodeId) -> String {
        node.to_string()
    }
}

impl TryFrom<String> for NodeId {
    type Error = ParseNodeError;

    fn try_from(text: String) -> Result<NodeId, ParseNodeError> {
        text.parse()
    }
}

/// What a node's process is doing, as the operating system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// It exists and may run.
    Running,
    /// It exists and is stopped by SIGSTOP (state `T` in `/proc/PID/stat`).
    Paused,
    /// There is no such process.
    Down,
}

/// The processes of a cluster, for the nemesis to act on.
///
/// Each action leads to the state it names and may be repeated: doing it again, or doing it to a node that is already
/// there, is `Ok`. An `Err` says why in one line for the person who reads the report; the nemesis then takes the fault to
/// be *indeterminate*: it may or may not be in force, and will be undone all the same. Actions on different nodes may run
/// at once; the nemesis never runs two on one node.
pub trait Nodes: Send + Sync + 'static {
    /// How many nodes the cluster has, running or not: they are `NodeId(0)` to `NodeId(count - 1)`.
    fn count(&self) -> usize;

    /// Ends the process at once (SIGKILL, its whole process group) and returns when it is gone.
    fn kill(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send;

    /// Asks the process to end (SIGTERM) and returns when it is gone. One that has not gone after a grace period that
    /// the cluster chooses is killed.
    fn terminate(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send;

    /// Stops the process where it is (SIGSTOP), and returns when it has stopped: whoever looks at it next must not take
    /// it for a running one. `Err` if the node is down.
    fn pause(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send;

    /// Lets a paused process go on (SIGCONT). `Ok` if it was not paused, or is down.
    fn resume(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send;

    /// Starts the node on the data it left behind, if it is down. Returns when the process exists; it need not answer yet.
    fn start(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send;

    /// The process that was started, leader of a process group of its own; `None` while the node is down.
    fn pid(&self, node: NodeId) -> Option<i32>;

    /// All processes of the node, the one that was started first. None while it is down.
    fn processes(&self, node: NodeId) -> Vec<i32> {
        self.pid(node).map(family).unwrap_or_default()
    }

    /// The process that is there now may end by itself, because of what was done to it. Ending is then an outcome of the
    /// fault: the node is down until it is started again.
    fn may_die(&self, node: NodeId);

    /// A cgroup is about to be made, or is gone: whoever cleans up after a killed controller must know.
    fn cgroup(&self, path: &Path, exists: bool);

    /// Whether an act can be done in this cluster at all. `Err` says what is missing, for the person who reads the report;
    /// a fault with such an act is *skipped*.
    fn allows(&self, act: Act) -> Result<(), String> {
        match (act.disk(), act.asks_about()) {
            (Some(_), _) => Err("the nodes have no disks of their own".to_owned()),
            (_, Some(_)) => Err("the system has no such request".to_owned()),
            _ => Ok(()),
        }
    }

    /// Asks the leader to make a node a member, or none, and says whether that was soon agreed upon and changed anything: of a
    /// node that is what it is to be, it did not. `Err` if no leader took the request; of an addition also if it was not agreed upon.
    fn set_member(&self, node: NodeId, _member: bool) -> impl Future<Output = Result<bool, String>> + Send {
        async move { Err(format!("{node}: the system has no such request")) }
    }

    /// Makes all nodes members again that ever were removed.
    fn complete(&self) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// Asks the leader to let a node lead, and says whether it soon did and had not before.
    fn transfer(&self, to: NodeId) -> impl Future<Output = Result<bool, String>> + Send {
        async move { Err(format!("{to}: the system has no such request")) }
    }

    /// Ends the process at once and drops from its disk what was not synced, but for what `seed` lets through. Returns when
    /// the disk is there again.
    fn lose_power(&self, node: NodeId, _seed: u64) -> impl Future<Output = Result<(), String>> + Send {
        async move { Err(format!("{node} has no disk of its own")) }
    }

    /// Gives the node's disk a trouble in place of the one that it may have, or none. A node that ended by itself while its
    /// disk had one is started again with none.
    fn trouble_disk(
        &self,
        node: NodeId,
        trouble: Option<Trouble>,
    ) -> impl Future<Output = Result<(), String>> + Send {
        async move { trouble.map_or(Ok(()), |_| Err(format!("{node} has no disk of its own"))) }
    }

    /// Copies the files of a node that is down, in place of an earlier copy.
    fn backup(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send {
        async move { Err(format!("{node} has no disk of its own")) }
    }

    /// Does something to the files of a node that is down; `seed` decides where. Says what was touched, such as
    /// `n2: wal, bit 3 of byte 4711`.
    fn damage(
        &self,
        node: NodeId,
        _damage: Damage,
        _seed: u64,
    ) -> impl Future<Output = Result<String, String>> + Send {
        async move { Err(format!("{node} has no disk of its own")) }
    }

    /// What the node's disk has done to it since the beginning.
    fn disk_counters(&self, _node: NodeId) -> DiskCounters {
        DiskCounters::default()
    }

    /// What the process is doing now; looks at the process, not at what it was last told.
    fn state(&self, node: NodeId) -> NodeState;

    /// The nodes that now hold themselves to be leader (primary, master), the most credible first: for Raft the one of the
    /// highest term. Empty when none is known; it is then asked again for up to a second.
    fn primaries(&self) -> impl Future<Output = Vec<NodeId>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_written_from_one() {
        assert_eq!(NodeId(0).to_string(), "n1");
        assert_eq!("n12".parse(), Ok(NodeId(11)));
        assert_eq!(serde_json::to_string(&NodeId(4)).expect("a string"), r#""n5""#);
        for wrong in ["", "n", "n0", "1", "n-1", "n+1", "m1", "n1 ", "n99999999999999999999999"] {
            assert!(wrong.parse::<NodeId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn clients_are_the_end_of_a_link_and_no_node() {
        assert_eq!(NodeId::parse_end(&NodeId::CLIENTS.to_string()), Ok(NodeId::CLIENTS));
        assert!("clients".parse::<NodeId>().is_err());
    }
}
