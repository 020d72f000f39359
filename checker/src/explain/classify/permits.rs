//! The violations of semaphores: more permits held than exist, permits released by a client that has none,
//! refusals without a reason.
//!
//! A client certainly holds the permits that it has acquired by an instant, minus all that it may have
//! released by then.

use std::collections::BTreeMap;

use super::{Case, Finding, first};
use crate::explain::subject::{Subject, is_refused};
use crate::explain::words::{actor, count, on, who};
use crate::op::{F, Nanos, Op, Value};

/// The patterns, in order.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(case, &[never_held, too_many, refused_though_free, release_refused])
}

/// The number of permits of an operation.
fn number(op: &Op) -> u64 {
    match op.input {
        Value::Int(n) => u64::try_from(n).unwrap_or(0),
        _ => 1,
    }
}

fn took(op: &Op) -> bool {
    op.f == F::Acquire && op.is_ok() && !is_refused(op)
}

fn may_give(op: &Op) -> bool {
    op.f == F::Release && !is_refused(op)
}

fn permits(case: &Case<'_>) -> Option<u64> {
    if let Subject::Permits(permits) = case.subject { Some(u64::from(permits)) } else { None }
}

/// The number of permits that each client certainly holds at an instant, with the last acquire that
/// contributed.
fn held<'a>(case: &Case<'a>, at: Nanos) -> BTreeMap<u64, (u64, usize, &'a Op)> {
    let mut held: BTreeMap<u64, (u64, usize, &Op)> = BTreeMap::new();
    for (id, op) in case.possible().filter(|(_, op)| took(op) && op.ret() <= at) {
        let (n, last_id, last) = held.entry(op.actor()).or_insert((0, id, op));
        *n += number(op);
        if last.ret() <= op.ret() {
            (*last_id, *last) = (id, op);
        }
    }
    for (_, op) in case.possible().filter(|(_, op)| may_give(op) && op.call <= at) {
        if let Some((n, ..)) = held.get_mut(&op.actor()) {
            *n = n.saturating_sub(number(op));
        }
    }
    held.retain(|_, (n, ..)| *n > 0);
    held
}

/// More permits were held at once than exist.
fn too_many(case: &Case<'_>) -> Option<Finding> {
    let permits = permits(case)?;
    let mut ends: Vec<(usize, &Op)> = case.suspects().into_iter().filter(|(_, op)| took(op)).collect();
    ends.sort_by_key(|&(at, op)| (op.ret(), at));
    ends.into_iter().find_map(|(at, op)| {
        let held = held(case, op.ret());
        let all: u64 = held.values().map(|(n, ..)| n).sum();
        if all <= permits {
            return None;
        }
        let each: Vec<String> = held.values().map(|(n, _, last)| format!("{} {n}", actor(last))).collect();
        let named = held.values().map(|&(_, id, _)| id).filter(|&id| id != at).chain([at]).collect();
        let sentence = format!(
            "{all} permits of {permits} were held{} when {} succeeded: {}",
            on(op),
            who(op),
            each.join(", ")
        );
        Some(Finding { class: "too-many-holders", sentence, named, missing: None })
    })
}

/// A client released more permits than it can have held.
fn never_held(case: &Case<'_>) -> Option<Finding> {
    let releases = case.suspects().into_iter().filter(|(_, op)| may_give(op));
    releases.into_iter().find_map(|(at, release)| {
        let mine = |op: &Op| op.actor() == release.actor();
        let acquired = case.possible().filter(|(_, op)| op.f == F::Acquire && !is_refused(op) && mine(op));
        let acquired: u64 = acquired.filter(|(_, op)| op.call <= release.ret()).map(|(_, op)| number(op)).sum();
        let given = case.possible().filter(|&(other, op)| other != at && may_give(op) && op.is_ok() && mine(op));
        let given: u64 = given.filter(|(_, op)| op.ret() < release.call).map(|(_, op)| number(op)).sum();
        (acquired < given + number(release)).then(|| {
            let sentence = format!(
                "{}{} succeeded, though it did not hold as many: it had acquired {acquired} by then, and released {given}",
                who(release),
                on(release)
            );
            Finding { class: "released-by-stranger", sentence, named: vec![at], missing: None }
        })
    })
}

/// An attempt was refused although enough permits were free.
fn refused_though_free(case: &Case<'_>) -> Option<Finding> {
    let permits = permits(case)?;
    let refused = case.suspects().into_iter().filter(|(_, op)| op.f == F::Acquire && is_refused(op));
    refused.into_iter().find_map(|(at, attempt)| {
        let taken = case.possible().filter(|(_, op)| op.f == F::Acquire && !is_refused(op));
        let taken: u64 = taken.filter(|(_, op)| op.call <= attempt.ret()).map(|(_, op)| number(op)).sum();
        let given = case.possible().filter(|(_, op)| may_give(op) && op.is_ok() && op.ret() < attempt.call);
        let given: u64 = given.map(|(_, op)| number(op)).sum();
        let most = taken.saturating_sub(given);
        (most + number(attempt) <= permits).then(|| {
            let sentence = format!(
                "{}{} was refused {}, though at most {most} of {permits} were held",
                who(attempt),
                on(attempt),
                count(number(attempt) as usize, "permit")
            );
            Finding { class: "refused-though-free", sentence, named: vec![at], missing: None }
        })
    })
}

/// A holder's release of as many permits as it holds was refused.
fn release_refused(case: &Case<'_>) -> Option<Finding> {
    let refused = case.suspects().into_iter().filter(|(_, op)| op.f == F::Release && is_refused(op));
    refused.into_iter().find_map(|(at, op)| {
        let before = op.call.checked_sub(1)?;
        // Certainly held from before it began until it returned: none of them was released by then.
        let (mut n, id, last) = *held(case, before).get(&op.actor())?;
        let given = case.possible().filter(|(_, other)| {
            may_give(other) && other.actor() == op.actor() && other.call > before && other.call <= op.ret()
        });
        n = n.saturating_sub(given.map(|(_, other)| number(other)).sum());
        (n >= number(op)).then(|| {
            let sentence = format!(
                "{}{} was refused, though {} held {n}: {} had succeeded {} before it began",
                who(op),
                on(op),
                actor(op),
                who(last),
                case.span(last.ret(), op.call)
            );
            Finding { class: "false-refusal", sentence, named: vec![id, at], missing: None }
        })
    })
}
