//! How far a legal order of the counterexample gets, and why every next step is impossible.
//!
//! The search that found the violation got stuck at one completion, that of the witness. Of the legal orders
//! that reach it, the one shown places the most operations that certainly happened, and the fewest that are
//! uncertain. Then every possible next step is tried and its failure recorded:
//!
//! - each pending operation alone;
//! - an indeterminate operation, which may have taken effect, and then the witness;
//! - the witness at an earlier place, where the state would have allowed it but real time or a later
//!   operation does not.

use std::cmp::Reverse;

use super::words::{Clock, who};
use crate::judge::Judge;
use crate::limits::Limits;
use crate::op::Op;
use crate::ties::precedes;
use crate::witness::Stuck;

/// Maximum number of legal orders examined to find the simplest one.
const ORDERS_MAX: usize = 64;
/// Maximum length of an order whose states are all given.
const STATES_MAX: usize = 100;
/// Maximum number of next steps listed.
const WAYS_MAX: usize = 100;
/// Maximum number of places before the end that are tried for the witness.
const PLACES_MAX: usize = 64;

/// The end of every legal order of some operations. Operations are positions among them.
pub(super) struct Impasse {
    /// The operation that cannot be placed.
    pub(super) witness: usize,
    /// A longest legal order without it.
    pub(super) order: Vec<usize>,
    /// The state before any operation, in readable form.
    pub(super) before: String,
    /// The states along the order: before the first operation, and after each; empty if the order is long.
    pub(super) states: Vec<String>,
    /// Every next step, and why it is impossible.
    pub(super) ways: Vec<Way>,
}

/// An impossible next step.
pub(super) struct Way {
    /// The operations tried, in this order.
    pub(super) next: Vec<usize>,
    /// The state in which the impossible operation was tried.
    pub(super) state: String,
    pub(super) reason: String,
}

/// Finds the impasse of operations that are not linearizable; `None` if a limit was reached first. `others`
/// are pending operations outside the proof that a reader may consider; their positions follow those of
/// `ops`. At most `steps_max` steps of the model are spent on next steps.
pub(super) fn impasse(
    judge: &dyn Judge,
    ops: &[&Op],
    others: &[&Op],
    clock: Clock,
    limits: &Limits<'_>,
    steps_max: usize,
) -> Option<Impasse> {
    let failure = judge.frontier_at_failure(ops, limits, ORDERS_MAX)?;
    let (proof, ops) = (ops.len(), &[ops, others].concat()[..]);
    let definite = |order: &[usize]| order.iter().filter(|&&at| ops[at].is_ok()).count();
    let orders = failure.configurations.into_iter().map(|configuration| configuration.order);
    let order = orders.min_by_key(|order| (Reverse(definite(order)), order.len()))?;
    let before = judge.replay(ops, &[]).unwrap_or_else(|stuck| stuck.state);
    let states = match order.len() {
        0..=STATES_MAX => (0..=order.len()).map_while(|n| judge.replay(ops, &order[..n]).ok()).collect(),
        _ => Vec::new(),
    };
    let mut attempt = Attempt {
        judge,
        ops,
        proof,
        clock,
        witness: failure.witness,
        order: &order,
        ways: Vec::new(),
        steps_left: steps_max,
    };
    attempt.next_alone();
    attempt.after_indeterminate();
    attempt.witness_earlier();
    let ways = attempt.ways;
    Some(Impasse { witness: failure.witness, order, before, states, ways })
}

struct Attempt<'a> {
    judge: &'a dyn Judge,
    ops: &'a [&'a Op],
    /// The number of operations in the proof.
    proof: usize,
    clock: Clock,
    witness: usize,
    order: &'a [usize],
    ways: Vec<Way>,
    steps_left: usize,
}

impl Attempt<'_> {
    /// Replays an order, unless the budget is used up.
    fn replay(&mut self, order: &[usize]) -> Option<Result<String, Stuck>> {
        self.steps_left = self.steps_left.saturating_sub(1 + order.len());
        (self.steps_left > 0).then(|| self.judge.replay(self.ops, order))
    }

    /// The operations outside the order that real time allows next.
    fn candidates(&self) -> Vec<usize> {
        let mut placed = vec![false; self.ops.len()];
        self.order.iter().for_each(|&at| placed[at] = true);
        let open: Vec<usize> = (0..self.proof).filter(|&at| !placed[at]).collect();
        let with = |at: usize| (at, self.ops[at]);
        let must_wait = |at: usize| open.iter().any(|&other| other != at && precedes(with(other), with(at)));
        open.iter().copied().filter(|&at| !must_wait(at)).collect()
    }

    /// Tries the longest order up to `from`, followed by `next`, and records the step if it gets stuck.
    /// Returns whether it does.
    fn gets_stuck(&mut self, from: usize, next: &[usize]) -> bool {
        let order = [&self.order[..from], next].concat();
        let Some(Err(stuck)) = self.replay(&order) else { return false };
        let tried = stuck.placed.saturating_sub(from);
        self.keep(next[..=tried.min(next.len() - 1)].to_vec(), stuck.state, stuck.reason);
        true
    }

    fn keep(&mut self, next: Vec<usize>, state: String, reason: String) {
        let known = |way: &Way| way.next == next && way.state == state;
        if self.ways.len() < WAYS_MAX && !self.ways.iter().any(known) {
            self.ways.push(Way { next, state, reason });
        }
    }

    fn next_alone(&mut self) {
        let mut candidates = self.candidates();
        candidates.sort_by_key(|&at| (at != self.witness, !self.ops[at].is_ok()));
        for at in candidates {
            self.gets_stuck(self.order.len(), &[at]);
        }
    }

    fn after_indeterminate(&mut self) {
        for at in self.candidates().into_iter().chain(self.proof..self.ops.len()) {
            if at != self.witness && matches!(self.replay(&[self.order, &[at]].concat()), Some(Ok(_))) {
                self.gets_stuck(self.order.len(), &[at, self.witness]);
            }
        }
    }

    fn witness_earlier(&mut self) {
        let end = self.order.len();
        for place in (end.saturating_sub(PLACES_MAX)..end).rev() {
            let (earlier, later) = self.order.split_at(place);
            let Some(Ok(state)) = self.replay(&[earlier, &[self.witness]].concat()) else {
                continue;
            };
            let witness = self.ops[self.witness];
            let after = (self.witness, witness);
            let forbids = later.iter().copied().find(|&at| precedes((at, self.ops[at]), after));
            let Some(first) = forbids else {
                self.gets_stuck(place, &[&[self.witness], later].concat());
                continue;
            };
            let state = self.replay(earlier).and_then(Result::ok).unwrap_or(state);
            let (returned, invoked) = self.clock.instants(self.ops[first].ret(), witness.call);
            let reason = if self.ops[first].ret() < witness.call {
                format!(
                    "{} returned at {returned}, before this was invoked at {invoked}",
                    who(self.ops[first])
                )
            } else {
                format!("{} returned at {returned}, and then its process invoked this", who(self.ops[first]))
            };
            self.keep(vec![self.witness, first], state, reason);
        }
    }
}
