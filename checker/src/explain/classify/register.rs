//! The violations of registers and of keys in key-value stores.
//!
//! An *observer* observed a value: a read, or a compare-and-set that took place. A *writer* of a value is an
//! operation that leaves the value there if it takes effect; the initial value counts as written at the
//! beginning of time.

use std::collections::{HashMap, HashSet};

use super::fate::{Clue, Fate, Missing};
use super::unfounded::{Verbs, unfounded};
use super::{Case, Finding, first};
use crate::explain::subject::{is_refused, observed, written};
use crate::explain::words::{on, short, who};
use crate::op::{F, Nanos, Op, Value};

/// The patterns, in order.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(case, &[seen_unfounded, split_brain, overwritten, non_monotonic, diverging, refused, seen_gone])
}

/// The observers of the counterexample with their values, the latest first.
fn observers<'a>(case: &Case<'a>) -> Vec<(usize, &'a Op, &'a Value)> {
    let observer = |(at, op)| observed(op).map(|value| (at, op, value));
    case.suspects().into_iter().filter_map(observer).collect()
}

/// Whether the operation, if it took effect, changed the register to a value that it did not find there.
fn writes(op: &Op, value: &Value) -> bool {
    let found = if op.f == F::Cas { op.input.as_pair().map(|(from, _)| from) } else { None };
    written(op) == Some(value) && found != Some(value)
}

/// The operations that may have written a value before the end of the counterexample.
fn writers<'a>(case: &Case<'a>, value: &Value) -> impl Iterator<Item = &'a Op> {
    case.possible().map(|(_, op)| op).filter(|op| op.call <= case.cut && writes(op, value))
}

/// The compare-and-sets that cannot have taken place by an instant, because the expected value was never
/// there: it was never written, or only by other compare-and-sets of this kind.
fn impossible(case: &Case<'_>, by: Nanos) -> HashSet<usize> {
    let begun = || case.possible().filter(|(_, op)| op.call <= by);
    let mut known: HashSet<&Value> = HashSet::from([&Value::Nil]);
    known.extend(begun().filter(|(_, op)| op.f != F::Cas).filter_map(|(_, op)| written(op)));
    let swaps: Vec<_> =
        begun().filter_map(|(at, op)| Some((at, op.input.as_pair().filter(|_| op.f == F::Cas)?))).collect();
    loop {
        let size = known.len();
        known.extend(
            swaps
                .iter()
                .filter(|(_, (from, _))| known.contains(from))
                .map(|(_, (_, to))| *to)
                .collect::<Vec<_>>(),
        );
        if known.len() == size {
            return swaps
                .into_iter()
                .filter(|(_, (from, _))| !known.contains(from))
                .map(|(at, _)| at)
                .collect();
        }
    }
}

/// Whether every writer of a value had taken effect before an instant: it had completed, or it is the only
/// writer and an operation had observed the value. The initial value is there before any instant.
fn settled_before(case: &Case<'_>, value: &Value, instant: Nanos) -> bool {
    let seen = || case.recorded().any(|(_, op)| observed(op) == Some(value) && op.ret() < instant);
    let single = !value.is_nil() && writers(case, value).count() == 1;
    writers(case, value).all(|op| op.ret() < instant) || (single && seen())
}

/// The verb for an observation: a compare-and-set found the value, a read returned it.
fn saw(op: &Op) -> &'static str {
    if op.f == F::Cas { "found" } else { "returned" }
}

fn seen_unfounded(case: &Case<'_>) -> Option<Finding> {
    observers(case).into_iter().filter(|(_, _, value)| !value.is_nil()).find_map(|(at, op, value)| {
        let verbs = Verbs { saw: saw(op), put: "wrote", been_put: "written" };
        let impossible = impossible(case, op.ret());
        unfounded(case, (at, op), value, &verbs, |at, source| {
            writes(source, value) && !impossible.contains(&at)
        })
    })
}

/// Two compare-and-sets took place on the same write.
fn split_brain(case: &Case<'_>) -> Option<Finding> {
    let swaps: Vec<_> = observers(case)
        .into_iter()
        .filter(|(_, op, from)| op.f == F::Cas && written(op).is_some_and(|to| to != *from))
        .collect();
    let occasions = |value: &Value| usize::from(value.is_nil()) + writers(case, value).count();
    swaps.iter().enumerate().find_map(|(later, &(b, second, from))| {
        let &(a, first, _) = swaps[later + 1..].iter().find(|(_, _, other)| *other == from)?;
        (occasions(from) == 1).then(|| {
            let sentence = format!(
                "{} and {}{} both succeeded from the same {}, which was there only once",
                who(first),
                who(second),
                on(first),
                short(from)
            );
            // The order of two concurrent compare-and-sets is unknown.
            let new = written(first).filter(|_| first.ret() < second.call);
            let missing = new.map(|new| missing(case, (a, first), new, (b, second), from));
            Finding { class: "split-brain", sentence, named: vec![a, b], missing }
        })
    })
}

