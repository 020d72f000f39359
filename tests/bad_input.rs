//! User errors give one clear message and the documented exit code, and leave nothing behind.

use crate::program::{Ended, Store, tribunal};

/// The error message for these arguments.
fn error_message(args: &[&str], code: i32) -> String {
    let ended = Ended::of(tribunal(args).output().unwrap()).expect(code);
    assert_eq!(ended.stdout, "");
    ended.stderr
}

#[test]
fn wrong_arguments_exit_with_64_and_say_what_was_expected() {
    for (args, expected) in [
        (&["run", "regisster"][..], "register"),
        (&["run", "register", "--system", "rraft"], "did you mean `raft`?"),
        (&["run", "register", "--nemesis", "kil"], "kill"),
        (&["run", "register", "--time-limit", "30"], "such as 500ms, 30s or 2m"),
        (&["run", "register", "--concurrency", "0"], "3n"),
        (&["run", "register", "--nodes", "0"], "from 1 to 25"),
        (&["run", "register", "--bug", "no-such-bug"], "stale-read"),
        (&["run", "register", "--no-such-flag"], "--no-such-flag"),
        (&["run", "register", "--schedule", "no/such/file"], "no/such/file"),
        (&["run", "register", "--grudge", "n1"], "n1>n2"),
        (&["run", "register", "--nodes", "3", "--grudge", "n1>n4"], "there is no n4 in a cluster of 3"),
        (&["run", "election", "--system", "ttl-lock"], "expected --model mutex"),
        (&["run", "queue", "--system", "abd"], "expected one of mixed, rw-register"),
        (
            &["run", "register", "--junit", "no/such/dir/junit.xml"],
            "--junit: cannot write no/such/dir/junit.xml",
        ),
        (&["chek"], "check"),
        (&["check", "no/such/file"], "no/such/file: no such file or directory"),
        (&["report", "no/such/run"], "run.json: No such file or directory (os error 2)\n"),
    ] {
        let said = error_message(args, 64);
        assert!(said.contains(expected), "{args:?} should mention `{expected}`, but says:\n{said}");
    }
}

/// No command writes over the file that it reads, whatever the file is called.
#[test]
fn an_output_is_not_the_input() {
    let store = Store::new();
    let file = |name: &str| store.path().join(name).display().to_string();
    let [history, link, system, spec] = ["h.jsonl", "link.jsonl", "kv.toml", "spec.toml"].map(file);
    let text = r#"{"i":0,"t":1,"p":0,"type":"invoke","f":"read"}"#;
    std::fs::write(&history, text).unwrap();
    std::fs::write(&system, text).unwrap();
    std::fs::write(&spec, "nodes = 3").unwrap();
    std::os::unix::fs::symlink(&history, &link).unwrap();
    for args in [
        &["convert", &history, &history][..],
        &["convert", &link, &history],
        &["check", "--model", "register", &history, "--junit", &link],
        &["run", "register", "--system", &system, "--junit", &system],
        &["run", "register", "--config", &spec, "--junit", &spec],
        &["run", "register", "--schedule", &system, "--junit", &system],
    ] {
        let said = error_message(args, 64);
        assert!(said.contains("is the input: name another file"), "{args:?}: {said}");
    }
    assert_eq!(std::fs::read_to_string(&history).unwrap(), text);
    assert_eq!(std::fs::read_to_string(&system).unwrap(), text);
}

#[test]
fn a_store_that_cannot_be_created_is_named_by_its_flag() {
    let said = error_message(&["run", "register", "--store", "/proc/no-store"], 3);
    assert!(said.starts_with("harness failure: --store: cannot create /proc/no-store/register: "), "{said}");
}

#[test]
fn malformed_history_is_named_by_file_line_and_column() {
    let store = Store::new();
    let path = store.path().join("h.jsonl");
    std::fs::write(
        &path,
        "{\"i\":0,\"t\":1,\"p\":0,\"type\":\"invoke\",\"f\":\"read\"}\n{\"i\":1,\"t\":oops}\n{}\n",
    )
    .unwrap();
    let said = error_message(&["check", "--model", "register", path.to_str().unwrap()], 64);
    assert!(said.contains("h.jsonl:2:"), "{said}");
}

#[test]
fn a_malformed_schedule_is_named_by_file_line_and_column() {
    let store = Store::new();
    let path = store.path().join("faults.toml");
    let schedule = path.to_str().unwrap();
    for (text, expected) in [
        ("[[step]]\nat = 1", "faults.toml:2:6: invalid type: integer `1`, expected a text in quotes"),
        (
            "\n[[step]]\nat = '1s'\nhold = '1s'\nfault = 'kil:one'",
            "faults.toml:2:1: step 1: there is no fault `kil`",
        ),
        ("[[step]]\nat = '1s'\nhold = '1s'\nacts = ['kill n6']", "faults.toml:1:1: step 1: there is no n6"),
        ("{\"event\":\"apply\"}\n", "faults.toml cannot be replayed: line 1: missing field"),
    ] {
        std::fs::write(&path, text).unwrap();
        let said = error_message(&["run", "register", "--schedule", schedule], 64);
        assert!(said.contains(expected), "{text:?} should be answered by `{expected}`, but it says:\n{said}");
    }
    let said = error_message(&["run", "register", "--schedule", schedule, "--nemesis", "kill"], 64);
    assert!(said.contains("cannot be combined with"), "{said}");
}

#[test]
fn an_unusable_store_is_a_harness_failure_and_starts_nothing() {
    let store = Store::new();
    let file = store.path().join("taken");
    std::fs::write(&file, "").unwrap();
    let said = error_message(&["run", "register", "--store", file.to_str().unwrap()], 3);
    assert!(said.contains("taken"), "{said}");
    assert_eq!(store.processes(), [""; 0]);
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let ended = Ended::of(tribunal(args).output().unwrap()).expect(0);
        assert!(!ended.stdout.is_empty());
    }
}
