//! Who led around a violation, from `leaders.jsonl`. Unreadable lines are skipped: nothing but names in the
//! report depends on them.

use std::io::{BufRead, BufReader};
use std::path::Path;

use tribunal_checker::op::Nanos;
pub use tribunal_records::leaders::{Leader, Leaders};

use crate::files;
use crate::wording::elide;

/// The maximum number of changes that are read.
const CHANGES_MAX: usize = 100_000;
/// The maximum number of leaders named at a time.
const NAMED_MAX: usize = 4;

/// The recorded changes, by time, and whether the system has no leader; empty in that case, or if there is no
/// such file.
pub fn load(path: &Path) -> (Vec<Leaders>, bool) {
    let Ok(file) = files::open(path) else { return (Vec::new(), false) };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let mut changes: Vec<Leaders> =
        lines.filter_map(|line| serde_json::from_str(&line).ok()).take(CHANGES_MAX).collect();
    changes.sort_by_key(|change| change.t);
    // Where many nodes lead at once, none does: the system has no leader.
    if changes.iter().any(|change| is_leaderless(&change.leaders)) {
        (Vec::new(), true)
    } else {
        (changes, false)
    }
}

/// Whether three nodes or more claim to lead in the same term.
fn is_leaderless(leaders: &[Leader]) -> bool {
    leaders.iter().any(|one| leaders.iter().filter(|other| other.term == one.term).count() >= 3)
}

/// The leaders at a time; `None` if nothing had been recorded by then.
pub fn at(changes: &[Leaders], t: Nanos) -> Option<&[Leader]> {
    let next = changes.partition_point(|change| change.t <= t);
    Some(&changes[next.checked_sub(1)?].leaders)
}

/// The leaders in words: `n4 (term 3)`, `n4 (term 3) and n1 (term 2)`, `no node`.
pub fn named(leaders: &[Leader]) -> String {
    let one = |leader: &Leader| match leader.term {
        0 => elide(&leader.node, 20),
        term => format!("{} (term {term})", elide(&leader.node, 20)),
    };
    let names: Vec<String> = leaders.iter().take(NAMED_MAX).map(one).collect();
    match &names[..] {
        [] => "no node".into(),
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Leaders> {
        let leader = |node: &str, term| Leader { node: node.into(), term };
        vec![
            Leaders { t: 10, leaders: vec![leader("n1", 2)] },
            Leaders { t: 20, leaders: vec![leader("n4", 3), leader("n1", 2)] },
            Leaders { t: 30, leaders: Vec::new() },
        ]
    }

    #[test]
    fn a_system_in_which_all_lead_has_no_leader() {
        let leader = |node: &str, term| Leader { node: node.into(), term };
        assert!(is_leaderless(&[leader("n1", 1), leader("n2", 1), leader("n3", 1)]));
        assert!(!is_leaderless(&[leader("n1", 1), leader("n2", 1), leader("n3", 2)]), "two primaries");
    }

    #[test]
    fn the_last_record_before_a_time_counts() {
        let changes = changes();
        let said = |t| at(&changes, t).map(named);
        assert_eq!(
            [said(9), said(10), said(29)],
            [None, Some("n1 (term 2)".into()), Some("n4 (term 3) and n1 (term 2)".into())]
        );
        assert_eq!(said(30), Some("no node".into()));
    }
}
