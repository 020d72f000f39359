//! The advice about violations: docs/violations.md is made from it.

use std::path::Path;

use tribunal_checker::verdict::CLASSES;
use tribunal_reports::advice;

use crate::scene::Stage;

#[test]
fn the_documentation_has_every_class_once_and_is_up_to_date() {
    let page = advice::page();
    for (class, meaning) in CLASSES {
        assert_eq!(page.matches(&format!("| `{class}` | {meaning} |\n")).count(), 1, "{class}");
    }
    assert_eq!(page.matches("\n| `").count(), CLASSES.len(), "no group has another class");
    // Of each group, some cause needs no event: there is advice for every violation.
    for section in page.split("\n## ").skip(1) {
        assert!(section.matches("\n- ").count() > section.matches("Suspect it after").count(), "{section}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/violations.md");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap() == page, "UPDATE_SNAPSHOTS=1 renews docs/violations.md");
    assert!(page.lines().all(|line| line.chars().count() <= 120), "prose has short lines");
}

/// The causes in the order of the advice, each with what points to it.
fn causes(script: &str) -> Vec<(String, Option<String>)> {
    let advice = advice::of(&Stage::from_script(script).run()).expect("a violation is proved");
    advice.causes.into_iter().map(|cause| (cause.bug, cause.seen)).collect()
}

const STALE: &str = "w3: p0 k7 write 3 | 1.000 ok 1.010 @n2
w4: p1 k7 write 4 | 1.100 ok 1.200 @n4
r3: p3 k7 read | 2.000 ok 2.010 @n1 = 3
violation r3 stale-read | it is stale
  minimal w3 w4 r3
  missing w4
";

#[test]
fn what_happened_between_the_two_operations_comes_first() {
    let first = |script: &str| causes(&format!("{STALE}{script}")).remove(0);
    let (bug, seen) = first("");
    assert!(bug.contains("without asking the leader") && seen.is_none(), "nothing happened: {bug}");

    let kill = "fault kill one n1 | 1.300 installed 1.900 | kill n1";
    let (bug, seen) = first(kill);
    assert!(bug.starts_with("A restarted node"), "{bug}");
    assert_eq!(
        seen.unwrap(),
        "kill n1 ended and its nodes restarted at 1.900 s, 110 ms before p3's `read → 3` returned"
    );
    // A restart that was over before the write was acknowledged explains nothing.
    let (bug, _) = first("fault kill one n1 | 0.300 installed 0.900 | kill n1");
    assert!(bug.contains("without asking the leader"), "{bug}");

    // Two nodes that claim to lead are a stronger hint than a restart.
    let (bug, seen) = first(&format!("{kill}\nleaders 1.500 | n4 3, n1 2"));
    assert!(bug.starts_with("A leader that was cut off"), "{bug}");
    assert_eq!(seen.unwrap(), "at 2.010 s, n4 (term 3) and n1 (term 2) claimed to lead");
    // Where all lead, none does.
    let (bug, _) = first("leaders 1.500 | n4 1, n1 1, n2 1");
    assert!(bug.contains("without asking the leader"), "{bug}");
}

#[test]
fn the_logs_of_the_nodes_that_answered_are_to_be_read() {
    let logs =
        "log n1 | 1.950 before\nlog n1 | 2.005 during\nlog n4 | 1.600 earlier\nlog n2 | 2.000 unconcerned";
    let advice = advice::of(&Stage::from_script(&format!("{STALE}{logs}")).run()).unwrap();
    let read: Vec<_> = advice.read.iter().map(|span| (&*span.node, span.lines)).collect();
    assert_eq!(read, [("n1", (1, 2)), ("n4", (1, 1))]);
}
