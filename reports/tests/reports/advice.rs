//! The advice about violations: docs/violations.md is made from it.

use std::path::Path;

use tribunal_checker::verdict::CLASSES;
use tribunal_records::oracles::{Finding, Oracle};
use tribunal_reports::{advice, glossary, html, text};

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

#[test]
fn the_glossary_of_the_documentation_is_up_to_date() {
    let page = glossary::page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/glossary.md");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap() == page, "UPDATE_SNAPSHOTS=1 renews docs/glossary.md");
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

/// The only leader is no old leader; what it lacks after an election may be lost.
#[test]
fn the_only_leader_is_not_suspected_to_be_an_old_one() {
    let script = STALE.replace("stale-read", "missed-write") + "leaders 0.100 | n4 1\nleaders 1.500 | n1 2";
    let causes = causes(&script);
    assert!(causes[0].0.starts_with("It is lost, not late"), "{causes:?}");
    assert_eq!(
        causes[0].1.as_deref(),
        Some("n1 (term 2) was seen to lead at 1.500 s, 510 ms before p3's `read → 3` returned")
    );
    assert!(causes.iter().all(|(bug, _)| !bug.starts_with("A leader that was cut off")), "{causes:?}");
}

/// A value that was read before its write was acknowledged, and missed by a later read. In a system with a leader
/// that is how many stale reads look; without one, the first read should have written the value back.
#[test]
fn a_value_that_was_read_before_it_was_acknowledged_has_to_be_written_back() {
    let script = "w3: p0 k7 write 3 | 1.000 ok 1.010 @n2
w4: p1 k7 write 4 | 1.100 ok 2.200 @n4
r4: p2 k7 read | 1.300 ok 1.310 @n4 = 4
r3: p3 k7 read | 2.000 ok 2.010 @n1 = 3
violation r3 non-monotonic-reads | it went back in time
  minimal w3 w4 r4 r3
  missing r4
fault partition one n1 | 1.200 installed 2.300 | isolate n1
";
    let none_leads = "leaders 0.100 | n1 1, n2 1, n4 1";
    let (bug, seen) = causes(&format!("{script}{none_leads}")).remove(0);
    assert!(bug.contains("does not write it back first"), "{bug}");
    assert_eq!(seen.unwrap(), "p2's `read → 4` had returned before p1's `write 4` was acknowledged");
    let all = causes(&format!("{script}{none_leads}"));
    assert!(all.iter().all(|(bug, _)| !bug.starts_with("A leader")), "{all:?}");

    let led = causes(&format!("{script}leaders 0.100 | n1 1"));
    assert!(led[0].0.starts_with("A leader that was cut off"), "{led:?}");
    assert!(led.iter().any(|(bug, _)| bug.contains("does not write it back first")), "{led:?}");

    // An acknowledged value is at a majority.
    let acknowledged = format!("{STALE}{none_leads}");
    assert!(causes(&acknowledged).iter().all(|(bug, _)| !bug.contains("write it back")));
}

#[test]
fn the_logs_of_the_nodes_that_answered_are_to_be_read() {
    let logs =
        "log n1 | 1.950 before\nlog n1 | 2.005 during\nlog n4 | 1.600 earlier\nlog n2 | 2.000 unconcerned";
    let advice = advice::of(&Stage::from_script(&format!("{STALE}{logs}")).run()).unwrap();
    let read: Vec<_> = advice.read.iter().map(|span| (&*span.node, span.lines)).collect();
    assert_eq!(read, [("n1", (1, 2)), ("n4", (1, 1))]);
}

/// What an oracle found beside a violation of the model does not push the counterexample away.
#[test]
fn findings_come_after_the_counterexample_of_the_model() {
    let mut run = Stage::from_script(STALE).run();
    let finding = Finding {
        oracle: Oracle::Agreement,
        t: 2_000_000_000,
        nodes: Vec::new(),
        sentence: "n1 and n2 applied different entries".into(),
        evidence: vec!["n1: position 7: write 3".into(); 20],
        excuse: None,
    };
    run.judgement.findings = vec![finding; 4];
    let text = text::render(&run);
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words}: {text}"));
    assert!(at("read → 3 ✗") < at("agreement: n1 and n2"), "{text}");
    let page = html::render(&run);
    let at = |id: &str| page.find(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    assert!(at("counterexample") < at("findings"));
}

/// What fits neither the class of the object nor the system is not suspected.
#[test]
fn two_successes_of_which_only_one_can_have_are_told_apart() {
    let script = "c1: p0 k7 cas 0 1 | 1.000 ok 1.010 @n2
c2: p1 k7 cas 0 2 | 1.004 ok 1.020 @n4
violation c2 split-brain | both succeeded
  minimal c1 c2
  missing c1
";
    let all = |more: &str| causes(&format!("{script}{more}"));
    let none_leads = all("leaders 0.100 | n1 1, n2 1, n4 1");
    assert!(none_leads[0].0.starts_with("Two proposals at the same time"), "{none_leads:?}");
    assert!(
        none_leads.iter().all(|(bug, _)| !bug.starts_with("The lock expires")),
        "no lock: {none_leads:?}"
    );

    let twice = all("leaders 0.100 | n2 3, n4 3");
    assert!(twice[0].0.starts_with("Two nodes lead in one term"), "{twice:?}");
    assert_eq!(twice[0].1.as_deref(), Some("at 1.020 s, n2 (term 3) and n4 (term 3) claimed to lead"));
    let later = all("leaders 0.100 | n2 3, n4 4");
    assert!(later[0].0.starts_with("Two nodes decided at the same time"), "{later:?}");

    let members = all("fault membership one n1 | 0.900 installed 1.900 | cut n1>n2");
    assert!(members.iter().any(|(bug, _)| bug.starts_with("Two configurations decide")), "{members:?}");

    // An operation that had returned before the other was sent may have been lost.
    let cut = "fault partition one n1 | 0.900 installed 1.900 | isolate n1";
    assert!(all(cut).iter().all(|(bug, _)| !bug.starts_with("The first was acknowledged")), "they overlap");
    let apart = causes(&format!("{}{cut}", script.replace("1.004", "1.014")));
    assert!(apart[0].0.starts_with("The first was acknowledged and then lost"), "{apart:?}");
}

/// A copy of a request may take effect when the fault that delayed it is over.
#[test]
fn a_copy_may_come_after_the_fault() {
    let script = "t1: p0 k7 dequeue | 2.000 ok 2.010 @n2 = 5
t2: p1 k7 dequeue | 2.100 ok 2.110 @n2 = 5
violation t2 taken-twice | 5 was taken twice
  minimal t1 t2
  missing t1
fault partition one n1 | 0.900 installed ENDS | isolate n1
";
    let (bug, seen) = causes(&script.replace("ENDS", "1.900")).remove(0);
    assert!(bug.starts_with("A request was sent again"), "{bug}");
    assert!(seen.unwrap().ends_with(" had ended 110 ms before"));
    let (bug, _) = causes(&script.replace("ENDS", "0.950")).remove(0);
    assert!(bug.starts_with("Looking up and changing"), "{bug}");
}

#[test]
fn a_finding_of_an_oracle_has_causes_too() {
    let stage = Stage::from_script("r: p0 k7 read | 1.000 ok 1.010 @n1 = 0");
    let mut run = stage.run();
    let finding = Finding {
        oracle: Oracle::Agreement,
        t: 5,
        nodes: Vec::new(),
        sentence: "n1 and n2 both won ballot 2".into(),
        evidence: Vec::new(),
        excuse: None,
    };
    run.judgement.findings = vec![finding.clone(), finding];
    let page = html::render(&run);
    let advice = "Two candidates or proposers used";
    assert_eq!(page.matches(advice).count(), 1, "once for all findings of one oracle");
}

/// What is suspected after a finding at 5 s.
fn of_finding(script: &str, sentence: &str) -> Vec<String> {
    let run = Stage::from_script(&format!("r: p0 k7 read | 1.000 ok 1.010 @n1 = 0\n{script}")).run();
    let finding = Finding {
        oracle: Oracle::Agreement,
        t: 5_000_000_000,
        nodes: ["n1", "n2"].map(String::from).into(),
        sentence: sentence.into(),
        evidence: Vec::new(),
        excuse: None,
    };
    let all = advice::of_finding(&run, &finding).into_iter();
    all.map(|it| format!("{} [{}]", it.bug, it.seen.unwrap_or_default())).collect()
}

/// What needs a restart is suspected only after one, and first only soon after it.
#[test]
fn what_happened_before_a_finding_ranks_its_causes() {
    let (won, differ) =
        ("n1 and n2 both won term 4", "n1 and n2 applied different entries at position 7: a; b");
    let forgot = "A node lost its vote";
    let early = "fault kill one n3 | 1.000 installed 2.000 | kill n3";
    let late = "fault kill one n3 | 3.000 installed 4.500 | kill n3";
    let after = "fault kill one n3 | 5.100 installed 5.200 | kill n3";
    for (script, sentence, place) in [
        ("", won, None),
        (after, won, None),
        (early, won, Some(0)),
        (late, won, Some(0)),
        ("", differ, None),
        (early, differ, Some(4)),
        (late, differ, Some(1)),
    ] {
        let all = of_finding(script, sentence);
        assert_eq!(all.iter().position(|it| it.starts_with(forgot)), place, "{script} {sentence}: {all:#?}");
    }
    let all = of_finding(late, won);
    assert!(all[0].ends_with("[kill n3 had ended 500 ms before]"), "{all:?}");
    assert!(of_finding("", differ)[0].starts_with("A new leader or proposer went on without"));
}

/// A node that was started again is no old leader because of what happened before.
#[test]
fn a_restarted_node_is_no_old_leader() {
    let read = "w: p0 k7 write 4 | 1.000 ok 1.010 @n1
r: p1 k7 read | 5.000 ok 5.010 @n2 = -
violation r stale-read | it is stale
  minimal w r
  missing w
leaders 0.100 | n1 3
fault partition one n2 | 2.000 installed 4.900 | isolate n2
";
    let first = |more: &str| causes(&format!("{read}{more}")).remove(0).0;
    let (old, fresh) = ("A leader that was cut off", "A restarted node answers before");
    assert!(first("").starts_with(old), "{}", first(""));
    let before = "fault kill one n2 | 3.000 installed 4.000 | kill n2";
    assert!(first(before).starts_with(fresh), "{}", first(before));
    let elected = first(&format!("{before}\nleaders 4.200 | n2 4"));
    assert!(elected.starts_with(fresh), "it leads: {elected}");
    let cut = "fault partition one n2 | 4.500 installed 4.900 | isolate n2";
    let both = first(&format!("{before}\n{cut}"));
    assert!(both.starts_with(old), "cut off after it had restarted: {both}");
}

/// A change of the members explains a new leader, and not the other way round.
#[test]
fn a_change_of_the_members_comes_before_the_leader_that_it_brought() {
    let script = format!(
        "{STALE}leaders 0.100 | n2 1\nleaders 1.900 | n1 2, n2 1\nfault membership one n1 | 1.500 installed 2.500 | cut n1>n2"
    );
    let (bug, seen) = causes(&script).remove(0);
    assert!(bug.starts_with("Two configurations decide"), "{bug}");
    assert!(seen.unwrap().contains("began at 1.500 s"));
}
