//! Faults on the nodes' processes other than stopping and killing: clocks, starvation, limits. Each has an
//! effect, heals, and leaves nothing behind.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::program::{Ended, Store, wait_until};

/// The heal lines of a run's faults.
fn heals(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("faults.jsonl")).expect("faults were recorded");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    lines.filter(|line| line["event"] == "heal").collect()
}

#[test]
fn the_built_in_raft_survives_wrong_clocks_starvation_and_limits() {
    let store = Store::new();
    store
        .run(
            "run register --nemesis clock,starve,limits:files-leader+files --seed 3 --time-limit 30s \
             --nemesis-interval 2s",
        )
        .expect(0);
    let heals = heals(&store.run_directory("register"));
    let most = |fault: &str, effect: &str| {
        let of_fault = heals.iter().filter(|heal| heal["fault"] == fault);
        of_fault.filter_map(|heal| heal["effect"][effect].as_u64()).max().unwrap_or(0)
    };
    assert!(most("clock", "clock_off_ms") > 0);
    assert!(most("starve", "cpu_withheld_ms") > 0);
    assert!(heals.iter().any(|heal| heal["fault"] == "limits" && heal["effective"] == true));
    assert!(heals.iter().all(|heal| heal["outcome"] == "installed"), "{heals:#?}");
}

/// A node may die of a limit: this is an outcome, and the node is restarted.
#[test]
fn a_node_that_dies_of_a_limit_is_not_a_harness_failure() {
    let store = Store::new();
    let schedule = store.path().join("limit.toml");
    let limit = "[[step]]\nat = '1s'\nhold = '8s'\nacts = ['limit n2 memory_kib=0']";
    std::fs::write(&schedule, limit).unwrap();
    let run = format!("run register --seed 1 --time-limit 15s --schedule {}", schedule.display());
    let child = store.command(&run).spawn().expect("it starts");
    let run = || {
        let mut runs = std::fs::read_dir(store.path().join("register")).into_iter().flatten().flatten();
        runs.find(|run| !run.path().is_symlink()).map(|run| run.path())
    };
    let limited = || run().and_then(|run| std::fs::read_to_string(run.join("faults.jsonl")).ok());
    wait_until("the limit is in force", || limited().is_some_and(|faults| faults.contains("apply")));
    // Nothing can force the process to exceed the limit. If it has not done so, the test kills it, as the limit
    // would.
    let node = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = processes.filter_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let is_node =
                line.contains(" node raft --id n2 ") && line.contains(&*store.path().to_string_lossy());
            is_node.then(|| entry.file_name().to_str()?.parse().ok()).flatten()
        });
        pids.next()
    };
    wait_until("the node dies", || node().is_none_or(|n| kill(Pid::from_raw(n), Signal::SIGKILL).is_ok()));
    Ended::of(child.wait_with_output().unwrap()).expect(0);
    let heals = heals(&store.run_directory("register"));
    assert_eq!(heals[0]["effect"]["nodes_died"], 1, "{heals:#?}");
}

#[test]
fn a_killed_controller_leaves_no_cgroup() {
    let store = Store::new();
    let run = "run register --nemesis starve:all --time-limit 10m --nemesis-interval 3s";
    let mut child = store.command(run).spawn().expect("it starts");
    let name = format!("tribunal-{}-", child.id());
    let cgroups = || cgroups(Path::new("/sys/fs/cgroup"), &name);
    let stutters = || {
        let runs = std::fs::read_dir(store.path().join("register")).into_iter().flatten().flatten();
        runs.filter_map(|run| std::fs::read_to_string(run.path().join("faults.jsonl")).ok())
            .any(|faults| faults.contains("alternating SIGSTOP and SIGCONT"))
    };
    let starved = |group: &PathBuf| group.to_string_lossy().ends_with("-cpu");
    wait_until("nodes starve", || stutters() || cgroups().iter().any(starved));
    if stutters() {
        assert!(std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"), "no cgroup may be made here");
        eprintln!("skipped: no cgroup may be made here, so that none can be left behind");
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    store.await_silence();
    wait_until("no cgroup is left", || cgroups().is_empty());
}

/// The cgroups below `dir` whose names begin with `name`.
pub(crate) fn cgroups(dir: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs =
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
    dirs.flat_map(|path| {
        let ours = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
        let below = cgroups(&path, name);
        below.into_iter().chain(ours.then_some(path))
    })
    .collect()
}
