//! The violations of queues and stacks: elements that are removed twice, never, too early or in the wrong
//! order.

use std::collections::HashSet;

use super::fate::{Clue, Fate, Missing};
use super::unfounded::{Verbs, unfounded};
use super::{Case, Finding, first};
use crate::explain::subject::Subject;
use crate::explain::words::{on, short, who};
use crate::op::{F, Op, Value};

/// The patterns of FIFO queues, in order.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(case, &[taken_unfounded, taken_twice, false_empty, out_of_order])
}

/// The patterns of containers without FIFO order.
pub(super) fn classify_unordered(case: &Case<'_>) -> Option<Finding> {
    first(case, &[taken_unfounded, taken_twice, false_empty])
}

/// The element that an operation adds.
fn put(op: &Op) -> Option<&Value> {
    matches!(op.f, F::Enqueue | F::Push).then_some(&op.input)
}

fn takes(op: &Op) -> bool {
    matches!(op.f, F::Dequeue | F::Pop)
}

/// The element that an operation removed.
fn taken(op: &Op) -> Option<&Value> {
    op.output().filter(|value| takes(op) && !value.is_nil())
}

/// The acknowledged removals of the counterexample, the latest first.
fn removals<'a>(case: &Case<'a>) -> Vec<(usize, &'a Op, &'a Value)> {
    case.suspects().into_iter().filter_map(|(at, op)| taken(op).map(|value| (at, op, value))).collect()
}

fn taken_unfounded(case: &Case<'_>) -> Option<Finding> {
    removals(case).into_iter().find_map(|(at, op, value)| {
        let (put_in, been_put) = if op.f == F::Pop { ("pushed", "pushed") } else { ("enqueued", "enqueued") };
        let verbs = Verbs { saw: "returned", put: put_in, been_put };
        unfounded(case, (at, op), value, &verbs, |_, source| put(source) == Some(value))
    })
}

fn taken_twice(case: &Case<'_>) -> Option<Finding> {
    let removals = removals(case);
    removals.iter().enumerate().find_map(|(later, &(b, second, value))| {
        let begun = |op: &Op| put(op) == Some(value) && op.call <= second.ret();
        let sources = case.possible().filter(|(_, op)| begun(op)).count();
        let takers = removals[later..].iter().filter(|(_, _, other)| *other == value).count();
        let &(a, first, _) = removals[later + 1..].iter().find(|(_, _, other)| *other == value)?;
        if takers <= sources {
            return None;
        }
        let times = if sources == 1 { "once".into() } else { format!("{sources} times") };
        let (name, margin) = (short(value), case.span(first.ret(), second.ret()));
        let sentence = format!(
            "{name} was taken {}{}: {} returned it, and {margin} later so did {}, though it had been added only {times} by then",
            if takers == 2 { "twice".into() } else { format!("{takers} times") },
            on(first),
            who(first),
            who(second)
        );
        Some(Finding { class: "taken-twice", sentence, named: vec![a, b], missing: None })
    })
}

/// The fate of an acknowledged element that a result passed over.
fn missing(case: &Case<'_>, value: &Value, (source_at, source): (usize, &Op), answer: usize) -> Missing {
    let answered = case.part[answer].ret();
    let unanswered = case.possible().find(|(_, op)| takes(op) && !op.is_ok() && op.call > answered);
    if let Some((_, unanswered)) = unanswered {
        let why = format!("{}, which was not answered, may have taken it", who(unanswered));
        return Missing::unknown(source_at, answer, &why);
    }
    let later: HashSet<&Value> =
        case.possible().filter(|(_, op)| op.call > source.ret()).filter_map(|(_, op)| put(op)).collect();
    let in_order = case.subject == Subject::Queue;
    Missing::new(case, source_at, answer, |op| {
        let clue = match taken(op) {
            Some(other) if other == value => Missing::shown(case, answer, op, |op| put(op) == Some(value)),
            Some(other) if in_order && later.contains(other) => Clue::Absent,
            Some(_) => Clue::Inconclusive,
            None => Clue::Absent,
        };
        takes(op).then_some(clue)
    })
}

