//! A system without code in Tribunal: a TOML description, and a server in Python.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::program::{Ended, Store, wait_until};

/// Whether Python is not installed here; prints a message if so.
fn lacks_python() -> bool {
    let missing = Command::new("python3").arg("--version").output().is_err();
    if missing {
        assert!(std::env::var_os("TRIBUNAL_NO_SKIP").is_none(), "there is no python3");
        eprintln!("skipped: there is no python3 here (Debian: python3)");
    }
    missing
}

/// Runs a trial of the sample system.
fn run(store: &Store, args: &str) -> Ended {
    let mut command = store.command(args);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    Ended::of(command.output().unwrap())
}

#[test]
fn a_described_system_is_convicted_of_a_stale_read() {
    if lacks_python() {
        return;
    }
    for file in ["kv.toml", "exec.toml"] {
        let store = Store::new();
        let flags = "--nodes 3 --rate 100 --time-limit 60s --nemesis partition --seed 1";
        let ended =
            run(&store, &format!("run register --system examples/own-system/{file} {flags}")).expect(1);
        let said = &ended.stdout;
        assert!(said.contains("stale") || said.contains("lost") || said.contains("not known"), "{said}");
        store.await_silence();
    }
}

#[test]
fn what_is_wrong_with_a_description_is_said_before_anything_starts() {
    let store = Store::new();
    let file = store.path().join("kv.toml");
    let text = include_str!("../examples/own-system/kv.toml").replace("{port.main}", "{port.api}");
    std::fs::write(&file, text).unwrap();
    let ended = run(&store, &format!("run register --system {}", file.display())).expect(64);
    let expected = "kv.toml: line 6: command: `{port.api}`: there is no placeholder `{port.api}`";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let missing = run(&store, "run counter --system examples/own-system/kv.toml").expect(64);
    let expected = "does not support the workload counter: expected one of register, rw-register, decide";
    assert!(missing.stderr.contains(expected), "{}", missing.stderr);
}

/// A client program that ignores the end of its input.
#[test]
fn no_client_program_outlives_a_controller_that_is_killed() {
    if lacks_python() {
        return;
    }
    let store = Store::new();
    let (client, file) = (store.path().join("stubborn.sh"), store.path().join("kv.toml"));
    std::fs::write(&client, "#!/bin/sh\nwhile read line; do :; done\nwhile :; do sleep 1; done\n").unwrap();
    std::fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).unwrap();
    let text = include_str!("../examples/own-system/exec.toml");
    let client = client.display().to_string();
    std::fs::write(&file, text.replace("examples/own-system/client.py", &client)).unwrap();
    let flags = "--nodes 3 --nemesis none --time-limit 60s --quiet";
    let mut command = store.command(&format!("run register --system {} {flags}", file.display()));
    let mut run = command.current_dir(env!("CARGO_MANIFEST_DIR")).spawn().unwrap();
    let runs = || store.processes().iter().any(|line| line.contains("stubborn.sh"));
    wait_until("a client program runs", runs);
    run.kill().unwrap();
    run.wait().unwrap();
    store.await_silence();
}
