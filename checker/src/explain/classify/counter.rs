//! The violations of counters.
//!
//! The result of a read is bounded by the additions that certainly happened before it began and by those that
//! may have happened when it returned; additions of negative amounts count in the opposite direction.

use std::collections::BTreeSet;

use super::fate::Missing;
use super::{Case, Finding, first};
use crate::explain::words::{on, who};
use crate::op::{F, Op, Value};

/// Maximum number of sums examined.
const SUMS_MAX: usize = 10_000;

/// The patterns, in order.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(case, &[too_low, too_high, same_sum, decreasing, unreached_sum, no_such_sum])
}

/// The sum that an operation of the counterexample observed: a read's result, or the sum that an addition
/// with a returned sum added to.
struct Observation<'a> {
    at: usize,
    op: &'a Op,
    before: i64,
    after: i64,
}

/// The observations of the counterexample, the latest first.
fn observations<'a>(case: &Case<'a>) -> Vec<Observation<'a>> {
    let observation = |(at, op): (usize, &'a Op)| match (&op.f, op.output()?) {
        (F::Read, Value::Nil) => Some(Observation { at, op, before: 0, after: 0 }),
        (F::Read, sum) => sum.as_int().map(|sum| Observation { at, op, before: sum, after: sum }),
        (F::Add, sum) => sum.as_int().zip(op.input.as_int()).map(|(after, amount)| Observation {
            at,
            op,
            before: after.saturating_sub(amount),
            after,
        }),
        _ => None,
    };
    case.suspects().into_iter().filter_map(observation).collect()
}

