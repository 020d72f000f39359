//! What can go wrong with a system of one's own. Whatever it is, each command says so in a line, ends with a
//! documented code, and leaves no process, directory or cgroup behind.

use std::net::TcpListener;
use std::path::Path;
use std::process::Child;

use super::{executable_file, lacks_python};
use crate::processes::cgroups;
use crate::program::{Ended, Store, tribunal, wait_until};

const EXEC: &str = include_str!("../../examples/own-system/exec.toml");
const EXEC_ONE: &str = include_str!("../../examples/own-system/exec-one.toml");
const KV: &str = include_str!("../../examples/own-system/kv.toml");

/// Starts `tribunal WORDS` with this description; the home is its temporary directory, too.
fn start(home: &Store, words: &str, description: &str) -> Child {
    let file = home.path().join("my.toml");
    std::fs::write(&file, description).unwrap();
    let mut command = tribunal(words.replace("FILE", &file.display().to_string()).split(' '));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("TMPDIR", home.path());
    if words.starts_with("run") {
        command.arg("--store").arg(home.path().join("store"));
    }
    command.spawn().unwrap()
}

/// The same, until it ends.
fn tried(home: &Store, words: &str, description: &str) -> Ended {
    let child = start(home, words, description);
    let pid = child.id();
    let ended = Ended::of(child.wait_with_output().unwrap());
    nothing_is_left(home, pid);
    ended
}

/// The processes that have inherited their temporary directory from a program.
fn processes(home: &Store) -> Vec<String> {
    let inherited = format!("TMPDIR={}\0", home.path().display());
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let environ = |path: &Path| std::fs::read(path.join("environ")).unwrap_or_default();
    let inherits = |path: &Path| String::from_utf8_lossy(&environ(path)).contains(&inherited);
    all.filter(|path| inherits(path)).map(|path| path.display().to_string()).collect()
}

/// The directories of clusters without a run.
fn scratch(home: &Store) -> usize {
    let names = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("tribunal-")).count()
}

fn nothing_is_left(home: &Store, controller: u32) {
    wait_until("no process is left", || processes(home).is_empty());
    wait_until("no temporary directory is left", || scratch(home) == 0);
    let name = format!("tribunal-{controller}-");
    wait_until("no cgroup is left", || cgroups(Path::new("/sys/fs/cgroup"), &name).is_empty());
}

/// Tries a description with each command; each ends with a code, and says these texts.
fn each(description: &str, expected: [(&str, i32, &[&str]); 3]) {
    for (words, code, texts) in expected {
        let home = Store::new();
        let ended = tried(&home, words, description).expect(code);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        // A message may be wrapped.
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in texts {
            assert!(said.contains(text), "{words}: {text}: {said}");
        }
    }
}

const RUN: &str =
    "run register --system FILE --nodes 3 --nemesis none --time-limit 2s --op-timeout 300ms --quiet";
const DOCTOR: &str = "doctor FILE --op-timeout 1s";
const LINT: &str = "lint-client FILE --op-timeout 1s";

#[test]
fn a_node_that_ends_at_once() {
    if lacks_python() {
        return;
    }
    let words = "sh\", \"-c\", \"echo no licence >&2; exit 7";
    let description = KV.replace("examples/own-system/kv.py", words);
    let why = [" exited by itself: exit status: 7; its last line: ", "no licence"];
    let found = ["✗ one node starts: n1 exited by itself: exit status: 7; its last line: ", "no licence"];
    each(&description, [(RUN, 3, &why), (DOCTOR, 1, &found), (LINT, 3, &why)]);
}

/// Another program listens where the node wants to.
#[test]
fn a_node_whose_port_is_taken() {
    if lacks_python() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let why = ["exited by itself: exit status: 1; its last line: ", "Address already in use"];
    let description = KV.replace("{port.main}", &port);
    each(&description, [(RUN, 3, &why), (DOCTOR, 1, &why), (LINT, 3, &why)]);
}

/// Tribunal waits half a minute for each.
#[test]
fn a_node_that_is_never_ready() {
    if lacks_python() {
        return;
    }
    let description = KV.replace("{ http = \"/health\" }", "{ log = \"^ready$\" }");
    assert_ne!(description, KV);
    let why = "n1 is not ready after 30s: no line of its output matches `^ready$`";
    std::thread::scope(|scope| {
        for (words, code, text) in [
            (RUN, 3, why.to_string()),
            (DOCTOR, 1, format!("✗ all nodes get ready: {why}")),
            (LINT, 3, format!("harness failure: {why}")),
        ] {
            let description = &description;
            scope.spawn(move || {
                let ended = tried(&Store::new(), words, description).expect(code);
                let said = format!("{}{}", ended.stdout, ended.stderr);
                assert!(said.contains(&text), "{words}: {said}");
            });
        }
    });
}

/// A client program of this script, after it has said hello.
fn with_client(home: &Store, script: &str) -> String {
    let hello = r#"read hello
echo '{"id":0,"type":"ok","version":1,"operations":["register.read","register.write","register.cas"]}'"#;
    with_program(home, &format!("{hello}\n{script}"))
}

