//! The outcome of a run is the same in its exit code, in junit.xml, in the list of runs, and in commands that
//! execute many runs.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Ended, Store, tribunal, wait_until};
use crate::reports::stale_register;

#[test]
fn a_phase_too_short_for_its_faults_is_refused() {
    let store = Store::new();
    let path = store.path().join("schedule.toml");
    let run = |schedule: &str| {
        fs::write(&path, schedule).unwrap();
        let arguments = "run register --nodes 3 --time-limit 2s --rate 200 --seed 1 --schedule";
        store.run(&format!("{arguments} {}", path.display()))
    };
    let ended = run("[[phase]]\nlasts = '1s'\nnemesis = 'pause'\ninterval = '1ms'").expect(64);
    let why = "schedule.toml:1:1: phase 1: no room for pause in 1000 ms with an interval of 1 ms";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    let ended = run("[[step]]\nat = '2s'\nhold = '1s'\nfault = 'kill:one'").expect(64);
    assert!(ended.stderr.contains("kill is first due at 2s, after --time-limit 2s"), "{}", ended.stderr);

    let ended = run("[[phase]]\nlasts = '1s'\nnemesis = 'kill'\ninterval = '0s'").expect(64);
    assert!(ended.stderr.contains("schedule.toml:1:1: phase 1: interval: expected"), "{}", ended.stderr);
    assert!(run("").expect(64).stderr.contains("expected a phase, a step or a trigger"));
}

#[test]
fn standard_output_is_only_the_verdict_in_github_actions_too() {
    let store = Store::new();
    let run = store
        .command("run register --nodes 3 --nemesis none --time-limit 1s --rate 300 --seed 1 --format json")
        .env("GITHUB_ACTIONS", "true")
        .output();
    let ended = Ended::of(run.unwrap()).expect(0);
    let verdict: serde_json::Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(verdict["outcome"], "linearizable");
    assert!(ended.stderr.lines().any(|line| line.starts_with("::notice ")), "{}", ended.stderr);
}

#[test]
fn an_unchecked_key_is_skipped_and_not_an_error() {
    let store = Store::new();
    let (path, junit) = (store.path().join("h.jsonl"), store.path().join("junit.xml"));
    let mut text = String::new();
    for (at, line) in stale_register(400).lines().enumerate() {
        let key = if at < 796 { at / 160 } else { 0 }; // the history ends with the stale read of key 0
        text += &line.replace("\"f\"", &format!("\"key\":\"k{key}\",\"f\""));
        text.push('\n');
    }
    fs::write(&path, text).unwrap();
    let check = |flags: &[&str]| {
        let check = tribunal(["check", "--model", "register", "--threads", "1", "--junit"])
            .args([&junit, &path])
            .args(flags)
            .output();
        Ended::of(check.unwrap()).expect(1);
        let xml = fs::read_to_string(&junit).unwrap();
        ["<failure ", "<error ", "<skipped "].map(|tag| xml.matches(tag).count())
    };
    let [failures, errors, skipped] = check(&[]);
    assert_eq!((failures, errors), (1, 0));
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(skipped == 0 || xml.contains("tribunal check --all-parts"), "{xml}");
    assert_eq!(check(&["--all-parts"]), [1, 0, 0]);
}

/// A `run --repeat` during its first run, and the process of that run.
fn repeating(store: &Store, time_limit: &str) -> (std::process::Child, Pid) {
    let arguments = "run register --nodes 3 --nemesis none --rate 200 --seed 1 --repeat 2 --time-limit";
    let child = store.command(&format!("{arguments} {time_limit}")).spawn().unwrap();
    let recorded = || {
        let runs = fs::read_dir(store.path().join("register")).into_iter().flatten().flatten();
        runs.filter_map(|run| fs::read_to_string(run.path().join("history.jsonl")).ok())
            .any(|history| history.lines().count() > 100)
    };
    wait_until("operations are recorded", recorded);
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let children = fs::read_to_string(children).unwrap();
    let run = children.split_whitespace().next().expect("a run").parse().unwrap();
    (child, Pid::from_raw(run))
}

#[test]
fn an_interrupted_repetition_counts_the_interrupted_run() {
    let store = Store::new();
    let (child, _) = repeating(&store, "10m");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(130);
    let tally = "1 of 2 runs: 0 clean, 0 with a violation, 0 unknown, 1 interrupted";
    assert!(ended.stderr.contains(tally), "{}", ended.stderr);

    let run = store.run_directory("register");
    let junit = fs::read_to_string(run.join("junit.xml")).unwrap();
    assert!(junit.contains("type=\"interrupted\""), "{junit}");
    let list = tribunal(["list", "runs", "--store"]).arg(store.path()).output().unwrap();
    let listed = Ended::of(list).expect(0).stdout;
    assert!(listed.contains("? interrupted") && !listed.contains('✓'), "{listed}");
}

#[test]
fn a_killed_run_of_a_repetition_is_a_harness_failure() {
    let store = Store::new();
    let (child, run) = repeating(&store, "2s");
    kill(run, Signal::SIGKILL).unwrap();
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(3);
    let tally = "2 of 2 runs: 1 clean, 0 with a violation, 0 unknown, 1 in which the harness failed";
    assert!(ended.stderr.contains(tally), "{}", ended.stderr);
    store.await_silence();
}
