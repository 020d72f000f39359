//! Hypotheses that would explain the violation: a few cheap questions, each re-checked.
//!
//! - *Failures that took effect.* A client that reports a failure although the operation may have taken
//!   effect is the best known source of false alarms. So all failures are treated as indeterminate, and the
//!   history is checked again.
//! - *Sequential consistency* (Lamport 1979): does an order exist that keeps only each process's own order?
//!   Then the values may be stale. This does not show whether anything is lost; only later observations do
//!   (`classify/fate.rs`).
//! - *One node.* Removing reads proves nothing by itself. So each node's reads are removed in turn: if no
//!   violation is left, only that node gave impossible results.
//! - *Clocks.* By how much would one process's operations have to be shifted? In Tribunal's own runs all
//!   instants come from one clock; other recordings may be less exact.
//! - *Initial value.* Is the history legal if the object initially held one of the observed values? Reported
//!   only if the answer is yes.
//!
//! The second and the fourth question are about the counterexample, the others about everything recorded on
//! the key.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::moves::Sub;
use super::shrink::Decide;
use super::subject::{Recorded, Subject, observed};
use super::words::{Clock, count, on, short, who};
use crate::decision::Decision;
use crate::judge::{Demand, Engine, Judge};
use crate::limits::Limits;
use crate::model::ModelKind;
use crate::model::initial::{registers, starting};
use crate::op::{F, Nanos, Op, Outcome, Value};
use crate::verdict::Explanation;

/// Maximum number of configurations in the search for a sequentially consistent order.
const SEQUENTIAL_STATES_MAX: usize = 20_000;
/// Maximum number of failed operations that are tried one by one.
const FAILURES_MAX: usize = 50;
/// Maximum number of clock shifts that are tried.
const SHIFTS_MAX: usize = 400;
/// Maximum number of initial values that are tried.
const INITIAL_MAX: usize = 8;
/// Below this margin, in ns, the measurement of instants is questioned.
const SUSPECT: Nanos = 1_000_000;
/// Maximum size of a counterexample whose clocks are questioned.
const SHIFTED_MAX: usize = 64;

/// The questions about a part that is not linearizable, given its counterexample.
pub(super) struct Would<'a> {
    pub(super) judge: &'a dyn Judge,
    pub(super) part: &'a Recorded<'a>,
    pub(super) sub: &'a Sub,
    /// Whether the counterexample leaves out the operations that its first write had overwritten.
    pub(super) begins_late: bool,
    pub(super) decide: Decide<'a>,
    /// The total budget of the searches that `decide` does not make.
    pub(super) limits: &'a Limits<'a>,
}

