//! The main job: a trial of the built-in Raft, and what it comes to.

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
fn a_leader_that_answers_reads_on_its_own_is_found_out() {
    a_bug_is_found("stale-read", "partition");
}

#[test]
fn an_answer_before_the_log_is_found_out() {
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
}

fn check(what: &std::path::Path, code: i32) {
    let mut command = tribunal(["check", "--model", "cas-register"]);
    if what.is_dir() {
        // A run directory says by itself which model judges it.
        command = tribunal(["check"]);
    }
    crate::program::Ended::of(command.arg(what).output().unwrap()).expect(code);
}
