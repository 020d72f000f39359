//! The minimal counterexample: the picture, its legend, and the same as a table.

use maud::{Markup, html};
use tribunal_checker::op::Op;

use super::table::Column::{Number, Text};
use super::table::{number, numbers, table};
use super::{lanes, titled};
use crate::clock::Clock;
use crate::picture::{BARS_MAX, Bar, Ending, Picture};
use crate::run_dir::RunDir;
use crate::summary;
use crate::wording::{circled, counted, elide, operation};

/// The maximum number of context operations drawn beside the counterexample.
const CONTEXT_MAX: usize = 12;
/// With more operations than this, the table is initially collapsed.
const ROWS_OPEN_MAX: usize = 12;

/// An operation up to this length stays on one line of the table.
const UNBROKEN_CHARS_MAX: usize = 24;

/// This many operations of a counterexample are drawn even if they do not fit.
const BARS_MIN: usize = 8;

pub(super) fn section(run: &RunDir) -> Markup {
    let Some(picture) = drawn(run) else { return html! {} };
    let caption = summary::shrink_caption(run).unwrap_or_default();
    let body = html! {
        div .scroll tabindex="0" role="group" aria-label="The counterexample, drawn" { (lanes::draw(&picture)) }
        p .remark.narrow { "Scroll the picture sideways to see its beginning." }
        ul .legend {
            li { span .swatch.ok {} "ok: it happened" }
            li { span .swatch.info {} "info: it may take effect at any later time, or never" }
            li { span .swatch.fail {} "fail: it certainly did not happen" }
            li { span .swatch.witness {} "✗ cannot be linearized" }
            li { (circled(1)) (circled(2)) " the longest legal order" }
            li { "≠ the comparison failed" }
            li { "dashed: context, overlapping operations that the proof does not need" }
        }
        p .remark {
            "The time axis is warped: it keeps the order of all events and what overlaps, not the distances. "
            @match picture.clock {
                Clock::Time if run.evidence.info.is_history() => "Times are seconds, as they were recorded.",
                Clock::Time => "Times are seconds on the run's one clock.",
                Clock::Events => "The history has no times: events are counted.",
            }
            @if picture.left_out > 0 {
                " " (counted(picture.left_out, "operation")) " of the counterexample "
                (if picture.left_out == 1 { "is" } else { "are" }) " not drawn: all are in "
                a href="verdict.json" { "verdict.json" } "."
            }
            @if picture.faults.len() > lanes::STRIPS_MAX {
                " Of " (counted(picture.faults.len(), "fault state")) " in this time, the last " (lanes::STRIPS_MAX) " are drawn."
            }
        }
        (table_of(&picture))
    };
    titled("counterexample", "Minimal counterexample", &caption, body)
}

/// The picture with as much context as fits without scrolling. Of a counterexample that is too large, only
/// the end is drawn, because the witness is there.
pub(super) fn drawn(run: &RunDir) -> Option<Picture<'_>> {
    let proof = run.judgement.violation()?.minimal.len();
    let most = BARS_MAX.min(proof + CONTEXT_MAX);
    let least = if proof > BARS_MAX { BARS_MIN } else { proof };
    let pictures =
        (least..=most).rev().filter_map(|bars| Picture::of(&run.judgement, &run.evidence.faults, bars));
    let mut last = None;
    for picture in pictures {
        if lanes::fits(&picture) {
            return Some(picture);
        }
        last = Some(picture);
    }
    last
}

/// A table of every operation in the picture with both its times.
fn table_of(picture: &Picture) -> Markup {
    let mut bars: Vec<&Bar> = picture.bars().collect();
    bars.sort_by_key(|bar| (bar.from, bar.id));
    // With the digits of the tick labels, which distinguish all times.
    let times = picture.tick_labels();
    let with_states = bars.iter().any(|bar| bar.states.is_some());
    let columns = [
        Text("order"),
        Text("process"),
        Text("operation"),
        Text("node"),
        Number("invoked"),
        Number("completed"),
        Number("took"),
        Text("outcome"),
        Text(if with_states { "state afterwards" } else { "" }),
        Number("lines"),
    ];
    let rows = html! { @for bar in &bars { (row(bar, &times, picture.clock)) } };
    html! {
        details open[bars.len() <= ROWS_OPEN_MAX] {
            summary { "The same as a table" }
            (table(&columns, rows))
        }
    }
}

fn row(bar: &Bar, times: &[String], clock: Clock) -> Markup {
    let op = bar.op;
    let place = bar.place.map(circled).or(bar.witness.then(|| "✗".to_string()));
    let completed = match times.get(bar.to) {
        Some(time) => time.clone(),
        None => op.completed.map_or("never".to_string(), |end| clock.figure(end)), // indeterminate: no tick of its own
    };
    let took = op.completed.map_or("–".to_string(), |end| clock.span(end - op.call));
    html! {
        tr .faint[bar.context] {
            td { (place.unwrap_or_default()) }
            td { "p" (op.process) }
            td { code .phrase[operation(op).chars().count() <= UNBROKEN_CHARS_MAX] { (operation(op)) } }
            td { (op.node.as_deref().map_or("–".to_string(), |node| elide(node, 20))) }
            (numbers([&times[bar.from], &completed, &took]))
            td { (outcome(bar)) @if bar.context { ", context" } }
            td { @if let Some((_, after)) = bar.states { code { (elide(after, 40)) } } }
            (number(lines(op)))
        }
    }
}

fn outcome(bar: &Bar) -> String {
    let word = match bar.ending {
        Ending::Ok => "ok",
        Ending::Fail => "fail",
        Ending::Info => "info",
    };
    match &bar.op.error {
        Some(error) => format!("{word}: {}", elide(error, 80)),
        None => word.to_string(),
    }
}

/// The lines of `history.jsonl` with the operation's events, counted from 1.
fn lines(op: &Op) -> String {
    match op.complete_index {
        Some(complete) => format!("{}, {}", op.invoke_index + 1, complete + 1),
        None => (op.invoke_index + 1).to_string(),
    }
}
