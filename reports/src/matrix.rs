//! The matrix: how often trials detect known flaws, and whether they accuse correct systems.
//!
//! ```text
//!   rows      a flaw of a system (a seeded bug, or a system that fails by design), or a correct system
//!   columns   nemeses
//!   cells     runs that differ only in their seeds
//! ```
//!
//! A run is a sample: the same plan finds the same bug in one run and not in the next. So a cell shows a rate
//! with its interval, by Wilson's score (E. B. Wilson, Probable inference, the law of succession, and
//! statistical inference, Journal of the American Statistical Association 22, 1927). It is valid for few runs
//! and for rates near 0 and 1: ten of ten is not certainty, it is 72 % or more.
//!
//! Everything here is a pure function of the runs' files; [`Finding::load`] reads one run.

mod markdown;
pub mod words;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tribunal_records::TrialSpec;

use crate::faults::Fault;
use crate::judgement::{Judgement, RunOutcome};
use crate::run_dir::{LoadError, load_faults, load_info, load_judgement};
use crate::run_info::{RunInfo, Tool};

pub use markdown::render as markdown;

/// The version of the format of `matrix.json`. It increases when a field changes its meaning, not when one is
/// added.
pub const SCHEMA_VERSION: u32 = 2;

/// The contents of `matrix.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Matrix {
    /// [`SCHEMA_VERSION`] at the time of writing.
    pub schema_version: u32,
    /// The program that made it.
    pub tool: Tool,
    /// The maximum duration of a run's load, in milliseconds.
    pub budget_ms: u64,
    /// The number of runs planned per row.
    pub seeds: u64,
    /// The rows: flaws first, system by system.
    pub rows: Vec<Row>,
}

/// Runs that differ only in their seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// The system.
    pub system: String,
    /// The name of its seeded bug, if any.
    pub bug: Option<String>,
    /// The rule that it breaks; `None`: the system is correct, and every violation found is a false alarm.
    pub rule: Option<String>,
    /// The workload.
    pub workload: String,
    /// The faults, as on the command line; `default`: those of `tribunal run`.
    pub nemesis: String,
    /// The trial, except its seed and the directory of its runs.
    pub spec: TrialSpec,
    /// The runs, by seed.
    pub runs: Vec<Finding>,
    /// The summary of the runs.
    pub summary: Summary,
}

/// The result of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The seed of its plan.
    pub seed: u64,
    /// Its outcome.
    pub outcome: RunOutcome,
    /// The outcome in one sentence.
    pub sentence: String,
    /// The number of recorded operations.
    pub ops: usize,
    /// For a violation: its class, such as `stale-read`, or the oracle that found it.
    pub class: Option<String>,
    /// For a violation: the time from the clients' start to the completion of the witness, or to the finding,
    /// in milliseconds.
    pub after_ms: Option<u64>,
    /// For a violation: the number of operations in the minimal counterexample.
    pub counterexample: Option<usize>,
    /// For a violation: the faults in force during the counterexample; if none, the last one healed before
    /// it.
    pub faults: Vec<String>,
    /// The run's directory, relative to the matrix.
    pub path: String,
}

/// The summary of a row's runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// The number of runs that found a violation ...
    pub found: usize,
    /// ... of all runs with a result for the system: without harness failures.
    pub of: usize,
    /// The number of undecided runs.
    pub unknown: usize,
    /// The number of harness failures.
    pub broke: usize,
    /// Wilson's 95 % interval of the detection rate, from 0 to 1.
    pub interval: [f64; 2],
    /// The median time to detection, in milliseconds.
    pub median_ms: Option<u64>,
    /// The median number of operations in a counterexample.
    pub median_ops: Option<usize>,
    /// The faults under which it was found, the most frequent first.
    pub by_fault: Vec<(String, usize)>,
    /// The classes of the violations, the most frequent first.
    pub by_class: Vec<(String, usize)>,
}

/// The totals of the matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Flaws found in at least one run ...
    pub found: usize,
    /// ... of those tested so far.
    pub flaws: usize,
    /// Runs of correct systems without any complaint ...
    pub quiet: usize,
    /// ... of all their runs.
    pub correct: usize,
    /// Runs of correct systems that reported a violation.
    pub false_alarms: usize,
    /// Harness failures.
    pub broke: usize,
}

impl Row {
    /// Whether the system is correct, so that every violation found is a false alarm.
    pub fn is_correct(&self) -> bool {
        self.rule.is_none()
    }

    /// The name of the flaw, such as `raft stale-read`.
    pub fn name(&self) -> String {
        match &self.bug {
            Some(bug) => format!("{} {bug}", self.system),
            None => self.system.clone(),
        }
    }

    /// Sorts its runs and computes the summary.
    pub fn summarise(&mut self) {
        self.runs.sort_by_key(|run| run.seed);
        self.summary = Summary::of(&self.runs);
    }
}

