//! Whether a run tested what was requested.
//!
//! A history can be linearizable because the system is correct, or because nothing happened to it. So a run
//! has to show:
//!
//! - each kind of operation of the workload succeeded before the final reads (`operations.rs`), and the final
//!   reads succeeded, on every node if the model requires that (`final_reads.rs`);
//! - every requested fault was injected and had an effect, and operations succeeded after it was healed;
//! - operations succeeded during each fault that left a majority (`majority.rs`) and lasted long enough; and
//!   so did each kind of operation of which enough were sent (`operations.rs`).
//!
//! A run that does not show this proves less than requested: its outcome is `unknown`, and [`Coverage::why`]
//! says what is missing.
//!
//! All faults of one name are judged together: some target a leader, and the cluster may need most of such a
//! fault to elect another. A fault that lasts `ON_ITS_OWN_NS` or longer is also judged on its own.
//! Overlapping faults are judged by the nodes that they leave together.

mod final_reads;
mod majority;
mod operations;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tribunal_checker::history::History;
use tribunal_checker::model::Objects;
use tribunal_checker::op::Nanos;

use crate::faults::{Fault, FaultOutcome};
use crate::run_info::RunInfo;
use crate::wording::{count, duration, seconds};
use operations::{GRACE_NS, lasted, silent_during};

/// Whether a run tested what was requested, and how much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Whether everything was tested.
    pub met: bool,
    /// What is missing, one clause each; empty if `met`.
    pub why: Vec<String>,
    /// Each fault that was requested or happened, by name.
    pub faults: Vec<FaultCoverage>,
}

/// The coverage of one fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCoverage {
    /// The name of the fault, such as `partition`.
    pub fault: String,
    /// The number of attempts to inject it.
    pub planned: usize,
    /// The number of times it was in force.
    pub installed: usize,
    /// The number of times it was in force and had an effect.
    pub effective: usize,
    /// The number of times it was not injected, for a known reason.
    pub skipped: usize,
    /// The number of times it is unknown whether it was in force.
    pub indeterminate: usize,
    /// The number of operations that succeeded during a fault of this name.
    pub ok_during: usize,
    /// The number of operations invoked after the last such fault was healed that succeeded.
    pub ok_after: usize,
    /// What is missing of it, one clause each: those of [`Coverage::why`] that are about this fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A shorter fault ends before a cluster notices it, in nanoseconds.
const LONG_ENOUGH_NS: Nanos = 1_000_000_000;
/// A fault this long lasts for more than a few elections, in nanoseconds.
const ON_ITS_OWN_NS: Nanos = 10_000_000_000;

impl Coverage {
    /// The coverage of a run, judged by the named model. An imported history only has to contain what the
    /// model needs.
    pub fn of(info: &RunInfo, model: &str, history: &History, faults: &[Fault]) -> Coverage {
        let asked = &info.nemesis;
        let nodes: Vec<&str> = info.nodes.iter().map(|node| node.name.as_str()).collect();
        let names: BTreeSet<&str> =
            asked.iter().map(String::as_str).chain(faults.iter().map(|fault| fault.fault.as_str())).collect();
        let mut coverage = Coverage::default();
        if !info.is_history() {
            coverage.why.extend(operations::never_succeeded(&info.operations, last_phase(info), history));
        }
        coverage.why.extend(final_reads::missing(info, model.parse::<Objects>().ok(), history));
        for name in names {
            let all: Vec<&Fault> = faults.iter().filter(|fault| fault.fault == name).collect();
            let mut seen = seen(name, &all, history);
            if asked.iter().any(|asked| asked == name) {
                let survivable: Vec<&Fault> =
                    all.iter().copied().filter(|fault| is_to_be_survived(fault, &nodes, faults)).collect();
                let in_all = survivable.iter().map(|fault| lasted(fault)).fold(0, Nanos::saturating_add);
                seen.missing = match missing(&seen, in_all >= GRACE_NS) {
                    Some(why) => vec![why],
                    None => silent(name, &survivable, history),
                };
                coverage.why.extend(seen.missing.iter().cloned());
            }
            coverage.faults.push(seen);
        }
        coverage.met = coverage.why.is_empty();
        coverage
    }
}

