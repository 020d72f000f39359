//! Which processes are a node: the one that was started, what leads back to it by parentage, and what shares its process
//! group. Servers fork (PostgreSQL), and wrappers exec; a fault of a node is one of all of them.

use std::{collections::BTreeMap, fs};

/// The living processes of the node whose process group `leader` leads, itself first. Empty once it is gone.
pub(crate) fn family(leader: i32) -> Vec<i32> {
    let all: BTreeMap<i32, Kin> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| {
            Some((pid, Kin::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))
        })
        .collect();
    members(leader, &all)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kin {
    state: char,
    parent: i32,
    group: i32,
}

impl Kin {
    /// From `/proc/PID/stat`: the name in parentheses may hold anything, the rest follows the last one.
    fn parse(stat: &str) -> Option<Kin> {
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        Some(Kin { state, parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

fn members(leader: i32, all: &BTreeMap<i32, Kin>) -> Vec<i32> {
    let descends = |pid: i32| {
        // No longer than there are processes: a list read while they change might go round.
        std::iter::successors(Some(pid), |pid| all.get(pid).map(|kin| kin.parent))
            .take(all.len())
            .any(|pid| pid == leader)
    };
    let alive = |kin: &Kin| !matches!(kin.state, 'Z' | 'X');
    let mut found: Vec<i32> = all
        .iter()
        .filter(|(pid, kin)| alive(kin) && (kin.group == leader || descends(**pid)))
        .map(|(&pid, _)| pid)
        .collect();
    found.sort_by_key(|&pid| (pid != leader, pid));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_groups_and_grandchildren_that_left_the_group_belong() {
        let stats = [
            (1, "1 (init) S 0 1 1"),
            (40, "40 (node) S 1 40 40"),
            (41, "41 (a ) S b) R 40 40 40"),
            (42, "42 (left) S 41 42 42"),
            (43, "43 (orphan) S 1 40 40"),
            (44, "44 (dead) Z 40 40 40"),
            (50, "50 (stranger) S 1 50 50"),
        ];
        let all = stats.iter().map(|(pid, stat)| (*pid, Kin::parse(stat).expect("a stat"))).collect();
        assert_eq!(members(40, &all), [40, 41, 42, 43]);
        assert_eq!(members(60, &all), Vec::<i32>::new());
        assert_eq!(family(std::process::id() as i32)[0], std::process::id() as i32);
    }
}
