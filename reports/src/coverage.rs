//! Whether a run tested what it was asked to test.
//!
//! A history can be linearizable because the system is right, or because nothing happened to it. So every fault
//! that was asked for must have been applied, must have bitten, and operations must have succeeded both while it
//! was in force and after it was healed. A run that does not show this proves less than it was asked to prove:
//! its outcome is `unknown`, and [`Coverage::why`] says what is missing.
//!
//! One exception: nothing can be expected to succeed while a majority is away, or before a cluster has had the time to notice
//! what it is to survive. Where no fault of a kind left a majority alone for [`LONG_ENOUGH_NS`], with no other in force beside
//! it, what succeeded before and after it has to do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tribunal_checker::history::History;
use tribunal_checker::op::Nanos;

use crate::faults::{Fault, FaultOutcome};

/// Whether a run tested what it was asked to test, and how much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Whether it did.
    pub met: bool,
    /// What is missing, one clause each; empty when met.
    pub why: Vec<String>,
    /// Each fault that was asked for or happened, in the order of the names.
    pub faults: Vec<FaultCoverage>,
}

/// How much of one fault a run has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCoverage {
    /// Which fault, such as `partition`.
    pub fault: String,
    /// How often the nemesis set out to apply it.
    pub planned: usize,
    /// How often it was in force.
    pub installed: usize,
    /// How often it was in force and bit.
    pub effective: usize,
    /// How often it was not applied, for a known reason.
    pub skipped: usize,
    /// How often nobody knows whether it was in force.
    pub indeterminate: usize,
    /// How many operations succeeded while one of its kind was in force.
    pub ok_during: usize,
    /// How many operations were invoked after the last of its kind was healed, and succeeded.
    pub ok_after: usize,
}

/// In so long a cluster is to notice a fault and to go on without those that it took, in nanoseconds.
const LONG_ENOUGH_NS: Nanos = 1_000_000_000;

impl Coverage {
    /// The coverage of a run of so many `nodes` in which the `asked` faults were wanted.
    pub fn of(asked: &[String], nodes: usize, history: &History, faults: &[Fault]) -> Coverage {
        let names: BTreeSet<&str> =
            asked.iter().map(String::as_str).chain(faults.iter().map(|fault| fault.fault.as_str())).collect();
        let mut coverage = Coverage::default();
        for name in names {
            let all: Vec<&Fault> = faults.iter().filter(|fault| fault.fault == name).collect();
            let seen = seen(name, &all, history);
            if asked.iter().any(|asked| asked == name) {
                coverage
                    .why
                    .extend(missing(&seen, all.iter().any(|fault| is_to_be_survived(fault, nodes, faults))));
            }
            coverage.faults.push(seen);
        }
        coverage.met = coverage.why.is_empty();
        coverage
    }
}

/// Whether operations can be expected to succeed while a fault is in force: it was alone, and long enough, and spared a majority.
fn is_to_be_survived(fault: &Fault, nodes: usize, all: &[Fault]) -> bool {
    let end = fault.end_or(Nanos::MAX);
    let is_beside = |other: &Fault| {
        !std::ptr::eq(fault, other)
            && other.was_in_force()
            && other.applied_ns <= end
            && fault.applied_ns <= other.end_or(Nanos::MAX)
    };
    fault.outcome == FaultOutcome::Installed
        && (!fault.cuts.is_empty() || 2 * fault.nodes.len() < nodes)
        && end - fault.applied_ns >= LONG_ENOUGH_NS
        && !all.iter().any(is_beside)
}

fn seen(name: &str, faults: &[&Fault], history: &History) -> FaultCoverage {
    let with = |outcome| faults.iter().filter(|fault| fault.outcome == outcome).count();
    let last_heal =
        faults.iter().filter(|fault| fault.was_in_force()).filter_map(|fault| fault.healed_ns).max();
    let in_force = in_force(faults);
    let during = |t: Nanos| {
        // The intervals do not overlap: the last that began by `t` decides.
        let next = in_force.partition_point(|&(from, _)| from <= t);
        next > 0 && t <= in_force[next - 1].1
    };
    FaultCoverage {
        fault: name.to_string(),
        planned: faults.len(),
        installed: with(FaultOutcome::Installed),
        effective: faults
            .iter()
            .filter(|fault| fault.outcome == FaultOutcome::Installed && fault.effective == Some(true))
            .count(),
        skipped: with(FaultOutcome::Skipped),
        indeterminate: with(FaultOutcome::Indeterminate),
        ok_during: history.ops.iter().filter(|op| op.is_ok() && op.completed.is_some_and(&during)).count(),
        ok_after: last_heal
            .map_or(0, |healed| history.ops.iter().filter(|op| op.is_ok() && op.call >= healed).count()),
    }
}

