//! Disks that lose power, fill up, return errors and are slow, under the built-in Raft; and damaged files.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tribunal_nemesis::disks::{Durability, Ext4, Lossy};

use crate::program::{Store, wait_until};

/// Whether this machine allows such disks; prints why not.
pub(crate) fn allowed(ext4: bool) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("mnt");
    std::fs::create_dir(&at).unwrap();
    let mounted = match ext4 {
        true => Ext4::create(&dir.path().join("image"), &at).and_then(|disk| disk.mount()),
        false => Lossy::new(&at, Durability::Ext4, 1 << 20).mount(),
    };
    if let Err(error) = &mounted {
        assert!(std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"), "cannot mount: {error}");
        eprintln!("skipped: cannot mount: {error}");
    }
    mounted.is_ok()
}

/// The lines of a file of the only run.
fn lines(store: &Store, name: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(store.run_directory("register").join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The sum of one measure over all healed faults.
fn effect(store: &Store, name: &str) -> u64 {
    lines(store, "faults.jsonl").iter().filter_map(|line| line["effect"][name].as_u64()).sum()
}

/// The loop devices with files below a path.
pub(crate) fn loops_under(path: &Path) -> usize {
    let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
    let backing =
        devices.filter_map(|device| std::fs::read_to_string(device.path().join("loop/backing_file")).ok());
    backing.filter(|file| file.starts_with(&*path.to_string_lossy())).count()
}

pub(crate) fn mounts_under(path: &Path) -> usize {
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap();
    let mounts = String::from_utf8_lossy(&mounts);
    mounts.lines().filter(|line| line.contains(&*path.to_string_lossy())).count()
}

const QUICK: &str = "run register --nodes 3 --time-limit 8s --nemesis-interval 2s --rate 300 --progress none";

#[test]
fn acknowledging_before_the_fsync_is_detected_by_power_failures() {
    if !allowed(false) {
        return;
    }
    let store = Store::new();
    let args = "run register --bug ack-before-fsync --nemesis power --time-limit 1m --nemesis-interval 2s";
    store.run(args).expect(1);
}

#[test]
fn a_raft_that_syncs_survives_power_failures() {
    if !allowed(false) {
        return;
    }
    for disk in ["fuse", "fuse-strict"] {
        let store = Store::new();
        store.run(&format!("{QUICK} --nemesis power --disk {disk}")).expect(0);
        assert!(effect(&store, "nodes_stopped") > 0);
        assert_eq!(mounts_under(store.path()), 0);
    }
}

#[test]
fn a_real_ext4_loses_power_under_a_raft() {
    if !allowed(true) {
        return;
    }
    let store = Store::new();
    store.run(&format!("{QUICK} --nemesis power --disk ext4")).expect(0);
    assert!(effect(&store, "nodes_stopped") > 0);
    assert_eq!(mounts_under(store.path()), 0);
}

#[test]
fn disk_faults_have_an_effect_and_heal() {
    if !allowed(false) {
        return;
    }
    let store = Store::new();
    // Every fault occurs; the final reads follow after all disks are healed.
    store.run("run register --time-limit 16s --nemesis disk-full,disk-error:write+leader-sync,slow-disk --nemesis-interval 2s --progress none --rate 300").expect(0);
    assert!(effect(&store, "requests_troubled") > 0);
    assert_eq!(mounts_under(store.path()), 0);
}

/// A node may crash of it, or continue without the data that it could not store; data that it acknowledged
/// must survive.
#[test]
fn failing_reads_and_syncs_have_an_effect_and_heal() {
    if !allowed(false) {
        return;
    }
    for kind in ["read", "sync"] {
        let store = Store::new();
        store.run(&format!("{QUICK} --nemesis disk-error:{kind} --seed 3")).expect(0);
        let faults = lines(&store, "faults.jsonl");
        let healed: Vec<_> = faults.iter().filter(|line| line["event"] == "heal").collect();
        assert!(
            healed.iter().any(|line| line["effect"]["requests_troubled"].as_u64() > Some(0)),
            "{healed:?}"
        );
        assert!(healed.iter().all(|line| line["outcome"] == "installed"), "{healed:?}");
        assert_eq!(mounts_under(store.path()), 0);
    }
}

#[test]
fn damaged_files_are_named() {
    let store = Store::new();
    // A system need not survive all of these faults; the trial must.
    let ended = store.run(&format!("{QUICK} --nemesis bitflip:one,truncate:one,wipe:one,restore:one"));
    assert!(matches!(ended.code, Some(0..=2)), "{:?}\n{}\n{}", ended.code, ended.stdout, ended.stderr);
    let healed = lines(&store, "faults.jsonl");
    let touched = healed.iter().filter_map(|line| line["touched"][0].as_str()).collect::<Vec<_>>();
    assert!(!touched.is_empty() && touched.iter().all(|what| what.starts_with('n')), "{touched:?}");
    assert!(effect(&store, "files_damaged") > 0);
}

/// When the controller is killed, its FUSE file system ends, and the guard removes the mount.
#[test]
fn a_controller_killed_with_9_leaves_no_mount() {
    for disk in ["fuse", "ext4"] {
        if !allowed(disk == "ext4") {
            continue;
        }
        let store = Store::new();
        let args = format!("run register --nodes 3 --time-limit 10m --nemesis power --disk {disk}");
        let mut child = store.command(&args).spawn().unwrap();
        wait_until("disks are mounted and used", || {
            mounts_under(store.path()) == 3 && store.processes().len() > 3
        });
        assert!(disk != "ext4" || loops_under(store.path()) > 0);
        kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        store.await_silence();
        wait_until("nothing is mounted", || mounts_under(store.path()) == 0);
        wait_until("no loop device is left", || loops_under(store.path()) == 0);
    }
}