impl Would<'_> {
    /// All questions with their answers.
    pub(super) fn ask(mut self) -> Vec<Explanation> {
        let minimal = self.sub.ops(self.part);
        let mut asked: Vec<Explanation> = self.initial(&minimal).into_iter().collect();
        asked.extend([self.failures(), self.sequential(&minimal)]);
        asked.extend(self.one_node());
        asked.push(self.clocks(&minimal));
        asked
    }

    /// Whether another initial value would make the history legal: reported only if it would.
    fn initial(&mut self, minimal: &[Op]) -> Option<Explanation> {
        let kind: ModelKind = self.judge.name().parse().ok()?;
        if self.judge.has_unusual_start() || self.begins_late {
            return None;
        }
        let registers = registers(self.part.ops.iter());
        let mut left = self.limits.states_max;
        let mut legal = |ops: &[Op], value: &Value| {
            let (judge, price) = (starting(kind, value, &registers).ok()?, self.part.price(ops.len()));
            let ops: Vec<&Op> = ops.iter().collect();
            let limits = Limits { states_max: left / price, ..self.limits.clone() };
            let demand = Demand { engine: Engine::Auto, limits: &limits, cancelled: None, order: false };
            let decided = judge.decide(&ops, demand);
            left = left.saturating_sub(decided.states * price);
            Some(matches!(decided.decision, Decision::Legal { .. }))
        };
        let value = candidates(self.part, minimal)
            .into_iter()
            .find(|value| legal(minimal, value) == Some(true) && legal(self.part.ops, value) == Some(true))?;
        let key = minimal.first().map(on).unwrap_or_default();
        let json = |value: &Value| serde_json::to_string(value).unwrap_or_default();
        let written = match minimal.first().map(|op| &op.key) {
            None | Some(Value::Nil) => json(&value),
            Some(Value::Str(key)) if !key.contains('=') => format!("{key}={}", json(&value)),
            Some(key) => format!("{}={}", json(key), json(&value)),
        };
        Some(Explanation {
            question: "Did the object hold something before?".to_owned(),
            holds: Some(true),
            answer: format!(
                "yes, if that was {}: then all operations{key} are linearizable (option `initial {written}`)",
                short(&value)
            ),
        })
    }

    /// The operations as known at the end of the counterexample; positions are those of the part.
    fn known(&self) -> Vec<Op> {
        let mut ops: Vec<Op> =
            self.part.ops.iter().take_while(|op| op.call <= self.sub.cut).cloned().collect();
        for op in ops.iter_mut().filter(|op| op.is_ok() && op.ret() > self.sub.cut) {
            op.outcome = Outcome::Info;
        }
        ops
    }

    fn failures(&mut self) -> Explanation {
        let question = "Did an operation that was reported as failed take effect?".to_owned();
        let known = self.known();
        let on = known.first().map(on).unwrap_or_default();
        let revived = |op: &Op| Op { outcome: Outcome::Info, ..op.clone() };
        let failed = |&at: &usize| known[at].is_fail() && self.judge.fits(&revived(&known[at])).is_ok();
        let failed: Vec<usize> = (0..known.len()).filter(failed).collect();
        if failed.is_empty() {
            return Explanation {
                question,
                holds: Some(false),
                answer: format!("no: no operation{on} was reported as failed"),
            };
        }
        let all = count(failed.len(), "failed operation");
        let mut with = |chosen: &[usize]| {
            let mut ops = known.clone();
            chosen.iter().for_each(|&at| ops[at] = revived(&known[at]));
            (self.decide)(&ops)
        };
        let holds = with(&failed);
        let answer = match holds {
            None => format!("undecided: a limit was reached with the {all} indeterminate"),
            Some(false) => format!("no: no legal order exists, even with {all}{on} treated as indeterminate"),
            Some(true) => {
                let alone = failed.iter().take(FAILURES_MAX).map(|at| (at, with(&[*at])));
                // If one re-check exceeds the budget, the next may, too.
                let culprit =
                    alone.take_while(|(_, holds)| holds.is_some()).find(|(_, holds)| *holds == Some(true));
                let which = culprit.map_or_else(|| format!("some of the {all}"), |(&at, _)| who(&known[at]));
                format!(
                    "yes, if {which} did: either the system exposed an aborted operation, or the client reports \
                     as failed an operation that may have happened"
                )
            }
        };
        Explanation { question, holds, answer }
    }

    fn sequential(&self, minimal: &[Op]) -> Explanation {
        let question = "Would it be sequentially consistent?".to_owned();
        if self.begins_late || self.is_summed() {
            return Explanation { question, holds: None, answer: self.unasked(minimal) };
        }
        let ops: Vec<&Op> = minimal.iter().collect();
        let holds = self.judge.sequential(&ops, SEQUENTIAL_STATES_MAX);
        let these = format!("the {} of the counterexample", count(ops.len(), "operation"));
        let have = if ops.len() == 1 { "has" } else { "have" };
        let answer = match holds {
            None => format!("undecided: {these} {have} too many orders to try"),
            Some(true) => {
                format!("yes: {these} {have} a legal order that preserves each process's own order")
            }
            Some(false) => {
                format!(
                    "no: {these} {have} no legal order, even if only each process's own order has to be preserved"
                )
            }
        };
        Explanation { question, holds, answer }
    }

    fn is_summed(&self) -> bool {
        self.sub.sums.all.is_some()
    }

    /// Why a question about the counterexample makes no sense.
    fn unasked(&self, minimal: &[Op]) -> String {
        match self.begins_late {
            false if self.is_summed() => {
                "undecided: one addition of the counterexample stands for several".to_owned()
            }
            true => "undecided: the counterexample begins at a write, without what that had overwritten"
                .to_owned(),
            false => format!("undecided: the counterexample has {}", count(minimal.len(), "operation")),
        }
    }

    fn one_node(&mut self) -> Option<Explanation> {
        let nodes: BTreeSet<&Arc<str>> = self.part.ops.iter().filter_map(|op| op.node.as_ref()).collect();
        if nodes.len() < 2 {
            return None;
        }
        let read_from = |at: usize| self.part.ops[at].node.as_ref().filter(|_| self.part.is_observer(at));
        // The node of the last read comes first: most likely the impossible read is its.
        let mut suspects: Vec<&Arc<str>> = Vec::new();
        for node in self.sub.kept.iter().rev().filter_map(|&at| read_from(at)) {
            if !suspects.contains(&node) {
                suspects.push(node);
            }
        }
        let mut limited = false;
        let mut culprit = None;
        for node in suspects {
            let others = (0..self.part.ops.len()).filter(|&at| read_from(at) != Some(node));
            let ops: Vec<Op> = others.map(|at| self.part.ops[at].clone()).collect();
            let answer = (self.decide)(&ops);
            limited = answer.is_none();
            culprit = Some(node).filter(|_| answer == Some(true));
            // If one re-check exceeds the budget, the next may, too.
            if limited || culprit.is_some() {
                break;
            }
        }
        let (holds, answer) = match culprit {
            Some(node) => (Some(true), format!("yes: every contradiction involves a read served by {node}")),
            None if limited => (None, "undecided: a limit was reached without its reads".to_owned()),
            None => (Some(false), "no: the violation remains whichever node's reads are ignored".to_owned()),
        };
        Some(Explanation { question: "Is one node to blame?".to_owned(), holds, answer })
    }

    fn clocks(&mut self, minimal: &[Op]) -> Explanation {
        let question = "Could the clocks be wrong?".to_owned();
        if self.begins_late || self.is_summed() || minimal.len() > SHIFTED_MAX {
            return Explanation { question, holds: None, answer: self.unasked(minimal) };
        }
        let mut shifts = shifts(minimal);
        let tried = shifts.len().min(SHIFTS_MAX);
        let more = shifts.len() > tried;
        shifts.truncate(tried);
        let fits = shifts.into_iter().find(|shift| (self.decide)(&shift.applied(minimal)) == Some(true));
        let (holds, answer) = match fits {
            Some(Shift { by, process, earlier }) => {
                let (margin, way) = (self.part.clock.span(0, by), if earlier { "earlier" } else { "later" });
                let shifted =
                    format!("process {process}'s operations would have to be {margin} {way} than recorded");
                match by < SUSPECT && self.part.clock == Clock::Time {
                    true => (Some(true), format!("perhaps: {shifted}: check how the times were measured")),
                    false => (Some(false), format!("no: {shifted}")),
                }
            }
            None if more => {
                (None, format!("undecided: none of the {tried} smallest shifts of one process helps"))
            }
            None => (Some(false), "no: no shift of one process's operations makes a legal order".to_owned()),
        };
        Explanation { question, holds, answer }
    }
}