/// A removal found the container empty although an element had been added and cannot have been removed yet.
fn false_empty(case: &Case<'_>) -> Option<Finding> {
    let suspects = case.suspects();
    let empty = suspects.iter().filter(|(_, op)| takes(op) && op.output().is_some_and(Value::is_nil));
    empty.into_iter().find_map(|&(at, op)| {
        let anyone =
            case.possible().any(|(_, other)| takes(other) && !other.is_ok() && other.call <= op.ret());
        let elements = suspects.iter().filter(|(_, source)| source.ret() < op.call);
        elements.rev().find_map(|&(source_at, source)| {
            let value = put(source)?;
            let taker = case
                .possible()
                .filter(|(_, other)| taken(other) == Some(value))
                .min_by_key(|(_, other)| other.call);
            let copies = case.possible().filter(|(_, other)| put(other) == Some(value)).count();
            if copies > 1
                || taker.is_some_and(|(_, taker)| taker.call <= op.ret())
                || (taker.is_none() && anyone)
            {
                return None;
            }
            let missing = missing(case, value, (source_at, source), at);
            let (class, clause) = match taker {
                None => match &missing.fate {
                    Some(Fate::Lost(_)) => ("lost-element", "was never taken".into()),
                    _ => ("missed-element", "had not been taken".into()),
                },
                Some((_, taker)) => (
                    "false-empty",
                    format!(
                        "was not taken until {} later, by process {}",
                        case.span(op.ret(), taker.call),
                        taker.process
                    ),
                ),
            };
            let sentence = format!(
                "{}{} found nothing, but {} had completed {} before it began, and {} {clause}",
                who(op),
                on(op),
                who(source),
                case.span(source.ret(), op.call),
                short(value)
            );
            Some(Finding { class, sentence, named: vec![source_at, at], missing: Some(missing) })
        })
    })
}

/// A violation of FIFO order: an element was overtaken by a later one, or never observed although a later one
/// was.
fn out_of_order(case: &Case<'_>) -> Option<Finding> {
    let suspects = case.suspects();
    let source_of = |value: &Value| {
        let mut sources = case.possible().filter(|(_, op)| put(op) == Some(value));
        sources.next().filter(|_| sources.next().is_none())
    };
    removals(case).into_iter().find_map(|(early_at, early, second)| {
        let anyone = case.possible().any(|(_, op)| takes(op) && !op.is_ok() && op.call <= early.ret());
        let (_, second_put) = source_of(second)?;
        let overtaken = suspects.iter().filter(|(_, op)| op.ret() < second_put.call);
        overtaken.into_iter().find_map(|&(first_at, first_put)| {
            let first = put(first_put)?;
            source_of(first)?;
            let lead = case.span(first_put.ret(), second_put.call);
            let missing = missing(case, first, (first_at, first_put), early_at);
            let (class, sentence) = match case.possible().find(|(_, op)| taken(op) == Some(first)) {
                Some((_, late)) if late.call > early.ret() => {
                    let margin = case.span(early.ret(), late.call);
                    let (late, on) = (who(late), on(late));
                    let sentence = format!(
                        "{} overtook {}{on}: {} had completed {lead} before {} began, yet {} returned {margin} before \
                         {late} began",
                        short(second),
                        short(first),
                        who(first_put),
                        who(second_put),
                        who(early)
                    );
                    ("out-of-order", sentence)
                }
                None if !anyone => {
                    let (class, is) = match &missing.fate {
                        Some(Fate::Lost(_)) => ("lost-element", "is lost: nobody ever took it, though"),
                        _ => ("missed-element", "had not been taken when"),
                    };
                    let sentence = format!(
                        "{}{} was acknowledged {lead} before {} began, but {} {is} {} took a later element",
                        who(first_put),
                        on(first_put),
                        who(second_put),
                        short(first),
                        who(early)
                    );
                    (class, sentence)
                }
                _ => return None,
            };
            Some(Finding { class, sentence, named: vec![first_at, early_at], missing: Some(missing) })
        })
    })
}
