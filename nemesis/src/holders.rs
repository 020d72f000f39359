//! Which processes are a node's, and which sockets they hold.
//!
//! A node is a process that leads a process group, whatever that forks, and what those fork: members of the group and
//! descendants of members. A child that has left both (a daemon: forked twice, with a session of its own) is not known
//! as the node's.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::NodeId;

/// The process that each node is, followed as nodes are stopped and started.
#[derive(Debug)]
pub(crate) struct Holders(Vec<Mutex<Option<watch::Receiver<Option<u32>>>>>);

impl Holders {
    pub(crate) fn of(nodes: usize) -> Holders {
        Holders((0..nodes).map(|_| Mutex::default()).collect())
    }

    pub(crate) fn follow(&self, node: NodeId, pid: watch::Receiver<Option<u32>>) {
        *self.0[node.0].lock().unwrap_or_else(PoisonError::into_inner) = Some(pid);
    }

    /// The leading process of each node that has one now.
    fn leaders(&self) -> Vec<(u32, NodeId)> {
        let pid = |slot: &Mutex<Option<watch::Receiver<Option<u32>>>>| {
            slot.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|pid| *pid.borrow())
        };
        self.0.iter().enumerate().filter_map(|(node, slot)| Some((pid(slot)?, NodeId(node)))).collect()
    }

    /// The node that holds the socket of this inode. Looks at the leading processes first, because most servers do not
    /// fork, and at all of the machine only then.
    pub(crate) fn holder_of(&self, inode: u64) -> Option<NodeId> {
        let holder = |processes: &[(u32, NodeId)]| {
            let held = processes.iter().find(|(pid, _)| sockets(*pid).any(|held| held == inode));
            held.map(|(_, node)| *node)
        };
        let leaders = self.leaders();
        holder(&leaders).or_else(|| holder(&followers(&leaders, &processes())))
    }

    /// The holder of every socket that nodes hold, by inode.
    pub(crate) fn holders(&self) -> HashMap<u64, NodeId> {
        let mut all = self.leaders();
        all.extend(followers(&all, &processes()));
        all.into_iter().flat_map(|(pid, node)| sockets(pid).map(move |inode| (inode, node))).collect()
    }
}

/// A process, its parent, and its process group.
#[derive(Debug, Clone, Copy)]
struct Process {
    pid: u32,
    parent: u32,
    group: u32,
}

/// Those processes, leaders apart, that belong to the node of one of the leaders.
fn followers(leaders: &[(u32, NodeId)], all: &[Process]) -> Vec<(u32, NodeId)> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    all.iter().for_each(|process| children.entry(process.parent).or_default().push(process.pid));
    let mut found = Vec::new();
    // One node's leader is not another's follower, though it may descend from it.
    let mut seen: HashSet<u32> = leaders.iter().map(|(leader, _)| *leader).collect();
    for &(leader, node) in leaders {
        let in_group = all.iter().filter(|process| process.group == leader).map(|process| process.pid);
        let mut next: Vec<u32> = in_group.collect();
        next.extend(children.get(&leader).into_iter().flatten());
        while let Some(pid) = next.pop() {
            if seen.insert(pid) {
                found.push((pid, node));
                next.extend(children.get(&pid).into_iter().flatten());
            }
        }
    }
    found
}

/// All processes of the machine. One that ends meanwhile is left out.
fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// From `/proc/PID/stat` (man 5 proc): `pid (comm) state ppid pgrp ...`; the name may hold anything.
fn process(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(1);
    let mut number = || fields.next()?.parse().ok();
    Some(Process { pid, parent: number()?, group: number()? })
}

/// The inodes of the sockets that a process holds. None if it is gone, or somebody else's.
fn sockets(pid: u32) -> impl Iterator<Item = u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_their_descendants_follow() {
        let process = |pid, parent, group| Process { pid, parent, group };
        let all = [
            process(1, 0, 1),
            process(10, 1, 10), // leads n1
            process(11, 10, 10),
            process(12, 11, 12), // a group of its own, but a descendant
            process(13, 1, 10),  // its parent has ended, but it is in the group
            process(14, 13, 14),
            process(20, 14, 20), // leads n2
            process(21, 20, 20),
            process(30, 1, 30), // nobody's
        ];
        let mut found = followers(&[(10, NodeId(0)), (20, NodeId(1))], &all);
        found.sort();
        let n1 = [11, 12, 13, 14].map(|pid| (pid, NodeId(0)));
        assert_eq!(found, [&n1[..], &[(21, NodeId(1))]].concat());
    }

    #[test]
    fn this_process_is_found_with_its_group() {
        let pid = std::process::id();
        let own = process(pid).expect("it runs");
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert!(processes().iter().any(|process| process.pid == pid && process.group == own.group));
    }
}