/// The other additions that may have taken effect, with their amounts.
fn adds<'a>(case: &Case<'a>, but: usize) -> impl Iterator<Item = (usize, &'a Op, i64)> + use<'a> {
    let others = case.possible().filter(move |&(at, op)| op.f == F::Add && at != but);
    others.filter_map(|(at, op)| Some((at, op, op.input.as_int()?)))
}

fn sum(amounts: impl Iterator<Item = i64>) -> i64 {
    amounts.fold(0, i64::saturating_add)
}

fn too_low(case: &Case<'_>) -> Option<Finding> {
    observations(case).into_iter().find_map(|Observation { at, op: read, before: value, .. }| {
        let mut done: Vec<_> = adds(case, at).filter(|(_, add, _)| add.ret() < read.call).collect();
        done.sort_by_key(|(at, add, _)| (add.ret(), *at));
        let concurrent =
            adds(case, at).filter(|(_, add, _)| add.ret() >= read.call && add.call <= read.ret());
        let open: i64 = sum(concurrent.map(|(_, _, amount)| amount.min(0)));
        // The most that may still be subtracted, and the sum so far: finds the earliest addition after which
        // the counter certainly stayed above the value read.
        let mut taken_off =
            open.saturating_add(sum(done.iter().map(|(_, _, amount)| amount.min(&0)).copied()));
        let mut before = 0_i64;
        let decisive = done.iter().position(|(_, _, amount)| {
            before = before.saturating_add(*amount);
            taken_off = taken_off.saturating_sub(*amount.min(&0));
            before.saturating_add(taken_off) > value
        })?;
        let (last_at, last, _) = done[decisive];
        let sentence = format!(
            "{}{} misses an increment: with {}, the acknowledged sum was {before}, {} before it began",
            who(read),
            on(read),
            who(last),
            case.span(last.ret(), read.call)
        );
        let missing = Some(Missing::in_a_sum(last_at, at));
        Some(Finding { class: "missed-increment", sentence, named: vec![last_at, at], missing })
    })
}

fn too_high(case: &Case<'_>) -> Option<Finding> {
    observations(case).into_iter().find_map(|Observation { at, op: read, before: value, .. }| {
        let begun = adds(case, at).filter(|(_, add, _)| add.call <= read.ret());
        let surely = |add: &Op| add.ret() < read.call;
        let most = sum(begun.map(|(_, add, amount)| if surely(add) { amount } else { amount.max(0) }));
        if value <= most {
            return None;
        }
        let failed =
            case.recorded().filter(|(_, op)| op.is_fail() && op.f == F::Add && op.call <= read.ret());
        let next =
            adds(case, at).filter(|(_, add, _)| add.call > read.ret()).min_by_key(|(_, add, _)| add.call);
        let (other, clause) = match (failed.last(), next) {
            (Some((at, op)), _) => (Some(at), format!("; {} was reported as failed", who(op))),
            (None, Some((at, op, _))) => {
                (Some(at), format!("; the next, {}, began {} later", who(op), case.span(read.ret(), op.call)))
            }
            (None, None) => (None, String::new()),
        };
        let sentence = format!(
            "{}{} is too high: the additions invoked by the time it returned sum to at most {most}{clause}",
            who(read),
            on(read)
        );
        Some(Finding {
            class: "phantom-increment",
            sentence,
            named: other.into_iter().chain([at]).collect(),
            missing: None,
        })
    })
}

/// Two additions returned the same sum.
fn same_sum(case: &Case<'_>) -> Option<Finding> {
    if takes_off(case) {
        return None;
    }
    let observations: Vec<_> =
        observations(case).into_iter().filter(|observation| observation.after > observation.before).collect();
    observations.iter().enumerate().find_map(|(later, second)| {
        let first = observations[later + 1..].iter().find(|first| first.after == second.after)?;
        let sentence = format!(
            "{} and {}{} both led to the sum {}, though each added a positive amount",
            who(first.op),
            who(second.op),
            on(first.op),
            second.after
        );
        Some(Finding { class: "split-brain", sentence, named: vec![first.at, second.at], missing: None })
    })
}

/// Whether some addition may have decreased the counter.
fn takes_off(case: &Case<'_>) -> bool {
    adds(case, usize::MAX).any(|(_, add, amount)| amount < 0 && add.call <= case.cut)
}

fn decreasing(case: &Case<'_>) -> Option<Finding> {
    if takes_off(case) {
        return None;
    }
    let observations = observations(case);
    observations.iter().find_map(|second| {
        let earlier =
            |first: &&Observation<'_>| first.after > second.before && first.op.ret() < second.op.call;
        let first = observations.iter().find(earlier)?;
        let sentence = format!(
            "{}{} shows a smaller sum than {}, which had completed {} before it began, and nobody subtracted anything",
            who(second.op),
            on(second.op),
            who(first.op),
            case.span(first.op.ret(), second.op.call)
        );
        Some(Finding {
            class: "non-monotonic-reads",
            sentence,
            named: vec![first.at, second.at],
            missing: None,
        })
    })
}

/// A sum was observed that no addition reached. If every addition by then returned its sum, there is no other
/// way to reach one.
fn unreached_sum(case: &Case<'_>) -> Option<Finding> {
    observations(case).into_iter().find_map(|Observation { at, op, before, .. }| {
        let begun = || adds(case, at).filter(|(_, add, _)| add.call <= op.ret());
        let mut below: Option<(i64, usize, &Op)> = None;
        for (add_at, add, amount) in begun() {
            let came_to = add.output().and_then(Value::as_int)?;
            if amount == 0 || came_to == before {
                return None;
            }
            if came_to < before && below.is_none_or(|(most, ..)| came_to > most) {
                below = Some((came_to, add_at, add));
            }
        }
        let (_, nearest_at, nearest) = below.filter(|_| before != 0)?;
        let sentence = format!(
            "{}{} saw {before}, but no addition led to that sum: the nearest smaller one is {}",
            who(op),
            on(op),
            who(nearest)
        );
        Some(Finding { class: "impossible-sum", sentence, named: vec![nearest_at, at], missing: None })
    })
}

/// No choice among the additions that may have been observed makes the observed sum.
fn no_such_sum(case: &Case<'_>) -> Option<Finding> {
    observations(case).into_iter().find_map(|Observation { at, op, before: value, .. }| {
        let begun = || adds(case, at).filter(|(_, add, _)| add.call <= op.ret());
        let base = sum(begun().filter(|(_, add, _)| add.ret() < op.call).map(|(_, _, amount)| amount));
        let mut sums = BTreeSet::from([base]);
        for (_, _, amount) in begun().filter(|(_, add, _)| add.ret() >= op.call) {
            let more: Vec<i64> = sums.iter().map(|sum| sum.saturating_add(amount)).collect();
            sums.extend(more);
            if sums.len() > SUMS_MAX {
                return None;
            }
        }
        let (below, above) = (sums.range(..value).next_back()?, sums.range(value..).next()?);
        (*above != value).then(|| {
            let sentence = format!(
                "{}{} returned an impossible sum: the nearest possible sums are {below} and {above}",
                who(op),
                on(op)
            );
            Finding { class: "impossible-sum", sentence, named: vec![at], missing: None }
        })
    })
}
