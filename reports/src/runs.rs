//! The runs of a store as summaries, for a table of runs.
//!
//! ```text
//! store/<workload>/<UTC time>-<seed>/            a complete run
//! store/<workload>/<UTC time>-<seed>.partial/    a run in progress, or one whose controller was killed
//! ```
//!
//! If a run cannot be read, its row contains the error, and the other runs are still shown.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tribunal_checker::op::Nanos;
use tribunal_records::oracles::Oracle;

use crate::judgement::{self, CheckCost, RunOutcome};
use crate::run_dir::{LoadError, load_info, load_json};
use crate::stats::Stats;
use crate::summary;
use crate::wording::counted;

/// The summary of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunSummary {
    /// Its directory below the store, such as `register/20261121T093015Z-8231`.
    pub path: String,
    /// When it began.
    pub started_utc: String,
    /// The name of the workload.
    pub workload: String,
    /// The name of the system under test.
    pub system: String,
    /// The name of its model.
    pub model: String,
    /// The number of nodes.
    pub nodes: usize,
    /// The requested faults.
    pub nemesis: Vec<String>,
    /// The enabled bugs.
    pub bugs: Vec<String>,
    /// The seed of the plan.
    pub seed: u64,
    /// Its outcome; `None` if it is not judged yet.
    pub outcome: Option<RunOutcome>,
    /// For a violation: the oracle that found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_by: Option<Oracle>,
    /// The outcome in one sentence, or why the run cannot be read.
    pub sentence: String,
    /// Whether the user interrupted it.
    pub interrupted: bool,
    /// The number of operations.
    pub ops: usize,
    /// The number of successful operations.
    pub ok: usize,
    /// Successful operations per second.
    pub ok_per_second: f64,
    /// The p99 latency of successful operations: the highest over all kinds of operation.
    pub p99_ns: Option<Nanos>,
    /// The duration of the check, in milliseconds.
    pub check_ms: Option<u64>,
}

/// The fields of `verdict.json` for a table of runs.
#[derive(Deserialize)]
struct Head {
    outcome: RunOutcome,
    sentence: String,
    found_by: Option<Oracle>,
    interrupted: bool,
    stats: Stats,
    check_cost: Option<CheckCost>,
}

impl RunSummary {
    /// The test: equal for two runs of the same test.
    pub fn test(&self) -> String {
        if self.nodes == 0 && self.system.is_empty() {
            return format!("{}, a written history · model {}", self.workload, self.model);
        }
        let mut words = vec![format!("{} on {}", self.workload, self.system), counted(self.nodes, "node")];
        words.push(if self.nemesis.is_empty() { "no faults".into() } else { self.nemesis.join(", ") });
        words.extend(self.bugs.iter().map(|bug| format!("bug {bug}")));
        words.join(" · ")
    }

    /// The outcome in words; `None` if it is not judged yet.
    pub fn heading(&self) -> Option<&'static str> {
        Some(summary::heading(self.outcome?, self.found_by, &self.model))
    }

    /// Reads the run in the directory `path` below `store`.
    pub fn load(store: &Path, path: &str) -> RunSummary {
        let dir = store.join(path);
        let unreadable =
            |why: String| RunSummary { path: path.into(), sentence: why, ..RunSummary::default() };
        let info = match load_info(&dir) {
            Ok(info) => info,
            Err(why) => return unreadable(load_error(&why)),
        };
        let mut summary = RunSummary {
            path: path.into(),
            started_utc: info.started_utc,
            workload: info.workload,
            system: info.system,
            model: info.model,
            nodes: info.nodes.len(),
            nemesis: info.nemesis,
            bugs: info.bugs,
            seed: info.seed,
            ..RunSummary::default()
        };
        match load_json(&dir.join("verdict.json"), judgement::SCHEMA_VERSION) {
            Ok(head) => summary.judged(head),
            Err(why) if why.is_missing() => {
                summary.sentence = "Not judged: it is under way, or its controller was killed.".into();
            }
            Err(why) => summary.sentence = load_error(&why),
        }
        summary
    }

    fn judged(&mut self, head: Head) {
        let stats = &head.stats;
        // Earlier versions called an interrupted run good.
        let good = head.outcome.is_good() && head.interrupted;
        self.outcome = Some(if good { RunOutcome::Unknown } else { head.outcome });
        self.found_by = head.found_by;
        self.interrupted = head.interrupted;
        self.sentence = head.sentence;
        self.ops = stats.tally.all();
        self.ok = stats.tally.ok;
        if stats.span_ns > 0 {
            self.ok_per_second = stats.tally.ok as f64 / (stats.span_ns as f64 / 1e9);
        }
        self.p99_ns = stats.by_f.iter().filter_map(|per_f| Some(per_f.latency?.p99_ns)).max();
        self.check_ms = head.check_cost.map(|cost| cost.took_ms);
    }
}

