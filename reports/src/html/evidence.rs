//! The evidence for a violation: the counterexample, why nothing works, what would explain it, how far the check came.

use maud::{Markup, html};
use tribunal_checker::op::Op;
use tribunal_checker::verdict::{OpId, Violation};

use super::verdict::with_code;
use super::{lanes, titled};
use crate::judgement::Judgement;
use crate::picture::{BARS_MAX, Bar, Ending, Picture};
use crate::run_dir::RunDir;
use crate::summary;
use crate::wording::{circled, count, counted, duration, elide, operation, seconds, value};

/// The most rows of a table of reasons.
const REASONS_MAX: usize = 12;
/// The most pending operations that a configuration names.
const PENDING_MAX: usize = 8;

pub(super) fn sections(run: &RunDir) -> Markup {
    let judgement = &run.judgement;
    let Some(violation) = judgement.violation() else { return html! {} };
    html! {
        @if let Some(picture) = Picture::of(judgement, &run.evidence.faults, BARS_MAX) { (counterexample(run, &picture)) }
        (impossible(judgement, violation))
        (explanations(violation))
        (configurations(judgement, violation))
    }
}

fn counterexample(run: &RunDir, picture: &Picture) -> Markup {
    let caption = summary::shrink_caption(run).unwrap_or_default();
    titled(
        "counterexample",
        "Minimal counterexample",
        &caption,
        html! {
            div .scroll tabindex="0" role="group" aria-label="The counterexample, drawn" { (lanes::draw(picture)) }
            ul .legend {
                li { span .swatch.ok {} "ok: it happened" }
                li { span .swatch.info {} "info: it may take effect at any later time, or never" }
                li { span .swatch.fail {} "fail: it certainly did not happen" }
                li { span .swatch.witness {} "✗ fits nowhere" }
                li { (circled(1)) (circled(2)) " the longest legal order" }
                li { "dashed: context, overlapping operations that the proof does not need" }
            }
            p .remark {
                "The time axis is warped: it keeps the order of all events and what overlaps, not the distances. "
                "Times are seconds on the run's one clock."
                @if picture.left_out > 0 {
                    " " (counted(picture.left_out, "operation")) " of the counterexample " @if picture.left_out == 1 { "is" } @else { "are" }
                    " not drawn: all are in " a href="verdict.json" { "verdict.json" } "."
                }
            }
            (table_of(picture))
        },
    )
}

