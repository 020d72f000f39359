//! Missing, duplicate or foreign evidence in a run directory is an error that names the file, never a
//! verdict. Later checks of a complete run directory give the result of the run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Ended, Store, tribunal};
use crate::reports::{judged, stale_register};

const RIGHT: &str = "{\"client\":0,\"f\":\"write\",\"in\":1,\"call\":0,\"ret\":5}\n{\"client\":1,\"f\":\"read\",\"out\":1,\"call\":7,\"ret\":9}\n";

/// A short run with a fault; returns its exit code and its directory.
fn recorded(store: &Store) -> (i32, PathBuf) {
    let ended = store.run(
        "run register --nodes 3 --nemesis pause:one --nemesis-interval 900ms --time-limit 2s --rate 300 --seed 4",
    );
    (ended.code.expect("it ends by itself"), store.run_directory("register"))
}

fn check(dir: &Path) -> Ended {
    Ended::of(tribunal(["check"]).arg(dir).output().unwrap())
}

/// Copies the files of a run directory that are needed to judge it.
fn copy(run: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in ["run.json", "history.jsonl", "faults.jsonl", "verdict.json"] {
        fs::copy(run.join(file), to.join(file)).unwrap();
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().split_inclusive('\n').map(str::to_string).collect()
}

/// Ways to lose evidence: a name, and a function from the lines to what is left.
type Loss = (&'static str, fn(Vec<String>) -> String);

const LOSSES: [Loss; 9] = [
    ("every other line", |lines| lines.into_iter().step_by(2).collect()),
    ("one line", |mut lines| {
        lines.remove(1);
        lines.concat()
    }),
    ("the first line", |mut lines| {
        lines.remove(0);
        lines.concat()
    }),
    ("the last line", |mut lines| {
        lines.pop();
        lines.concat()
    }),
    ("half of the last line", |lines| {
        let text = lines.concat();
        text[..text.len() - 20].to_string()
    }),
    ("a line twice", |mut lines| {
        lines.insert(2, lines[1].clone());
        lines.concat()
    }),
    ("two lines swapped", |mut lines| {
        lines.swap(0, 1);
        lines.concat()
    }),
    ("half a line more", |lines| lines.concat() + "{\"i\":1"),
    ("everything", |_| String::new()),
];

#[test]
fn lost_evidence_is_an_error_that_names_the_file() {
    let store = Store::new();
    let (code, run) = recorded(&store);
    assert!(matches!(code, 0 | 2), "{code}");
    let dir = store.path().join("copy");
    copy(&run, &dir);
    check(&dir).expect(code);

    for file in ["history.jsonl", "faults.jsonl"] {
        for (what, loss) in LOSSES {
            copy(&run, &dir);
            fs::write(dir.join(file), loss(lines(&dir.join(file)))).unwrap();
            assert_refused(&dir, file, what);
        }
        fs::remove_file(dir.join(file)).unwrap();
        assert_refused(&dir, file, "the file");
        fs::create_dir(dir.join(file)).unwrap();
        assert_refused(&dir, file, "a directory in its place");
        fs::remove_dir(dir.join(file)).unwrap();
        copy(&run, &dir);
    }
    for (file, text) in
        [("run.json", "[]"), ("run.json", "{}"), ("run.json", ""), ("run.json", "{\"schema_version\":1")]
    {
        fs::write(dir.join(file), text).unwrap();
        assert_refused(&dir, file, text);
    }
    copy(&run, &dir);
    fs::remove_file(dir.join("run.json")).unwrap();
    assert_refused(&dir, "run.json", "no run.json");

    // An unreadable verdict does not matter: the evidence is complete.
    copy(&run, &dir);
    fs::write(dir.join("verdict.json"), "{").unwrap();
    let ended = check(&dir).expect(code);
    assert!(ended.stderr.contains("verdict.json"), "{}", ended.stderr);
    fs::remove_file(dir.join("verdict.json")).unwrap();
    check(&dir).expect(code);
}

/// A verdict can be checked against the history by a second judge that shares no code with the first.
#[test]
fn a_verdict_is_verified_by_its_certificates() {
    let store = Store::new();
    let good = judged(&store, "registers/good", "register", RIGHT, 0);
    let verify = |dir: &Path| Ended::of(tribunal(["verify"]).arg(dir).output().unwrap());
    let ended = verify(&good).expect(0);
    assert!(ended.stdout.contains("verified: linearizable: 1 linearization replayed"), "{}", ended.stdout);
    // The history may be verified although the run did not cover its faults: the exit code is the run's own.
    let (code, run) = recorded(&store);
    let ended = verify(&run).expect(code);
    assert!(ended.stdout.contains("replayed, with "), "{}", ended.stdout);
    let bad = judged(&store, "registers/bad", "register", &stale_register(40), 1);
    let ended = verify(&bad).expect(0);
    assert!(ended.stdout.contains("verified: not linearizable: no order of the "), "{}", ended.stdout);
    assert!(ended.stdout.contains("; nor of "), "{}", ended.stdout);

    let dir = store.path().join("copy");
    let tampered = |run: &Path, change: &dyn Fn(&mut serde_json::Value)| {
        copy(run, &dir);
        let mut verdict: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(dir.join("verdict.json")).unwrap()).unwrap();
        change(&mut verdict);
        fs::write(dir.join("verdict.json"), verdict.to_string()).unwrap();
    };
    tampered(&run, &|verdict| verdict["checker"]["parts"][0]["linearization"] = "1 0".into());
    let ended = verify(&dir).expect(1);
    assert!(ended.stdout.contains("REFUTED"), "{}", ended.stdout);
    tampered(&run, &|verdict| {
        verdict["checker"]["parts"][0]["linearization"].take();
    });
    verify(&dir).expect(2);
    tampered(&run, &|verdict| {
        verdict["checker"].take();
    });
    verify(&dir).expect(2);
    verify(&store.path().join("nowhere")).expect(64);

    for (field, value) in [("outcome", "violation"), ("outcome", "convergent"), ("exit_code", "")] {
        tampered(&run, &|verdict| {
            verdict[field] = if value.is_empty() { 3.into() } else { value.into() };
        });
        let ended = verify(&dir).expect(1);
        assert!(ended.stdout.contains("contradicts itself"), "{}", ended.stdout);
    }
    // A stored violation that the history does not contain: one of them is wrong, so the check does not
    // revoke it.
    tampered(&run, &|verdict| verdict["outcome"] = "violation".into());
    let ended = check(&dir).expect(1);
    assert!(ended.stderr.contains("history.jsonl does not show"), "{}", ended.stderr);
}

/// Asserts that the directory is neither checked nor rendered.
fn assert_refused(dir: &Path, file: &str, what: &str) {
    let report = Ended::of(tribunal(["report"]).arg(dir).output().unwrap());
    for ended in [check(dir), report] {
        assert_eq!((ended.code, &*ended.stdout), (Some(64), ""), "{file}, {what}: {}", ended.stderr);
        assert!(ended.stderr.contains(file), "{file}, {what}: {}", ended.stderr);
    }
}

#[test]
fn files_of_another_run_are_refused() {
    let store = Store::new();
    let [a, b] = [("queues/a", 40), ("queues/b", 50)]
        .map(|(run, n)| judged(&store, run, "register", &stale_register(n), 1));
    let foreign = store.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    for (file, from) in [("run.json", &a), ("verdict.json", &a), ("history.jsonl", &b)] {
        fs::copy(from.join(file), foreign.join(file)).unwrap();
    }
    let ended = check(&foreign).expect(1);
    assert!(ended.stderr.contains("error: ") && ended.stderr.contains("history.jsonl"), "{}", ended.stderr);
    fs::copy(a.join("history.jsonl"), foreign.join("history.jsonl")).unwrap();
    fs::copy(b.join("verdict.json"), foreign.join("verdict.json")).unwrap();
    let report = tribunal(["report"]).arg(&foreign).output().unwrap();
    let ended = Ended::of(report).expect(64);
    assert!(ended.stderr.contains("verdict.json: it judges 51 operations"), "{}", ended.stderr);
}

#[test]
fn a_violation_outlives_its_evidence() {
    let store = Store::new();
    let dir = judged(&store, "registers/a", "register", &stale_register(30), 1);
    let history = lines(&dir.join("history.jsonl"));
    let sentence = check(&dir).expect(1).stdout;
    fs::write(dir.join("history.jsonl"), history[..40].concat()).unwrap();
    let ended = check(&dir).expect(1);
    assert_eq!(ended.stdout, sentence, "it is the one that was proved");
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("history.jsonl:40: it ends after 40 events"), "{}", ended.stderr);
    assert!(ended.stderr.contains("not checked again"), "{}", ended.stderr);
}

