//! `tribunal init`, `doctor` and `lint-client`, with real servers and client programs.

use std::path::Path;
use std::process::Command;

use super::{executable_file, lacks_python};
use crate::program::{Ended, Store, tribunal};

const EXEC: &str = include_str!("../../examples/own-system/exec.toml");
const KV: &str = include_str!("../../examples/own-system/kv.toml");
const CLIENT: &str = include_str!("../../examples/own-system/client.py");

/// Runs the program in the root of the repository, where the examples are.
fn said(words: &[&str]) -> Ended {
    let mut command = tribunal(words);
    Ended::of(command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap())
}

/// Checks a client program in place of the sample one.
fn linted(store: &Store, command: &str) -> Ended {
    let file = store.path().join("exec.toml");
    let text = EXEC.replace("\"examples/own-system/client.py\"", command);
    assert_ne!(text, EXEC, "{command}");
    std::fs::write(&file, text).unwrap();
    // On a busy machine a client program takes seconds to start.
    let ended = said(&["lint-client", &file.display().to_string(), "--op-timeout", "4s"]);
    store.await_silence();
    ended
}

/// Checks the sample client with a change.
fn changed(from: &str, to: &str) -> Ended {
    let (store, text) = (Store::new(), CLIENT.replace(from, to));
    assert_ne!(text, CLIENT, "{from}");
    let client = executable_file(&store, "client.py", &text);
    linted(&store, &format!("{client:?}"))
}

