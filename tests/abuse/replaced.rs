//! The program's executable is replaced during a run.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::program::{Ended, Store, wait_until};

/// A foreign program replaces the executable; nodes that are killed afterwards are restarted from the
/// original one.
#[test]
fn a_replaced_executable_does_not_affect_a_run() {
    let store = Store::in_memory();
    let (file, new) = (store.path().join("tribunal"), store.path().join("new"));
    std::fs::copy(env!("CARGO_BIN_EXE_tribunal"), &file).unwrap();
    std::fs::write(&new, "#!/bin/sh\necho built again; exit 7\n").unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    let args = "run register --nodes 3 --rate 200 --time-limit 4s --seed 3 --nemesis kill:all \
                --nemesis-interval 1s --repeat 2 --store";
    let run = Command::new(&file)
        .args(args.split_whitespace())
        .arg(store.path().join("runs"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    wait_until("nodes are up", || store.processes().iter().any(|line| line.contains(" node raft --id n1 ")));
    std::fs::rename(&new, &file).unwrap();
    let ended = Ended::of(run.wait_with_output().expect("it ends")).expect(0);
    // The second run also uses the original program.
    assert_eq!(ended.stdout.matches("Linearizable.").count(), 2, "{}", ended.stdout);
    let runs = std::fs::read_dir(store.path().join("runs/register")).unwrap();
    let runs: Vec<PathBuf> =
        runs.map(|entry| entry.unwrap().path()).filter(|run| !run.is_symlink()).collect();
    assert_eq!(runs.len(), 2);
    for run in runs {
        let faults = std::fs::read_to_string(run.join("faults.jsonl")).unwrap();
        assert!(faults.contains(r#""event":"heal""#), "nodes were started again: {faults}");
    }
}