impl Summary {
    /// The summary of some runs.
    pub fn of(runs: &[Finding]) -> Summary {
        let with = |outcome| runs.iter().filter(|run| run.outcome == outcome).count();
        let broke = with(RunOutcome::HarnessFailure);
        let (found, of) = (with(RunOutcome::Violation), runs.len() - broke);
        Summary {
            found,
            of,
            unknown: with(RunOutcome::Unknown),
            broke,
            interval: wilson(found, of),
            median_ms: median(runs.iter().filter_map(|run| run.after_ms)),
            median_ops: median(runs.iter().filter_map(|run| run.counterexample)),
            by_fault: by_frequency(runs.iter().flat_map(|run| run.faults.iter().cloned())),
            by_class: by_frequency(runs.iter().filter_map(|run| run.class.clone())),
        }
    }
}

impl Matrix {
    /// The totals. A flaw tested under several nemeses counts once.
    pub fn totals(&self) -> Totals {
        let mut flaws: BTreeMap<(String, &str), bool> = BTreeMap::new();
        let mut totals = Totals::default();
        for row in &self.rows {
            let Summary { found, of, unknown, broke, .. } = row.summary;
            totals.broke += broke;
            if row.is_correct() {
                totals.correct += of;
                totals.quiet += of - found - unknown;
                totals.false_alarms += found;
            } else if of > 0 {
                *flaws.entry((row.name(), &row.workload)).or_default() |= found > 0;
            }
        }
        totals.flaws = flaws.len();
        totals.found = flaws.values().filter(|found| **found).count();
        totals
    }

    /// The number of runs left.
    pub fn due(&self) -> usize {
        let made: usize = self.rows.iter().map(|row| row.runs.len()).sum();
        (self.rows.len() * self.seeds as usize).saturating_sub(made)
    }
}

impl Finding {
    /// The result of the run in the directory `dir`; `path` is its name in the matrix.
    ///
    /// # Errors
    /// When one of its files cannot be read.
    pub fn load(dir: &Path, path: &str) -> Result<Finding, LoadError> {
        let info = load_info(dir)?;
        let judgement = load_judgement(dir)?;
        let faults = load_faults(&dir.join("faults.jsonl"), info.ending.as_ref())?;
        Ok(Finding::of(&info, &judgement, &faults, path))
    }

    fn of(info: &RunInfo, judgement: &Judgement, faults: &[Fault], path: &str) -> Finding {
        let mut finding = Finding {
            seed: info.seed,
            outcome: judgement.outcome,
            sentence: judgement.sentence.clone(),
            ops: judgement.stats.tally.all(),
            class: None,
            after_ms: None,
            counterexample: None,
            faults: Vec::new(),
            path: path.into(),
        };
        let running = info.phases.iter().find(|phase| phase.name == "running");
        let begun = running.map_or(0, |phase| phase.start_ns);
        if let Some(found) = judgement.decisive_finding() {
            finding.class = Some(found.oracle.name().to_owned());
            finding.after_ms = Some(found.t.saturating_sub(begun) / 1_000_000);
            finding.faults = faults_around(faults, found.t, found.t);
        } else if let Some(violation) = judgement.violation() {
            let ops = judgement.ops.iter().filter(|it| violation.minimal.contains(&it.id));
            let from = ops.map(|it| it.op.call).min().unwrap_or(violation.detected);
            finding.class = Some(violation.class.clone());
            finding.after_ms = Some(violation.detected.saturating_sub(begun) / 1_000_000);
            finding.counterexample = Some(violation.minimal.len());
            finding.faults = faults_around(faults, from, violation.detected);
        }
        finding
    }
}

/// The faults in force at some time from `from` to `to`; if none, the last one healed before.
fn faults_around(faults: &[Fault], from: u64, to: u64) -> Vec<String> {
    let name = |fault: &Fault| match fault.kind.as_str() {
        "" => fault.fault.clone(),
        kind if kind == fault.fault => fault.fault.clone(),
        kind => format!("{} {kind}", fault.fault),
    };
    let mut names: Vec<String> = faults.iter().filter(|it| it.overlaps(from, to)).map(name).collect();
    if names.is_empty() {
        let before = faults.iter().filter(|it| it.was_in_force() && it.healed_ns.is_some_and(|t| t < from));
        names.extend(before.max_by_key(|it| it.healed_ns).map(|it| format!("after {}", name(it))));
    }
    names.sort();
    names.dedup();
    names
}

/// Wilson's 95 % score interval for `found` of `of`; [0, 1] if `of` is 0.
pub fn wilson(found: usize, of: usize) -> [f64; 2] {
    if of == 0 {
        return [0.0, 1.0];
    }
    const Z: f64 = 1.959_964;
    let (n, share) = (of as f64, found as f64 / of as f64);
    let scale = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

/// The lower median.
fn median<T: Ord>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut all: Vec<T> = all.collect();
    all.sort_unstable();
    let middle = all.len().checked_sub(1)? / 2;
    Some(all.swap_remove(middle))
}

