//! Output that is not read, and full devices: a verdict is never lost.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::program::{Ended, Store, wait_until};

const TRIBUNAL: &str = env!("CARGO_BIN_EXE_tribunal");

/// A history that is not linearizable.
fn stale_read(store: &Store) -> PathBuf {
    let path = store.path().join("stale.jsonl");
    let events = [
        ("invoke", "write", ",\"value\":1"),
        ("ok", "write", ""),
        ("invoke", "read", ""),
        ("ok", "read", ""),
    ];
    let line = |(i, (kind, f, value)): (usize, &(&str, &str, &str))| {
        format!("{{\"i\":{i},\"t\":{i},\"p\":0,\"type\":\"{kind}\",\"f\":\"{f}\"{value}}}\n")
    };
    std::fs::write(&path, events.iter().enumerate().map(line).collect::<String>()).unwrap();
    path
}

/// A shell command with `$1` as the program and `$2` as a path.
fn shell(script: &str, path: &Path) -> Output {
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash", TRIBUNAL]).arg(path).stdin(Stdio::null());
    command.output().expect("there is a shell")
}

#[test]
fn a_violation_exits_with_1_even_if_output_is_closed() {
    let store = Store::new();
    let history = stale_read(&store);
    for outputs in
        [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", ">&- 2>&-", "2>&1 | head -0"]
    {
        let script =
            format!("\"$1\" check --model register \"$2\" nothing {outputs}; exit ${{PIPESTATUS[0]}}");
        let ended = Ended::of(shell(&script, &history)).expect(1);
        assert!(!ended.stderr.contains("panicked"), "{outputs}: {}", ended.stderr);
        if outputs == ">/dev/full" {
            assert!(ended.stderr.contains("cannot write to standard output"), "{}", ended.stderr);
            assert!(ended.stderr.contains("not linearizable"), "{}", ended.stderr);
        }
    }
    for words in ["--help", "run --help", "list models", "completions bash", "man", "chek"] {
        let script = format!("\"$1\" {words} >/dev/full 2>&1; exit $?");
        let code = shell(&script, &history).status.code();
        assert!(matches!(code, Some(0 | 64)), "{words}: {code:?}");
    }
}

#[test]
fn a_run_continues_when_its_progress_is_not_read() {
    let store = Store::in_memory();
    let script = "\"$1\" run register --nodes 3 --nemesis none --time-limit 1s --rate 200 --verbose --store \"$2\" \
                  2>&1 >/dev/null | head -1; exit ${PIPESTATUS[0]}";
    Ended::of(shell(script, store.path())).expect(0);
    assert!(store.run_directory("register").join("verdict.json").is_file());
}

/// The disk fills up after the violation was proved, and before the verdict is written.
#[test]
fn a_full_disk_erases_no_violation() {
    let store = Store::new();
    let small = store.path().join("small");
    std::fs::create_dir(&small).unwrap();
    // The disk is filled continuously until the run ends, because the run removes files of its own.
    let script = r#"
        mount -t tmpfs -o size=64m tmpfs "$2" || exit 99
        {
            until grep -qs "^violation\|violation: " "$2"/said; do sleep 0.02; done
            while true; do head -c 1m /dev/zero >> "$2/filler" || sleep 0.01; done 2>/dev/null
        } &
        filler=$!
        "$1" run register --nodes 3 --bug stale-read --nemesis partition --seed 3 --time-limit 60s \
            --store "$2" > "$2.out" 2> >(tee "$2/said" >&2)
        code=$?
        kill $filler
        ls "$2"/register/* >&2
        cat "$2.out"
        exit $code"#;
    let ended = Command::new("unshare")
        .args(["--mount", "--map-root-user", "bash", "-c", script, "bash", TRIBUNAL])
        .arg(&small)
        .stdin(Stdio::null())
        .output();
    let ended = match ended {
        Ok(ended)
            if ended.status.code() != Some(99)
                && !String::from_utf8_lossy(&ended.stderr).contains("unshare:") =>
        {
            Ended::of(ended).expect(1)
        }
        refused => {
            assert!(std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"), "{refused:?}");
            return eprintln!("skipped: no mount namespace can be made here: {refused:?}");
        }
    };
    assert!(ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("VIOLATION") || ended.stdout.contains("ot linearizable"),
        "{}",
        ended.stdout
    );
    assert_eq!(store.processes(), [""; 0]);
}

/// Starts a run, and changes its directory as soon as it has a history.
fn run_and_change(store: &Store, args: &str, meddle: impl Fn(&Path)) -> Ended {
    let child = store.command(args).spawn().expect("it starts");
    let written =
        |run: &Path| std::fs::metadata(run.join("history.jsonl")).is_ok_and(|file| file.len() > 1_000);
    wait_until("there is a history", || {
        let runs = std::fs::read_dir(store.path().join("register")).into_iter().flatten().flatten();
        runs.map(|run| run.path()).any(|run| written(&run))
    });
    meddle(&store.run_directory("register"));
    let ended = Ended::of(child.wait_with_output().unwrap());
    assert_eq!(store.processes(), [""; 0]);
    ended
}

const FOUND: &str = "run register --nodes 3 --bug stale-read --nemesis partition --seed 3 --time-limit 60s";

#[test]
fn a_verdict_that_cannot_be_stored_is_printed() {
    // A directory with the name of the file prevents writing it.
    let block = |run: &Path| std::fs::create_dir(run.join("verdict.json")).unwrap();
    let store = Store::in_memory();
    let ended = run_and_change(&store, FOUND, block).expect(1);
    assert!(ended.stderr.contains("cannot write verdict.json"), "{}", ended.stderr);
    assert!(ended.stderr.contains("the verdict is kept nowhere"), "{}", ended.stderr);
    assert!(ended.stdout.contains("not linearizable") && ended.stdout.contains("✗"), "{}", ended.stdout);
    assert!(store.run_directory("register").extension().is_some(), "the directory is not complete");

    let store = Store::in_memory();
    let quiet = "run register --nodes 3 --nemesis none --rate 100 --time-limit 2s";
    let ended = run_and_change(&store, quiet, block).expect(3);
    assert!(ended.stderr.contains("harness failure: cannot write verdict.json"), "{}", ended.stderr);
}

#[test]
fn a_violation_proved_during_the_run_needs_no_history() {
    let spoil = |run: &Path| {
        let mut history = std::fs::File::options().write(true).open(run.join("history.jsonl")).unwrap();
        history.write_all(b"torn").unwrap();
    };
    let store = Store::in_memory();
    let ended = run_and_change(&store, FOUND, spoil).expect(1);
    let printed = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(printed.contains("cannot be linearized. This was proved during the run"), "{}", ended.stdout);
    let verdict = std::fs::read_to_string(store.run_directory("register").join("verdict.json")).unwrap();
    let verdict: serde_json::Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!((&verdict["outcome"], &verdict["exit_code"]), (&"violation".into(), &1.into()));
    assert_eq!(verdict["harness_failure"]["source"], "store");
}
