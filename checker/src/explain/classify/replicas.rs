//! The violations of replicas that should have converged: elements that a node lacks in the end, or that were
//! never added.

use std::collections::BTreeSet;

use super::fate::Missing;
use super::set::seen_unfounded;
use super::{Case, Finding, first};
use crate::explain::words::{count, on, short, who};
use crate::model::FINAL;
use crate::op::{F, Op, Value};

/// Maximum number of lost elements that are named; the others are counted.
const NAMED_MAX: usize = 8;

/// The patterns, in order.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(case, &[seen_unfounded, lost, diverged])
}

/// The result of a final read.
fn shown(op: &Op) -> Option<&[Value]> {
    match op.output()? {
        Value::List(items) if op.f == F::Read && op.input == Value::str(FINAL) => Some(items),
        Value::Nil if op.f == F::Read && op.input == Value::str(FINAL) => Some(&[]),
        _ => None,
    }
}

/// A final read lacks elements that were acknowledged before it began; all such elements of the part are
/// counted.
fn lost(case: &Case<'_>) -> Option<Finding> {
    case.suspects().into_iter().find_map(|(at, op)| {
        let there = shown(op)?;
        let lacks =
            |add: &Op| add.f == F::Add && add.is_ok() && add.ret() < op.call && !there.contains(&add.input);
        let mut lost: Vec<(usize, &Op)> = case.recorded().filter(|(_, add)| lacks(add)).collect();
        lost.sort_by_key(|(_, add)| add.ret());
        let mut elements: Vec<&Value> = lost.iter().map(|(_, add)| &add.input).collect();
        let mut seen = BTreeSet::new();
        elements.retain(|element| seen.insert(*element));
        let &(add_at, add) = lost.iter().find(|(at, _)| case.minimal.iter().any(|(kept, _)| kept == at))?;
        let names: Vec<String> = elements.iter().take(NAMED_MAX).map(|element| short(*element)).collect();
        let more = match elements.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let elsewhere =
            case.recorded().any(|(_, other)| shown(other).is_some_and(|items| items.contains(&add.input)));
        let fate = if elsewhere { "another final read shows it" } else { "no final read shows it" };
        let sentence = format!(
            "{}'s final read{} lacks {}: {}{more}; {} had completed {} before it began, and {fate}",
            op.node.as_deref().map_or_else(|| format!("process {}", op.process), str::to_owned),
            on(op),
            count(elements.len(), "acknowledged element"),
            names.join(" "),
            who(add),
            case.span(add.ret(), op.call)
        );
        let missing = Some(Missing::in_a_sum(add_at, at));
        Some(Finding { class: "lost-element", sentence, named: vec![add_at, at], missing })
    })
}

/// Two final reads disagree about an element that was never acknowledged.
fn diverged(case: &Case<'_>) -> Option<Finding> {
    case.suspects().into_iter().find_map(|(at, op)| {
        let there = shown(op)?;
        case.suspects().into_iter().find_map(|(other_at, other)| {
            let element = shown(other)?.iter().find(|element| !there.contains(element))?;
            let acknowledged = |add: &Op| add.f == F::Add && add.is_ok() && add.input == *element;
            let promise = match case.recorded().any(|(_, add)| acknowledged(add)) {
                true => "was acknowledged only later",
                false => "was never acknowledged",
            };
            let sentence = format!(
                "{} and {}{} have not converged: only the first shows {}, whose addition {promise}",
                who(other),
                who(op),
                on(op),
                short(element)
            );
            Some(Finding { class: "diverged", sentence, named: vec![other_at, at], missing: None })
        })
    })
}
