//! A system without code in Tribunal: a TOML description, and a server in Python.

mod failures;
mod leader_only;
mod postgres;
mod tools;

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

/// Writes an executable file. Returns its path.
fn executable_file(store: &Store, name: &str, text: &str) -> String {
    let path = store.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
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
    for file in ["kv.toml", "exec.toml", "exec-one.toml"] {
        let store = Store::new();
        let flags = "--nodes 3 --rate 100 --time-limit 60s --nemesis partition --seed 1";
        let ended =
            run(&store, &format!("run register --system examples/own-system/{file} {flags}")).expect(1);
        let said = &ended.stdout;
        // What is said of it depends on the order in which the partition and the reads come.
        assert!(said.contains("not linearizable"), "{said}");
        store.await_silence();
    }
}

/// A description of the talkative sample, with these further keys of `[node]`.
fn talkative(store: &Store, keys: &str) -> String {
    let (file, shared) = (store.path().join("talkative.toml"), store.path().display().to_string());
    let text = include_str!("../examples/own-system/kv.toml");
    let node = format!(
        "[node]\ncommand = ['tests/own_system/talkative.py', '{shared}', '{{id}}', '{{host}}', '{{port.main}}', '{{peers}}']\n{keys}\n[client]"
    );
    let (before, rest) = text.split_once("[node]").unwrap();
    let (_, after) = rest.split_once("[client]").unwrap();
    std::fs::write(&file, format!("{before}{node}{after}").replace("SHARED", &shared)).unwrap();
    file.display().to_string()
}

/// The end of a run's directory of logs: `nodes/n1.log` or `clients/n1.log`.
fn log(store: &Store, name: &str) -> String {
    std::fs::read_to_string(store.run_directory("register").join(name)).unwrap()
}

#[test]
fn a_node_is_prepared_set_up_watched_and_stopped_as_described() {
    if lacks_python() {
        return;
    }
    let store = Store::new();
    // The user of the nodes has to get there.
    std::fs::set_permissions(store.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    let user = if is_root { "user = 'nobody'" } else { "" };
    let keys = format!(
        "{user}
prepare = ['touch', '{{data}}/prepared']
set-up = ['sh', '-c', 'ls \"$0\"/../*/prepared && echo \"$1\" > \"$2\"/is-set-up', '{{data}}', '{{all.main}}', 'SHARED']
stop-signal = 'SIGINT'
ready = {{ log = '^serving' }}
leader = {{ log = '^leader of term ([0-9]+)', lost = '^follower' }}
version = {{ command = ['sh', '-c', 'echo talkative 1.2'], matches = '^talkative (.*)' }}
warm-up = '50ms'
fatal = ['^PANIC']"
    );
    let file = talkative(&store, &keys);
    let schedule = store.path().join("faults.toml");
    std::fs::write(&schedule, "[[step]]\nat = '500ms'\nhold = '500ms'\nfault = 'kill:leader'\n").unwrap();
    let flags = format!("--nodes 3 --time-limit 3s --schedule {} --no-fail-fast", schedule.display());
    let ended = run(&store, &format!("run register --system {file} {flags}"));
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("n2 logged a line that no correct node logs: PANIC: not really"), "{said}");
    assert!(!said.contains("once more"), "only the first line: {said}");
    let json: serde_json::Value = serde_json::from_str(&log(&store, "run.json")).unwrap();
    assert_eq!(json["system_version"], "1.2", "{said}");
    let set_up = std::fs::read_to_string(store.path().join("is-set-up")).unwrap();
    assert_eq!(set_up.trim().split(',').count(), 3, "every node's address: {set_up}");
    for node in ["n1", "n2", "n3"] {
        let log = log(&store, &format!("nodes/{node}.log"));
        assert!(log.contains("ended in order"), "{node} got SIGINT: {log}");
        assert!(!is_root || log.contains("serving as user 65534"), "{log}");
    }
    // The leader was killed, and its log says so: it started twice.
    assert_eq!(log(&store, "nodes/n1.log").matches("leader of term 3").count(), 2, "{said}");
    store.await_silence();
}

/// Each way in which a cluster does not come up ends the run in order, and says why.
#[test]
fn a_system_that_does_not_come_up_leaves_nothing_behind() {
    if lacks_python() {
        return;
    }
    let all = [
        (
            "prepare = ['sh', '-c', 'echo no disk >&2; exit 3']",
            "cannot prepare n1: `sh` ended with status 3: `no disk`",
        ),
        (
            "set-up = ['sh', '-c', 'echo no quorum; exit 4']",
            "cannot set the cluster up: `sh` ended with status 4: `no quorum`",
        ),
        ("env = { HOME = 'x' }\ndirectory = '{data}/no/such'", "cannot start n1"),
    ];
    for (keys, why) in all {
        let store = Store::new();
        let file = talkative(&store, keys);
        let ended = run(&store, &format!("run register --system {file} --nodes 3 --time-limit 2s")).expect(3);
        // A message may be wrapped.
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(why), "{keys}: {said}");
        store.await_silence();
    }
}

