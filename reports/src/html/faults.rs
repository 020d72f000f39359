//! Every fault: what, when, and what came of it.

use maud::{Markup, html};

use super::titled;
use crate::faults::Fault;
use crate::run_dir::RunDir;
use crate::stats::{Tally, last_event, time_to_recover};
use crate::wording::{count, counted, duration, elide, seconds};

/// The most rows of the table.
const ROWS_MAX: usize = 500;

pub(super) fn section(run: &RunDir) -> Markup {
    let faults = &run.evidence.faults;
    if faults.is_empty() {
        return titled("faults", "Faults", "", html! { p { "No fault was applied in this run." } });
    }
    let end = last_event(&run.evidence.history);
    titled(
        "faults",
        "Faults",
        &counted(faults.len(), "fault"),
        html! {
            div .scroll tabindex="0" { table {
                thead { tr {
                    th .number { "#" } th { "fault" } th { "kind" } th .number { "planned" } th .number { "applied" } th .number { "healed" } th .number { "in force" }
                    th { "outcome" } th { "effect" } th .number { "ok / fail / info meanwhile" } th .number { "first ok after heal" }
                } }
                tbody {
                    @for fault in faults.iter().take(ROWS_MAX) { (row(run, fault, end)) }
                    @if faults.len() > ROWS_MAX {
                        tr .faint { td colspan="11" { "and " (count((faults.len() - ROWS_MAX) as u64)) " more, in " a href="faults.jsonl" { "faults.jsonl" } } }
                    }
                }
            } }
        },
    )
}

fn row(run: &RunDir, fault: &Fault, end: u64) -> Markup {
    let until = fault.end_or(end.max(fault.applied_ns));
    let meanwhile = Tally::of(run.evidence.history.ops.iter().filter(|op| {
        op.completed.is_some_and(|completed| fault.applied_ns <= completed && completed <= until)
    }));
    let effect: Vec<String> =
        fault.effect.iter().map(|(name, value)| format!("{}: {value}", name.replace('_', " "))).collect();
    let recovered = fault.healed_ns.and_then(|healed| time_to_recover(&run.evidence.history, healed));
    html! {
        tr {
            td .number { (fault.i) }
            td { span .(format!("swatch fault-{}", class(fault))) {} (elide(&fault.label, 80)) }
            td { (elide(&fault.kind, 40)) @if !fault.mode.is_empty() { ", " (elide(&fault.mode, 20)) } }
            td .number { (fault.planned_ms.map_or("–".to_string(), |ms| seconds(ms.saturating_mul(1_000_000)))) }
            td .number { @if fault.was_in_force() { (seconds(fault.applied_ns)) } @else { "–" } }
            td .number { @if fault.was_in_force() { (fault.healed_ns.map_or("never".to_string(), seconds)) } @else { "–" } }
            td .number { @if fault.was_in_force() { (duration(until - fault.applied_ns)) } @else { "–" } }
            td { (fault.outcome.name()) @if let Some(why) = &fault.why { ": " (elide(why, 120)) } }
            td {
                @match fault.effective { Some(true) => "it bit", Some(false) => b { "no effect" }, None => "not measured" }
                @if !effect.is_empty() { " (" (elide(&effect.join(", "), 120)) ")" }
            }
            td .number { @if fault.was_in_force() { (count(meanwhile.ok as u64)) " / " (count(meanwhile.fail as u64)) " / " (count(meanwhile.info as u64)) } @else { "–" } }
            td .number { (recovered.map_or("–".to_string(), duration)) }
        }
    }
}

/// The class that colours a fault.
pub(super) fn class(fault: &Fault) -> &'static str {
    crate::palette::of_fault(&fault.fault).name
}
