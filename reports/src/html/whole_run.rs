//! The whole run, drawn by a script on a canvas: rates from afar, lanes from near.

use maud::{Markup, html};
use serde::Serialize;

use super::{columns, faults, raw, titled};
use crate::run_dir::RunDir;
use crate::stats::last_event;
use crate::wording::{count, counted, elide};

/// The most faults that are drawn.
const FAULTS_MAX: usize = 2_000;

pub(super) fn section(run: &RunDir) -> Markup {
    let ops = run.evidence.history.ops.len();
    if ops == 0 {
        return titled("run", "Whole run", "", html! { p { "No operation was invoked." } });
    }
    let violated = run.judgement.violation().is_some();
    titled(
        "run",
        "Whole run",
        &counted(ops, "operation"),
        html! {
            div #run-tools .tools role="group" aria-label="The picture of the whole run" hidden {
                button type="button" data-do="in" title="zoom in (+)" { "+" }
                button type="button" data-do="out" title="zoom out (−)" { "−" }
                button type="button" data-do="left" title="earlier (←)" { "←" }
                button type="button" data-do="right" title="later (→)" { "→" }
                button type="button" data-do="all" title="the whole run (0)" { "all" }
                @if violated { button type="button" data-do="violation" title="go to the violation (v)" { "violation" } }
                @for kind in ["ok", "fail", "info"] {
                    label { input type="checkbox" data-kind=(kind) checked; span .swatch.(kind) {} (kind) }
                }
                label { input type="checkbox" data-kind="faults" checked; "faults" }
            }
            canvas #run-canvas width="1040" height="380" tabindex="0" role="img"
                aria-label="Completed operations per second over the whole run, or every operation on its process's lane when zoomed in. The rate plot and the tables below say the same." {}
            p #run-hint .remark hidden {
                "Drag to move, click and then scroll or pinch to zoom, or use the keys ← → + − 0" @if violated { " v" } ". Click an operation to see it whole."
                @if ops > columns::OPS_MAX { " The page holds the " (count(columns::OPS_MAX as u64)) " operations around the violation or the beginning; " a href="history.jsonl" { "history.jsonl" } " has all." }
            }
            dl #run-op .chosen aria-live="polite" hidden {}
            noscript { p .remark { "This one picture needs JavaScript. The rate plot and the tables below say the same." } }
        },
    )
}

#[derive(Serialize)]
struct Data {
    /// The right edge: a little after the last event, in µs.
    end: u64,
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

/// What the script draws.
pub(super) fn data(run: &RunDir) -> Markup {
    let history = &run.evidence.history;
    if history.ops.is_empty() {
        return html! {};
    }
    let witness = run.judgement.violation().map(|violation| violation.witness);
    let in_force = run.evidence.faults.iter().filter(|fault| fault.was_in_force());
    let data = Data {
        end: last_event(history) / 1000 * 101 / 100,
        columns: columns::pack(&history.ops, witness.unwrap_or(0)),
        faults: in_force
            .take(FAULTS_MAX)
            .map(|fault| Strip {
                label: elide(&fault.label, 60),
                ink: faults::class(fault),
                from: fault.applied_ns / 1000,
                to: fault.healed_ns.map(|healed| healed / 1000),
            })
            .collect(),
        violation: witness.and_then(|id| {
            let op = history.ops.get(id)?;
            Some(Mark { op: id, from: op.call / 1000, to: op.completed.unwrap_or(op.call) / 1000 })
        }),
    };
    raw::data("run-data", &data)
}
