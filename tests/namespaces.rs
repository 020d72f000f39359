//! Runs in network namespaces: partitions and degraded links have an effect and heal, and nothing is left
//! behind.

use std::collections::BTreeSet;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Store, wait_until};

const MODES: [&str; 2] = ["transparent", "netns"];

/// Whether this machine allows network namespaces with packet filter rules; prints a message if not.
pub(crate) fn allowed() -> bool {
    let probe = Store::new().run("run register --net netns --nemesis none --nodes 1 --time-limit 100ms");
    if probe.code != Some(3) {
        return true;
    }
    assert!(
        std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"),
        "must not be skipped: {}",
        probe.stdout
    );
    eprintln!("skipped: {}{}", probe.stdout, probe.stderr);
    false
}

/// Whether packets can be delayed here, which needs a netfilter queue and a rule for it; prints a message if
/// not.
fn packets_can_be_queued() -> bool {
    let store = Store::new();
    let args = "--net netns --nemesis degrade:slow --nemesis-interval 300ms --time-limit 1s";
    store.run(&format!("run register --nodes 3 {args}"));
    let whys: Vec<_> =
        faults(&store).iter().filter_map(|fault| fault["why"].as_str().map(str::to_owned)).collect();
    let Some(lack) = whys.iter().find(|why| why.contains("packets cannot be queued here")) else {
        return true;
    };
    assert!(std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"), "{lack}");
    eprintln!("skipped, of packets in namespaces: {lack}");
    false
}

/// The network namespaces of processes, except those that we have no permission to read.
fn namespaces(processes: impl Iterator<Item = PathBuf>) -> BTreeSet<PathBuf> {
    processes.filter_map(|process| std::fs::read_link(process.join("ns/net")).ok()).collect()
}

fn all_processes() -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path())
}

/// The namespaces of a running trial: its controller's and its nodes'.
fn namespaces_of(store: &Store) -> BTreeSet<PathBuf> {
    let ours = all_processes().filter(|process| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&*store.path().to_string_lossy())
    });
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    namespaces(ours).into_iter().filter(|namespace| *namespace != own).collect()
}

fn interfaces() -> BTreeSet<std::ffi::OsString> {
    std::fs::read_dir("/sys/class/net").unwrap().flatten().map(|entry| entry.file_name()).collect()
}

fn faults(store: &Store) -> Vec<serde_json::Value> {
    let runs = std::fs::read_dir(store.path().join("register")).into_iter().flatten().flatten();
    let files = runs.filter(|run| !run.path().is_symlink());
    let texts = files.filter_map(|run| std::fs::read_to_string(run.path().join("faults.jsonl")).ok());
    let lines: String = texts.collect();
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn link_faults_have_an_effect_and_heal_in_namespaces() {
    if !allowed() {
        return;
    }
    let packets = if packets_can_be_queued() { "partition,degrade:slow,loss:all" } else { "partition" };
    for (mode, nemesis) in MODES.iter().zip(["partition,degrade:slow", packets]) {
        let store = Store::new();
        let args =
            format!("--net {mode} --nemesis {nemesis} --time-limit 15s --nemesis-interval 2s --seed 3");
        // Linearizable and covered: every fault had an effect, and operations succeeded during and after it.
        store.run(&format!("run register --nodes 3 {args}")).expect(0);
        let effects: Vec<_> = faults(&store).into_iter().filter(|fault| fault["event"] == "heal").collect();
        let packets = effects.iter().filter(|fault| fault["effect"]["packets_dropped"].is_u64()).count();
        match *mode {
            "netns" => assert!(packets > 0, "the kernel counts what it drops: {effects:?}"),
            _ => assert_eq!(packets, 0, "a proxy has no packets: {effects:?}"),
        }
        assert_eq!(store.processes(), [""; 0]);
    }
}

#[test]
fn a_controller_killed_with_9_leaves_no_namespace() {
    if !allowed() {
        return;
    }
    for mode in MODES {
        let (store, before) = (Store::new(), interfaces());
        let args = format!("--net {mode} --nemesis partition --nemesis-interval 1s --time-limit 10m");
        let mut child = store.command(&format!("run register --nodes 3 {args}")).spawn().unwrap();
        wait_until("a partition is in force", || faults(&store).len() % 2 == 1);
        let made = namespaces_of(&store);
        assert_eq!(made.len(), 4, "the hub and three nodes: {made:?}");
        assert_eq!(interfaces(), before, "the machine's own network is left alone");
        kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        store.await_silence();
        wait_until("no process holds a namespace of the run", || {
            namespaces(all_processes()).is_disjoint(&made)
        });
    }
}