/// The picture in words: every operation with both its times.
fn table_of(picture: &Picture) -> Markup {
    let mut bars: Vec<_> = picture.bars().collect();
    bars.sort_by_key(|bar| (bar.from, bar.id));
    // As at the ticks, with as many digits as it takes to tell the times apart.
    let times = picture.tick_labels();
    let end = |bar: &Bar| match times.get(bar.to) {
        Some(time) => time.clone(),
        None => bar.op.completed.map_or("never".to_string(), seconds), // indeterminate: no tick of its own
    };
    html! {
        details open[bars.len() <= 12] {
            summary { "The same as a table" }
            div .scroll tabindex="0" {
                table {
                    thead { tr {
                        th { "order" } th { "process" } th { "operation" } th { "node" } th .number { "invoked" } th .number { "completed" }
                        th .number { "took" } th { "outcome" } th .number { "lines" }
                    } }
                    tbody {
                        @for bar in bars {
                            tr .faint[bar.context] {
                                td { @match bar.place { Some(place) => { (circled(place)) }, None => { @if bar.witness { "✗" } } } }
                                td { "p" (bar.op.process) }
                                td { code { (operation(bar.op)) } }
                                td { (bar.op.node.as_deref().map_or("–".to_string(), |node| elide(node, 20))) }
                                td .number { (times[bar.from]) }
                                td .number { (end(bar)) }
                                td .number { (bar.op.completed.map_or("–".to_string(), |end| duration(end - bar.op.call))) }
                                td { (outcome(bar.op, bar.ending)) @if bar.context { ", context" } }
                                td .number { (lines(bar.op)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn outcome(op: &Op, ending: Ending) -> String {
    let word = match ending {
        Ending::Ok => "ok",
        Ending::Fail => "fail",
        Ending::Info => "info",
    };
    match &op.error {
        Some(error) => format!("{word}: {}", elide(error, 80)),
        None => word.to_string(),
    }
}

/// The lines of `history.jsonl` that an operation stands on, counted from 1.
fn lines(op: &Op) -> String {
    match op.complete_index {
        Some(complete) => format!("{}, {}", op.invoke_index + 1, complete + 1),
        None => (op.invoke_index + 1).to_string(),
    }
}

/// Operations in a row: `p7 write 5, then p3 read → 3`.
fn listed(judgement: &Judgement, ids: &[OpId], between: &str, max: usize) -> Markup {
    html! {
        @for (at, id) in ids.iter().take(max).enumerate() {
            @if at > 0 { (between) }
            @match judgement.op(*id) {
                Some(op) => { code { "p" (op.process) " " (operation(op)) } @if op.is_info() { " (info)" } },
                None => { "operation " (id) },
            }
        }
        @if ids.len() > max { " and " (count((ids.len() - max) as u64)) " more" }
    }
}

fn impossible(judgement: &Judgement, violation: &Violation) -> Markup {
    if violation.impossible.is_empty() {
        return html! {};
    }
    let remark = match violation.order.len() {
        0 => "every way to begin".to_string(),
        n => format!("every way to go on after {}", summary::places(n)),
    };
    let more = violation.impossible.len().saturating_sub(REASONS_MAX);
    titled(
        "why",
        "Why nothing works",
        &remark,
        html! {
            div .scroll tabindex="0" { table {
                thead { tr { th { "next" } th { "from state" } th { "why not" } } }
                tbody {
                    @for impossible in violation.impossible.iter().take(REASONS_MAX) {
                        tr {
                            td { (listed(judgement, &impossible.next, ", then ", PENDING_MAX)) }
                            td { code { (elide(&impossible.state, 80)) } }
                            td { (with_code(&elide(&impossible.reason, 200))) }
                        }
                    }
                    @if more > 0 { tr .faint { td colspan="3" { "and " (count(more as u64)) " more; all are in " a href="verdict.json" { "verdict.json" } } } }
                }
            } }
        },
    )
}

fn explanations(violation: &Violation) -> Markup {
    if violation.explanations.is_empty() {
        return html! {};
    }
    titled(
        "explanations",
        "What would explain it",
        "the same operations, checked again under other rules",
        html! {
            div .scroll tabindex="0" { table {
                tbody {
                    @for explanation in &violation.explanations {
                        tr {
                            td { (with_code(&elide(&explanation.question, 200))) }
                            td .answer { @match explanation.holds { Some(true) => "✓", Some(false) => "–", None => "?" } }
                            td { (with_code(&elide(&explanation.answer, 300))) }
                        }
                    }
                }
            } }
        },
    )
}

fn configurations(judgement: &Judgement, violation: &Violation) -> Markup {
    if violation.configurations.is_empty() {
        return html! {};
    }
    let key =
        if violation.key.is_nil() { String::new() } else { format!(" on key {}", value(&violation.key)) };
    let remark = format!("the furthest that the search came{key} before the operation that fits nowhere");
    titled(
        "configurations",
        "Last configurations",
        &remark,
        html! {
            div .scroll tabindex="0" { table {
                thead { tr { th { "state" } th .number { "in order" } th { "pending, taken to have happened" } th { "pending, not yet" } } }
                tbody {
                    @for configuration in violation.configurations.iter().take(3) {
                        tr {
                            td { code { (elide(&configuration.state, 80)) } }
                            td .number { (count(configuration.placed as u64)) " of " (count(configuration.total as u64)) }
                            td { (listed(judgement, &configuration.used, ", ", PENDING_MAX)) }
                            td { (listed(judgement, &configuration.unused, ", ", PENDING_MAX)) }
                        }
                    }
                }
            } }
            p .remark { "All of them are in " a href="verdict.json" { "verdict.json" } "." }
        },
    )
}
