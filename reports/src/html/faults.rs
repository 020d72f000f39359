//! Every fault: what it was, when, and its effect.

use maud::{Markup, html};
use tribunal_checker::op::Nanos;

use super::table::Column::{Number, Text};
use super::table::{number, numbers, table};
use super::titled;
use crate::faults::Fault;
use crate::run_dir::RunDir;
use crate::stats::{Tally, last_event, time_to_recover};
use crate::wording::{count, counted, duration, elide, seconds};

/// The maximum number of rows in the table.
const ROWS_MAX: usize = 500;
/// The maximum number of rows for the states of one fault.
const STATES_MAX: usize = 12;
/// With more faults than this, the table is initially collapsed: the picture of the whole run and the
/// coverage show the same in less space.
const ROWS_OPEN_MAX: usize = 12;

pub(super) fn section(run: &RunDir) -> Markup {
    let faults = &run.evidence.faults;
    if faults.is_empty() {
        return titled("faults", "Faults", "", html! { p { "No fault was applied in this run." } });
    }
    let columns = [
        Number("#"),
        Text("fault"),
        Text("kind"),
        Number("planned"),
        Number("applied"),
        Number("healed"),
        Number("in force"),
        Text("outcome"),
        Text("effect"),
        Number("ok / fail / info during the fault"),
        Number("first ok after heal"),
    ];
    let rows = html! {
        @for fault in faults.iter().take(ROWS_MAX) {
            (row(run, fault))
            @if !fault.shifts.is_empty() { (states(fault)) }
        }
        @if faults.len() > ROWS_MAX {
            tr .faint {
                td colspan=(columns.len()) {
                    "and " (count(faults.len() - ROWS_MAX)) " more, in " a href="faults.jsonl" { "faults.jsonl" }
                }
            }
        }
    };
    let body = html! {
        p .remark {
            "Times are seconds on the run's one clock, as everywhere in this report. A fault is applied when its first act "
            "begins, and healed when its last undoing act is done: it counts as in force all the time in between."
        }
        details open[faults.len() <= ROWS_OPEN_MAX] {
            summary { "Timing and effect of each fault" }
            (table(&columns, rows))
        }
    };
    titled("faults", "Faults", &counted(faults.len(), "fault"), body)
}

/// The maximum length of what a fault did, in characters: all its counters, unless numbers are huge.
const EFFECT_CHARS_MAX: usize = 400;

/// One row for each state of a shifting fault.
fn states(fault: &Fault) -> Markup {
    let more = fault.strips().count().saturating_sub(STATES_MAX);
    html! {
        @for strip in fault.strips().take(STATES_MAX) {
            tr .faint {
                td {}
                td .named colspan="3" { "↳ " (elide(strip.label, 80)) }
                (number(seconds(strip.from)))
                (number(strip.to.map_or("never".to_string(), seconds)))
                (number(strip.to.map_or("–".to_string(), |to| duration(to - strip.from))))
                td colspan="4" {}
            }
        }
        @if more > 0 {
            tr .faint { td {} td colspan="10" { "and " (counted(more, "more state")) ", in " a href="faults.jsonl" { "faults.jsonl" } } }
        }
    }
}

fn row(run: &RunDir, fault: &Fault) -> Markup {
    let planned = fault.planned_ms.map_or("–".to_string(), |ms| seconds(ms.saturating_mul(1_000_000)));
    let effect: Vec<String> =
        fault.effect.iter().map(|(name, value)| format!("{}: {value}", name.replace('_', " "))).collect();
    let [applied, healed, held, meanwhile, recovered] =
        if fault.was_in_force() { course(run, fault) } else { ["–"; 5].map(String::from) };
    html! {
        tr {
            (number(fault.i))
            td .named { span .(format!("swatch fault-{}", class(fault))) {} (elide(&fault.name(), 80)) }
            td { (elide(&fault.kind, 40)) @if !fault.mode.is_empty() { ", " (elide(&fault.mode, 20)) } }
            (numbers([planned, applied, healed, held]))
            td .came { (fault.outcome.name()) @if let Some(why) = &fault.why { ": " (elide(why, 120)) } }
            td .wide {
                @match fault.effective {
                    Some(true) => "took effect",
                    Some(false) => b { "no effect" },
                    None => "not measured",
                }
                @if !effect.is_empty() { " (" (elide(&effect.join(", "), EFFECT_CHARS_MAX)) ")" }
            }
            (numbers([meanwhile, recovered]))
        }
    }
}

/// The times of a fault, its duration, the outcomes of operations during it, and the time from its end to the
/// first success.
fn course(run: &RunDir, fault: &Fault) -> [String; 5] {
    let history = &run.evidence.history;
    let until = fault.end_or(last_event(history).max(fault.applied_ns));
    let inside = |t: Nanos| fault.applied_ns <= t && t <= until;
    let tally = Tally::of(history.ops.iter().filter(|op| op.completed.is_some_and(inside)));
    let recovered = fault.healed_ns.and_then(|healed| time_to_recover(history, healed));
    [
        seconds(fault.applied_ns),
        fault.healed_ns.map_or("never".to_string(), seconds),
        duration(until - fault.applied_ns),
        format!("{} / {} / {}", count(tally.ok), count(tally.fail), count(tally.info)),
        recovered.map_or("–".to_string(), duration),
    ]
}

/// The CSS class of a fault's colour.
pub(super) fn class(fault: &Fault) -> &'static str {
    crate::palette::of_fault(&fault.fault).name
}
