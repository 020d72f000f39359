//! A real PostgreSQL server, driven by a description.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::program::{Ended, Store, tribunal};

const POSTGRES: &str = include_str!("../../examples/own-system/postgres.toml");

/// The `PATH` with PostgreSQL's programs; prints a message if they are not installed here.
fn path_with_postgres() -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let of_debian = versions.map(|version| version.path().join("bin"));
    let mut all: Vec<PathBuf> = of_debian.chain(std::env::split_paths(&path)).collect();
    all.retain(|directory| directory.join("initdb").is_file());
    let Some(found) = all.pop() else {
        assert!(std::env::var_os("TRIBUNAL_NO_SKIP").is_none(), "there is no PostgreSQL");
        eprintln!("skipped: there is no PostgreSQL here (Debian: postgresql)");
        return None;
    };
    Some(format!("{}:{path}", found.display()))
}

/// Runs `tribunal WORDS` on the sample with a change.
fn tried(store: &Store, path: &str, words: &str, change: (&str, &str)) -> Ended {
    // The user of the nodes has to get there.
    std::fs::set_permissions(store.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let mut text = POSTGRES.replace(change.0, change.1);
    if nix::unistd::geteuid().is_root() {
        text = text.replace("# user = \"postgres\"", "user = \"postgres\"");
    }
    let file = store.path().join("postgres.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = tribunal(words.replace("FILE", &file.display().to_string()).split(' '));
    command.env("PATH", path).env("TMPDIR", store.path()).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    if words.starts_with("run") {
        command.arg("--store").arg(store.path());
    }
    let ended = Ended::of(command.output().unwrap());
    store.await_silence();
    ended
}

#[test]
fn a_postgresql_server_is_driven_without_code() {
    let Some(path) = path_with_postgres() else { return };
    for workload in ["register", "counter", "set", "append"] {
        let flags = "--nodes 1 --rate 200 --time-limit 3s --nemesis none --availability 0.9 --op-timeout 4s";
        tried(&Store::new(), &path, &format!("run {workload} --system FILE {flags}"), ("", "")).expect(0);
    }
    let flags = "--nodes 1 --rate 200 --time-limit 10s --nemesis kill --nemesis-interval 2s --seed 1";
    tried(&Store::new(), &path, &format!("run register --system FILE {flags}"), ("", "")).expect(0);
}

/// A commit that does not wait for the disk is lost with the server.
#[test]
fn a_postgresql_server_that_loses_commits_is_convicted() {
    let Some(path) = path_with_postgres() else { return };
    let flags = "--nodes 1 --rate 300 --time-limit 60s --nemesis kill --nemesis-interval 2s --seed 1";
    let change = ("\"max_connections=200\"", "\"max_connections=200\", \"-c\", \"synchronous_commit=off\"");
    tried(&Store::new(), &path, &format!("run register --system FILE {flags}"), change).expect(1);
}

#[test]
fn the_linter_and_the_doctor_pass_a_postgresql_server() {
    let Some(path) = path_with_postgres() else { return };
    let ended = tried(&Store::new(), &path, "lint-client FILE --nodes 1 --op-timeout 2s", ("", "")).expect(0);
    assert_eq!(ended.stdout.matches(": no wrong answer in ").count(), 9, "{}", ended.stdout);
    tried(&Store::new(), &path, "doctor FILE --nodes 1 --op-timeout 10s", ("", "")).expect(0);
}
