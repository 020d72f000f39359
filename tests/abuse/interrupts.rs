//! Ways to be told to end, besides Ctrl-C in the middle of a run.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Ended, Store, wait_until};

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

/// Whether some file of the runs of a workload holds a text.
fn says(store: &Store, file: &str, text: &str) -> bool {
    let runs = std::fs::read_dir(store.path().join("register")).into_iter().flatten().flatten();
    runs.filter_map(|run| std::fs::read_to_string(run.path().join(file)).ok()).any(|it| it.contains(text))
}

#[test]
fn a_terminal_that_goes_away_ends_a_run_in_order() {
    let store = Store::in_memory();
    let args = "run register --nodes 3 --time-limit 10m --nemesis-interval 1s --rate 100";
    let child = store.command(args).spawn().expect("it starts");
    wait_until("a fault is recorded", || says(&store, "faults.jsonl", "apply"));
    kill(pid(&child), Signal::SIGHUP).unwrap();
    Ended::of(child.wait_with_output().unwrap()).expect(130);
    assert_eq!(store.processes(), [""; 0]);
    assert!(store.run_directory("register").join("verdict.json").is_file());
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let store = Store::in_memory();
    let mut command = Command::new("bash");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "bash", env!("CARGO_BIN_EXE_tribunal")]);
    command.args("run register --nodes 3 --nemesis none --time-limit 3s --rate 100".split(' '));
    command.arg("--store").arg(store.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    wait_until("the run is under way", || says(&store, "history.jsonl", "ok"));
    kill(pid(&child), Signal::SIGHUP).unwrap();
    Ended::of(child.wait_with_output().unwrap()).expect(0);
}
