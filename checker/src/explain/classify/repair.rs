//! The smallest change that would make the counterexample legal: the sentence if no pattern of the model
//! matches.
//!
//! Often one small change makes a counterexample legal. This change shows what went wrong, for any model, and
//! the checker itself decides whether the change suffices. In this order:
//!
//! ```text
//!   two operations change places      stale-read, from-the-future, non-monotonic-reads, reordered
//!   a failure took effect             aborted-read
//!   one result is the opposite        false-success, false-refusal
//!   one operation took effect twice   duplicate
//!   an acknowledged one had none      lost-update
//!   a result is ignored, and          impossible-answer
//!   no times would make it legal
//! ```
//!
//! Two operations change places: real time puts `a` before `b`, but the operations are legal only if `b`
//! comes before `a`. That is a cycle of two constraints. It is found by starting `b` earlier, down to the
//! return of `a`, or by ending `a` later.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Case, Finding};
use crate::explain::shrink::Decide;
use crate::explain::subject::{Subject, is_refused};
use crate::explain::words::{count, on, short, who};
use crate::judge::Judge;
use crate::op::{Nanos, Op, Outcome, Value};
use crate::ties::precedes;

/// Maximum size of a counterexample whose changes are tried.
const OPS_MAX: usize = 64;
/// Maximum number of failed operations that are tried.
const FAILURES_MAX: usize = 50;
/// Maximum number of operations whose orders are all tried, to find their final states.
const ORDERED_MAX: usize = 6;
/// Maximum number of states that are named.
const STATES_MAX: usize = 6;

/// A counterexample to repair.
pub(in super::super) struct Repair<'a> {
    pub(in super::super) judge: &'a dyn Judge,
    pub(in super::super) case: &'a Case<'a>,
    /// Whether an operation, by its position in the counterexample, leaves every state unchanged.
    pub(in super::super) observes: &'a dyn Fn(usize) -> bool,
    /// Whether the counterexample begins at a write, without the past that it had overwritten: an operation
    /// that is impossible without that past need not be impossible after it.
    pub(in super::super) begins_late: bool,
    pub(in super::super) decide: Decide<'a>,
}

