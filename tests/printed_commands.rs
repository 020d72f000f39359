//! Every run names two commands that repeat it, with the faults that the seed draws and with those that were recorded.
//! Here a shell runs them as they are printed, and they describe the trial that they repeat.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread};

use tribunal_records::TrialSpec;
use tribunal_reports::run_info::RunInfo;

use crate::program::{Ended, Store};

/// One run of each kind: every system, and every way to say what comes.
const KINDS: [&str; 16] = [
    "register --nodes 3 --nemesis kill,pause,partition --nemesis-interval 300ms",
    "register --nodes 3 --bug stale-read --nemesis none --keys 2",
    "counter --system paxos --nodes 3 --nemesis kill --nemesis-interval 500ms",
    "append --system zab --nodes 3 --nemesis partition --nemesis-interval 500ms",
    "rw-register --system abd --nodes 3 --concurrency 4 --nemesis pause --nemesis-interval 500ms",
    "decide --system synod --nodes 3 --nemesis none",
    "broadcast --system gossip --nodes 3 --nemesis none --settle 1s",
    "register --system primary-backup --nodes 3 --nemesis none",
    "register --system two-primaries --nodes 3 --nemesis none",
    "order-ids --system last-id --nodes 3 --nemesis none",
    "lock --system ttl-lock --nodes 3 --nemesis none",
    "register --system two-phase-commit --nodes 3 --nemesis none",
    "counter --nodes 3 --rate 50 --reads 0.2 --nemesis none --no-fail-fast",
    "register --config SPEC",
    "register --schedule SCHEDULE --nodes 3",
    "set --nodes 3 --nemesis clock --nemesis-interval 500ms",
];

const SPEC: &str = "nodes = 3\nnemesis = \"pause\"\nnemesis-interval = \"400ms\"\n";
const SCHEDULE: &str = "[[step]]\nat = \"300ms\"\nhold = \"400ms\"\nfault = \"kill:leader\"\n";

fn info(run: &Path) -> RunInfo {
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

/// The trial of a run, without the file that its faults were read from.
fn trial(run: &Path) -> TrialSpec {
    TrialSpec { schedule: None, ..info(run).spec.expect("run.json has the spec") }
}

/// Runs a command that was printed; returns its run directory.
fn again(command: &str, store: &Path, workload: &str, before: &[PathBuf]) -> PathBuf {
    let bin = Path::new(env!("CARGO_BIN_EXE_tribunal")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", command]).env("PATH", path).current_dir("/").output().unwrap();
    let ended = Ended::of(output);
    assert!(matches!(ended.code, Some(0..=2)), "{command}\n{ended:?}");
    let runs = fs::read_dir(store.join(workload)).unwrap().map(|entry| entry.unwrap().path());
    let mut new = runs.filter(|run| !run.is_symlink() && !before.contains(run));
    new.next().unwrap_or_else(|| panic!("it leaves a run: {command}"))
}

fn repeats(kind: &str) {
    let store = Store::in_memory();
    let workload = kind.split(' ').next().unwrap();
    let [spec, schedule] = [("spec.toml", SPEC), ("schedule.toml", SCHEDULE)].map(|(name, text)| {
        let file = store.path().join(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    });
    let flags = kind.replace("SPEC", &spec).replace("SCHEDULE", &schedule);
    let first = store.run(&format!("run {flags} --time-limit 1500ms --seed 7"));
    assert!(matches!(first.code, Some(0..=2)), "{kind}\n{first:?}");
    let run = store.run_directory(workload);
    let record = run.join("faults.jsonl").display().to_string();
    let rerun = again(&info(&run).rerun_command(), store.path(), workload, std::slice::from_ref(&run));
    assert_eq!(trial(&rerun), trial(&run), "{kind}");
    let replay = again(&info(&run).replay_command(&record), store.path(), workload, &[run.clone(), rerun]);
    // A recorded schedule replaces what was drawn.
    let replayed = TrialSpec { schedule: None, ..trial(&run).replaying(&record) };
    assert_eq!(trial(&replay), replayed, "{kind}");
    store.await_silence();
}

#[test]
fn the_commands_of_every_kind_of_run_repeat_it() {
    for some in KINDS.chunks(4) {
        thread::scope(|scope| {
            for kind in some {
                scope.spawn(|| repeats(kind));
            }
        });
    }
}
