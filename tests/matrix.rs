//! `tribunal matrix`: detects known bugs, resumes after an interruption, and reports what it cannot do.

use tribunal_reports::matrix::Matrix;

use crate::program::{Ended, tribunal};

#[test]
fn a_matrix_finds_a_bug_and_resumes() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("matrix");
    let at = dir.to_str().unwrap();
    let args = "matrix --bug stale-read,cas-before-commit --budget 30s --seeds 1 --dir";
    let ended = Ended::of(tribunal(args.split(' ').chain([at])).output().unwrap()).expect(0);
    assert!(ended.stdout.contains("2 of 2 flaws found."), "{}", ended.stdout);
    let read = || std::fs::read_to_string(dir.join("matrix.json")).unwrap();
    let first: Matrix = serde_json::from_str(&read()).unwrap();
    let run = &first.rows[0].runs[0];
    assert!(run.counterexample.unwrap() >= 2 && run.after_ms.unwrap() < 30_000, "{run:?}");
    let page = std::fs::read_to_string(dir.join(&run.path).join("report.html")).unwrap();
    assert!(page.contains("Messages between nodes") && page.contains("marker-end"), "nobody spoke: {run:?}");
    for page in ["matrix.md", "matrix.html"] {
        let text = std::fs::read_to_string(dir.join(page)).unwrap();
        assert!(text.contains("stale-read") && text.contains("1 of 1"), "{page}: {text}");
    }

    // As if it had been interrupted before the second row.
    let mut rest = first.clone();
    rest.rows[1].runs.clear();
    std::fs::write(dir.join("matrix.json"), serde_json::to_string(&rest).unwrap()).unwrap();
    let ended = Ended::of(tribunal(["matrix", "--resume", at]).output().unwrap()).expect(0);
    assert!(ended.stderr.contains("1 run left"), "{}", ended.stderr);
    let second: Matrix = serde_json::from_str(&read()).unwrap();
    assert_eq!(second.rows[0], first.rows[0]);
    assert_eq!(second.rows[1].runs.len(), 1);
}

#[test]
fn a_matrix_of_unknown_systems_or_bugs_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().to_str().unwrap();
    std::fs::write(scratch.path().join("mine"), "").unwrap();
    for (args, expected) in [
        (&["matrix", "--system", "rraft"][..], "did you mean `raft`?"),
        (&["matrix", "--bug", "no-such-bug"], "stale-read"),
        (&["matrix", "--dir", dir], "expected an empty directory"),
        (&["matrix", "--resume", dir], "expected the directory of a matrix"),
    ] {
        let said = Ended::of(tribunal(args).output().unwrap()).expect(64).stderr;
        assert!(said.contains(expected), "{args:?} should mention `{expected}`, but says:\n{said}");
    }
}
