//! The violations of sets: elements lost, never added, vanished or back again.
//!
//! A read of the whole set shows for each element whether it was present; `contains` shows this for one.

use std::collections::BTreeSet;

use super::fate::{Clue, Fate, Missing};
use super::unfounded::{Verbs, unfounded};
use super::{Case, Finding, SUSPECTS_MAX, first};
use crate::explain::words::{on, short, who};
use crate::op::{F, Op, Value};

/// The patterns, in order.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(case, &[seen_unfounded, vanished, missing, undeleted])
}

/// Whether an observer shows an element as present; `None` if it shows neither.
fn tells(op: &Op, element: &Value) -> Option<bool> {
    match (&op.f, op.output()?) {
        (F::Read, Value::List(items)) => Some(items.contains(element)),
        (F::Contains, Value::Bool(there)) if op.input == *element => Some(*there),
        _ => None,
    }
}

fn adds(op: &Op, element: &Value) -> bool {
    op.f == F::Add && op.input == *element
}

fn deletes(op: &Op, element: &Value) -> bool {
    op.f == F::Delete && op.input == *element
}

/// The elements of the counterexample: all that it adds, deletes or shows.
fn elements(case: &Case<'_>) -> BTreeSet<Value> {
    let mut elements = BTreeSet::new();
    for (_, op) in &case.minimal {
        match (&op.f, op.output()) {
            (F::Read, Some(Value::List(items))) => elements.extend(items.iter().cloned()),
            (F::Read, _) => {}
            _ => _ = elements.insert(op.input.clone()),
        }
    }
    elements
}

/// The first finding about an element and an observer that shows it as `there`, the latest observer first.
fn find(
    case: &Case<'_>,
    there: bool,
    mut test: impl FnMut(&Value, (usize, &Op)) -> Option<Finding>,
) -> Option<Finding> {
    let elements: Vec<Value> = elements(case).into_iter().take(SUSPECTS_MAX).collect();
    let suspects = case.suspects();
    let said = |element: &Value, op: &Op| tells(op, element) == Some(there);
    suspects.iter().find_map(|&(at, op)| {
        let mut about = elements.iter().filter(|element| said(element, op));
        about.find_map(|element| test(element, (at, op)))
    })
}

pub(super) fn seen_unfounded(case: &Case<'_>) -> Option<Finding> {
    find(case, true, |element, observer| {
        let saw = if observer.1.f == F::Contains { "found" } else { "shows" };
        let verbs = Verbs { saw, put: "added", been_put: "added" };
        unfounded(case, observer, element, &verbs, |_, source| adds(source, element))
    })
}

/// Whether an operation may have deleted the element before an observer returned.
fn may_be_deleted(case: &Case<'_>, element: &Value, observer: &Op) -> bool {
    case.possible().any(|(_, op)| deletes(op, element) && op.call <= observer.ret())
}

/// The fate of an element that a result does not show.
fn missing_in(case: &Case<'_>, element: &Value, shown_or_added: usize, answer: usize) -> Missing {
    Missing::new(case, shown_or_added, answer, |op| {
        let clue = match tells(op, element)? {
            true => Missing::shown(case, answer, op, |op| adds(op, element)),
            false if may_be_deleted(case, element, op) => Clue::Inconclusive,
            false => Clue::Absent,
        };
        Some(clue)
    })
}

/// An element was observed and later was not, though it was not deleted.
fn vanished(case: &Case<'_>) -> Option<Finding> {
    find(case, false, |element, (at, op)| {
        let earlier =
            case.recorded().filter(|(_, first)| tells(first, element) == Some(true) && first.ret() < op.call);
        let (first_at, first) = earlier.min_by_key(|(_, first)| first.ret())?;
        if may_be_deleted(case, element, op) {
            return None;
        }
        let sentence = format!(
            "{}{} does not show {}, which {} had shown {} before it began; nobody deleted it",
            who(op),
            on(op),
            short(element),
            who(first),
            case.span(first.ret(), op.call)
        );
        let missing = Some(missing_in(case, element, first_at, at));
        Some(Finding { class: "non-monotonic-reads", sentence, named: vec![first_at, at], missing })
    })
}

/// An element was added but not observed afterwards: never, or not yet.
fn missing(case: &Case<'_>) -> Option<Finding> {
    find(case, false, |element, (at, op)| {
        let done = case.suspects().into_iter().filter(|(_, add)| adds(add, element) && add.ret() < op.call);
        let (add_at, add) = done.min_by_key(|(_, add)| add.ret())?;
        if may_be_deleted(case, element, op) {
            return None;
        }
        let missing = missing_in(case, element, add_at, at);
        let (class, clause) = match &missing.fate {
            Some(Fate::Seen(seen)) => ("stale-read", format!("; {}", missing.seen_clause(case, *seen))),
            Some(Fate::Lost(_)) => ("lost-element", "; nobody has seen it since".to_owned()),
            _ => ("missed-element", String::new()),
        };
        let sentence = format!(
            "{}{} misses {}: {} had completed {} before it began, and nobody deleted it{clause}",
            who(op),
            on(op),
            short(element),
            who(add),
            case.span(add.ret(), op.call)
        );
        Some(Finding { class, sentence, named: vec![add_at, at], missing: Some(missing) })
    })
}

/// An element was deleted but observed afterwards, though it was not added again.
fn undeleted(case: &Case<'_>) -> Option<Finding> {
    find(case, true, |element, (at, op)| {
        let done = case
            .suspects()
            .into_iter()
            .filter(|(_, delete)| deletes(delete, element) && delete.ret() < op.call);
        let (delete_at, delete) = done.min_by_key(|(_, delete)| delete.ret())?;
        let again =
            |(_, add): (usize, &Op)| adds(add, element) && add.ret() >= delete.call && add.call <= op.ret();
        if case.possible().any(again) {
            return None;
        }
        let sentence = format!(
            "{}{} still shows {}: {} had completed {} before it began, and nobody added it again",
            who(op),
            on(op),
            short(element),
            who(delete),
            case.span(delete.ret(), op.call)
        );
        Some(Finding { class: "stale-read", sentence, named: vec![delete_at, at], missing: None })
    })
}
