//! A system of which only the leader serves clients.

use std::process::Output;
use std::time::{Duration, SystemTime};

use super::{lacks_python, run};
use crate::program::{Store, tribunal};

/// What a tool says of a description.
fn tool(verb: &str, file: &str) -> Output {
    tribunal([verb, file]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

/// The description, with these keys of `[client]`.
fn description(store: &Store, keys: &str) -> String {
    let (file, shared) = (store.path().join("leader.toml"), store.path().display().to_string());
    let text = format!(
        "[node]
command = ['tests/own_system/leader_only.py', '{shared}', '{{id}}', '{{host}}', '{{port.main}}']
leader = {{ http = '/leads', pointer = '/leads' }}
[client]
wire = 'http'
{keys}
[register.read]
request = 'GET /{{key}}'
ok = {{ status = 200, text = true }}
nil = {{ status = 404 }}
fail = {{ status = 503 }}
[register.write]
request = 'PUT /{{key}}'
body = '{{value}}'
ok = {{ status = 200 }}
fail = {{ status = 503 }}
"
    );
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

const FLAGS: &str =
    "--nodes 3 --rate 100 --time-limit 6s --nemesis pause --nemesis-interval 1s --recovery-limit 2s --seed 1";

/// A node that does not lead owes its clients nothing, if the description says so; otherwise it is accused, with a hint.
#[test]
fn only_the_leader_has_to_serve_if_the_description_says_so() {
    if lacks_python() {
        return;
    }
    for (keys, code, expected) in [("served-by = 'leader'", 0, "✓ linearizable"), ("", 1, "served-by")] {
        let store = Store::new();
        let file = description(&store, keys);
        let ended = run(&store, &format!("run rw-register --system {file} {FLAGS}")).expect(code);
        let page = std::fs::read_to_string(store.run_directory("rw-register").join("report.html")).unwrap();
        assert!(format!("{page}{}", ended.stdout).contains(expected), "{keys}: {ended:?}");
        store.await_silence();
    }
}

/// The doctor and the linter find the node that serves, and the doctor names the key that is missing.
#[test]
fn tools_find_the_node_that_serves() {
    if lacks_python() {
        return;
    }
    for (keys, expected) in [
        (
            "served-by = 'leader'",
            "✓ clients are served as described: 1 of 3 nodes do; register.write failed at n",
        ),
        ("", "change client.served-by = \"leader\" if only the leader serves clients"),
    ] {
        let store = Store::new();
        let file = description(&store, keys);
        let said = String::from_utf8(tool("doctor", &file).stdout).unwrap();
        assert!(said.contains("✓ register.read succeeds") && said.contains(expected), "{keys}: {said}");
    }
    let store = Store::new();
    let file = description(&store, "served-by = 'leader'");
    // The second node leads from the beginning.
    let began = std::fs::File::create(store.path().join("began")).unwrap();
    began.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    let linted = tool("lint-client", &file);
    assert_eq!(linted.status.code(), Some(0), "{}", String::from_utf8_lossy(&linted.stdout));
}
