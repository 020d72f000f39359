//! Every history of `histories/` comes to the verdict that `histories/verdicts.txt` names, in the format that is
//! recognised by itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tribunal_checker::check::{self, check};
use tribunal_checker::formats;
use tribunal_checker::model::Objects;
use tribunal_checker::verdict::Answer;
use tribunal_checker::verify::{NotShown, verify};

/// What the second judge may explore.
const CONFIGURATIONS_MAX: usize = 1 << 22;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("histories")
}

/// File, model and verdict of every history.
fn listed() -> Vec<[String; 3]> {
    let list = fs::read_to_string(directory().join("verdicts.txt")).unwrap();
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let fields = |line: &str| -> Vec<String> { line.split_whitespace().map(String::from).collect() };
    lines.map(|line| fields(line).try_into().expect("three fields")).collect()
}

/// Checks one history and names the answer, or why there is none.
fn answer(file: &str, model: &str) -> Result<&'static str, String> {
    let bytes = fs::read(directory().join(file)).map_err(|error| error.to_string())?;
    let reading =
        formats::read(&bytes[..], None, &formats::Options::default()).map_err(|error| error.to_string())?;
    let model: Objects = model.parse().map_err(|error| format!("{error}"))?;
    let options = check::Options { certify: true, ..check::Options::default() };
    let verdict = check(&reading.history, model, &options).map_err(|unfit| unfit.to_string())?;
    match verify(&reading.history, model, &verdict, CONFIGURATIONS_MAX) {
        Err(NotShown::Nothing(_)) if verdict.answer == Answer::Unknown => {}
        Ok(_) => {}
        Err(why) => return Err(format!("the second judge disagrees: {why}")),
    }
    Ok(match verdict.answer {
        Answer::Linearizable => "linearizable",
        Answer::Violation => "violation",
        Answer::Unknown => "unknown",
    })
}

#[test]
fn every_history_comes_to_its_verdict() {
    let wrong: Vec<String> = listed()
        .iter()
        .filter_map(|[file, model, expected]| match answer(file, model) {
            Ok(answer) if answer == expected => None,
            Ok(answer) => Some(format!("{file}: expected {expected}, got {answer}")),
            Err(error) => Some(format!("{file}: expected {expected}, but {error}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_history_is_listed() {
    fn files(dir: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                files(&entry.path(), found);
            } else {
                found.insert(entry.path());
            }
        }
    }
    let mut found = BTreeSet::new();
    files(&directory(), &mut found);
    let listed = listed().into_iter().map(|[file, ..]| file);
    let expected =
        listed.chain(["README.md".into(), "verdicts.txt".into()]).map(|file| directory().join(file));
    assert_eq!(found, expected.collect());
}