#[test]
fn a_newer_version_is_refused_by_every_reader() {
    let store = Store::new();
    let (_, run) = recorded(&store);
    let dir = store.path().join("kept/copy");
    let newer = |file: &str| {
        copy(&run, &dir);
        let text = fs::read_to_string(dir.join(file)).unwrap();
        let text = match file.ends_with(".jsonl") {
            true => text.replacen('{', "{\"schema_version\":99,", 1),
            false => text.replacen("\"schema_version\": 1", "\"schema_version\": 99", 1),
        };
        fs::write(dir.join(file), text).unwrap();
    };
    for file in ["run.json", "verdict.json", "faults.jsonl", "history.jsonl"] {
        newer(file);
        for verb in ["check", "report"] {
            let ended = Ended::of(tribunal([verb]).arg(&dir).output().unwrap()).expect(64);
            assert!(ended.stderr.contains(file) && ended.stderr.contains("99"), "{verb}: {}", ended.stderr);
        }
    }
    for file in ["run.json", "verdict.json"] {
        newer(file);
        let list = tribunal(["list", "runs", "--format", "json", "--store"]).arg(store.path()).output();
        let ended = Ended::of(list.unwrap()).expect(0);
        let says = format!("{file}: schema_version is 99, but this Tribunal knows up to 1");
        assert!(ended.stdout.contains(&says), "{}", ended.stdout);
    }
    for file in ["run.json", "faults.jsonl"] {
        newer(file);
        let record = dir.join("faults.jsonl");
        let ended = replay(&store, &record).expect(64);
        assert!(ended.stderr.contains(file) && ended.stderr.contains("99"), "{}", ended.stderr);
    }
    let matrix = store.path().join("matrix");
    fs::create_dir(&matrix).unwrap();
    fs::write(matrix.join("matrix.json"), "{\"schema_version\":99}").unwrap();
    let resume = tribunal(["matrix", "--resume"]).arg(&matrix).output().unwrap();
    let ended = Ended::of(resume).expect(64);
    assert!(ended.stderr.contains("matrix.json: schema_version is 99"), "{}", ended.stderr);
}

/// Replays the faults of a record.
fn replay(store: &Store, record: &Path) -> Ended {
    store.run(&format!("run register --nodes 3 --time-limit 1s --schedule {}", record.display()))
}

#[test]
fn an_incomplete_record_is_not_replayed() {
    let store = Store::new();
    let (_, run) = recorded(&store);
    let dir = store.path().join("copy");
    let record = dir.join("faults.jsonl");
    // Half a line at the end is left by a killed run; only run.json knows that this run was not killed.
    for (what, loss) in LOSSES.into_iter().filter(|(what, _)| *what != "half a line more") {
        copy(&run, &dir);
        fs::write(&record, loss(lines(&record))).unwrap();
        let ended = replay(&store, &record);
        assert_eq!(ended.code, Some(64), "{what}: {}", ended.stderr);
        assert!(ended.stderr.contains("faults.jsonl"), "{what}: {}", ended.stderr);
    }
}