/// When the workload ends; later operations only observe the outcome.
fn last_phase(info: &RunInfo) -> Nanos {
    // What succeeds once everything is healed says nothing about the load.
    let later = ["healing", "converging", "final-reads"];
    let last = info.phases.iter().find(|phase| later.contains(&phase.name.as_str()));
    last.map_or(Nanos::MAX, |phase| phase.start_ns)
}

/// Whether operations should succeed during a fault: it lasts long enough, and leaves a majority together
/// with the overlapping ones.
fn is_to_be_survived(fault: &Fault, nodes: &[&str], all: &[Fault]) -> bool {
    let end = fault.end_or(Nanos::MAX);
    let together: Vec<&Fault> = all.iter().filter(|other| other.overlaps(fault.applied_ns, end)).collect();
    fault.outcome == FaultOutcome::Installed
        && lasted(fault) >= LONG_ENOUGH_NS
        && majority::is_left(nodes, &together)
}

/// The kinds of operation that never succeeded during these faults of one name: during all of them together,
/// and during each that is long enough on its own.
fn silent(name: &str, faults: &[&Fault], history: &History) -> Vec<String> {
    let clause = |(f, asked)| {
        format!("0 of {} {f} operations succeeded during {name}, which left a majority", count(asked))
    };
    let together: Vec<String> = silent_during(faults, history).into_iter().map(clause).collect();
    if !together.is_empty() {
        return together;
    }
    let alone = faults.iter().filter(|fault| lasted(fault) >= ON_ITS_OWN_NS).flat_map(|fault| {
        let (label, from, took) = (&fault.label, seconds(fault.applied_ns), duration(lasted(fault)));
        let clause = move |(f, asked)| {
            format!(
                "0 of {} {f} operations succeeded during {label} (from {from} s, for {took})",
                count(asked)
            )
        };
        silent_during(&[fault], history).into_iter().map(clause)
    });
    // For several similar faults one clause is enough.
    alone.take(1).collect()
}

fn seen(name: &str, faults: &[&Fault], history: &History) -> FaultCoverage {
    let with = |outcome| faults.iter().filter(|fault| fault.outcome == outcome).count();
    let last_heal =
        faults.iter().filter(|fault| fault.was_in_force()).filter_map(|fault| fault.healed_ns).max();
    let in_force = in_force(faults);
    let during = |t: Nanos| {
        // The intervals do not overlap: the last one that began by `t` decides.
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
        missing: Vec::new(),
    }
}

/// The intervals in which some of the faults were in force, in order and merged.
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

/// The name of faults that a schedule gives as acts.
const GIVEN: &str = "acts";