#[test]
#[ignore = "nightly: minutes on a busy machine"]
fn the_linter_finds_a_client_that_takes_a_timeout_for_a_failure() {
    if lacks_python() {
        return;
    }
    let ended =
        changed(r#"{"type": "info", "error": str(error)}"#, r#"{"type": "fail", "error": str(error)}"#);
    let said = ended.expect(1).stdout;
    assert!(
        said.contains("the answer comes after the timeout: it said fail, and the operation has happened"),
        "{said}"
    );
    assert!(said.contains("register.read: no wrong answer"), "a read changes nothing: {said}");
}

#[test]
fn the_linter_finds_a_client_that_retries() {
    if lacks_python() {
        return;
    }
    let retry = "def invoke(f, key, value):
    for _ in range(2):
        try:
            return once(f, key, value)
        except (urllib.error.HTTPError, json.JSONDecodeError):
            raise
        except OSError:
            pass
    return once(f, key, value)


def once(f, key, value):";
    let said = changed("def invoke(f, key, value):", retry).expect(1).stdout;
    let expected =
        "the connection is cut after the request, before the answer: it sent the same request again";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn the_linter_finds_a_client_that_answers_from_a_cache() {
    if lacks_python() {
        return;
    }
    let from = "    if f == \"read\":\n        return send(\"GET\", key)[\"value\"]";
    let to = "    global known\n    known = globals().get(\"known\", {})
    if f == \"write\":\n        known[key] = value
    if f == \"read\" and key in known:\n        return known[key]
    if f == \"read\":\n        return send(\"GET\", key)[\"value\"]";
    let said = changed(from, to).expect(1).stdout;
    assert!(said.contains("register.read: "), "{said}");
    assert!(said.contains("and sent nothing"), "{said}");
}

#[test]
#[ignore = "nightly: minutes on a busy machine"]
fn the_linter_finds_a_program_that_serves_its_clients_one_after_another() {
    if lacks_python() {
        return;
    }
    let (store, text) = (Store::new(), include_str!("../../examples/own-system/clients.py"));
    let put = "clients[asked[\"client\"]].put(asked)";
    let slow = text.replace(put, "one = queue.Queue(); one.put(asked); one.put(None); serve(one)");
    assert_ne!(slow, text);
    let client = executable_file(&store, "clients.py", &slow);
    let file = store.path().join("exec-one.toml");
    let description = include_str!("../../examples/own-system/exec-one.toml");
    std::fs::write(&file, description.replace("examples/own-system/clients.py", &client)).unwrap();
    let said = said(&["lint-client", &file.display().to_string(), "--op-timeout", "4s"]).expect(1).stdout;
    assert!(said.contains("no client waits for the answer to another"), "{said}");
    store.await_silence();
}

#[test]
fn the_linter_passes_the_examples_and_the_built_in_clients() {
    if lacks_python() {
        return;
    }
    for file in ["exec.toml", "exec-one.toml", "kv.toml"] {
        let file = format!("examples/own-system/{file}");
        let ended = said(&["lint-client", &file, "--op-timeout", "4s"]).expect(0);
        assert_eq!(ended.stdout.matches(": no wrong answer in ").count(), 3, "{}", ended.stdout);
    }
    said(&["lint-client", "examples/own-system/resp.toml", "--nodes", "1"]).expect(0);
    said(&["lint-client", "raft"]).expect(0);
}

/// Whether a program is missing; prints a message if so.
fn lacks(program: &str, version: &str) -> bool {
    let missing = Command::new(program).arg(version).output().is_err();
    if missing {
        eprintln!("skipped: there is no {program} here");
    }
    missing
}

#[test]
#[ignore = "nightly: minutes on a busy machine"]
fn the_linter_passes_clients_in_other_languages() {
    if lacks_python() {
        return;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/own-system");
    let store = Store::new();
    let built = |name: &str| store.path().join(name).display().to_string();
    if !lacks("node", "--version") {
        linted(&store, "\"examples/own-system/client.js\"").expect(0);
    }
    if !lacks("go", "version") {
        let mut build = Command::new("go");
        build.args(["build", "-o", &built("client")]).arg(here.join("client.go"));
        // Not in the user's cache.
        build.env("GOCACHE", built("go")).env("GO111MODULE", "off");
        assert!(build.status().unwrap().success());
        linted(&store, &format!("{:?}", built("client"))).expect(0);
    }
    if !lacks("javac", "-version") {
        let mut build = Command::new("javac");
        assert!(build.args(["-d", &built("java")]).arg(here.join("Client.java")).status().unwrap().success());
        linted(&store, &format!("\"java\", \"-Xshare:auto\", \"-cp\", {:?}, \"Client\"", built("java")))
            .expect(0);
    }
}

#[test]
fn etcd_is_carried_by_a_description() {
    if lacks("etcd", "--version") {
        return;
    }
    let store = Store::in_memory();
    let schedule = store.path().join("faults.toml");
    let text = "[[step]]\nat = '1s'\nhold = '3s'\nfault = 'kill:leader'\n";
    std::fs::write(&schedule, text).unwrap();
    for workload in ["register", "decide"] {
        let flags = "--nodes 3 --time-limit 6s --op-timeout 500ms --schedule";
        let run =
            format!("run {workload} --system examples/own-system/etcd.toml {flags} {}", schedule.display());
        let ended = Ended::of(store.command(&run).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap());
        ended.expect(0);
    }
    said(&["lint-client", "examples/own-system/etcd.toml"]).expect(0);
    said(&["lint-client", "etcd"]).expect(0);
    store.await_silence();
}

#[test]
fn the_doctor_says_what_works_and_which_key_to_change() {
    if lacks_python() {
        return;
    }
    let store = Store::new();
    let file = store.path().join("my.toml");
    let path = file.display().to_string();
    let kv = ["examples/own-system/kv.py", "{id}", "{host}", "{port.main}", "{peers}"];
    said(&[&["init", &path, "--"], &kv[..]].concat()).expect(0);
    let exists = said(&[&["init", &path, "--"], &kv[..]].concat()).expect(64);
    assert!(exists.stderr.contains("the file exists already"), "{}", exists.stderr);
    let whole = said(&["doctor", &path, "--op-timeout", "10s"]).expect(0).stdout;
    let steps = [
        "one node starts",
        "all nodes get ready",
        "register.write succeeds",
        "a killed node comes back",
        "a cut cannot be bypassed",
    ];
    for step in steps {
        assert!(whole.contains(&format!("✓ {step}: ")), "{step}: {whole}");
    }

    // Its nodes never talk to each other, so a cut shows nothing.
    let apart = said(&["doctor", "examples/own-system/resp.toml"]).expect(2).stdout;
    for step in ["nodes talk through the proxies", "a cut cannot be bypassed"] {
        assert!(apart.contains(&format!("? {step}: inconclusive: ")), "{step}: {apart}");
    }
    assert!(apart.contains("change node.command: a node must know its peers"), "{apart}");

    let bypass = store.path().join("peers").display().to_string();
    let all = [
        (
            "\"examples/own-system/kv.py\"",
            "\"false\"".to_string(),
            "✗ one node starts: n1 exited by itself: exit status: 1",
            "change node.command",
        ),
        (
            "ok = { status = 200, pointer",
            "ok = { status = 201, pointer".into(),
            "✗ register.read succeeds: its outcome is unknown: no rule fits the answer 200",
            "change the rules of [register.read]",
        ),
        (
            "\"examples/own-system/kv.py\"",
            format!("\"tests/own_system/bypass.py\", {bypass:?}"),
            "connections bypass the proxies",
            "change node.command: a node must know its peers by {peers}",
        ),
    ];
    for (from, to, why, change) in all {
        let text = KV.replace(from, &to);
        assert_ne!(text, KV, "{from}");
        std::fs::write(&file, text).unwrap();
        let said = said(&["doctor", &path, "--op-timeout", "10s"]).expect(1).stdout;
        assert!(said.contains(why) && said.contains(change), "{to}: {said}");
        store.await_silence();
    }
}
