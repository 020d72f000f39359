//! The violations of id generators: the same id twice, or an id that is smaller than an earlier one.

use super::{Case, Finding, first};
use crate::explain::words::{on, who};
use crate::op::{F, Op};

/// The patterns, in order. If ids need not grow, no counterexample has two different ones.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(case, &[twice, out_of_order])
}

fn twice(case: &Case<'_>) -> Option<Finding> {
    let ids: Vec<_> = case.suspects().into_iter().filter(|(_, op)| op.f == F::Generate).collect();
    ids.iter().enumerate().find_map(|(later, &(b, second))| {
        let &(a, first) = ids[later + 1..].iter().find(|(_, first)| first.output() == second.output())?;
        let sentence = format!(
            "{} returned an id{} that {} had returned {} before",
            who(second),
            on(second),
            who(first),
            case.span(first.ret(), second.ret())
        );
        Some(Finding { class: "duplicate-id", sentence, named: vec![a, b], missing: None })
    })
}

fn out_of_order(case: &Case<'_>) -> Option<Finding> {
    let ids: Vec<_> = case.suspects().into_iter().filter(|(_, op)| op.f == F::Generate).collect();
    ids.iter().find_map(|&(b, second)| {
        let too_large = |first: &Op| first.ret() < second.call && first.output() > second.output();
        let &(a, first) = ids.iter().find(|(_, first)| too_large(first))?;
        let sentence = format!(
            "{}{} is smaller than {}, which had completed {} before it began",
            who(second),
            on(second),
            who(first),
            case.span(first.ret(), second.call)
        );
        Some(Finding { class: "out-of-order-id", sentence, named: vec![a, b], missing: None })
    })
}