/// An overwritten value that was observed.
struct Stale<'a> {
    observer: (usize, &'a Op),
    value: &'a Value,
    /// The write that had overwritten it and had completed.
    write: (usize, &'a Op),
}

fn stale<'a>(case: &Case<'a>) -> Option<Stale<'a>> {
    observers(case).into_iter().find_map(|(at, op, value)| {
        let overwrote = |&&(_, write): &&(usize, &Op)| {
            settled_before(case, value, write.call)
                && write.ret() < op.call
                && written(write).is_some_and(|other| other != value)
        };
        let suspects = case.suspects();
        let write = suspects.iter().filter(overwrote).min_by_key(|(_, write)| write.ret())?;
        Some(Stale { observer: (at, op), value, write: *write })
    })
}

/// Maximum length of a chain of compare-and-sets, each on the result of the previous one.
const CHAIN_MAX: usize = 64;

/// What an observation shows about an effect that a result does not show: `new` is the value that the
/// operation `first` left or observed, `old` the one that the result shows.
///
/// Values written after `old` and before the stale result began are newer than `old`: an observer that
/// returns one later has lost nothing. Values written before `first`, and not since, are older than `new`: an
/// observer that returns one later lacks `new`.
fn missing(
    case: &Case<'_>,
    (first_at, first): (usize, &Op),
    new: &Value,
    (answer_at, answer): (usize, &Op),
    old: &Value,
) -> Missing {
    let mut writers: HashMap<&Value, Vec<&Op>> = HashMap::new();
    for (_, op) in case.possible() {
        if let Some(value) = written(op).filter(|value| writes(op, value)) {
            writers.entry(value).or_default().push(op);
        }
    }
    let of = |value: &Value| writers.get(value).map_or(&[][..], Vec::as_slice);
    let settled = |value: &Value, instant: Nanos| of(value).iter().all(|op| op.ret() < instant);
    let newer = |value: &Value| match of(value) {
        [only] => only.ret() < answer.call && value != old && settled(old, only.call),
        _ => false,
    };
    // A value that a compare-and-set made of it builds upon it.
    let built_upon = |value: &Value| {
        let mut value = value;
        for _ in 0..CHAIN_MAX {
            if newer(value) || (value == new && of(value).len() == 1) {
                return true;
            }
            match of(value) {
                [only] if value != old => match only.input.as_pair().filter(|_| only.f == F::Cas) {
                    Some((from, _)) => value = from,
                    None => return false,
                },
                _ => return false,
            }
        }
        false
    };
    let branch = written(answer).filter(|value| of(value).len() == 1);
    Missing::new(case, first_at, answer_at, |op| {
        let value = observed(op)?;
        let clue = match () {
            // If the stale operation changed the register, an observer of that change follows the stale
            // result.
            () if branch == Some(value) => Clue::Absent,
            () if built_upon(value) => Clue::Present,
            () if value == new => Missing::shown(case, answer_at, op, |op| writes(op, new)),
            () if settled(value, first.call) => Clue::Absent,
            () => Clue::Inconclusive,
        };
        Some(clue)
    })
}

/// An overwritten value was observed: a stale result, or a lost write, or it is unknown which.
fn overwritten(case: &Case<'_>) -> Option<Finding> {
    let Stale { observer: (at, op), value, write: (write_at, write) } = stale(case)?;
    let missing = missing(case, (write_at, write), written(write)?, (at, op), value);
    let margin = case.span(write.ret(), op.call);
    let (is_stale, began) = match op.f {
        F::Cas => ("found a stale value", "it"),
        _ => ("is stale", "this read"),
    };
    let (who_reads, on, who_writes, old) = (who(op), on(op), who(write), short(value));
    let (class, sentence) = match &missing.fate {
        Some(Fate::Seen(seen)) => (
            "stale-read",
            format!(
                "{who_reads}{on} {is_stale}: {who_writes} had completed {margin} before {began} began, and nobody wrote {old} again in between; {}",
                missing.seen_clause(case, *seen)
            ),
        ),
        Some(Fate::Lost(misses)) => (
            "lost-write",
            format!("{who_writes}{on} was acknowledged, but {}", missing.lost_clause(case, *misses)),
        ),
        _ => (
            "missed-write",
            format!(
                "{who_reads}{on} misses {who_writes}, which had completed {margin} before {began} began, and nobody wrote {old} again in between"
            ),
        ),
    };
    Some(Finding { class, sentence, named: vec![write_at, at], missing: Some(missing) })
}

