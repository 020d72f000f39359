//! The runs of a store, each in a few figures: what a table of runs is made from.
//!
//! ```text
//! store/<workload>/<UTC time>-<seed>/            a run that is complete
//! store/<workload>/<UTC time>-<seed>.partial/    one that is under way, or whose controller was killed
//! ```
//!
//! Whatever is in the way of reading one run is said in its row: the others are shown all the same.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tribunal_checker::op::Nanos;

use crate::files;
use crate::judgement::{CheckCost, RunOutcome};
use crate::run_info::RunInfo;
use crate::stats::Stats;

/// One run in a few figures.
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
    /// The name of the model that it is judged by.
    pub model: String,
    /// How many nodes there were.
    pub nodes: usize,
    /// The faults that were asked for.
    pub nemesis: Vec<String>,
    /// The seeded mistakes that were switched on.
    pub bugs: Vec<String>,
    /// The seed of the plan.
    pub seed: u64,
    /// What it came to; `None` while it is not judged.
    pub outcome: Option<RunOutcome>,
    /// The outcome in one sentence, or why the run cannot be read.
    pub sentence: String,
    /// How many operations there were.
    pub ops: usize,
    /// How many of them succeeded.
    pub ok: usize,
    /// How many succeeded in a second.
    pub ok_per_second: f64,
    /// How long 99 of 100 of those that succeeded took no longer than, over all names of operations the longest.
    pub p99_ns: Option<Nanos>,
    /// How long the check took, in milliseconds.
    pub check_ms: Option<u64>,
}

/// What of `verdict.json` a table of runs needs.
#[derive(Deserialize)]
struct Head {
    outcome: RunOutcome,
    sentence: String,
    stats: Stats,
    check_cost: Option<CheckCost>,
}

impl RunSummary {
    /// What has to be the same for two runs to be runs of the same test.
    pub fn test(&self) -> String {
        if self.nodes == 0 && self.system.is_empty() {
            return format!("{}, a written history · model {}", self.workload, self.model);
        }
        let mut words =
            vec![format!("{} on {}", self.workload, self.system), format!("{} nodes", self.nodes)];
        words.push(if self.nemesis.is_empty() { "no faults".into() } else { self.nemesis.join(", ") });
        words.extend(self.bugs.iter().map(|bug| format!("bug {bug}")));
        words.join(" · ")
    }

    /// Reads the run in the directory `path` below `store`.
    pub fn load(store: &Path, path: &str) -> RunSummary {
        let dir = store.join(path);
        let unreadable =
            |why: String| RunSummary { path: path.into(), sentence: why, ..RunSummary::default() };
        let info: RunInfo =
            match files::read(&dir.join("run.json")).map(|bytes| serde_json::from_slice(&bytes)) {
                Ok(Ok(info)) => info,
                Ok(Err(why)) => return unreadable(format!("run.json: {why}")),
                Err(why) => return unreadable(format!("run.json: {why}")),
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
        match files::read(&dir.join("verdict.json")).map(|bytes| serde_json::from_slice::<Head>(&bytes)) {
            Ok(Ok(head)) => summary.judged(head),
            Ok(Err(why)) => summary.sentence = format!("verdict.json: {why}"),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                summary.sentence = "Not judged: it is under way, or its controller was killed.".into();
            }
            Err(why) => summary.sentence = format!("verdict.json: {why}"),
        }
        summary
    }

    fn judged(&mut self, head: Head) {
        let stats = &head.stats;
        self.outcome = Some(head.outcome);
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

/// The directories of all runs below a store, the newest first. Links to runs are not runs.
///
/// # Errors
/// When the store cannot be read.
pub fn paths(store: &Path) -> io::Result<Vec<String>> {
    let mut runs = Vec::new();
    for workload in directories(store)? {
        // A directory that goes away meanwhile has no runs.
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

/// The directories in a directory whose names are text.
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
        assert!(sentence().starts_with("Not judged"), "{}", sentence());
        fs::write(run.join("verdict.json"), "{").unwrap();
        assert!(sentence().starts_with("verdict.json: EOF"), "{}", sentence());
    }
}
