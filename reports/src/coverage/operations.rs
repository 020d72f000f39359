//! Whether every kind of operation that a workload sends has succeeded: at all, and while a fault was in force.
//!
//! A history in which no write succeeded shows nothing of writes, however many reads did; and one in which writes succeed only
//! while nothing is wrong shows nothing of faults. What counts as a success is narrower than `ok`: a lock that was refused, a
//! comparison that failed and a queue that was empty are answers, and a run with no others has tested nothing.
//!
//! While a fault is in force a bare answer is enough: a crashed client may well hold all the locks. And a cluster is given time.
//! What counts as asked was sent [`GRACE_NS`] or later after the fault began, to a node that it spares, and ended while it was in
//! force. One kind of operation has to be asked [`ASKED_MIN`] times in [`WATCHED_MIN_NS`] before its silence says anything; a
//! success counts from the first moment on.

use tribunal_checker::history::History;
use tribunal_checker::op::{F, Nanos, Op, Outcome, Value};

use crate::faults::Fault;
use crate::wording::count;

/// How long after the beginning of a fault a cluster may take to elect a leader, in nanoseconds: ten elections on an idle machine,
/// one or two where ten processes wait for each core.
pub(super) const GRACE_NS: Nanos = 3_000_000_000;
/// How long faults must have been in force beyond that, in nanoseconds.
const WATCHED_MIN_NS: Nanos = 2_000_000_000;
/// Of how many operations of a kind at least one is expected to succeed then.
const ASKED_MIN: usize = 20;

/// What is missing of the operations that were sent before `last_phase_ns`, a clause each. `kinds` names those that the workload
/// sends; those that the history has count besides.
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

/// Whether an operation succeeded and was not merely told no.
fn did_something(op: &Op) -> bool {
    match &op.outcome {
        Outcome::Ok(Value::Bool(false)) => false,
        Outcome::Ok(Value::Nil) => !matches!(op.f, F::Dequeue | F::Pop),
        Outcome::Ok(_) => true,
        _ => false,
    }
}

/// The kinds of operation none of which succeeded while these faults were in force, though enough were sent that had the time to, in
/// order; each with how many.
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

/// How long a fault was in force.
pub(super) fn lasted(fault: &Fault) -> Nanos {
    fault.end_or(Nanos::MAX) - fault.applied_ns
}
