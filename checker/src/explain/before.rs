//! The values that the object may hold where the counterexample begins: derived from everything recorded
//! until then, not only from the few remaining operations.
//!
//! A counterexample starts from the initial state of the model and is a proof nevertheless: see
//! [`moves`](super::moves). The object itself held something else if operations came before. For a register,
//! each value that the last writers can have left is tried: is the recording up to that instant, followed by
//! a read of that value, linearizable? If this would cost too much, or a read does not show the object's
//! state, no values are reported.

use super::moves::Sub;
use super::shrink::Decide;
use super::subject::{Recorded, Subject, is_blind, observed, written};
use crate::judge::Judge;
use crate::op::{F, Nanos, Op, Outcome, Value};
use crate::witness::Stuck;

/// Maximum number of values to try and to report.
const CANDIDATES_MAX: usize = 8;

/// The values that the object may hold where a counterexample begins.
#[derive(Default)]
pub(super) struct Before {
    /// The possible states in readable form; empty if unknown.
    pub(super) states: Vec<String>,
    /// The value of a register, if only one is possible and some operation came before.
    pub(super) only: Option<Value>,
}

/// The possible states just before the first operation of a counterexample. `initial` is the state before any
/// operation.
pub(super) fn before(part: &Recorded<'_>, sub: &Sub, initial: &str, decide: Decide<'_>) -> Before {
    let Some(edge) = sub.kept.iter().map(|&at| part.ops[at].call).min() else { return Before::default() };
    let changes = |at: &usize| {
        let op = &part.ops[*at];
        op.call < edge && !op.is_fail() && !part.is_observer(*at)
    };
    if !(0..part.ops.len()).any(|at| changes(&at)) {
        return Before { states: vec![initial.to_owned()], only: None };
    }
    if part.subject != Subject::Register {
        return Before::default();
    }
    let until: Vec<Op> =
        part.ops.iter().filter(|op| op.call < edge).map(|op| as_known_at(op, edge)).collect();
    let candidates = candidates(&until, edge);
    if candidates.len() > CANDIDATES_MAX {
        return Before::default();
    }
    let mut states = Vec::new();
    for value in candidates {
        let mut with = until.clone();
        with.push(probe(part, edge, &value));
        match decide(&with) {
            Some(true) => states.push(value),
            Some(false) => {}
            None => return Before::default(),
        }
    }
    let shown = states.iter().map(Value::to_string).collect();
    Before { states: shown, only: states.pop().filter(|_| states.is_empty()) }
}

/// Why an operation is impossible in a register that holds a value, if it is.
pub(super) fn refused(judge: &dyn Judge, held: &Value, op: &Op) -> Option<Stuck> {
    let write = Op::new(op.process, 0, F::Write, held.clone()).on(op.key.clone()).returned(0, ());
    judge.replay(&[&write, op], &[0, 1]).err().filter(|stuck| stuck.placed == 1)
}

/// An operation as known at an instant: pending, if it completed later.
fn as_known_at(op: &Op, instant: Nanos) -> Op {
    let mut op = op.clone();
    if op.ret() >= instant && !op.is_fail() {
        (op.completed, op.complete_index, op.outcome) = (None, None, Outcome::Info);
    }
    op
}

/// The values that may be there after some operations: those of the writers that no other completed writer
/// certainly follows.
fn candidates(ops: &[Op], edge: Nanos) -> Vec<Value> {
    let last_blind = ops.iter().filter(|op| is_blind(op) && op.ret() < edge).map(|op| op.call).max();
    let mut values = vec![];
    if last_blind.is_none() {
        values.push(Value::Nil);
    }
    let may_be_last = ops.iter().filter(|op| !op.is_fail() && op.ret() >= last_blind.unwrap_or(0));
    for value in may_be_last.filter_map(written) {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    values
}

/// A read by a separate process that returns the value at once. It imitates a recorded read, if there is one.
fn probe(part: &Recorded<'_>, at: Nanos, value: &Value) -> Op {
    let like = part.ops.iter().find(|op| matches!(op.f, F::Read | F::Get) && observed(op).is_some());
    let process = part.ops.iter().map(|op| op.process).max().unwrap_or(0) + 1;
    let template = like.unwrap_or(&part.ops[0]);
    Op {
        process,
        f: like.map_or(F::Read, |op| op.f.clone()),
        input: like.map_or(Value::Nil, |op| op.input.clone()),
        outcome: Outcome::Ok(value.clone()),
        call: at,
        completed: Some(at),
        error: None,
        ..template.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Object, history};
    use super::*;

    /// The states reported for a register, if the counterexample begins at the line marked `!`.
    fn states(lines: &str) -> Vec<String> {
        let ops = history(&lines.replace('!', ""));
        let part = Recorded::new(Subject::Register, &ops, |op| Object::Register.changes_nothing(op));
        let begins =
            history(&lines.lines().find(|line| line.contains('!')).expect("marked").replace('!', ""))[0].call;
        let sub = Sub::whole(&part).retain(|at| ops[at].call >= begins);
        before(&part, &sub, "nil", &mut |ops: &[Op]| Some(Object::Register.linearizable(ops))).states
    }

    #[test]
    fn a_value_written_before_is_the_state() {
        assert_eq!(states("1 write 4 @ 10..20!"), ["nil"]);
        assert_eq!(states("3 read -> nil @ 1..2\n 1 write 4 @ 10..20!"), ["nil"], "nothing was changed");
        assert_eq!(
            states("0 write 5 @ 0..1\n 0 write 2307 @ 2..4\n 2 read -> 2307 @ 7..9\n 1 write 4 @ 10..20!"),
            ["2307"]
        );
    }

    #[test]
    fn an_indeterminate_write_may_be_the_state() {
        assert_eq!(states("0 write 5 @ 0..1\n 2 write 6 @ 1..\n 1 write 4 @ 10..20!"), ["5", "6"]);
        assert_eq!(
            states("0 write 5 @ 0..1\n 2 write 6 @ 2..\n 3 read -> 6 @ 4..5\n 1 write 4 @ 10..20!"),
            ["6"],
            "somebody saw it"
        );
        assert_eq!(states("0 write 5 @ 0..1\n 2 cas 5 6 @ 2..15\n 1 write 4 @ 10..20!"), ["5", "6"]);
        assert_eq!(
            states("0 write 5 @ 0..1\n 2 cas 8 6 @ 2..15\n 1 write 4 @ 10..20!"),
            ["5"],
            "8 was never there"
        );
    }
}
