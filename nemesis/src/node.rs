//! Nodes from the nemesis' point of view: a number, and the actions on the process behind it.
//!
//! The cluster implements [`Nodes`]. Every action *leads to a state* instead of toggling one (`start` on a
//! running node is `Ok` and does nothing), because healing repeats actions without knowing how far an
//! interrupted fault got.

use std::{fmt, future::Future, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Act,
    disks::{Damage, DiskCounters, DiskFault},
    processes::family::family,
};

/// A node of the cluster, counted from 0 and written from 1: `NodeId(0)` is written `n1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct NodeId(pub usize);

impl NodeId {
    /// All clients: not a node, but valid as an end of a link. Requests to n1 use the link `clients>n1`, its
    /// responses `n1>clients`.
    pub const CLIENTS: NodeId = NodeId(usize::MAX);

    /// Parses one end of a link: a node, or `clients`.
    pub(crate) fn parse_end(text: &str) -> Result<NodeId, ParseNodeError> {
        if text == "clients" { Ok(NodeId::CLIENTS) } else { text.parse() }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` instead of `write!`, to keep the width given by the caller in tables.
        if *self == NodeId::CLIENTS {
            return f.pad("clients");
        }
        f.pad(&format!("n{}", self.0 + 1))
    }
}

/// The text does not name a node.
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

/// State of a node's process, according to the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NodeState {
    /// The process exists and may run.
    Running,
    /// The process exists and is stopped by SIGSTOP (state `T` in `/proc/PID/stat`).
    Paused,
    /// The process does not exist.
    Down,
}

/// The processes of a cluster, for the nemesis to act on.
///
/// Each action leads to a state and may be repeated: it is `Ok` if the node is in that state already. An
/// `Err` is one line for the reader of the report. The nemesis then records the fault as *indeterminate*: the
/// fault may be in force, and is undone anyway. Actions on different nodes may run at the same time; the
/// nemesis never runs two on one node.
pub trait Nodes: Send + Sync + 'static {
    /// Number of nodes, running or not: they are `NodeId(0)` to `NodeId(count - 1)`.
    fn count(&self) -> usize;

    /// Kills the process (SIGKILL, its whole process group) and returns when it is gone.
    fn kill(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send;

    /// Asks the process to end (SIGTERM) and returns when it is gone. After a grace period that the cluster
    /// chooses, it is killed.
    fn terminate(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send;

    /// Stops the process (SIGSTOP), and returns when its state is [`NodeState::Paused`]. `Err` if the node is
    /// down.
    fn pause(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send;

    /// Resumes a paused process (SIGCONT). `Ok` if it was not paused, or is down.
    fn resume(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send;

    /// Starts the node on the data it left, if it is down. Returns when the process exists; it may not be
    /// ready yet.
    fn start(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send;

    /// The process that was started, leader of its own process group; `None` while the node is down.
    fn pid(&self, node: NodeId) -> Option<i32>;

    /// All processes of the node, the started one first. Empty while it is down.
    fn processes(&self, node: NodeId) -> Vec<i32> {
        self.pid(node).map(family).unwrap_or_default()
    }

    /// Announces that the current process may end because of a fault. Then its end is an outcome of the
    /// fault: the node is down until it is started again.
    fn may_die(&self, node: NodeId);

    /// Announces that a cgroup is about to be created, or is gone, so that the guard can remove it if the
    /// controller is killed.
    fn cgroup(&self, path: &Path, exists: bool);

    /// Checks that an act is possible in this cluster. A fault with an impossible act is *skipped*.
    ///
    /// # Errors
    /// What is missing, for the reader of the report.
    fn allows(&self, act: Act) -> Result<(), String> {
        match (act.disk(), act.reconfigures()) {
            (Some(_), _) => Err("the nodes have no disks of their own".to_owned()),
            (_, Some(_)) => Err("the system has no such request".to_owned()),
            _ => Ok(()),
        }
    }

    /// Asks the leader to add or remove a member. Returns whether the change was soon committed and changed
    /// anything.
    ///
    /// # Errors
    /// When no leader accepted a removal. An addition that no leader agrees to is owed: see
    /// [`Nodes::add_owed_members`].
    fn set_member(&self, node: NodeId, _member: bool) -> impl Future<Output = Result<bool, String>> + Send {
        async move { Err(format!("{node}: the system has no such request")) }
    }

    /// Tries once more to add the nodes that no leader agreed to add when their fault ended: another fault,
    /// which has ended now, may have been in the way.
    fn add_owed_members(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Adds all removed nodes to the members again.
    fn restore_members(&self) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// Asks the leader to hand its leadership to a node. Returns whether the node soon led, and had not led
    /// before.
    fn transfer_leadership(&self, to: NodeId) -> impl Future<Output = Result<bool, String>> + Send {
        async move { Err(format!("{to}: the system has no such request")) }
    }

    /// Kills the process and drops unsynced data from its disk, except what `seed` lets survive. Returns when
    /// the disk is available again.
    fn lose_power(&self, node: NodeId, _seed: u64) -> impl Future<Output = Result<(), String>> + Send {
        async move { Err(format!("{node} has no disk of its own")) }
    }

    /// Sets or clears the fault of the node's disk. If the node ended by itself because of a disk fault,
    /// clearing the fault restarts it.
    fn set_disk_fault(
        &self,
        node: NodeId,
        fault: Option<DiskFault>,
    ) -> impl Future<Output = Result<(), String>> + Send {
        async move { fault.map_or(Ok(()), |_| Err(format!("{node} has no disk of its own"))) }
    }

    /// Copies the files of a node that is down, replacing an earlier copy.
    fn backup(&self, node: NodeId) -> impl Future<Output = Result<(), String>> + Send {
        async move { Err(format!("{node} has no disk of its own")) }
    }

    /// Damages the files of a node that is down; `seed` decides where. Returns what was damaged, such as `n2:
    /// wal, bit 3 of byte 4711`.
    fn damage(
        &self,
        node: NodeId,
        _damage: Damage,
        _seed: u64,
    ) -> impl Future<Output = Result<String, String>> + Send {
        async move { Err(format!("{node} has no disk of its own")) }
    }

    /// What the node's disk has done to the node so far.
    fn disk_counters(&self, _node: NodeId) -> DiskCounters {
        DiskCounters::default()
    }

    /// The state of the process now, according to the operating system.
    fn state(&self, node: NodeId) -> NodeState;

    /// The nodes that believe to be leader (primary, master), the most credible first: for Raft the one with
    /// the highest term. If it is empty, the nemesis asks again for up to a second.
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
