//! The disk is full when the reports are rendered: the verdict has already been written, and does not change.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{Ended, Store};
use crate::reports::{judged, stale_register};

/// The size of files on a file system with small pages, in bytes.
fn pages(dir: &Path, names: &[&str]) -> u64 {
    names.iter().map(|name| std::fs::metadata(dir.join(name)).unwrap().len().next_multiple_of(4096)).sum()
}

#[test]
fn a_disk_full_during_reporting_changes_neither_verdict_nor_exit_code() {
    let store = Store::new();
    let roomy = judged(&store, "roomy/a", "register", &stale_register(2_000), 1);
    let evidence = pages(&roomy, &["run.json", "history.jsonl", "verdict.json", "report.txt"]);
    assert!(
        pages(&roomy, &["report.html"]) > 60 * 1024,
        "the page is larger than the room that is left for it"
    );

    // The small disk is mounted in a mount namespace of its own, which ends with its last process.
    let small = store.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let script = r#"
        mount -t tmpfs -o "size=$1" tmpfs "$2" || exit 99
        "$3" check --model register --report "$2/run" "$4"
        code=$?
        ls "$2/run" >&2
        cp "$2/run/verdict.json" "$5"
        exit $code"#;
    let ended = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(format!("{}", evidence + 32 * 1024))
        .args([&small, Path::new(env!("CARGO_BIN_EXE_tribunal"))])
        .arg(store.path().join("written.jsonl"))
        .arg(store.path().join("verdict.json"))
        .stdin(Stdio::null())
        .output();
    let ended = match ended {
        Ok(ended) if ended.status.code() != Some(99) && !is_refusal(&ended.stderr) => {
            Ended::of(ended).expect(1)
        }
        refused => {
            assert!(std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"), "{refused:?}");
            return eprintln!("skipped: no mount namespace can be made here: {refused:?}");
        }
    };
    assert!(ended.stderr.contains("no report.html"), "it did not fit: {}", ended.stderr);
    assert!(ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    assert!(
        !ended.stderr.lines().any(|line| line == "report.html" || line.ends_with(".partial")),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("not linearizable"), "{}", ended.stdout);

    let verdict = |path: &Path| -> serde_json::Value {
        let mut verdict: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        verdict["check_cost"].take(); // differs each time
        verdict
    };
    assert_eq!(verdict(&store.path().join("verdict.json")), verdict(&roomy.join("verdict.json")));
}

fn is_refusal(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).contains("unshare:")
}
