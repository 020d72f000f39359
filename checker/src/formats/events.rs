//! Converts operations back to a sequence of events.

use crate::history::History;
use crate::op::{Event, Kind, Nanos, Op, Outcome, Value};

/// One end of an operation, ordered as the events of a history: by time; then by the recorded index; then so
/// that a process completes one operation before it invokes the next, and invokes each before it completes
/// it.
type End = (Nanos, u64, usize, bool);

/// Both ends of every operation, in order.
fn ends(ops: &[Op]) -> Vec<End> {
    let mut ends = Vec::with_capacity(2 * ops.len());
    for (at, op) in ops.iter().enumerate() {
        ends.push((op.call, op.invoke_index, at, false));
        if let Some(completed) = op.completed {
            ends.push((completed, op.complete_index.unwrap_or(op.invoke_index), at, true));
        }
    }
    ends.sort_unstable();
    ends
}

/// The events of a history, each with its operation.
pub(super) fn events(history: &History) -> impl Iterator<Item = (Event, &Op)> {
    ends(&history.ops).into_iter().map(|(time, index, at, completes)| {
        let op = &history.ops[at];
        let (kind, value) = match &op.outcome {
            _ if !completes => (Kind::Invoke, op.input.clone()),
            Outcome::Ok(output) => (Kind::Ok, output.clone()),
            Outcome::Fail => (Kind::Fail, Value::Nil),
            Outcome::Info => (Kind::Info, Value::Nil),
        };
        // The error belongs to the operation's last event.
        let error = op.error.clone().filter(|_| completes || op.completed.is_none());
        let (process, f, key, node) = (op.process, op.f.clone(), op.key.clone(), op.node.clone());
        let client = op.client.filter(|_| !completes);
        (Event { index, time, process, kind, f, key, value, node, error, client }, op)
    })
}

/// Numbers the events of operations that were not recorded as events, in their order.
pub(crate) fn number(ops: &mut [Op]) {
    for (index, (_, _, at, completes)) in (0..).zip(ends(ops)) {
        if completes {
            ops[at].complete_index = Some(index);
        } else {
            ops[at].invoke_index = index;
        }
    }
}