#[test]
fn what_a_client_program_writes_to_its_error_output_is_kept() {
    if lacks_python() {
        return;
    }
    let store = Store::new();
    let file = store.path().join("kv.toml");
    let hello = r#"read hello
echo '{"id":0,"type":"ok","version":1,"operations":["register.read","register.write","register.cas"]}'"#;
    let client = executable_file(&store, "client.sh", &format!("#!/bin/sh\n{hello}\necho broken >&2\n"));
    let text = include_str!("../examples/own-system/exec.toml");
    std::fs::write(&file, text.replace("examples/own-system/client.py", &client)).unwrap();
    let flags = "--nodes 3 --nemesis none --time-limit 2s --op-timeout 200ms";
    run(&store, &format!("run register --system {} {flags}", file.display())).expect(2);
    assert!(log(&store, "clients/n1.log").contains(" broken"));
    store.await_silence();
}

/// None of them reaches the parser of descriptions.
#[test]
fn files_that_are_no_text() {
    let home = Store::new();
    let at = |name: &str| home.path().join(name);
    let utf16: Vec<u8> = "[node]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(at("utf16.toml"), [b"\xff\xfe", &*utf16].concat()).unwrap();
    std::fs::write(at("latin1.toml"), b"about = \"caf\xe9\"").unwrap();
    std::fs::write(at("empty.toml"), "").unwrap();
    std::fs::create_dir(at("directory.toml")).unwrap();
    std::os::unix::fs::symlink(at("loop.toml"), at("loop.toml")).unwrap();
    nix::unistd::mkfifo(&at("pipe.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::write(at("secret.toml"), include_str!("../examples/own-system/kv.toml")).unwrap();
    std::fs::set_permissions(at("secret.toml"), PermissionsExt::from_mode(0o000)).unwrap();
    // A file that needs no room on the disk, and is too long to read.
    std::fs::File::create(at("huge.toml")).unwrap().set_len(1 << 40).unwrap();
    for (name, why) in [
        ("utf16.toml", "it is not UTF-8"),
        ("latin1.toml", "it is not UTF-8"),
        ("empty.toml", "empty.toml:1: missing field `node`"),
        ("directory.toml", "expected a file, found a directory"),
        ("loop.toml", "Too many levels of symbolic links"),
        ("pipe.toml", "expected a file, found a named pipe"),
        ("secret.toml", "Permission denied"),
        ("huge.toml", "it is longer than 256 MiB"),
        ("missing.toml", "No such file or directory"),
        ("empty.toml/x.toml", "Not a directory"),
    ] {
        // Root may read everything.
        if name == "secret.toml" && nix::unistd::geteuid().is_root() {
            continue;
        }
        let file = at(name).display().to_string();
        let file = &file;
        for words in
            [["run", "register", "--system", file].as_slice(), &["doctor", file], &["lint-client", file]]
        {
            let ended = Ended::of(crate::program::tribunal(words).output().unwrap()).expect(64);
            assert!(ended.stderr.contains(why), "{name}: {}", ended.stderr);
        }
    }
}

/// A server of the Redis protocol that was not written for Tribunal.
#[test]
fn a_server_of_the_redis_protocol_is_driven_without_code() {
    if lacks_python() {
        return;
    }
    let store = Store::new();
    let flags = "--nodes 1 --rate 200 --time-limit 3s --nemesis none --availability 0.9";
    for workload in ["register", "counter", "set", "append", "lock"] {
        run(&store, &format!("run {workload} --system examples/own-system/resp.toml {flags}")).expect(0);
    }
    // It keeps nothing on disk, so a crash loses everything.
    let flags = "--nodes 1 --rate 200 --time-limit 30s --nemesis kill --seed 1";
    run(&store, &format!("run counter --system examples/own-system/resp.toml {flags}")).expect(1);
    store.await_silence();
}

#[test]
fn the_schema_of_descriptions_is_json_and_knows_every_key() {
    let printed = crate::program::tribunal(["list", "schema", "system"]).output().unwrap();
    let ended = Ended::of(printed).expect(0);
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let node = &schema["$defs"]["Node"]["properties"];
    for key in ["command", "set-up", "stop-signal", "warm-up", "ready", "leader", "fatal"] {
        assert!(node[key]["description"].is_string(), "{key}: {node}");
    }
    Ended::of(crate::program::tribunal(["list", "schema"]).output().unwrap()).expect(64);
}

#[test]
fn what_is_wrong_with_a_description_is_said_before_anything_starts() {
    let store = Store::new();
    let file = store.path().join("kv.toml");
    let text = include_str!("../examples/own-system/kv.toml").replace("{port.main}", "{port.api}");
    std::fs::write(&file, text).unwrap();
    let ended = run(&store, &format!("run register --system {}", file.display())).expect(64);
    let expected = "kv.toml:6: node.command: `{port.api}`: there is no placeholder `{port.api}`";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let missing = run(&store, "run counter --system examples/own-system/kv.toml").expect(64);
    let expected =
        "does not support the workload counter: expected one of mixed, register, rw-register, decide";
    assert!(missing.stderr.contains(expected), "{}", missing.stderr);
}

/// A client program that ignores the end of its input.
#[test]
fn no_client_program_outlives_a_controller_that_is_killed() {
    if lacks_python() {
        return;
    }
    let store = Store::new();
    let file = store.path().join("kv.toml");
    let hello =
        r#"{"id":0,"type":"ok","version":1,"operations":["register.read","register.write","register.cas"]}"#;
    let script = format!(
        "#!/bin/sh\nread hello\necho '{hello}'\nwhile read line; do :; done\nwhile :; do sleep 1; done\n"
    );
    let client = executable_file(&store, "stubborn.sh", &script);
    let text = include_str!("../examples/own-system/exec.toml");
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
