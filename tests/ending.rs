//! However a run ends, no process remains, and everything that was recorded is kept.

use std::path::Path;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Ended, Store, tribunal, wait_until};

/// A run after its start: nodes are up, operations are recorded, faults have begun.
fn under_way(store: &Store) -> Child {
    let child =
        store.command("run register --time-limit 10m --nemesis-interval 1s").spawn().expect("it starts");
    let lines = |name: &str| {
        let runs = std::fs::read_dir(store.path().join("register")).into_iter().flatten().flatten();
        let files = runs.filter_map(|run| std::fs::read_to_string(run.path().join(name)).ok());
        files.map(|text| text.lines().count()).sum::<usize>()
    };
    wait_until("operations and faults are recorded", || {
        lines("history.jsonl") > 1_000 && lines("faults.jsonl") > 1
    });
    // A node killed by a fault will be restarted.
    wait_until("five nodes and their controller are there", || store.processes().len() > 5);
    child
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

#[test]
fn a_controller_killed_with_9_leaves_a_history_and_no_process() {
    let store = Store::new();
    let mut child = under_way(&store);
    kill(pid(&child), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    store.await_silence();

    let run = store.run_directory("register");
    assert!(run.extension().is_some_and(|extension| extension == "partial"), "{}", run.display());
    let junit = std::fs::read_to_string(run.join("junit.xml")).unwrap();
    assert!(junit.contains("type=\"unfinished\"") && junit.contains("running"), "{junit}");
    let said = check(&run).expect(2).stdout;
    assert!(said.contains("The run did not finish") && said.contains(" is linearizable"), "{said}");
    let info = std::fs::read_to_string(run.join("run.json")).unwrap();
    assert!(info.contains("\"running\""), "a replay needs to know when its clients began: {info}");
}

/// Checks a run again; this must not change its directory.
fn check(run: &Path) -> Ended {
    Ended::of(tribunal(["check"]).arg(run).output().unwrap())
}

#[test]
fn ctrl_c_stops_in_order_and_checks_what_exists() {
    let store = Store::new();
    let child = under_way(&store);
    kill(pid(&child), Signal::SIGINT).unwrap();
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(130);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    assert_eq!(store.processes(), [""; 0]);
    let run = store.run_directory("register");
    assert!(run.join("verdict.json").is_file());
    assert!(check(&run).expect(130).stdout.contains("The run was interrupted"));
}

#[test]
fn a_node_that_dies_by_itself_is_a_harness_failure() {
    let store = Store::new();
    let child = under_way(&store);
    // The test acts as the bug: it kills the node without the controller's knowledge.
    let node = || {
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        let mut nodes = pids.filter_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let is_node = line.contains(" node raft ") && line.contains(&*store.path().to_string_lossy());
            is_node.then(|| entry.file_name().to_str()?.parse().ok()).flatten()
        });
        nodes.next()
    };
    wait_until("a node is there to be killed", || {
        node().is_some_and(|n| kill(Pid::from_raw(n), Signal::SIGKILL).is_ok())
    });
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(3);
    assert!(ended.stdout.contains("exited by itself"), "{}", ended.stdout);
    assert_eq!(store.processes(), [""; 0]);
    assert!(check(&store.run_directory("register")).expect(3).stdout.contains("exited by itself"));
}