fn with_program(home: &Store, script: &str) -> String {
    let client = executable_file(home, "client.sh", &format!("#!/bin/sh\n{script}\n"));
    EXEC.replace("examples/own-system/client.py", &client)
}

/// A program that says no hello is refused before any node is started.
#[test]
fn a_client_program_that_fails_at_its_start() {
    if lacks_python() {
        return;
    }
    for (script, why) in [
        ("echo no module >&2; exit 1", "the client program ended with status 1: `no module`"),
        ("echo listening; cat >/dev/null", "the client program answered `listening`: "),
        ("sleep 600", "the client program did not answer within 10s"),
    ] {
        let programs = Store::new();
        let found = format!("✗ the client program says hello: {why}");
        let description = with_program(&programs, script);
        let said = format!("hello: 1 wrong answer in 1 case the start: {why}");
        each(&description, [(RUN, 64, &[why]), (DOCTOR, 1, &[&found]), (LINT, 1, &[&said])]);
        programs.await_silence();
    }
}

#[test]
fn a_client_program_that_does_not_know_an_operation() {
    if lacks_python() {
        return;
    }
    let description = EXEC.replace("\"register.cas\"", "\"register.cas\", \"set.add\"");
    let why =
        "the client program does not know set.add: it knows register.read, register.write, register.cas";
    each(&description, [(RUN, 64, &[why]), (DOCTOR, 1, &[why]), (LINT, 1, &[why])]);
}

/// What it does is a finding about the client, with the rule.
#[test]
fn a_client_program_that_fails_at_an_operation() {
    if lacks_python() {
        return;
    }
    for (script, did, rule) in [
        (
            "while read line; do echo garbage; done",
            "the client program answered `garbage`: ",
            "an answer is one line of JSON",
        ),
        (
            "while read line; do echo '{\"id\":77,\"type\":\"ok\"}'; done",
            "the client program answered request 77, and 1 was due",
            "each request gets one answer, with its `id`",
        ),
        (
            "read line; echo out of luck >&2; exit 7",
            "the client program ended with status 7: `out of luck`",
            "a client program answers every request",
        ),
        ("sleep 600", "the client program did not answer within ", "a client program bounds every wait"),
    ] {
        let programs = Store::new();
        let description = with_client(&programs, script);
        let none = format!("succeeded: there is nothing to judge. The first error: {did}");
        each(&description, [(RUN, 2, &[&none]), (DOCTOR, 1, &[did, rule]), (LINT, 1, &[did, rule])]);
        programs.await_silence();
    }
}

/// The same of one program for all clients.
#[test]
fn a_program_for_all_clients_that_fails() {
    if lacks_python() {
        return;
    }
    let hello = r#"read hello
echo '{"id":0,"type":"ok","version":1,"operations":["register.read","register.write","register.cas"],"clients":"all"}'"#;
    let lives = "a client program answers every request";
    for (script, did, rule) in [
        ("read line; echo out of luck >&2; exit 7", "ended with status 7: `out of luck`", lives),
        ("while read line; do echo garbage; done", "answered `garbage`: ", "an answer is one line of JSON"),
        (
            "while read line; do echo '{\"id\":77,\"type\":\"ok\"}'; done",
            "answered request 77, and it was not pending",
            "each request gets one answer, with its `id`",
        ),
        ("sleep 600", "did not answer within ", "a client program bounds every wait"),
    ] {
        let programs = Store::new();
        let client = executable_file(&programs, "clients.sh", &format!("#!/bin/sh\n{hello}\n{script}\n"));
        let description = EXEC_ONE.replace("examples/own-system/clients.py", &client);
        let none = format!("succeeded: there is nothing to judge. The first error: the client program {did}");
        each(&description, [(RUN, 2, &[&none]), (DOCTOR, 1, &[did, rule]), (LINT, 1, &[did, rule])]);
        programs.await_silence();
    }
    let programs = Store::new();
    let for_one = with_client(&programs, "while read line; do echo; done");
    let (_, for_one) = for_one.split_once("command = [\"/").expect("it has a client program");
    let (client, _) = for_one.split_once('"').expect("it is a text");
    let description = EXEC_ONE.replace("examples/own-system/clients.py", &format!("/{client}"));
    let why = "the client program does not say that it acts for all clients: ";
    each(
        &description,
        [(RUN, 64, &[why]), (DOCTOR, 1, &[why]), (LINT, 1, &["does not say that it acts for all"])],
    );
}

/// Even if Tribunal itself is killed.
#[test]
fn a_command_that_is_killed_leaves_nothing_behind() {
    if lacks_python() {
        return;
    }
    let programs = Store::new();
    let hangs = with_client(&programs, "while :; do sleep 1; done");
    for words in ["doctor FILE --op-timeout 60s", "lint-client FILE --op-timeout 60s"] {
        let home = Store::new();
        let mut child = start(&home, words, &hangs);
        let runs = || programs.processes().iter().any(|line| line.contains("client.sh"));
        wait_until("a client program runs", runs);
        assert_eq!(scratch(&home), 1);
        child.kill().unwrap();
        child.wait().unwrap();
        nothing_is_left(&home, child.id());
        programs.await_silence();
    }
}
