//! What the check did and what it cost.

use maud::{Markup, html};
use tribunal_checker::verdict::{Answer, Part, Verdict};

use super::titled;
use crate::run_dir::RunDir;
use crate::wording::{bytes, count, counted, duration, elide, value};

/// The most keys that are listed: those that took the most work.
const KEYS_MAX: usize = 12;

pub(super) fn section(run: &RunDir) -> Markup {
    let body = match &run.judgement.checker {
        Some(verdict) => body(run, verdict),
        None => html! { p { "Nothing was checked." } },
    };
    titled("check", "The check", "", body)
}

fn body(run: &RunDir, verdict: &Verdict) -> Markup {
    let with = |answer| verdict.parts.iter().filter(|part| part.answer == answer).count();
    let mut hardest: Vec<&Part> = verdict.parts.iter().collect();
    hardest.sort_by_key(|part| (part.answer == Answer::Linearizable, std::cmp::Reverse(part.states)));
    let mut engines: Vec<&str> = verdict.parts.iter().map(|part| part.engine.as_str()).collect();
    engines.sort_unstable();
    engines.dedup();
    html! {
        dl {
            dt { "model" } dd { (elide(&verdict.model, 60)) }
            dt { "algorithm" } dd { (elide(&engines.join(", "), 120)) }
            dt { "keys" } dd {
                (counted(verdict.parts.len(), "key")) ": " (count(with(Answer::Linearizable) as u64)) " linearizable, "
                (count(with(Answer::Violation) as u64)) " violated, " (count(with(Answer::Unknown) as u64)) " undecided"
            }
            dt { "configurations" } dd { (count(verdict.effort.states)) " explored, at most " (count(verdict.effort.frontier_max as u64)) " held at once" }
            @if let Some(cost) = run.judgement.check_cost {
                dt { "took" } dd { (duration(cost.took_ms.saturating_mul(1_000_000))) @if cost.memory_peak_bytes > 0 { ", at most " (bytes(cost.memory_peak_bytes)) " of memory" } }
            }
            @if !verdict.effort.limits.is_empty() { dt { "limits" } dd { (elide(&verdict.effort.limits.join(" · "), 300)) } }
            @if let Some(violation) = run.judgement.violation() {
                dt { "shrinking" } dd {
                    "from " (counted(violation.shrink.from, "operation")) " to " (count(violation.shrink.to as u64)) " in " (counted(violation.shrink.rechecks, "check"))
                    @if !violation.shrink.complete { ", until the budget was used up" }
                }
            }
        }
        @if verdict.parts.len() > 1 || verdict.parts.iter().any(|part| part.undecided.is_some()) {
            details open[with(Answer::Unknown) > 0] {
                summary { "The keys that took the most work" }
                div .scroll tabindex="0" { table {
                    thead { tr { th { "key" } th .number { "operations" } th { "answer" } th { "algorithm" } th .number { "configurations" } th .number { "at once" } th { "stopped" } } }
                    tbody { @for part in hardest.iter().take(KEYS_MAX) { (row(part)) } }
                } }
            }
        }
    }
}

fn row(part: &Part) -> Markup {
    let answer = match part.answer {
        Answer::Linearizable => "✓ linearizable",
        Answer::Violation => "✗ violation",
        Answer::Unknown => "? unknown",
    };
    html! {
        tr {
            td { code { (value(&part.key)) } } td .number { (count(part.ops as u64)) } td { (answer) } td { (elide(&part.engine, 40)) }
            td .number { (count(part.states)) } td .number { (count(part.frontier_max as u64)) }
            td { @if let Some(stop) = &part.undecided {
                (elide(&stop.limit, 80)) " after " (count(stop.reached as u64)) " of " (count(stop.of as u64)) "; " code { (elide(&stop.flag, 40)) } " raises it"
            } }
        }
    }
}
