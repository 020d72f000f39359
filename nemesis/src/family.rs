//! Which processes are a node: the one that was started, whatever shares its process group, and what descends from these.
//! Servers fork (PostgreSQL), and wrappers exec; a fault of a node is one of all of them.
//!
//! A child that has left both (a daemon: forked twice, with a session of its own) is not known as the node's.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use crate::holders::sockets;

/// The living processes of the node whose process group `leader` leads, itself first. Empty once it is gone.
pub fn family(leader: i32) -> Vec<i32> {
    families(&[leader]).remove(0)
}

/// The same for each of several nodes.
pub(crate) fn families(leaders: &[i32]) -> Vec<Vec<i32>> {
    members(leaders, &processes())
}

/// A process of the machine that has the socket of this inode open, with its name.
pub(crate) fn holder(inode: u64) -> Option<(i32, String)> {
    let holder = processes().into_iter().find(|process| sockets(process.pid).any(|held| held == inode))?;
    let name = fs::read_to_string(format!("/proc/{}/comm", holder.pid)).unwrap_or_default();
    Some((holder.pid, name.trim_end().to_owned()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
}

impl Process {
    /// From `/proc/PID/stat` (man 5 proc): `pid (comm) state ppid pgrp ...`; the name may hold anything, the rest follows
    /// the last parenthesis. `None` if it lives no more.
    fn parse(pid: i32, stat: &str) -> Option<Process> {
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        Some(Process { pid, parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

/// All living processes of the machine. One that ends meanwhile is left out.
fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let stat = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    pids.filter_map(|pid| Process::parse(pid, &stat(pid)?)).collect()
}

fn members(leaders: &[i32], all: &[Process]) -> Vec<Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    all.iter().for_each(|process| children.entry(process.parent).or_default().push(process.pid));
    // One node's leader belongs to no other, though it may descend from it.
    let mut taken: HashSet<i32> = leaders.iter().copied().collect();
    let mut family = |leader: i32| {
        let mut found: Vec<i32> =
            all.iter().map(|process| process.pid).filter(|pid| *pid == leader).collect();
        let in_group = all.iter().filter(|process| process.group == leader).map(|process| process.pid);
        let mut next: Vec<i32> =
            in_group.chain(children.get(&leader).into_iter().flatten().copied()).collect();
        while let Some(pid) = next.pop() {
            if taken.insert(pid) {
                found.push(pid);
                next.extend(children.get(&pid).into_iter().flatten());
            }
        }
        found.sort_by_key(|&pid| (pid != leader, pid));
        found
    };
    leaders.iter().map(|&leader| family(leader)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_groups_and_their_descendants_belong() {
        let stats = [
            (1, "1 (init) S 0 1 1"),
            (40, "40 (node) S 1 40 40"),
            (41, "41 (a ) S b) R 40 40 40"),
            (42, "42 (left the group) S 41 42 42"),
            (43, "43 (orphan in the group) S 1 40 40"),
            (44, "44 (dead) Z 40 40 40"),
            (45, "45 (child of the orphan) S 43 45 45"),
            (50, "50 (another node) S 45 50 50"),
            (51, "51 (its child) S 50 50 50"),
            (60, "60 (stranger) S 1 60 60"),
        ];
        let all: Vec<Process> = stats.iter().filter_map(|(pid, stat)| Process::parse(*pid, stat)).collect();
        assert_eq!(members(&[40, 50], &all), [vec![40, 41, 42, 43, 45], vec![50, 51]]);
        assert_eq!(members(&[70], &all), [[0; 0]]);
    }

    #[test]
    fn this_process_is_found() {
        let own = std::process::id() as i32;
        assert_eq!(family(own)[0], own);
        let parent = std::os::unix::process::parent_id() as i32;
        assert!(processes().iter().any(|process| process.pid == own && process.parent == parent));
    }
}
