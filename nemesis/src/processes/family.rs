//! The processes of a node: the one that was started, its process group, and their descendants. Servers fork
//! (PostgreSQL), and wrappers exec; a fault of a node hits all of its processes.
//!
//! A daemon (forked twice, with its own session) has left both. It still has the environment that it
//! inherited, in which [`MARK`] names the node. This process is a *subreaper* (`PR_SET_CHILD_SUBREAPER`), so
//! every such orphan becomes its child, and only the environments of its own children must be read.
//!
//! CAVEATS. A daemon that has also overwritten its environment is not recognised, except by its listener
//! (`listeners.rs`).

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use crate::processes::holders::sockets;

/// Environment variable that every process of a node inherits: `RUN/NODE`, such as `4711-9f3c/n2`.
pub const MARK: &str = "TRIBUNAL_NODE";

/// How a node's processes are recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// The process that was started, which leads a process group; `None` while the node is down.
    pub leader: Option<i32>,
    /// The value of [`MARK`] in its environment, if it is set.
    pub mark: Option<String>,
}

/// The living processes of the node whose process group `leader` leads, the leader first. Empty once it is
/// gone.
pub(crate) fn family(leader: i32) -> Vec<i32> {
    family_of(&ProcessIdentity { leader: Some(leader), mark: None })
}

/// The living processes of a node, its leader first, including daemons.
pub(crate) fn family_of(identity: &ProcessIdentity) -> Vec<i32> {
    families(std::slice::from_ref(identity)).remove(0)
}

/// As [`family_of`], for several nodes.
pub(crate) fn families(identities: &[ProcessIdentity]) -> Vec<Vec<i32>> {
    families_among(identities, &processes())
}

fn families_among(identities: &[ProcessIdentity], all: &[Process]) -> Vec<Vec<i32>> {
    let own = std::process::id() as i32;
    let of_a_leader = |pid: i32| identities.iter().any(|identity| identity.leader == Some(pid));
    let adopted: Vec<(i32, String)> = match identities.iter().any(|identity| identity.mark.is_some()) {
        true => {
            let children = all.iter().filter(|process| process.parent == own && !of_a_leader(process.pid));
            children.filter_map(|process| Some((process.pid, mark(process.pid)?))).collect()
        }
        false => Vec::new(),
    };
    members(identities, &adopted, all)
}

/// All processes of the machine that belong to a node of this run, as far as this user may read their
/// environments.
pub fn marked(run: &str) -> Vec<i32> {
    let is_of_run = |pid: i32| mark(pid).is_some_and(|mark| mark.split('/').next() == Some(run));
    processes().iter().map(|process| process.pid).filter(|pid| is_of_run(*pid)).collect()
}

/// The living processes of a node, its leader first, including daemons; and the *strays*: descendants of this
/// process that have left its session, and are not recognised as processes of this node. Strays may be daemons
/// of any node that have dropped their environment.
pub fn family_and_strays(identity: &ProcessIdentity) -> (Vec<i32>, Vec<i32>) {
    let own = std::process::id() as i32;
    let all = processes();
    let family = families_among(std::slice::from_ref(identity), &all).remove(0);
    let session = all.iter().find(|process| process.pid == own).map(|process| process.session);
    let this = ProcessIdentity { leader: Some(own), mark: None };
    let descendants: HashSet<i32> = members(&[this], &[], &all).remove(0).into_iter().collect();
    let is_stray = |process: &&Process| {
        Some(process.session) != session
            && descendants.contains(&process.pid)
            && !family.contains(&process.pid)
            && mark(process.pid).is_none()
    };
    let strays = all.iter().filter(is_stray).map(|process| process.pid).collect();
    (family, strays)
}

/// Whether a process is a stray.
pub(crate) fn is_stray(pid: i32) -> bool {
    family_and_strays(&ProcessIdentity::default()).1.contains(&pid)
}

/// The value of [`MARK`] in the initial environment of a process.
fn mark(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut entries =
        environment.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
    entries.find_map(|entry| Some(entry.strip_prefix(MARK)?.strip_prefix('=')?.to_owned()))
}

/// A process of the machine that has the socket with this inode open, and its name.
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
    session: i32,
}

impl Process {
    /// Parses `/proc/PID/stat` (man 5 proc): `pid (comm) state ppid pgrp session ...`. The name may contain
    /// anything, so the fields begin after the last parenthesis. `None` if the process is dead.
    fn parse(pid: i32, stat: &str) -> Option<Process> {
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        let mut number = || fields.next()?.parse().ok();
        Some(Process { pid, parent: number()?, group: number()?, session: number()? })
    }
}

/// All living processes of the machine. A process that ends meanwhile is left out.
fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let stat = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    pids.filter_map(|pid| Process::parse(pid, &stat(pid)?)).collect()
}

fn members(identities: &[ProcessIdentity], adopted: &[(i32, String)], all: &[Process]) -> Vec<Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    all.iter().for_each(|process| children.entry(process.parent).or_default().push(process.pid));
    // The leader of one node belongs to no other node, even if it is a descendant.
    let mut taken: HashSet<i32> = identities.iter().filter_map(|identity| identity.leader).collect();
    let mut family = |identity: &ProcessIdentity| {
        let is_leader = |pid: i32| identity.leader == Some(pid);
        let mut found: Vec<i32> =
            all.iter().map(|process| process.pid).filter(|pid| is_leader(*pid)).collect();
        let in_group = all.iter().filter(|process| is_leader(process.group)).map(|process| process.pid);
        let of_leader =
            identity.leader.and_then(|leader| children.get(&leader)).into_iter().flatten().copied();
        let daemons =
            adopted.iter().filter(|(_, mark)| identity.mark.as_ref() == Some(mark)).map(|(pid, _)| *pid);
        let mut next: Vec<i32> = in_group.chain(of_leader).chain(daemons).collect();
        while let Some(pid) = next.pop() {
            if taken.insert(pid) {
                found.push(pid);
                next.extend(children.get(&pid).into_iter().flatten());
            }
        }
        found.sort_by_key(|&pid| (!is_leader(pid), pid));
        found
    };
    identities.iter().map(&mut family).collect()
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
            (70, "70 (daemon of the node) S 1 70 70"),
            (71, "71 (child of the daemon) S 70 71 71"),
            (80, "80 (daemon of another) S 1 80 80"),
        ];
        let all: Vec<Process> = stats.iter().filter_map(|(pid, stat)| Process::parse(*pid, stat)).collect();
        let identity = |leader, mark: &str| ProcessIdentity { leader, mark: Some(mark.to_owned()) };
        let adopted = [(70, "r/n1".to_owned()), (80, "r/n3".to_owned())];
        let of = |identities: &[ProcessIdentity]| members(identities, &adopted, &all);
        assert_eq!(
            of(&[identity(Some(40), "r/n1"), identity(Some(50), "r/n2")]),
            [vec![40, 41, 42, 43, 45, 70, 71], vec![50, 51]]
        );
        assert_eq!(of(&[identity(None, "r/n1")]), [[70, 71]], "daemons outlive their leader");
        assert_eq!(of(&[identity(Some(90), "r/n9")]), [[0; 0]]);
        assert_eq!(of(&[ProcessIdentity { leader: Some(50), mark: None }]), [[50, 51]]);
    }

    #[test]
    fn this_process_is_found() {
        let own = std::process::id() as i32;
        assert_eq!(family(own)[0], own);
        let parent = std::os::unix::process::parent_id() as i32;
        assert!(processes().iter().any(|process| process.pid == own && process.parent == parent));
    }
}