/// The stretches of time in which some of the faults were in force, in order and merged.
pub(crate) fn in_force(faults: &[&Fault]) -> Vec<(Nanos, Nanos)> {
    let mut all: Vec<(Nanos, Nanos)> = faults
        .iter()
        .filter(|fault| fault.was_in_force())
        .map(|fault| (fault.applied_ns, fault.end_or(Nanos::MAX)))
        .collect();
    all.sort_unstable();
    let mut merged: Vec<(Nanos, Nanos)> = Vec::new();
    for (from, to) in all {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

fn missing(seen: &FaultCoverage, ought_to_succeed: bool) -> Option<String> {
    let name = &seen.fault;
    let why = match seen {
        FaultCoverage { planned: 0, .. } => format!("{name} was asked for and never came"),
        FaultCoverage { installed: 0, .. } => format!("{name} was never installed"),
        FaultCoverage { effective: 0, .. } => format!("{name} was installed and had no effect"),
        FaultCoverage { ok_during: 0, .. } if ought_to_succeed => {
            format!("no operation succeeded during {name}")
        }
        FaultCoverage { ok_after: 0, .. } => format!("no operation succeeded after {name}"),
        _ => return None,
    };
    Some(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tribunal_checker::op::{F, Op, Outcome, Value};

    fn ok(call: Nanos, completed: Nanos) -> Op {
        Op {
            process: 0,
            f: F::Read,
            key: Value::Nil,
            input: Value::Nil,
            outcome: Outcome::Ok(Value::Nil),
            call,
            completed: Some(completed),
            node: None,
            error: None,
            invoke_index: 0,
            complete_index: None,
            client: None,
        }
    }

    fn pause(from: Nanos, to: Nanos, nodes: &[&str]) -> Fault {
        Fault {
            fault: "pause".into(),
            nodes: nodes.iter().map(|node| node.to_string()).collect(),
            applied_ns: from * SECOND,
            healed_ns: Some(to * SECOND),
            outcome: FaultOutcome::Installed,
            effective: Some(true),
            ..Fault::default()
        }
    }

    const SECOND: Nanos = LONG_ENOUGH_NS;

    /// Checks what is said to be missing for five nodes, times in seconds, when `pause` was asked for.
    fn check(ops: &[(Nanos, Nanos)], faults: &[Fault], why: &[&str]) {
        let history = History {
            ops: ops.iter().map(|&(call, completed)| ok(call * SECOND, completed * SECOND)).collect(),
        };
        let coverage = Coverage::of(&["pause".into()], 5, &history, faults);
        assert_eq!(coverage.why, why);
        assert_eq!(coverage.met, why.is_empty());
    }

    #[test]
    fn a_fault_must_come_bite_and_be_survived() {
        let one = || pause(10, 20, &["n1"]);
        check(&[(11, 12), (21, 22)], &[one()], &[]);
        check(&[(11, 12), (21, 22)], &[], &["pause was asked for and never came"]);
        let skipped = Fault { outcome: FaultOutcome::Skipped, ..one() };
        check(&[(11, 12), (21, 22)], &[skipped], &["pause was never installed"]);
        let toothless = Fault { effective: Some(false), ..one() };
        check(&[(11, 12), (21, 22)], &[toothless], &["pause was installed and had no effect"]);
        check(&[(11, 21), (21, 22)], &[one()], &["no operation succeeded during pause"]);
        check(&[(11, 12), (13, 22)], &[one()], &["no operation succeeded after pause"]);
    }

    #[test]
    fn nothing_can_succeed_without_a_majority_or_time() {
        let missing = &["no operation succeeded during pause"][..];
        let two = || pause(10, 20, &["n1", "n2"]);
        check(&[(1, 2), (21, 22)], &[two()], missing);
        check(&[(1, 2), (21, 22)], &[pause(10, 20, &["n1", "n2", "n3"])], &[]);
        check(&[(1, 2), (21, 22)], &[Fault { healed_ns: Some(10 * SECOND + 999_999_999), ..two() }], &[]);
        let kill = Fault { fault: "kill".into(), ..pause(19, 20, &["n3"]) };
        check(&[(1, 2), (21, 22)], &[two(), kill], &[]);
    }

    #[test]
    fn a_run_without_faults_has_nothing_to_cover() {
        assert!(Coverage::of(&[], 5, &History::default(), &[]).met);
    }

    #[test]
    fn overlapping_faults_merge_into_one_stretch() {
        let faults = [pause(30, 40, &["n1"]), pause(0, 10, &["n1"]), pause(5, 20, &["n2"])];
        assert_eq!(
            in_force(&faults.iter().collect::<Vec<_>>()),
            [(0, 20 * SECOND), (30 * SECOND, 40 * SECOND)]
        );
    }
}
