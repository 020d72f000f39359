//! A real server that was not written for Tribunal: etcd, as installed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tribunal_nemesis::{NodeCgroup, remove_cgroup};

use crate::program::{Ended, Store, wait_until};

/// The program, or `None` after a message that the test is skipped.
fn etcd() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let runs =
        |file: &PathBuf| Command::new(file).arg("--version").output().is_ok_and(|it| it.status.success());
    let found = std::env::split_paths(&path).map(|directory| directory.join("etcd")).find(runs);
    if found.is_none() {
        assert!(std::env::var_os("TRIBUNAL_NO_SKIP").is_none(), "etcd does not run here");
        eprintln!("skipped: etcd does not run here (Debian: etcd-server)");
    }
    found
}

/// The faults, as `partition bridge`, that had an effect and were then undone.
fn effective_faults(run: &Path) -> BTreeSet<String> {
    let faults = std::fs::read_to_string(run.join("faults.jsonl")).expect("faults.jsonl is there");
    let records = faults.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let effective = records.filter(|record| record["effective"] == true);
    let name = |record: serde_json::Value| format!("{} {}", record["fault"], record["kind"]).replace('"', "");
    effective.map(name).collect()
}

/// A trial of etcd under these faults, one after the other, each for the given number of milliseconds.
/// Expects that the result is linearizable and covered, and that each fault had an effect and was healed.
///
/// Faults that isolate the leader last several times as long as an election plus the timeout of requests to
/// the old leader, and fsync does not wait for a disk, so that operations succeed during the faults even on a
/// busy machine.
fn survives(workload: &str, faults: &[(&str, u64)]) {
    const QUIET_MS: u64 = 1_000;
    if etcd().is_none() {
        return;
    }
    let store = Store::in_memory();
    let (mut at_ms, mut schedule) = (QUIET_MS, String::new());
    for (fault, hold_ms) in faults {
        schedule += &format!("[[step]]\nat = '{at_ms}ms'\nhold = '{hold_ms}ms'\nfault = '{fault}'\n");
        at_ms += hold_ms + QUIET_MS;
    }
    let path = store.path().join("schedule.toml");
    std::fs::write(&path, schedule).expect("the schedule is written");
    let args = format!("--time-limit {at_ms}ms --op-timeout 500ms --seed 3 --schedule {}", path.display());
    store.run(&format!("run {workload} --system etcd --nodes 3 {args}")).expect(0);
    assert_eq!(store.processes(), [""; 0]);
    let bitten = effective_faults(&store.run_directory(workload));
    for (fault, _) in faults {
        assert!(bitten.contains(&fault.replace(':', " ")), "{fault} has not bitten; these have: {bitten:?}");
    }
}

#[test]
fn etcd_survives_every_kind_of_partition() {
    let kinds = [
        "partition:halves",
        "partition:random-halves",
        "partition:isolate-one",
        "partition:minority-third",
        "partition:majority-ring",
        "partition:bridge",
        "partition:one-way",
        "partition:flapping",
    ];
    survives("register", &kinds.map(|kind| (kind, 1_500)));
}

#[test]
fn etcd_survives_kills_pauses_late_links_and_the_loss_of_its_leader() {
    let faults = [
        ("kill:leader", 4_000),
        ("pause:leader", 4_000),
        ("degrade:jitter", 1_500),
        ("partition:isolate-leader", 4_000),
        ("partition:one-way-leader", 3_000),
        ("partition:flapping-leader", 1_500),
        ("partition:shifting-majority", 4_000),
        ("clients:leader-alone", 4_000),
    ];
    survives("counter", &faults);
}

#[test]
fn etcd_survives_the_loss_of_power() {
    if crate::disks::allowed(false) {
        survives("register", &[("power:leader", 4_000), ("power:all", 1_000), ("power:leader", 4_000)]);
    }
}

