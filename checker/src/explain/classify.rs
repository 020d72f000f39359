//! What kind of violation it is, in a word and in one sentence.
//!
//! A minimal counterexample is small enough to recognise. Each model has a list of patterns, tried in order,
//! the plainest first; each is a polynomial test on the operations of the counterexample, with a look at the
//! whole part where a word like "nobody" or "again" needs it. The first that fits gives the class and fills
//! its sentence, which names the process, the operation, the value, the key, the operation that contradicts it
//! and the margin. Where none fits the sentence says so, and how far a legal order gets.
//!
//! The proof is the counterexample; the sentence is a reading of it.

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

/// How many operations of a counterexample are searched for a pattern.
const SUSPECTS_MAX: usize = 200;

/// The class of a violation and the sentence about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// In kebab-case.
    pub(super) class: &'static str,
    /// One sentence, without its full stop.
    pub(super) sentence: String,
    /// The operations that the sentence sets against each other, by position in the part.
    pub(super) named: Vec<usize>,
    /// The acknowledged effect that an answer of them does not show, if that is what is wrong.
    pub(super) missing: Option<Missing>,
}

/// A counterexample, and all that was recorded around it.
pub(super) struct Case<'a> {
    /// All operations of the part.
    part: &'a [Op],
    /// What they are about.
    subject: Subject,
    /// The counterexample: the positions of its operations in the part, each with the operation as it sees it.
    minimal: Vec<(usize, Op)>,
    /// When the counterexample is complete: what was pending then, is.
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

    /// A length of time, in words.
    fn span(&self, from: Nanos, to: Nanos) -> String {
        self.clock.span(from, to)
    }

    /// All recorded operations, with their positions.
    fn recorded(&self) -> impl Iterator<Item = (usize, &'a Op)> + Clone + use<'a> {
        self.part.iter().enumerate()
    }

    /// The recorded operations that are not known to have failed.
    fn possible(&self) -> impl Iterator<Item = (usize, &'a Op)> + Clone + use<'a> {
        self.recorded().filter(|(_, op)| !op.is_fail())
    }

    /// The acknowledged operations of the counterexample, the latest first: the last is most often the culprit. Where
    /// a counterexample is large, only so many are looked at.
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

    /// What is said when no pattern fits: a legal order places so many operations, and then `stuck`, by its position in
    /// the part, cannot come next for a reason. Nothing of that where a limit came first.
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

/// The first pattern of a list that fits.
fn first(case: &Case<'_>, patterns: &[fn(&Case<'_>) -> Option<Finding>]) -> Option<Finding> {
    patterns.iter().find_map(|pattern| pattern(case))
}

#[cfg(test)]
mod tests;
