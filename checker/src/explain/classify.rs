//! Classifies a violation: its class, and one sentence.
//!
//! A minimal counterexample is small enough for pattern matching. Each model has a list of patterns, tried in
//! order, the simplest first. Each is a polynomial test on the operations of the counterexample, and on the
//! whole part if its sentence says "nobody" or "again". The first match gives the class and the sentence,
//! which names the process, the operation, the value, the key, the operation that contradicts it and the
//! margin. If none matches, the sentence says so, and how far a legal order gets.
//!
//! The proof is the counterexample; the sentence is an interpretation.

mod counter;
mod fate;
mod ids;
mod lock;
mod log;
mod permits;
mod queue;
mod register;
pub(super) mod registers;
mod repair;
mod replicas;
mod set;
mod unfounded;

use std::cmp::Reverse;

use self::fate::Missing;
pub(super) use self::repair::Repair;
use super::moves::Sub;
use super::subject::{Recorded, Subject};
use super::words::{Clock, count, on, who};
use crate::op::{Nanos, Op};

/// Maximum number of operations of a counterexample that patterns examine.
const SUSPECTS_MAX: usize = 200;

/// The class of a violation and the sentence about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// In kebab-case.
    pub(super) class: &'static str,
    /// One sentence, without its full stop.
    pub(super) sentence: String,
    /// The operations that the sentence names as contradicting each other, by position in the part.
    pub(super) named: Vec<usize>,
    /// The acknowledged effect that one of their results does not show, if this is the violation.
    pub(super) missing: Option<Missing>,
}

/// A counterexample, and everything recorded around it.
pub(super) struct Case<'a> {
    /// All operations of the part.
    part: &'a [Op],
    /// The kind of object.
    subject: Subject,
    /// The counterexample: the positions of its operations in the part, each with the operation as the
    /// counterexample shows it.
    minimal: Vec<(usize, Op)>,
    /// The end of the counterexample: operations pending then stay pending.
    cut: Nanos,
    clock: Clock,
    /// Whether one addition of the counterexample stands for several.
    is_summed: bool,
}

impl<'a> Case<'a> {
    pub(super) fn new(part: &Recorded<'a>, sub: &Sub) -> Case<'a> {
        let minimal = sub.kept.iter().copied().zip(sub.ops(part)).collect();
        Case {
            part: part.ops,
            subject: part.subject,
            minimal,
            cut: sub.cut,
            clock: part.clock,
            is_summed: sub.sums.all.is_some(),
        }
    }

    /// A duration, in words.
    fn span(&self, from: Nanos, to: Nanos) -> String {
        self.clock.span(from, to)
    }

    /// All recorded operations, with their positions.
    fn recorded(&self) -> impl Iterator<Item = (usize, &'a Op)> + Clone + use<'a> {
        self.part.iter().enumerate()
    }

    /// The recorded operations that may have taken effect.
    fn possible(&self) -> impl Iterator<Item = (usize, &'a Op)> + Clone + use<'a> {
        self.recorded().filter(|(_, op)| !op.is_fail())
    }

    /// The acknowledged operations of the counterexample, the latest first, because the last is most often
    /// the cause. Only the first [`SUSPECTS_MAX`] are examined.
    fn suspects(&self) -> Vec<(usize, &'a Op)> {
        let complete = self.minimal.iter().filter(|(_, op)| op.is_ok());
        let mut suspects: Vec<_> = complete.map(|&(at, _)| (at, &self.part[at])).collect();
        suspects.sort_by_key(|&(at, op)| Reverse((op.ret(), at)));
        suspects.truncate(SUSPECTS_MAX);
        suspects
    }

    /// The finding of the first pattern that fits.
    pub(super) fn classify(&self) -> Option<Finding> {
        match self.subject {
            Subject::Register => register::classify(self),
            Subject::Text | Subject::Log | Subject::NumberedLog => log::classify(self),
            Subject::Counter => counter::classify(self),
            Subject::Set => set::classify(self),
            Subject::Replicas => replicas::classify(self),
            Subject::Queue => queue::classify(self),
            Subject::Bag => queue::classify_unordered(self),
            Subject::Lock => lock::classify(self),
            Subject::Ids => ids::classify(self),
            Subject::Registers => registers::classify(self),
            Subject::Permits(_) => permits::classify(self),
            Subject::Other => None,
        }
    }

    /// The sentence if no pattern matches: a legal order places `placed` operations, and then `stuck`, by its
    /// position in the part, cannot come next for a reason. `None` if a limit was reached first.
    pub(super) fn no_order(&self, placed: usize, stuck: Option<(usize, &str)>) -> Finding {
        let on = self.minimal.first().map(|(_, op)| on(op)).unwrap_or_default();
        let all = match self.minimal.len() {
            1 => "this operation".to_owned(),
            all if self.is_summed => {
                format!("these {}, of which one stands for all additions before", count(all, "operation"))
            }
            all => format!("these {}", count(all, "operation")),
        };
        let why = match stuck {
            None => String::new(),
            Some((at, reason)) if placed == 0 => {
                format!(": {} cannot be the first ({reason})", who(&self.part[at]))
            }
            Some((at, reason)) => {
                format!(": after {placed} of them, {} cannot come next ({reason})", who(&self.part[at]))
            }
        };
        let named = stuck.map(|(at, _)| at).into_iter().collect();
        Finding {
            class: "no-order",
            sentence: format!("no legal order exists for {all}{on}{why}"),
            named,
            missing: None,
        }
    }
}

/// The first pattern of a list that matches.
fn first(case: &Case<'_>, patterns: &[fn(&Case<'_>) -> Option<Finding>]) -> Option<Finding> {
    patterns.iter().find_map(|pattern| pattern(case))
}

#[cfg(test)]
mod tests;