/// The old value was observed after the new one had been observed.
fn non_monotonic(case: &Case<'_>) -> Option<Finding> {
    let observers = observers(case);
    observers.iter().find_map(|&(b, second, old)| {
        let saw_new = |&&(_, first, new): &&(usize, &Op, &Value)| {
            let left_there = if first.f == F::Cas { written(first) } else { Some(new) };
            left_there != Some(old) && settled_before(case, old, first.call) && first.ret() < second.call
        };
        let &(a, first, new) = observers.iter().find(saw_new)?;
        let new = if first.f == F::Cas { written(first).unwrap_or(new) } else { new };
        let sentence = format!(
            "{}{} went back in time: {} had completed {} before it began, and nobody wrote {} in between",
            who(second),
            on(second),
            who(first),
            case.span(first.ret(), second.call),
            short(old)
        );
        let missing = missing(case, (a, first), new, (b, second), old);
        Some(Finding { class: "non-monotonic-reads", sentence, named: vec![a, b], missing: Some(missing) })
    })
}

/// The old value was observed after a comparison with it had failed.
fn seen_gone(case: &Case<'_>) -> Option<Finding> {
    let suspects = case.suspects();
    observers(case).into_iter().find_map(|(at, op, value)| {
        let found_another = |&&(_, swap): &&(usize, &Op)| {
            swap.f == F::Cas
                && is_refused(swap)
                && swap.input.as_pair().is_some_and(|(from, _)| from == value)
                && settled_before(case, value, swap.call)
                && swap.ret() < op.call
        };
        let &(swap_at, swap) = suspects.iter().find(found_another)?;
        let sentence = format!(
            "{}{} went back in time: {} had found another value {} before it began, and nobody wrote {} in between",
            who(op),
            on(op),
            who(swap),
            case.span(swap.ret(), op.call),
            short(value)
        );
        Some(Finding { class: "non-monotonic-reads", sentence, named: vec![swap_at, at], missing: None })
    })
}

/// Two observers returned different values at overlapping times, long after the last write had completed.
fn diverging(case: &Case<'_>) -> Option<Finding> {
    let observers = observers(case);
    observers.iter().enumerate().find_map(|(later, &(b, second, new))| {
        let others =
            observers[later + 1..].iter().filter(|(_, first, _)| first.f != F::Cas && second.f != F::Cas);
        let &(a, first, _) = others.into_iter().find(|(_, first, old)| {
            let begun = first.call.min(second.call);
            *old != new && first.ret() >= second.call && {
                settled_before(case, old, begun) && settled_before(case, new, begun)
            }
        })?;
        let sentence = format!(
            "{} and {}{} saw different values during the same {}, and nobody wrote either value in that time",
            who(first),
            who(second),
            on(first),
            case.span(first.call.max(second.call), first.ret().min(second.ret()))
        );
        Some(Finding { class: "diverging-reads", sentence, named: vec![a, b], missing: None })
    })
}

/// A comparison failed although the register can only have held the expected value.
fn refused(case: &Case<'_>) -> Option<Finding> {
    let refused = case.suspects().into_iter().filter(|(_, op)| op.f == F::Cas && is_refused(op));
    refused.into_iter().find_map(|(at, op)| {
        let (from, _) = op.input.as_pair()?;
        let others_settled = |instant: Nanos| {
            let others = case.possible().filter(|(_, other)| {
                other.call <= op.ret() && written(other).is_some_and(|value| value != from)
            });
            others.into_iter().all(|(_, other)| other.ret() < instant)
        };
        let wrote = |(_, write): &&(usize, &Op)| writes(write, from) && write.ret() < op.call && others_settled(write.call);
        let suspects = case.suspects();
        let &(write_at, write) = suspects.iter().filter(wrote).min_by_key(|(_, write)| write.ret())?;
        let sentence = format!(
            "{}{} was refused although the register held {}: {} had completed {} before it began, and nobody wrote anything else in between",
            who(op),
            on(op),
            short(from),
            who(write),
            case.span(write.ret(), op.call)
        );
        Some(Finding { class: "false-refusal", sentence, named: vec![write_at, at], missing: None })
    })
}
