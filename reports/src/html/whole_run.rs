//! The whole run, drawn by a script on a canvas: rates when zoomed out, lanes when zoomed in.

use maud::{Markup, html};
use serde::Serialize;

use super::{columns, faults, raw, titled};
use crate::clock::Clock;
use crate::faults::Fault;
use crate::run_dir::RunDir;
use crate::stats::last_event;
use crate::wording::{count, counted, elide};

/// The maximum number of faults drawn.
const FAULTS_MAX: usize = 2_000;

/// The picture's text for screen readers.
const LABEL: &str = "Completed operations per second over the whole run, or every operation on its process's lane \
                     when zoomed in. The tables say the same.";

pub(super) fn section(run: &RunDir) -> Markup {
    let ops = run.evidence.history.ops.len();
    if ops == 0 {
        return titled("run", "Whole run", "", html! { p { "No operation was invoked." } });
    }
    let violated = run.judgement.violation().is_some();
    let body = html! {
        (tools(violated))
        div .framed {
            canvas #run-canvas width="1040" height="380" tabindex="0" role="img" aria-label=(LABEL) {}
            div #run-cursor .cursor aria-hidden="true" hidden { span {} }
        }
        p #run-hint .remark hidden {
            "Drag to move, click and then scroll or pinch to zoom, or use the keys ← → + − 0"
            @if violated { " v" }
            ". Click an operation for details. The vertical line is the same time in all pictures and in the log."
            @if ops > columns::OPS_MAX {
                " The page contains the " (count(columns::OPS_MAX)) " operations around the violation or the beginning; "
                a href="history.jsonl" { "history.jsonl" } " has all."
            }
        }
        dl #run-op .chosen aria-live="polite" hidden {}
        noscript {
            p .remark { "This picture needs JavaScript. The tables contain the same data." }
        }
    };
    titled("run", "Whole run", &counted(ops, "operation"), body)
}

/// The buttons; hidden until the script is ready.
fn tools(violated: bool) -> Markup {
    let mut buttons = vec![
        ("in", "zoom in (+)", "+"),
        ("out", "zoom out (−)", "−"),
        ("left", "earlier (←)", "←"),
        ("right", "later (→)", "→"),
        ("all", "the whole run (0)", "all"),
    ];
    buttons.extend(violated.then_some(("violation", "go to the violation (v)", "violation")));
    html! {
        div #run-tools .tools role="group" aria-label="The picture of the whole run" hidden {
            @for (what, title, sign) in buttons {
                button type="button" data-do=(what) title=(title) { (sign) }
            }
            @for kind in ["ok", "fail", "info"] {
                label { input type="checkbox" data-kind=(kind) checked; span .swatch.(kind) {} (kind) }
            }
            label { input type="checkbox" data-kind="faults" checked; "faults" }
        }
    }
}

#[derive(Serialize)]
struct Data {
    /// The right edge: a little after the last event, in µs.
    end: u64,
    /// Whether a µs stands for an event.
    events: bool,
    columns: columns::Columns,
    faults: Vec<Strip>,
    violation: Option<Mark>,
}

#[derive(Serialize)]
struct Strip {
    label: String,
    ink: &'static str,
    from: u64,
    to: Option<u64>,
}

#[derive(Serialize)]
struct Mark {
    op: usize,
    from: u64,
    to: u64,
}

/// The data for the script.
pub(super) fn data(run: &RunDir) -> Markup {
    let history = &run.evidence.history;
    if history.ops.is_empty() {
        return html! {};
    }
    let witness = run.judgement.violation().map(|violation| violation.witness);
    let events = run.clock() == Clock::Events;
    let unit_ns = if events { 1 } else { 1000 };
    let in_force = run.evidence.faults.iter().filter(|fault| fault.was_in_force());
    let data = Data {
        end: last_event(history) / unit_ns * 101 / 100,
        events,
        columns: columns::pack(&history.ops, witness.unwrap_or(0), unit_ns),
        faults: in_force
            .flat_map(Fault::strips)
            .take(FAULTS_MAX)
            .map(|strip| Strip {
                label: elide(strip.label, 60),
                ink: faults::class(strip.fault),
                from: strip.from / unit_ns,
                to: strip.to.map(|end| end / unit_ns),
            })
            .collect(),
        violation: witness.and_then(|id| {
            let op = history.ops.get(id)?;
            Some(Mark { op: id, from: op.call / unit_ns, to: op.completed.unwrap_or(op.call) / unit_ns })
        }),
    };
    raw::data("run-data", &data)
}
