//! Whether every kind of operation of a workload has succeeded: at all, and during each fault.
//!
//! A history without a successful write shows nothing about writes, however many reads succeeded. If writes
//! succeed only outside faults, it shows nothing about faults. A success is narrower here than `ok`: a
//! refused lock, a failed comparison and an empty queue are answers, but a run with no others has tested
//! nothing.
//!
//! During a fault any answer is enough, because a crashed client may hold all the locks. And the cluster gets
//! time to recover: an operation counts as tried if it was sent [`GRACE_NS`] or later after the fault began,
//! to a node that the fault spares, and ended during the fault. The absence of successes counts only after
//! [`ASKED_MIN`] such operations of one kind in [`WATCHED_MIN_NS`]; a success counts from the start of the
//! fault.

use tribunal_checker::history::History;
use tribunal_checker::op::{F, Nanos, Op, Outcome, Value};

use crate::faults::Fault;
use crate::wording::count;

/// The time that a cluster may take to elect a leader after a fault begins, in nanoseconds: ten elections on
/// an idle machine, one or two with ten processes per core.
pub(super) const GRACE_NS: Nanos = 3_000_000_000;
/// The minimum time, beyond that, for which the faults must be in force, in nanoseconds.
const WATCHED_MIN_NS: Nanos = 2_000_000_000;
/// Of this many operations of a kind at least one must succeed.
const ASKED_MIN: usize = 20;

/// What is missing of the operations sent before `last_phase_ns`, one clause each. `kinds` are the workload's
/// kinds of operation; those in the history count, too.
pub(super) fn never_succeeded(kinds: &[String], last_phase_ns: Nanos, history: &History) -> Vec<String> {
    let before = || history.ops.iter().filter(|op| op.call < last_phase_ns);
    let mut all: Vec<F> = kinds.iter().map(|name| F::from(name.as_str())).collect();
    all.extend(before().map(|op| op.f.clone()));
    all.sort();
    all.dedup();
    let missing = all.into_iter().filter_map(|f| {
        let of_kind = || before().filter(|op| op.f == f);
        match (of_kind().count(), of_kind().any(did_something)) {
            (_, true) => None,
            (0, _) => Some(format!("no {f} was sent")),
            (sent, _) => Some(match of_kind().filter(|op| op.is_ok()).count() {
                0 => format!("0 of {} {f} operations succeeded", count(sent)),
                ok => format!("all {} answers to {f} were refusals, of {} sent", count(ok), count(sent)),
            }),
        }
    });
    missing.collect()
}

/// Whether an operation had an effect or returned data, and was not only refused.
fn did_something(op: &Op) -> bool {
    match &op.outcome {
        Outcome::Ok(Value::Bool(false)) => false,
        Outcome::Ok(Value::Nil) => !matches!(op.f, F::Dequeue | F::Pop),
        Outcome::Ok(_) => true,
        _ => false,
    }
}

/// The kinds of operation without a success during these faults, although enough of them were sent in time;
/// in order, each with their number.
pub(super) fn silent_during(faults: &[&Fault], history: &History) -> Vec<(F, usize)> {
    let watched = |fault: &&Fault| lasted(fault).saturating_sub(GRACE_NS);
    if faults.iter().map(watched).fold(0, Nanos::saturating_add) < WATCHED_MIN_NS {
        return Vec::new();
    }
    let mut kinds: Vec<(F, usize, usize)> = Vec::new();
    for op in &history.ops {
        let Some(completed) = op.completed else { continue };
        let in_force = faults
            .iter()
            .filter(|fault| fault.applied_ns <= completed && completed <= fault.end_or(Nanos::MAX));
        let in_force: Vec<_> = in_force.collect();
        if in_force.is_empty() {
            continue;
        }
        let at = kinds.iter().position(|(f, ..)| *f == op.f).unwrap_or_else(|| {
            kinds.push((op.f.clone(), 0, 0));
            kinds.len() - 1
        });
        let spared = |fault: &Fault| {
            op.node.as_ref().is_none_or(|node| fault.nodes.iter().all(|taken| **taken != **node))
        };
        let asked = in_force.iter().all(|fault| op.call >= fault.applied_ns + GRACE_NS && spared(fault));
        kinds[at].1 += usize::from(asked);
        kinds[at].2 += usize::from(op.is_ok());
    }
    kinds.sort();
    let silent = kinds.into_iter().filter(|(_, asked, ok)| *asked >= ASKED_MIN && *ok == 0);
    silent.map(|(f, asked, _)| (f, asked)).collect()
}

/// The duration of a fault.
pub(super) fn lasted(fault: &Fault) -> Nanos {
    fault.end_or(Nanos::MAX) - fault.applied_ns
}
