//! The main use: trials of the built-in Raft, and their verdicts.

use crate::program::{Store, tribunal};

#[test]
fn a_correct_raft_is_linearizable_under_every_fault() {
    for workload in ["register", "counter"] {
        let store = Store::new();
        let ended = store
            .run(&format!("run {workload} --time-limit 12s --nemesis-interval 1500ms --seed 1"))
            .expect(0);
        assert!(ended.stdout.contains("inearizable"), "{}", ended.stdout);
        assert_eq!(store.processes(), [""; 0]);

        let run = store.run_directory(workload);
        for file in ["run.json", "history.jsonl", "faults.jsonl", "verdict.json", "report.txt", "report.html"]
        {
            assert!(run.join(file).is_file(), "{file} is missing");
        }
        assert!(run.join("nodes/n5.log").is_file());
        assert_eq!(store.path().join("latest").canonicalize().unwrap(), run);
        check(&run, 0);
    }
}

#[test]
fn leader_reads_without_a_quorum_are_detected() {
    a_bug_is_found("stale-read", "partition");
}

#[test]
fn an_acknowledgement_before_the_log_is_detected() {
    a_bug_is_found("ack-before-write", "kill,partition");
}

fn a_bug_is_found(bug: &str, nemesis: &str) {
    let store = Store::new();
    let arguments =
        format!("run register --bug {bug} --nemesis {nemesis} --nemesis-interval 2s --time-limit 60s");
    let ended = store.run(&arguments).expect(1);
    assert!(ended.stdout.contains("not linearizable"), "{}", ended.stdout);
    let run = store.run_directory("register");
    check(&run, 1);
    check(&run.join("history.jsonl"), 1);
    what_is_said_of_it_holds(&run, &ended.stdout);
}

/// Checks statements of the report against the evidence: the key found by the live check, whether a lost
/// value was seen again, and the faults around it.
fn what_is_said_of_it_holds(run: &std::path::Path, report: &str) {
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(run.join(name)).unwrap()).unwrap()
    };
    let (verdict, info) = (json("verdict.json"), json("run.json"));
    let violation = &verdict["checker"]["violation"];
    assert_eq!(info["seen_live"]["key"], violation["key"], "the run stopped at another key than is reported");
    assert!(report.contains("15 clients") && report.contains(" was sent to n"), "{report}");
    let Some(missing) = violation["missing"].as_u64() else { return };
    assert!(report.contains(" from the return of p"), "{report}");
    // A long report leaves it out of the terminal.
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Is the effect of "), "{report}");

    let op = |id: u64| {
        let numbered = verdict["ops"].as_array().unwrap().iter().find(|it| it["id"] == id);
        numbered.expect("verdict.json stands alone")["op"].clone()
    };
    let answered = op(violation["witness"].as_u64().unwrap())["completed"].as_u64().unwrap();
    let history = std::fs::read_to_string(run.join("history.jsonl")).unwrap();
    let events: Vec<serde_json::Value> =
        history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ours = |event: &&serde_json::Value| event["key"] == violation["key"];
    let begun_later = |event: &serde_json::Value| {
        let mut invoked = events.iter().take(event["i"].as_u64().unwrap() as usize);
        let invoked = invoked.rfind(|it| it["p"] == event["p"] && it["type"] == "invoke");
        invoked.is_some_and(|invoked| invoked["t"].as_u64() > Some(answered))
    };
    let answers = events.iter().filter(ours).filter(|it| it["type"] == "ok");
    let later: Vec<&serde_json::Value> = answers.filter(|it| begun_later(it)).collect();
    let input = op(missing)["input"].clone();
    let written = input.get(1).unwrap_or(&input);
    if violation["class"] == "lost-write" {
        assert!(!later.is_empty(), "it is called lost though nobody looked");
        assert!(
            later.iter().all(|it| it["f"] != "read" || it["value"] != *written),
            "it is called lost and was seen: {report}"
        );
    }
    if violation["class"] == "stale-read" {
        assert!(!later.is_empty(), "it is called stale though nobody looked");
    }
}

fn check(what: &std::path::Path, code: i32) {
    let mut command = tribunal(["check", "--model", "cas-register"]);
    if what.is_dir() {
        // A run directory names its own model.
        command = tribunal(["check"]);
    }
    crate::program::Ended::of(command.arg(what).output().unwrap()).expect(code);
}