fn missing(seen: &FaultCoverage, ought_to_succeed: bool) -> Option<String> {
    let name = &seen.fault;
    let (named, never) = match name.as_str() {
        GIVEN => ("the scheduled acts".to_owned(), "were never run"),
        _ => (format!("the requested fault `{name}`"), "was never injected"),
    };
    let why = match seen {
        FaultCoverage { planned: 0, .. } => format!("{named} {never}"),
        FaultCoverage { installed: 0, .. } => format!("{named} could not be injected"),
        FaultCoverage { effective: 0, .. } => format!("{named} had no effect"),
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
    use tribunal_checker::model::FINAL;
    use tribunal_checker::op::{F, Op, Outcome, Value};

    use crate::run_info::{FinalReads, Node, Phase};

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
            label: format!("pause {}", nodes.join(",")),
            effective: Some(true),
            ..Fault::default()
        }
    }

    const SECOND: Nanos = LONG_ENOUGH_NS;

    /// A run of five nodes with requested pauses, reads only, and successful final reads.
    fn run() -> RunInfo {
        let node = |i| Node { name: format!("n{i}"), ..Node::default() };
        RunInfo {
            nodes: (1..=5).map(node).collect(),
            nemesis: vec!["pause".into()],
            operations: vec!["read".into()],
            final_reads: Some(FinalReads { asked: 2, answered: 2 }),
            ..RunInfo::default()
        }
    }

    fn why(info: &RunInfo, ops: Vec<Op>, faults: &[Fault]) -> Vec<String> {
        let coverage = Coverage::of(info, "register", &History { ops }, faults);
        assert_eq!(coverage.met, coverage.why.is_empty());
        coverage.why
    }

    /// Checks what is missing of a run of successful reads with requested pauses; times in seconds.
    fn check(ops: &[(Nanos, Nanos)], faults: &[Fault], missing: &[&str]) {
        let ops = ops.iter().map(|&(call, completed)| ok(call * SECOND, completed * SECOND)).collect();
        assert_eq!(why(&run(), ops, faults), missing);
    }

    #[test]
    fn a_fault_must_come_bite_and_be_survived() {
        let one = || pause(10, 20, &["n1"]);
        check(&[(11, 12), (21, 22)], &[one()], &[]);
        check(&[(11, 12), (21, 22)], &[], &["the requested fault `pause` was never injected"]);
        let skipped = Fault { outcome: FaultOutcome::Skipped, ..one() };
        check(&[(11, 12), (21, 22)], &[skipped], &["the requested fault `pause` could not be injected"]);
        let toothless = Fault { effective: Some(false), ..one() };
        check(&[(11, 12), (21, 22)], &[toothless], &["the requested fault `pause` had no effect"]);
        let unmeasured = Fault { effective: None, ..one() };
        check(&[(11, 12), (21, 22)], &[unmeasured], &["the requested fault `pause` had no effect"]);
        check(&[(11, 21), (21, 22)], &[one()], &["no operation succeeded during pause"]);
        check(&[(11, 12), (13, 22)], &[one()], &["no operation succeeded after pause"]);
    }

    #[test]
    fn nothing_can_succeed_without_a_majority_or_time() {
        let missing = &["no operation succeeded during pause"][..];
        let two = || pause(10, 20, &["n1", "n2"]);
        check(&[(1, 2), (21, 22)], &[two()], missing);
        check(&[(1, 2), (21, 22)], &[pause(10, 20, &["n1", "n2", "n3"])], &[]);
        let short = |from| Fault { healed_ns: Some((from + 1) * SECOND), ..pause(from, 0, &["n1", "n2"]) };
        check(&[(1, 2), (21, 22)], &[short(10), short(12)], &[]);
        check(&[(1, 2), (21, 22)], &[short(10), short(12), short(14)], missing);
        let shorter = |from| Fault { healed_ns: Some(from * SECOND + 999_999_999), ..short(from) };
        check(&[(1, 2), (21, 22)], &[shorter(10), shorter(12), shorter(14), shorter(16)], &[]);
        let kill = |node: &str| Fault { fault: "kill".into(), ..pause(19, 20, &[node]) };
        check(&[(1, 2), (21, 22)], &[two(), kill("n3")], &[]);
        check(&[(1, 2), (21, 22)], &[two(), kill("n2")], missing);
    }

    /// `many` writes, a tenth of a second apart, each completed with this outcome within half a second.
    fn writes(from: Nanos, many: u64, outcome: &Outcome) -> Vec<Op> {
        let at = |i: u64| from * SECOND + i * SECOND / 10;
        let write = |i| Op { f: F::Write, outcome: outcome.clone(), ..ok(at(i), at(i) + SECOND / 2) };
        (0..many).map(write).collect()
    }

    #[test]
    fn every_kind_of_operation_must_have_succeeded_before_the_final_reads() {
        let mut info = RunInfo { nemesis: Vec::new(), ..run() };
        info.operations = vec!["read".into(), "write".into()];
        let reads = || vec![ok(SECOND, SECOND), ok(50 * SECOND, 51 * SECOND)];
        let with = |writes: Vec<Op>| reads().into_iter().chain(writes).collect::<Vec<_>>();
        assert_eq!(why(&info, reads(), &[]), ["no write was sent"]);
        let none = with(writes(2, 190, &Outcome::Info));
        assert_eq!(why(&info, none, &[]), ["0 of 190 write operations succeeded"]);
        let one = with(writes(2, 1, &Outcome::Ok(Value::Nil)));
        assert_eq!(why(&info, one.clone(), &[]), [""; 0]);
        let refused = with(writes(2, 3, &Outcome::Ok(false.into())));
        assert_eq!(why(&info, refused, &[]), ["all 3 answers to write were refusals, of 3 sent"]);
        let phase = |name: &str, at| Phase { name: name.into(), start_ns: at * SECOND, end_ns: None };
        info.phases = vec![phase("running", 0), phase("healing", 2), phase("final-reads", 3)];
        assert_eq!(why(&info, one, &[]), ["no write was sent"], "what succeeds in the end is too late");
    }

    #[test]
    fn every_kind_of_operation_must_succeed_during_a_fault_if_enough_were_sent() {
        let around = || vec![ok(SECOND, SECOND), ok(15 * SECOND, 16 * SECOND), ok(50 * SECOND, 51 * SECOND)];
        let before = || writes(2, 1, &Outcome::Ok(Value::Nil));
        let with = |during: Vec<Op>| around().into_iter().chain(before()).chain(during).collect::<Vec<_>>();
        let silent = |from, many| with(writes(from, many, &Outcome::Info));
        let one = || [pause(10, 19, &["n1"])];
        let clause = "0 of 20 write operations succeeded during pause, which left a majority";
        assert_eq!(why(&run(), silent(13, 20), &one()), [clause]);
        assert_eq!(why(&run(), silent(13, 19), &one()), [""; 0], "too few to tell");
        assert_eq!(why(&run(), silent(10, 49), &one()), [""; 0], "an election is due");
        assert_eq!(why(&run(), silent(18, 40), &one()), [""; 0], "healed meanwhile");
        assert_eq!(
            why(&run(), silent(13, 60), &[pause(10, 19, &["n1", "n2", "n3"])]),
            [""; 0],
            "no majority"
        );
        assert_eq!(
            why(
                &run(),
                silent(13, 60).into_iter().chain([ok(11 * SECOND, 12 * SECOND)]).collect(),
                &[Fault { healed_ns: Some(15 * SECOND - 1), ..pause(10, 0, &["n1"]) }]
            ),
            [""; 0],
            "too short to tell"
        );
        let at_n1 = |op: Op| Op { node: Some("n1".into()), ..op };
        let mut of_n1 = silent(2, 0);
        of_n1.extend(writes(13, 60, &Outcome::Info).into_iter().map(at_n1));
        assert_eq!(why(&run(), of_n1, &one()), [""; 0], "n1 cannot answer");
        let mut answered = silent(13, 60);
        answered.extend(writes(11, 1, &Outcome::Ok(Value::Bool(false))));
        assert_eq!(why(&run(), answered.clone(), &one()), [""; 0], "an answer is enough");
        // Faults of one name are judged together, unless one is long.
        let second = |to| [pause(10, 19, &["n1"]), pause(30, to, &["n1"])];
        let mut ops = answered;
        ops.extend(writes(33, 30, &Outcome::Info));
        assert_eq!(why(&run(), ops.clone(), &second(39)), [""; 0]);
        let alone = "0 of 30 write operations succeeded during pause n1 (from 30.000 s, for 10 s)";
        assert_eq!(why(&run(), ops, &second(40)), [alone]);
    }

    #[test]
    fn the_final_reads_must_be_answered() {
        let info = |final_reads| RunInfo { nemesis: Vec::new(), final_reads, ..run() };
        let one = || vec![ok(1, 2)];
        let never = info(None);
        assert_eq!(why(&never, one(), &[]), ["the run ended before its final reads"]);
        let unsettled = RunInfo { unsettled_ms: Some(63_000), ..never };
        let told = "the nodes had not settled 63 s after healing: they still changed what they show, or had too little processor time";
        assert_eq!(why(&unsettled, one(), &[]), [told]);
        let some = info(Some(FinalReads { asked: 54, answered: 1 }));
        assert_eq!(why(&some, one(), &[]), ["53 of 54 final reads were not answered"]);
    }

    #[test]
    fn what_every_node_shows_in_the_end_is_shown_by_final_reads_alone() {
        let op = |f, key: &str, input: Value| Op { f, key: Value::str(key), input, ..ok(1, 2) };
        let adds = || vec![op(F::Add, "a", 1.into()), op(F::Add, "b", 1.into())];
        let history = |more: Vec<Op>| History { ops: adds().into_iter().chain(more).collect() };
        let why = |model: &str, more| Coverage::of(&RunInfo::default(), model, &history(more), &[]).why;
        let unread = |n| format!("{n} of 2 keys have no final read that was answered");
        assert_eq!(why("convergent-set", vec![]), [unread(2)]);
        assert_eq!(why("convergent-set", vec![op(F::Read, "a", Value::Nil)]), [unread(2)]);
        assert_eq!(why("convergent-set", vec![op(F::Read, "a", Value::str(FINAL))]), [unread(1)]);
        assert_eq!(why("set", vec![]), [""; 0]);
    }

    #[test]
    fn a_run_without_faults_has_nothing_to_cover() {
        let info = RunInfo { nemesis: Vec::new(), ..run() };
        assert_eq!(why(&info, vec![ok(1, 2)], &[]), [""; 0]);
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