#[test]
fn reads_without_a_majority_are_detected() {
    if etcd().is_none() {
        return;
    }
    let store = Store::new();
    let faults = "--nemesis partition:isolate-leader+isolate-one --nemesis-interval 2s --time-limit 60s";
    let ended = store
        .run(&format!("run register --system etcd --nodes 3 --bug serializable-reads {faults}"))
        .expect(1);
    assert!(ended.stdout.contains("not linearizable"), "{}", ended.stdout);
}

#[test]
fn a_cluster_that_bypasses_its_proxies_is_a_harness_failure() {
    let Some(real) = etcd() else { return };
    let (store, together) = (Store::new(), tempfile::tempdir().expect("a temporary directory"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    // An etcd that tells its peers its real address instead of the proxy's.
    let leaking = format!(
        r#"#!/bin/sh
        for arg; do
            case "$before" in --name) name=$arg;; --listen-peer-urls) url=$arg;; esac
            before=$arg
        done
        cd '{together}'
        echo "$name=$url" > "$name.new" && mv "$name.new" "$name"
        while ! [ -e n1 -a -e n2 -a -e n3 ]; do sleep 0.02; done
        exec '{real}' "$@" --initial-advertise-peer-urls "$url" --initial-cluster "$(cat n1),$(cat n2),$(cat n3)"
        "#,
        together = together.path().display(),
        real = real.display(),
    );
    let path = path_with_etcd(directory.path(), &leaking);
    let mut command =
        store.command("run register --system etcd --nodes 3 --nemesis partition --time-limit 20s");
    let ended = Ended::of(command.env("PATH", path).output().expect("the program starts")).expect(3);
    // The report wraps long lines.
    let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("bypass their proxies"), "{said}");
    assert!(said.contains("n1 (127.0.0.1:") && said.contains(" directly"), "{said}");
    assert_eq!(store.processes(), [""; 0]);
}

/// A PATH with this script as `etcd`, in that directory.
fn path_with_etcd(directory: &Path, script: &str) -> OsString {
    let program = directory.join("etcd");
    std::fs::write(&program, script).expect("a script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    std::env::join_paths([directory, Path::new("/usr/bin"), Path::new("/bin")]).expect("a path")
}

/// A server may leave processes that have left its process group, and are no longer its descendants when it
/// is gone.
#[test]
fn processes_left_by_a_server_end_with_it() {
    let Some(real) = etcd() else { return };
    match NodeCgroup::make(&format!("tribunal-{}-probe", std::process::id()), |_| {}) {
        Ok(cgroup) => remove_cgroup(cgroup.path()).expect("nobody is in it"),
        Err(why) => {
            assert!(std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"), "{why}");
            eprintln!("skipped: {why}");
            return;
        }
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    // The daemon's last argument names the run's store, so that the test can find it.
    let script = format!(
        r#"#!/bin/sh
        for arg; do last=$arg; done
        setsid sh -c "while :; do sleep 1; done; : daemon $last" &
        exec '{}' "$@"
        "#,
        real.display(),
    );
    let path = path_with_etcd(directory.path(), &script);
    let run = |store: &Store, time_limit: &str| {
        let args = format!("run register --system etcd --nodes 3 --nemesis none --time-limit {time_limit}");
        let mut command = store.command(&args);
        command.env("PATH", &path);
        command
    };
    let store = Store::new();
    Ended::of(run(&store, "1s").output().expect("the program starts")).expect(0);
    assert_eq!(store.processes(), [""; 0]);

    let store = Store::new();
    let mut child = run(&store, "10m").spawn().expect("the program starts");
    let daemons = || store.processes().iter().filter(|line| line.contains("daemon")).count();
    wait_until("three servers have left something behind", || daemons() == 3);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).expect("it runs");
    child.wait().expect("it ends");
    store.await_silence();
}

#[test]
fn a_server_that_is_not_installed_is_named_with_its_package() {
    let store = Store::new();
    let mut command = store.command("run register --system etcd");
    let ended = Ended::of(command.env("PATH", "/nowhere").output().expect("the program starts")).expect(64);
    assert_eq!(
        ended.stderr,
        "error: `etcd` is not installed: on Debian and Ubuntu, `apt-get install etcd-server`\n"
    );
}
