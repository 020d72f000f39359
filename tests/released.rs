//! Released servers that come with a description: each runs without faults, and leaves nothing behind. Some of their
//! real bugs are shown, with their controls.

use std::path::{Path, PathBuf};

use crate::namespaces::allowed;
use crate::program::Store;

/// Whether the server is installed; says that the test is skipped if not.
fn is_installed(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin".into(), "/usr/share/java".into()];
    let found = std::env::split_paths(&path).chain(more).any(|it: PathBuf| it.join(program).exists());
    if !found {
        assert!(std::env::var_os("TRIBUNAL_NO_SKIP").is_none(), "{program} is not installed");
        eprintln!("skipped: {program} is not installed (Debian: {package})");
    }
    found
}

/// Runs a workload without faults, and expects this exit code.
fn runs(workload: &str, system: &str, nodes: u8, code: i32) {
    let store = Store::in_memory();
    let args = "--nemesis none --rate 50 --time-limit 3s --op-timeout 5s --seed 1";
    store.run(&format!("run {workload} --system {system} --nodes {nodes} {args}")).expect(code);
    assert_eq!(store.processes(), [""; 0]);
}

#[test]
fn redis_answers() {
    if is_installed("redis-server", "redis-server") {
        runs("mixed", "redis", 1, 0);
    }
}

#[test]
fn redis_with_sentinels_answers() {
    if is_installed("redis-sentinel", "redis-sentinel") && allowed() {
        runs("queue", "redis-sentinel", 3, 0);
    }
}

#[test]
fn ovsdb_answers() {
    if is_installed("ovsdb-server", "openvswitch-switch") && allowed() {
        runs("mixed", "ovsdb", 3, 0);
    }
}

#[test]
fn zookeeper_answers() {
    if is_installed("zookeeper.jar", "zookeeper") && allowed() {
        runs("mixed", "zookeeper", 3, 0);
    }
}

#[test]
fn nats_answers() {
    if is_installed("nats-server", "nats-server") {
        runs("queue", "nats", 3, 0);
    }
}

#[test]
#[ignore = "nightly: MariaDB and Galera, 30 s"]
fn galera_answers() {
    if is_installed("mariadbd", "mariadb-server galera-4 rsync") && allowed() {
        runs("mixed", "galera", 3, 0);
    }
}

#[test]
#[ignore = "nightly: RabbitMQ, 30 s"]
fn rabbitmq_answers() {
    if Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists() && allowed() {
        runs("queue", "rabbitmq", 3, 0);
    }
}

#[test]
fn a_real_bug_is_shown_and_its_control_is_clean() {
    if !is_installed("nats-server", "nats-server") {
        return;
    }
    let store = Store::in_memory();
    let counts = store.path().join("counts.jsonl");
    let ended = store.run(&format!("try --times 2 --record {} nats-concurrent-cas", counts.display()));
    let counted = std::fs::read_to_string(&counts).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let counted: serde_json::Value = serde_json::from_str(&counted).expect("a JSON line");
    assert!(counted["shown"].as_u64() > Some(0), "{counted}");
    assert_eq!(counted["accused"], 0, "{counted}");
    assert_eq!(store.processes(), [""; 0]);
}

#[test]
fn a_server_that_is_missing_is_named_with_the_command_that_installs_it() {
    let store = Store::new();
    let mut command = store.command("run mixed --system antietcd --nodes 3");
    let ended = crate::program::Ended::of(command.env("HOME", store.path()).output().unwrap()).expect(64);
    let said = "`antietcd` is not installed: npm install --prefix ~/antietcd antietcd@1.3.1";
    assert!(ended.stderr.contains(said), "{ended:?}");
}

#[test]
fn an_unknown_bug_is_refused() {
    let store = Store::new();
    let ended = store.run("try zookeper-stale-read").expect(64);
    assert!(ended.stderr.contains("did you mean `zookeeper-stale-read`"), "{ended:?}");
}
