//! The certificate of a linearizable part: a legal order, replayed.
//!
//! No engine is trusted here, and none of their shortcuts is used. The order is run through the plain model
//! from the initial state, with three checks: the order is legal; no operation comes before one that had
//! returned when it was invoked; every operation that certainly happened is in it exactly once. This is
//! Herlihy and Wing's definition (TOPLAS 1990, section 2.2), tested in linear time.

use hashbrown::HashMap;

use crate::model::Model;
use crate::op::{Nanos, Op};
use crate::ties::continues;

/// Where a replay got stuck: at the operation after `placed` others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    /// The number of operations of the order that were legal before it.
    pub(crate) placed: usize,
    /// The state in which it was tried, in readable form.
    pub(crate) state: String,
    /// Why it is impossible there.
    pub(crate) reason: String,
}

/// Runs an order through the plain model. Returns the final state in readable form, or where it gets stuck.
/// Real time is not checked. For a nondeterministic model every state is followed, and one is shown.
pub(crate) fn replay<M: Model>(model: &M, ops: &[&Op], order: &[usize]) -> Result<String, Stuck> {
    let mut states = vec![model.init()];
    for (placed, &at) in order.iter().enumerate() {
        let call = match model.parse(ops[at]) {
            Ok(Some(call)) => call,
            Ok(None) => continue,
            Err(expected) => {
                let reason = format!("expected {expected}");
                return Err(Stuck { placed, state: model.show(&states[0]), reason });
            }
        };
        let mut next: Vec<M::State> = Vec::with_capacity(1);
        for state in states.iter().flat_map(|state| model.step(state, &call)) {
            if !next.contains(&state) {
                next.push(state);
            }
        }
        if next.is_empty() {
            let reason = model.explain(&states[0], &call);
            return Err(Stuck { placed, state: model.show(&states[0]), reason });
        }
        states = next;
    }
    Ok(model.show(&states[0]))
}

/// Checks that the order is a linearization of the operations.
///
/// # Errors
/// The first rule that the order breaks.
pub(crate) fn certify<M: Model>(model: &M, ops: &[&Op], order: &[usize]) -> Result<(), String> {
    is_complete_and_in_time(ops, order, &|op| matches!(model.parse(op), Ok(Some(_))))?;
    replay(model, ops, order)
        .map(drop)
        .map_err(|stuck| format!("after {} operations: {}", stuck.placed, stuck.reason))
}

/// The rules that need no state. `says_something` tells which operations have a meaning to the model.
fn is_complete_and_in_time(
    ops: &[&Op],
    order: &[usize],
    says_something: &dyn Fn(&Op) -> bool,
) -> Result<(), String> {
    let mut placed = vec![false; ops.len()];
    for &at in order {
        if ops[at].is_fail() {
            return Err(format!("operation {at} certainly did not happen"));
        }
        if std::mem::replace(&mut placed[at], true) {
            return Err(format!("operation {at} comes twice"));
        }
    }
    if let Some(at) = (0..ops.len()).find(|&at| ops[at].is_ok() && !placed[at] && says_something(ops[at])) {
        return Err(format!("operation {at} is missing"));
    }
    // From the end: no later operation may have returned before this one was invoked, nor at that very
    // instant in the same process.
    let mut earliest_return = u64::MAX;
    let mut returned: HashMap<(u64, Nanos), Vec<usize>> = HashMap::new();
    for &at in order.iter().rev() {
        if earliest_return < ops[at].call {
            return Err(format!("operation {at} comes before one that had returned when it was called"));
        }
        let op = ops[at];
        let of_process = returned.get(&(op.process, op.call)).into_iter().flatten();
        if of_process.into_iter().any(|&earlier| continues((earlier, ops[earlier]), (at, op))) {
            return Err(format!("operation {at} comes before the one that its process did before it"));
        }
        returned.entry((op.process, op.ret())).or_default().push(at);
        earliest_return = earliest_return.min(ops[at].ret().max(ops[at].call));
    }
    Ok(())
}
