//! The violation of an id generator: the same id twice.

use super::{Case, Finding};
use crate::explain::words::{on, who};
use crate::op::F;

/// The only pattern.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
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
        Some(Finding { class: "duplicate-id", sentence, named: vec![a, b] })
    })
}
