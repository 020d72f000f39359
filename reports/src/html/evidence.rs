//! Evidence beside the picture: why no order works, what would explain the violation, how far the search got.

use maud::{Markup, html};
use tribunal_checker::verdict::{OpId, Violation};

use super::table::Column::{Number, Text};
use super::table::{number, table};
use super::titled;
use super::verdict::with_code;
use crate::judgement::Judgement;
use crate::run_dir::RunDir;
use crate::summary;
use crate::wording::{count, elide, operation, value};

/// The maximum number of rows in a table of reasons.
const REASONS_MAX: usize = 12;
/// The maximum number of operations named in a row.
const OPS_MAX: usize = 8;

pub(super) fn sections(run: &RunDir) -> Markup {
    let judgement = &run.judgement;
    let Some(violation) = judgement.violation() else { return html! {} };
    html! {
        @if !violation.impossible.is_empty() { (impossible(judgement, violation)) }
        @if !violation.explanations.is_empty() { (explanations(violation)) }
    }
}

/// A list of operations: `p7 write 5, then p3 read → 3`.
fn listed(judgement: &Judgement, ids: &[OpId], between: &str) -> Markup {
    html! {
        @for (at, id) in ids.iter().take(OPS_MAX).enumerate() {
            @if at > 0 { (between) }
            @match judgement.op(*id) {
                Some(op) => { code { "p" (op.process) " " (operation(op)) } @if op.is_info() { " (info)" } },
                None => { "operation " (id) },
            }
        }
        @if ids.len() > OPS_MAX { " and " (count(ids.len() - OPS_MAX)) " more" }
    }
}

fn impossible(judgement: &Judgement, violation: &Violation) -> Markup {
    let remark = match violation.order.len() {
        0 => "every possible first step".to_string(),
        n => format!("every possible next step after {}", summary::places(n)),
    };
    let more = violation.impossible.len().saturating_sub(REASONS_MAX);
    let rows = html! {
        @for impossible in violation.impossible.iter().take(REASONS_MAX) {
            tr {
                td { (listed(judgement, &impossible.next, ", then ")) }
                td { code { (elide(&impossible.state, 80)) } }
                td { (with_code(&elide(&impossible.reason, 200))) }
            }
        }
        @if more > 0 {
            tr .faint {
                td colspan="3" { "and " (count(more)) " more; all are in " a href="verdict.json" { "verdict.json" } }
            }
        }
    };
    let columns = [Text("next"), Text("from state"), Text("why not")];
    titled("why", "Why no order works", &remark, table(&columns, rows))
}

fn explanations(violation: &Violation) -> Markup {
    let rows = html! {
        @for explanation in &violation.explanations {
            tr {
                td { (with_code(&elide(&explanation.question, 200))) }
                td .answer { (match explanation.holds { Some(true) => "✓", Some(false) => "–", None => "?" }) }
                td { (with_code(&elide(&explanation.answer, 300))) }
            }
        }
    };
    let columns = [Text("question"), Text(""), Text("answer")];
    let remark = "the same operations, checked again under other rules";
    titled("explanations", "What would explain it", remark, table(&columns, rows))
}

/// How far the search got, folded: the proof does not need it.
pub(super) fn configurations(judgement: &Judgement, violation: &Violation) -> Markup {
    if violation.configurations.is_empty() {
        return html! {};
    }
    let on =
        if violation.key.is_nil() { String::new() } else { format!(" on key {}", value(&violation.key)) };
    let remark = format!("The deepest configurations{on} before the operation that cannot be linearized.");
    let rows = html! {
        @for configuration in violation.configurations.iter().take(3) {
            tr {
                td { code { (elide(&configuration.state, 80)) } }
                (number(format!("{} of {}", count(configuration.placed), count(configuration.total))))
                td { (listed(judgement, &configuration.used, ", ")) }
                td { (listed(judgement, &configuration.unused, ", ")) }
            }
        }
    };
    let columns = [
        Text("state"),
        Number("in order"),
        Text("pending, assumed applied"),
        Text("pending, assumed not applied"),
    ];
    html! {
        details {
            summary { "How far the search got" }
            p .remark { (remark) }
            (table(&columns, rows))
        }
    }
}
