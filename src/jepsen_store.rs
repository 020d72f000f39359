//! A directory of Jepsen's store: `store/<test>/<time>/`, with the history of a test and the results of its
//! checkers.
//!
//! ```text
//! history.edn  history.txt  jepsen.log      the history; the first of these that exists is read
//! results.edn                               Jepsen's own results, which are compared with our verdict
//! independent/<key>/history.edn             the history of each key, if values are [key value] pairs
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tribunal_checker::formats::{self, Options, Reading, Results};
use tribunal_checker::op::Value;
use tribunal_reports::files;
use tribunal_reports::judgement::RunOutcome;

use crate::input::InputArgs;

/// The files that may contain the history, best first: only EDN has times.
const HISTORIES: [&str; 7] = [
    "history.edn",
    "history.edn.gz",
    "history.json",
    "history.txt",
    "history.txt.gz",
    "jepsen.log",
    "jepsen.log.gz",
];

/// Maximum number of keys of a test.
const KEYS_MAX: usize = 100_000;

/// Whether a directory is one of Jepsen's, not a run directory of Tribunal.
pub(crate) fn is_store(dir: &Path) -> bool {
    dir.is_dir()
        && !dir.join("run.json").is_file()
        && (history(dir).is_some() || dir.join("independent").is_dir())
}

fn history(dir: &Path) -> Option<PathBuf> {
    HISTORIES.iter().map(|name| dir.join(name)).find(|path| path.is_file())
}

/// Reads the history. Also returns the files that it was read from.
///
/// # Errors
/// As [`InputArgs::read`]; also when there is no history.
pub(crate) fn read(dir: &Path, input: &InputArgs) -> Result<(Reading, Vec<PathBuf>)> {
    let options = input.options()?;
    let keys = dir.join("independent");
    if let Some(path) = history(dir) {
        // Jepsen creates this directory only for tests whose values are pairs.
        let options = Options { independent: options.independent || keys.is_dir(), ..options };
        let mut reading = input.read_with(&path, &options)?;
        reading.notes.insert(0, format!("this is a Jepsen store: read {}", path.display()));
        return Ok((reading, vec![path]));
    }
    let entries = fs::read_dir(&keys).with_context(|| format!("cannot read {}", keys.display()))?;
    let mut found: Vec<(Value, PathBuf)> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", keys.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let key = name.parse().map_or_else(|_| Value::str(&name), Value::Int);
        found.extend(history(&path).map(|path| (key, path)));
    }
    ensure!(
        !found.is_empty(),
        "{}: expected history.edn, or independent/KEY/history.edn, found neither",
        dir.display()
    );
    ensure!(
        found.len() <= KEYS_MAX,
        "{}: expected at most {KEYS_MAX} keys, found {}",
        keys.display(),
        found.len()
    );
    found.sort();
    let paths: Vec<PathBuf> = found.iter().map(|(_, path)| path.clone()).collect();
    let readings: Result<Vec<(Value, Reading)>> =
        found.into_iter().map(|(key, path)| Ok((key, input.read_with(&path, &options)?))).collect();
    let mut reading = formats::by_key(readings?);
    let count = paths.len();
    reading.notes =
        vec![format!("this is a Jepsen store: read the histories of {count} keys in {}", keys.display())];
    Ok((reading, paths))
}

/// Jepsen's result compared with our verdict; `None` if there is no result.
pub(crate) fn comparison(dir: &Path, ours: RunOutcome) -> Option<String> {
    let path = dir.join("results.edn");
    let bytes = match files::read(&path) {
        Ok(bytes) => bytes,
        Err(_) if !path.exists() => return None,
        Err(error) => return Some(format!("results.edn cannot be read: {error}")),
    };
    Some(match formats::results(&bytes) {
        Ok(results) => compare(results, ours),
        Err(error) => format!("results.edn cannot be read: {}:{error}", path.display()),
    })
}

fn compare(results: Results, ours: RunOutcome) -> String {
    let (whose, theirs) = match results.linearizable {
        Some(valid) => ("its check of linearizability", valid),
        None => ("all checkers of the test together", results.valid),
    };
    let said = theirs.map_or(":unknown".into(), |valid| valid.to_string());
    let how = match (theirs, ours) {
        (Some(true), RunOutcome::Linearizable | RunOutcome::Convergent)
        | (Some(false), RunOutcome::Violation) => "agrees",
        (None, RunOutcome::Unknown) => "agrees",
        _ => "differs",
    };
    format!("results.edn {how}: it says :valid? {said} ({whose})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_and_difference_are_reported() {
        let said = |valid, linearizable, ours| compare(Results { valid, linearizable }, ours);
        assert_eq!(
            said(Some(true), None, RunOutcome::Linearizable),
            "results.edn agrees: it says :valid? true (all checkers of the test together)"
        );
        assert_eq!(
            said(Some(false), Some(Some(true)), RunOutcome::Violation),
            "results.edn differs: it says :valid? true (its check of linearizability)"
        );
        assert!(
            said(None, None, RunOutcome::Violation)
                .starts_with("results.edn differs: it says :valid? :unknown")
        );
    }
}