fn by_frequency(names: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

#[cfg(test)]
mod tests {
    use tribunal_checker::check::{Options, check};
    use tribunal_checker::history::History;
    use tribunal_checker::model::ModelKind;
    use tribunal_records::oracles::{self, Oracle};

    use super::*;
    use crate::faults::FaultOutcome;
    use crate::judgement::Circumstances;
    use crate::run_info::Phase;

    fn finding(seed: u64, outcome: RunOutcome, after_ms: Option<u64>) -> Finding {
        Finding {
            seed,
            outcome,
            sentence: String::new(),
            ops: 10,
            class: after_ms.map(|_| "stale-read".into()),
            after_ms,
            counterexample: after_ms.map(|_| 3),
            faults: after_ms.map(|_| "kill one".to_string()).into_iter().collect(),
            path: String::new(),
        }
    }

    fn row(rule: Option<&str>, nemesis: &str, runs: Vec<Finding>) -> Row {
        let (rule, nemesis) = (rule.map(str::to_string), nemesis.into());
        let mut row = Row { system: "raft".into(), rule, nemesis, runs, ..Row::default() };
        row.summarise();
        row
    }

    #[test]
    fn the_interval_is_that_of_the_literature() {
        // Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17
        // (1998), table I, method 3 (score): 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        let expected = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ];
        for (found, of, low, high) in expected {
            let interval = wilson(found, of);
            assert!((interval[0] - low).abs() < 5e-5 && (interval[1] - high).abs() < 5e-5, "{interval:?}");
        }
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn a_row_is_summed_up_without_the_runs_that_broke() {
        let row = row(
            Some("a rule"),
            "default",
            vec![
                finding(3, RunOutcome::Violation, Some(900)),
                finding(1, RunOutcome::Violation, Some(100)),
                finding(2, RunOutcome::HarnessFailure, None),
                finding(4, RunOutcome::Unknown, None),
                finding(5, RunOutcome::Linearizable, None),
            ],
        );
        assert_eq!(row.runs.iter().map(|run| run.seed).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let Summary { found, of, unknown, broke, median_ms, median_ops, by_fault, .. } = row.summary;
        assert_eq!((found, of, unknown, broke), (2, 4, 1, 1));
        assert_eq!((median_ms, median_ops), (Some(100), Some(3)));
        assert_eq!(by_fault, [("kill one".to_string(), 2)]);
    }

    #[test]
    fn what_another_oracle_finds_has_its_name_and_time() {
        let found = oracles::Finding {
            oracle: Oracle::Divergence,
            t: 3_000_000_000,
            nodes: Vec::new(),
            sentence: "n1 and n2 differ".into(),
            evidence: Vec::new(),
            excuse: None,
        };
        let phases = vec![Phase { name: "running".into(), start_ns: 1_000_000_000, end_ns: None }];
        let info = RunInfo { phases, findings: vec![found], ..RunInfo::default() };
        let history = History { ops: Vec::new() };
        let verdict = check(&history, ModelKind::Register, &Options::default()).expect("it fits");
        let judgement = Judgement::of(&info, &history, &[], Some(verdict), Circumstances::default());
        let finding = Finding::of(&info, &judgement, &[], "r");
        assert_eq!(finding.outcome, RunOutcome::Violation);
        assert_eq!((finding.class.as_deref(), finding.after_ms), (Some("divergence"), Some(2_000)));
    }

    #[test]
    fn a_flaw_found_under_one_nemesis_is_found() {
        let quiet = || vec![finding(1, RunOutcome::Linearizable, None)];
        let matrix = Matrix {
            rows: vec![
                row(Some("a rule"), "kill", quiet()),
                row(Some("a rule"), "pause", vec![finding(1, RunOutcome::Violation, Some(5))]),
                row(None, "kill", quiet()),
                row(None, "pause", vec![finding(1, RunOutcome::Violation, Some(5))]),
            ],
            ..Matrix::default()
        };
        let totals = Totals { found: 1, flaws: 1, quiet: 1, correct: 2, false_alarms: 1, broke: 0 };
        assert_eq!(matrix.totals(), totals);
    }

    #[test]
    fn what_was_in_force_is_blamed_and_else_what_was_last() {
        let fault = |fault: &str, kind: &str, from, to| Fault {
            fault: fault.into(),
            kind: kind.into(),
            applied_ns: from,
            healed_ns: Some(to),
            outcome: FaultOutcome::Installed,
            ..Fault::default()
        };
        let faults = [fault("kill", "one", 10, 20), fault("pause", "leader", 30, 40)];
        assert_eq!(faults_around(&faults, 15, 35), ["kill one", "pause leader"]);
        assert_eq!(faults_around(&faults, 50, 60), ["after pause leader"]);
        assert!(faults_around(&faults, 1, 5).is_empty());
    }
}
