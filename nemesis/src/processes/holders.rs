//! Which node holds a socket: the node in whose cgroup the socket was created, or whose processes have it
//! open. `family.rs` describes which processes those are.

use std::{collections::HashMap, sync::Mutex};

use tokio::sync::watch;

use crate::{
    NodeId,
    links::sock_diag::TcpEnd,
    lock::locked,
    processes::family::{ProcessIdentity, families},
};

/// What is known of the processes of the nodes.
#[derive(Debug)]
pub(crate) struct Holders {
    /// The leading process of each node, updated as nodes stop and start.
    leaders: Vec<Mutex<Option<watch::Receiver<Option<u32>>>>>,
    /// The cgroup of each node that has one.
    cgroups: Mutex<HashMap<u64, NodeId>>,
    /// The mark in the environment of each node's processes.
    marks: Mutex<HashMap<NodeId, String>>,
}

impl Holders {
    pub(crate) fn of(nodes: usize) -> Holders {
        let leaders = (0..nodes).map(|_| Mutex::default()).collect();
        Holders { leaders, cgroups: Mutex::default(), marks: Mutex::default() }
    }

    pub(crate) fn follow(&self, node: NodeId, pid: watch::Receiver<Option<u32>>) {
        *locked(&self.leaders[node.0]) = Some(pid);
    }

    /// Whether the processes of the node are known at all.
    pub(crate) fn follows(&self, node: NodeId) -> bool {
        locked(&self.leaders[node.0]).is_some()
    }

    pub(crate) fn set_cgroup(&self, node: NodeId, id: u64) {
        locked(&self.cgroups).insert(id, node);
    }

    pub(crate) fn set_mark(&self, node: NodeId, mark: String) {
        locked(&self.marks).insert(node, mark);
    }

    /// The node in whose cgroup the socket was created, if that is known.
    pub(crate) fn by_cgroup(&self, end: &TcpEnd) -> Option<NodeId> {
        locked(&self.cgroups).get(&end.cgroup?).copied()
    }

    /// The leading process of each running node.
    fn leaders(&self) -> Vec<(i32, NodeId)> {
        let pid = |slot: &Mutex<Option<watch::Receiver<Option<u32>>>>| {
            locked(slot).as_ref().and_then(|pid| *pid.borrow())
        };
        self.leaders
            .iter()
            .enumerate()
            .filter_map(|(node, slot)| Some((pid(slot)? as i32, NodeId(node))))
            .collect()
    }

    /// The node that holds the socket with this inode. Looks at the leading processes first, because most
    /// servers do not fork, and only then at all processes of the machine.
    pub(crate) fn holder_of(&self, inode: u64) -> Option<NodeId> {
        let holder = |processes: &[(i32, NodeId)]| {
            let held = processes.iter().find(|(pid, _)| sockets(*pid).any(|held| held == inode));
            held.map(|(_, node)| *node)
        };
        let leaders = self.leaders();
        holder(&leaders).or_else(|| holder(&self.with_families(&leaders)))
    }

    /// The holder of every socket that nodes hold, by inode.
    pub(crate) fn holders(&self) -> HashMap<u64, NodeId> {
        let all = self.with_families(&self.leaders());
        all.into_iter().flat_map(|(pid, node)| sockets(pid).map(move |inode| (inode, node))).collect()
    }

    /// All processes of the nodes with these leading processes.
    fn with_families(&self, leaders: &[(i32, NodeId)]) -> Vec<(i32, NodeId)> {
        let marks = locked(&self.marks).clone();
        let identity = |(pid, node): &(i32, NodeId)| ProcessIdentity {
            leader: Some(*pid),
            mark: marks.get(node).cloned(),
        };
        let identities: Vec<ProcessIdentity> = leaders.iter().map(identity).collect();
        let families = leaders.iter().zip(families(&identities));
        families.flat_map(|((_, node), pids)| pids.into_iter().map(|pid| (pid, *node))).collect()
    }
}

/// Inodes of the sockets that a process holds. Empty if the process is gone, or belongs to another user.
pub(crate) fn sockets(pid: i32) -> impl Iterator<Item = u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}
