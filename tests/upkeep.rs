//! What is around a run: the file of a directory with its profiles, maxima of time, and the verbs that look after
//! runs.

use std::fs;

use crate::program::{Ended, Store, tribunal};

/// A second of reads and writes without faults.
const SHORT: &str = "--nodes 1 --nemesis none --rate 200 --time-limit 1s --progress none";

fn ends(mut command: std::process::Command) -> Ended {
    Ended::of(command.output().unwrap())
}

#[test]
fn a_directory_has_a_file_with_profiles_and_the_printed_command_needs_neither() {
    let store = Store::new();
    let file = "workload = 'register'\nnodes = 1\nnemesis = 'none'\nrate = 200\ntime-limit = '1s'\n[profile.ci]\nkeys = 7";
    fs::write(store.path().join("tribunal.toml"), file).unwrap();
    let below = store.path().join("below");
    fs::create_dir(&below).unwrap();
    let mut run = tribunal(["run", "--profile", "ci", "--keys", "5", "--seed", "3", "--progress", "none"]);
    run.current_dir(&below);
    let ended = ends(run).expect(0);
    // The default of five keys was typed, and the profile would override it.
    let rerun = ended.stdout.lines().find(|line| line.contains("rerun")).expect("a command").to_string();
    assert!(rerun.contains("--no-config") && rerun.contains("--nodes 1"), "{rerun}");
    assert!(!rerun.contains("--keys"), "{rerun}");
    assert!(ended.stdout.contains("report   store/register/"), "the path is as typed: {}", ended.stdout);

    let info = fs::read_to_string(below.join("store/latest/run.json")).unwrap();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!((&info["keys"], &info["nodes"].as_array().unwrap().len()), (&5.into(), &1));

    let mut wrong = tribunal(["run", "--profile", "cj"]);
    wrong.current_dir(&below);
    let ended = ends(wrong).expect(64);
    assert!(
        ended.stderr.contains("--profile: there is no profile `cj`: did you mean `ci`?"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_run_that_is_too_slow_fails_with_a_sentence() {
    let store = Store::new();
    let ended = store.run(&format!("run register {SHORT} --seed 1 --max-p99 1ns"));
    let ended = ended.expect(1);
    assert!(ended.stdout.starts_with("✗ too slow"), "{}", ended.stdout);
    let words: Vec<&str> = ended.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains("above the requested maximum of 1ns."), "{}", ended.stdout);
    let dir = store.run_directory("register");
    let junit = fs::read_to_string(dir.join("junit.xml")).unwrap();
    assert!(junit.contains("type=\"too-slow\""), "{junit}");
    // The verdict is a function of the recording.
    ends({
        let mut check = tribunal(["check"]);
        check.arg(&dir);
        check
    })
    .expect(1);
}

#[test]
fn runs_are_compared_opened_and_removed() {
    let store = Store::new();
    for seed in [1, 2] {
        store.run(&format!("run register {SHORT} --seed {seed}")).expect(0);
    }
    let verb = |args: &[&str]| {
        let mut command = tribunal(args);
        command.arg("--store").arg(store.path());
        ends(command)
    };
    let listed = verb(&["list", "runs"]).expect(0).stdout;
    let paths: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(paths.len(), 2, "{listed}");
    assert!(listed.contains("just now") || listed.contains("min ago"), "{listed}");

    let diff = ends(tribunal(["diff", paths[1], paths[0]])).expect(0).stdout;
    let seed: Vec<&str> =
        diff.lines().find(|line| line.starts_with("seed")).unwrap().split_whitespace().collect();
    assert_eq!(seed, ["seed", "1", "2"], "{diff}");
    assert!(diff.contains("read p99") && diff.contains("✓ linearizable"), "{diff}");

    let mut open = tribunal(["open"]);
    open.arg("--store")
        .arg(store.path())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("BROWSER");
    let opened = ends(open).expect(0).stdout;
    assert!(opened.trim_end().ends_with("latest/report.html"), "{opened}");

    let dry = verb(&["clean", "--keep", "1"]).expect(0).stdout;
    assert!(
        dry.contains(paths[1]) && !dry.contains(paths[0]) && dry.contains("nothing was removed"),
        "{dry}"
    );
    assert_eq!(verb(&["list", "runs"]).stdout.lines().count(), 2);
    fs::create_dir_all(store.path().join("register/not-a-run")).unwrap();
    fs::create_dir_all(store.path().join("register/20000101T000000Z-1.partial")).unwrap();
    verb(&["clean", "--keep", "0", "--yes"]).expect(0);
    let mut left: Vec<_> =
        fs::read_dir(store.path().join("register")).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["20000101T000000Z-1.partial", "not-a-run"], "what is no finished run stays");
    assert!(!store.path().join("latest").is_symlink(), "a link to a run that is gone is removed");
}

#[test]
fn bugs_are_listed_with_a_command_and_the_machine_is_described() {
    let bugs = ends(tribunal(["list", "bugs"])).expect(0).stdout;
    let stale =
        bugs.lines().find(|line| line.starts_with("raft") && line.contains(" stale-read ")).expect("it");
    assert!(stale.contains("tribunal run register --bug stale-read"), "{stale}");
    let machine = ends(tribunal(["doctor"])).expect(0).stdout;
    for what in
        ["network namespaces", "packet queue", "FUSE disks", "cgroups", "✓ faults: kill, pause, partition"]
    {
        assert!(machine.contains(what), "{what}:\n{machine}");
    }
}