/// The error in a file, with its name in the run directory.
fn load_error(why: &LoadError) -> String {
    match why {
        LoadError::Io { path, source } => format!("{}: {source}", file_name(path)),
        LoadError::Content { path, why } => format!("{}: {why}", file_name(path)),
        LoadError::Line { path, line, why } => format!("{}:{line}: {why}", file_name(path)),
        LoadError::Newer { path, found, known } => {
            format!("{}: schema_version is {found}, but this Tribunal knows up to {known}", file_name(path))
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The directories of all runs below a store, the newest first. Links to runs are not runs.
///
/// # Errors
/// When the store cannot be read.
pub fn paths(store: &Path) -> io::Result<Vec<String>> {
    let mut runs = Vec::new();
    for workload in directories(store)? {
        // A directory that was removed in the meantime has no runs.
        let here = directories(&store.join(&workload)).unwrap_or_default();
        runs.extend(here.into_iter().map(|name| format!("{workload}/{name}")));
    }
    // The names of runs begin with the time.
    runs.sort_by(|a, b| name(b).cmp(name(a)).then_with(|| a.cmp(b)));
    Ok(runs)
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The subdirectories with valid UTF-8 names.
fn directories(dir: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(dir)?.flatten();
    let kept = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(kept.filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_listed_newest_first_and_links_are_left_out() {
        let store = tempfile::tempdir().unwrap();
        for run in [
            "counter/20260102T000000Z-1",
            "register/20260103T000000Z-1",
            "counter/20260104T000000Z-1.partial",
        ] {
            fs::create_dir_all(store.path().join(run)).unwrap();
        }
        std::os::unix::fs::symlink("20260102T000000Z-1", store.path().join("counter/latest")).unwrap();
        let expected = [
            "counter/20260104T000000Z-1.partial",
            "register/20260103T000000Z-1",
            "counter/20260102T000000Z-1",
        ];
        assert_eq!(paths(store.path()).unwrap(), expected);
    }

    #[test]
    fn a_written_history_has_neither_nodes_nor_faults() {
        let written =
            RunSummary { workload: "h.jsonl".into(), model: "queue".into(), ..RunSummary::default() };
        assert_eq!(written.test(), "h.jsonl, a written history · model queue");
        let run = RunSummary { system: "raft".into(), nodes: 3, ..written };
        assert_eq!(run.test(), "h.jsonl on raft · 3 nodes · no faults");
    }

    #[test]
    fn what_cannot_be_read_is_said_in_its_row() {
        let store = tempfile::tempdir().unwrap();
        let run = store.path().join("register/a");
        fs::create_dir_all(&run).unwrap();
        let sentence = || RunSummary::load(store.path(), "register/a").sentence;
        assert!(sentence().starts_with("run.json: No such file"), "{}", sentence());
        fs::write(run.join("run.json"), "{}").unwrap();
        assert!(sentence().starts_with("run.json:1: missing field `schema_version`"), "{}", sentence());
        fs::write(run.join("run.json"), r#"{"schema_version":2}"#).unwrap();
        assert!(sentence().starts_with("run.json: schema_version is 2, but"), "{}", sentence());
        fs::write(run.join("run.json"), r#"{"schema_version":1}"#).unwrap();
        assert!(sentence().starts_with("Not judged"), "{}", sentence());
        fs::write(run.join("verdict.json"), "{").unwrap();
        assert!(sentence().starts_with("verdict.json:1: EOF"), "{}", sentence());
    }
}