impl Repair<'_> {
    /// The finding of the first change that suffices; `None` if a limit is reached first, or no change is
    /// known.
    pub(in super::super) fn find(mut self) -> Option<Finding> {
        let ops: Vec<Op> = self.case.minimal.iter().map(|(_, op)| with_room(op)).collect();
        // An addition that stands for others does not have their times.
        if ops.len() > OPS_MAX || self.case.is_summed {
            return None;
        }
        let found = self.earlier(&ops).or_else(|| self.later(&ops)).or_else(|| self.aborted(&ops));
        let found = found.or_else(|| self.opposite(&ops)).or_else(|| self.twice(&ops));
        if found.is_some() || self.begins_late {
            return found;
        }
        self.lost(&ops).or_else(|| self.impossible(&ops))
    }

    fn legal(&mut self, ops: Vec<Op>) -> bool {
        (self.decide)(&sorted(ops)) == Some(true)
    }

    /// The operations: observers first, and among these the latest first.
    fn suspects(&self, ops: &[Op]) -> Vec<usize> {
        let mut suspects: Vec<usize> = (0..ops.len()).collect();
        suspects.sort_by_key(|&at| (!(self.observes)(at), Reverse((ops[at].ret(), at))));
        suspects
    }

    /// The operations that are not observers.
    fn changes(&self, ops: &[Op]) -> Vec<usize> {
        self.suspects(ops).into_iter().filter(|&at| !(self.observes)(at)).collect()
    }

    /// An operation that may have begun earlier: before another one returned.
    fn earlier(&mut self, ops: &[Op]) -> Option<Finding> {
        self.suspects(ops).into_iter().find_map(|late| {
            let mut before: Vec<usize> = (0..ops.len()).filter(|&at| comes_before(ops, at, late)).collect();
            before.sort_by_key(|&at| Reverse((ops[at].ret(), at)));
            let began = |instant: Nanos| {
                let mut moved = ops.to_vec();
                moved[late].call = instant;
                moved
            };
            if !self.legal(began(ops[*before.last()?].ret() - 1)) {
                return None;
            }
            // The earlier it begins, the more orders are legal.
            let early = before.iter().copied().find(|&early| self.legal(began(ops[early].ret() - 1)))?;
            // If several returned in that instant, only one may have to come later.
            let instant = ops[early].ret();
            let tied: Vec<usize> = before.into_iter().filter(|&at| ops[at].ret() == instant).collect();
            let early = tied.iter().copied().find(|&early| {
                let mut moved = began(instant + 1);
                // It may have begun and ended in that instant.
                moved[late].completed = moved[late].completed.map(|end| end.max(instant + 1));
                for &other in tied.iter().filter(|&&other| other != early) {
                    moved[other].completed = Some(instant + 2);
                }
                tied.len() == 1 || (self.decide)(&sorted(moved)) == Some(false)
            })?;
            Some(self.change_places(early, late))
        })
    }

    /// An operation that may have ended later: after another one began.
    fn later(&mut self, ops: &[Op]) -> Option<Finding> {
        self.suspects(ops).into_iter().find_map(|early| {
            let mut after: Vec<usize> = (0..ops.len()).filter(|&at| comes_before(ops, early, at)).collect();
            after.sort_by_key(|&at| (ops[at].call, at));
            let ended = |instant: Nanos| {
                let mut moved = ops.to_vec();
                moved[early].completed = Some(instant);
                moved
            };
            if !self.legal(ended(ops[*after.last()?].call + 1)) {
                return None;
            }
            let late = after.iter().copied().find(|&late| self.legal(ended(ops[late].call + 1)))?;
            let instant = ops[late].call;
            let tied: Vec<usize> = after.into_iter().filter(|&at| ops[at].call == instant).collect();
            let late = tied.iter().copied().find(|&late| {
                let mut moved = ended(instant - 1);
                moved[early].call = moved[early].call.min(instant - 1);
                for &other in tied.iter().filter(|&&other| other != late) {
                    moved[other].call = instant - 2;
                }
                tied.len() == 1 || (self.decide)(&sorted(moved)) == Some(false)
            })?;
            Some(self.change_places(early, late))
        })
    }

    /// Two operations are legal only in the order that real time forbids.
    fn change_places(&self, early: usize, late: usize) -> Finding {
        let (first, second) = (self.op(early), self.op(late));
        let margin = self.case.span(first.ret(), second.call);
        let (first_who, second_who) = (who(first), who(second));
        let only_before =
            format!("it is legal only before {first_who}, which had completed {margin} before it began");
        let on = on(first);
        let (class, sentence) = match ((self.observes)(early), (self.observes)(late)) {
            (true, true) => {
                ("non-monotonic-reads", format!("{second_who}{on} went back in time: {only_before}"))
            }
            (false, true) => ("stale-read", format!("{second_who}{on} is stale: {only_before}")),
            (true, false) => (
                "from-the-future",
                format!(
                    "{first_who}{on} is from the future: it is legal only after {second_who}, which began {margin} after \
                     it had returned"
                ),
            ),
            (false, false) => ("reordered", format!("{second_who}{on} is out of order: {only_before}")),
        };
        self.finding(class, sentence, &[early, late])
    }

    /// A failed operation that would explain the violation if it had taken effect.
    fn aborted(&mut self, ops: &[Op]) -> Option<Finding> {
        let case = self.case;
        let failed = case.recorded().filter(|(_, op)| op.is_fail() && op.call <= case.cut);
        let revived = failed.map(|(at, op)| (at, unknown(&with_room(op))));
        let fits = |op: &Op| self.judge.fits(op).is_ok();
        let revived: Vec<(usize, Op)> = revived.filter(|(_, op)| fits(op)).take(FAILURES_MAX).collect();
        revived.into_iter().find_map(|(at, op)| {
            if !self.legal([ops, &[op]].concat()) {
                return None;
            }
            let failure = &case.part[at];
            let sentence = format!(
                "{}{} was reported as failed, but {} legal only if it took effect",
                who(failure),
                on(failure),
                if ops.len() == 1 {
                    "the one operation is".into()
                } else {
                    format!("these {} operations are", ops.len())
                }
            );
            let mut finding = self.finding("aborted-read", sentence, &[]);
            finding.named.push(at);
            Some(finding)
        })
    }

    /// A result that should have been the opposite: true instead of false, or false instead of true.
    fn opposite(&mut self, ops: &[Op]) -> Option<Finding> {
        self.suspects(ops).into_iter().find_map(|at| {
            let Some(Value::Bool(answer)) = ops[at].output() else { return None };
            let mut other = ops.to_vec();
            other[at].outcome = Outcome::Ok(Value::Bool(!answer));
            if !self.legal(other) {
                return None;
            }
            let class = if is_refused(&ops[at]) { "false-refusal" } else { "false-success" };
            let sentence = format!(
                "{}{} should have returned {}: only with that result does a legal order exist",
                who(self.op(at)),
                on(self.op(at)),
                !answer
            );
            Some(self.finding(class, sentence, &[at]))
        })
    }

    /// An operation that took effect twice.
    fn twice(&mut self, ops: &[Op]) -> Option<Finding> {
        self.changes(ops).into_iter().find_map(|at| {
            let again = unknown(&ops[at]);
            if !self.legal([ops, &[again]].concat()) {
                return None;
            }
            let sentence = format!(
                "{}{} took effect twice: only then does a legal order exist",
                who(self.op(at)),
                on(self.op(at))
            );
            Some(self.finding("duplicate", sentence, &[at]))
        })
    }

    /// An acknowledged change without effect.
    fn lost(&mut self, ops: &[Op]) -> Option<Finding> {
        let is_blind = |at: &usize| ops[*at].output().is_some_and(Value::is_nil);
        self.changes(ops).into_iter().filter(is_blind).find_map(|at| {
            if !self.legal(without(ops, at)) {
                return None;
            }
            let sentence = format!(
                "{}{} was acknowledged, but {} legal only without it",
                who(self.op(at)),
                on(self.op(at)),
                others(ops)
            );
            Some(self.finding("lost-update", sentence, &[at]))
        })
    }

    /// A result that no order of the others explains, at any time.
    fn impossible(&mut self, ops: &[Op]) -> Option<Finding> {
        let first = ops.iter().map(|op| op.call).min()?;
        let processes = ops.iter().map(|op| op.process).max()? + 1;
        let alone = (processes..).zip(ops).map(|(process, op)| Op {
            call: first,
            client: Some(op.actor()),
            process,
            ..op.clone()
        });
        if (self.decide)(&alone.collect::<Vec<_>>()) != Some(false) {
            return None;
        }
        self.suspects(ops).into_iter().find_map(|at| {
            if !self.legal(without(ops, at)) {
                return None;
            }
            let why = match (self.left_by_others(ops, at), ops.len()) {
                (Some(states), 1) => {
                    format!("nothing had been changed by then, so the state can only have been {states}")
                }
                (Some(states), 2) => {
                    format!("whenever the other operation took effect, the state can only have been {states}")
                }
                (Some(states), all) => {
                    format!(
                        "in every order of the other {}, the state can only have been {states}",
                        count(all - 1, "operation")
                    )
                }
                (None, _) => {
                    format!(
                        "{} legal without it, and no order is legal with it, even if all times are ignored",
                        others(ops)
                    )
                }
            };
            let sentence = format!("{}{} cannot be right: {why}", who(self.op(at)), on(self.op(at)));
            Some(self.finding("impossible-answer", sentence, &[at]))
        })
    }

    /// The states that all orders of some of the other operations lead to, in readable form. `None` if these
    /// are too many, or the counterexample does not have all operations that changed the object.
    fn left_by_others(&self, ops: &[Op], but: usize) -> Option<String> {
        let keeps_all = matches!(self.case.subject, Subject::Text | Subject::Counter | Subject::NumberedLog);
        if ops.len() > 1 + ORDERED_MAX || !keeps_all {
            return None;
        }
        let ops: Vec<&Op> = ops.iter().collect();
        let (mut states, mut orders) = (BTreeSet::new(), vec![Vec::new()]);
        while let Some(order) = orders.pop() {
            // An illegal order cannot be continued.
            let Ok(state) = self.judge.replay(&ops, &order) else { continue };
            states.insert(short(&state));
            let next = (0..ops.len()).filter(|at| *at != but && !order.contains(at));
            orders.extend(next.map(|at| [&order[..], &[at]].concat()));
        }
        let (last, all) = (states.pop_last()?, Vec::from_iter(states));
        match all.len() {
            0 => Some(last),
            STATES_MAX.. => None,
            _ => Some(format!("{} or {last}", all.join(", "))),
        }
    }

    /// An operation of the counterexample as it was recorded.
    fn op(&self, at: usize) -> &Op {
        &self.case.part[self.case.minimal[at].0]
    }

    fn finding(&self, class: &'static str, sentence: String, named: &[usize]) -> Finding {
        let named = named.iter().map(|&at| self.case.minimal[at].0).collect();
        Finding { class, sentence, named, missing: None }
    }
}

fn comes_before(ops: &[Op], early: usize, late: usize) -> bool {
    early != late && precedes((early, &ops[early]), (late, &ops[late]))
}

/// An operation on a clock with room between its instants, and before the first.
fn with_room(op: &Op) -> Op {
    let later = |instant: Nanos| instant.saturating_mul(4).saturating_add(2);
    Op { call: later(op.call), completed: op.completed.map(later), ..op.clone() }
}

fn sorted(mut ops: Vec<Op>) -> Vec<Op> {
    ops.sort_by_key(|op| op.call);
    ops
}

/// An operation that may have taken effect at any time since it was invoked.
fn unknown(op: &Op) -> Op {
    Op { outcome: Outcome::Info, completed: None, complete_index: None, ..op.clone() }
}

fn without(ops: &[Op], at: usize) -> Vec<Op> {
    [&ops[..at], &ops[at + 1..]].concat()
}

/// The operations of the counterexample except one, in words, with their verb.
fn others(ops: &[Op]) -> String {
    match ops.len() {
        2 => "the other operation is".to_owned(),
        all => format!("the other {} are", count(all - 1, "operation")),
    }
}