/// The values that the object may initially have held, judging by the observations.
fn candidates(part: &Recorded<'_>, minimal: &[Op]) -> Vec<Value> {
    let mut values: Vec<Value> = match part.subject {
        Subject::Register | Subject::Text => minimal.iter().filter_map(observed).cloned().collect(),
        Subject::Counter => {
            let reads = part.ops.iter().filter(|op| op.f == F::Read).filter_map(Op::output);
            reads.take(INITIAL_MAX).cloned().collect()
        }
        Subject::Registers => {
            let accesses = minimal.iter().filter_map(Op::output).flat_map(|list| match list {
                Value::List(accesses) => accesses.to_vec(),
                _ => Vec::new(),
            });
            let values = accesses.filter_map(|access| match &access {
                Value::List(access) => access.get(2).cloned(),
                _ => None,
            });
            values.collect()
        }
        _ => Vec::new(),
    };
    values.retain(|value| !value.is_nil());
    values.sort();
    values.dedup();
    values.truncate(INITIAL_MAX);
    values
}

/// A shift of all operations of one process by the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shift {
    by: Nanos,
    process: u64,
    earlier: bool,
}

impl Shift {
    fn applied(self, ops: &[Op]) -> Vec<Op> {
        // Moving one process earlier equals moving all others later, which never falls before the start of
        // time.
        let moves = |op: &Op| (op.process == self.process) != self.earlier;
        let mut ops = ops.to_vec();
        for op in ops.iter_mut().filter(|op| moves(op)) {
            op.call = op.call.saturating_add(self.by);
            op.completed = op.completed.map(|end| end.saturating_add(self.by));
        }
        ops.sort_by_key(|op| op.call);
        ops
    }
}

/// The shifts that remove a precedence between two processes, the smallest first.
fn shifts(ops: &[Op]) -> Vec<Shift> {
    let mut shifts = BTreeSet::new();
    for first in ops {
        for second in ops.iter().filter(|second| second.process != first.process && first.ret() < second.call)
        {
            let by = second.call - first.ret();
            shifts.insert(Shift { by, process: second.process, earlier: true });
            shifts.insert(Shift { by, process: first.process, earlier: false });
        }
    }
    shifts.into_iter().collect()
}
