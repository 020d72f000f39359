//! Statistics that follow from a run's history alone: number of operations, outcomes, latencies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tribunal_checker::history::History;
use tribunal_checker::op::{F, Nanos, Op, Outcome};

/// The outcomes of a set of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Operations that happened.
    pub ok: usize,
    /// Operations that certainly did not happen.
    pub fail: usize,
    /// Operations with an unknown outcome.
    pub info: usize,
}

impl Tally {
    /// The tally of some operations.
    pub fn of<'a>(ops: impl IntoIterator<Item = &'a Op>) -> Tally {
        let mut tally = Tally::default();
        ops.into_iter().for_each(|op| tally.add(op));
        tally
    }

    /// Counts one more operation.
    pub fn add(&mut self, op: &Op) {
        match op.outcome {
            Outcome::Ok(_) => self.ok += 1,
            Outcome::Fail => self.fail += 1,
            Outcome::Info => self.info += 1,
        }
    }

    /// The number of operations.
    pub fn all(self) -> usize {
        self.ok + self.fail + self.info
    }
}

/// The operations of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerF {
    /// The name.
    pub f: F,
    /// Their outcomes.
    pub tally: Tally,
    /// The latency of successful operations; `None` if there are none.
    pub latency: Option<Latency>,
}

/// Latencies in nanoseconds: exact quantiles by nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50_ns: Nanos,
    /// The 95th percentile.
    pub p95_ns: Nanos,
    /// The 99th percentile.
    pub p99_ns: Nanos,
    /// The maximum.
    pub max_ns: Nanos,
}

impl Latency {
    /// The quantiles of some durations, in any order; `None` if there are none.
    pub fn of(mut durations: Vec<Nanos>) -> Option<Latency> {
        durations.sort_unstable();
        let max_ns = *durations.last()?;
        let rank = |percent| durations[quantile_rank(durations.len(), percent)];
        Some(Latency { p50_ns: rank(50), p95_ns: rank(95), p99_ns: rank(99), max_ns })
    }
}

/// The position, by nearest rank, of a quantile in `len` sorted numbers; `len` is at least 1.
pub(crate) fn quantile_rank(len: usize, percent: usize) -> usize {
    (len * percent).div_ceil(100).clamp(1, len) - 1
}

/// The statistics of a whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// The outcomes of its operations.
    pub tally: Tally,
    /// The number of distinct keys.
    pub keys: usize,
    /// The number of processes, including replacements of retired ones.
    pub processes: usize,
    /// The same by operation name, in the order of the names.
    pub by_f: Vec<PerF>,
    /// From the first invocation to the last event, in nanoseconds.
    pub span_ns: Nanos,
}

impl Stats {
    /// Computes the statistics of a history.
    pub fn of(history: &History) -> Stats {
        let mut by_f: BTreeMap<&F, (Tally, Vec<Nanos>)> = BTreeMap::new();
        for op in &history.ops {
            let (tally, durations) = by_f.entry(&op.f).or_default();
            tally.add(op);
            if let (Outcome::Ok(_), Some(end)) = (&op.outcome, op.completed) {
                durations.push(end - op.call);
            }
        }
        let distinct = |mut all: Vec<_>| {
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        let mut keys: Vec<_> = history.ops.iter().map(|op| &op.key).collect();
        keys.sort_unstable();
        keys.dedup();
        Stats {
            tally: Tally::of(&history.ops),
            keys: keys.len(),
            processes: distinct(history.ops.iter().map(|op| op.process).collect()),
            by_f: by_f
                .into_iter()
                .map(|(f, (tally, durations))| PerF { f: f.clone(), tally, latency: Latency::of(durations) })
                .collect(),
            span_ns: last_event(history) - history.ops.first().map_or(0, |op| op.call),
        }
    }
}

/// The time of the last event of a history; 0 if it is empty.
pub fn last_event(history: &History) -> Nanos {
    history.ops.iter().map(|op| op.completed.unwrap_or(op.call)).max().unwrap_or(0)
}

/// The time from `healed` to the first success of an operation invoked after it; `None` if there is none.
pub fn time_to_recover(history: &History, healed: Nanos) -> Option<Nanos> {
    let after = history.ops.partition_point(|op| op.call < healed);
    let mut first: Option<Nanos> = None;
    for op in &history.ops[after..] {
        if first.is_some_and(|first| op.call >= first) {
            break; // all further operations complete later
        }
        if let (true, Some(completed)) = (op.is_ok(), op.completed) {
            first = Some(first.map_or(completed, |first| first.min(completed)));
        }
    }
    Some(first? - healed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_go_by_nearest_rank() {
        let latency = Latency::of((1..=100).rev().collect()).unwrap();
        assert_eq!(latency, Latency { p50_ns: 50, p95_ns: 95, p99_ns: 99, max_ns: 100 });
        assert_eq!(Latency::of(vec![7]).unwrap().p99_ns, 7);
        assert_eq!(Latency::of(vec![]), None);
    }

    #[test]
    fn recovery_is_the_first_success_that_was_asked_for_after_the_heal() {
        let line = |t: u64, p: u64, kind: &str| {
            serde_json::from_str(&format!(r#"{{"i":0,"t":{t},"p":{p},"type":"{kind}","f":"read"}}"#)).unwrap()
        };
        let history = History::from_events([
            line(5, 0, "invoke"), // before the heal: its success says nothing
            line(11, 0, "ok"),
            line(12, 1, "invoke"),
            line(13, 2, "invoke"),
            line(14, 2, "ok"),
            line(15, 0, "invoke"),
            line(16, 0, "ok"),
            line(30, 1, "ok"),
        ]);
        let history = history.unwrap();
        assert_eq!(time_to_recover(&history, 10), Some(4));
        assert_eq!(time_to_recover(&history, 14), Some(2));
        assert_eq!(time_to_recover(&history, 16), None);
    }

    #[test]
    fn an_empty_history_has_figures_too() {
        assert_eq!(Stats::of(&History::default()), Stats::default());
    }
}
