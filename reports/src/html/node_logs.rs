//! The node logs around the violation, merged by time with the clients' and the nemesis's events.

use maud::{Markup, html};
use tribunal_checker::op::{Nanos, Op};

use super::table::Column::{Number, Text};
use super::table::{number, table};
use super::{counterexample, cursor, titled};
use crate::clock::Clock;
use crate::node_logs::{Window, window};
use crate::picture::Picture;
use crate::run_dir::RunDir;
use crate::wording::{counted, duration, elide, operation, seconds};

/// The maximum number of lines: those nearest to the violation.
const LINES_MAX: usize = 200;
/// A gap of at least this length is marked.
const GAP_NS: Nanos = 50_000_000;

/// A line of the merged log.
struct Line {
    t: Nanos,
    source: String,
    class: &'static str,
    text: String,
    /// The line number in its source file, counted from 1.
    at: Option<usize>,
}

pub(super) fn section(run: &RunDir) -> Markup {
    let Some(window) = window(&run.judgement) else { return html! {} };
    let mut lines = merged(run, window);
    let all = lines.len();
    if all > LINES_MAX {
        lines.sort_by_key(|line| line.t.abs_diff(window.centre));
        lines.truncate(LINES_MAX);
        lines.sort_by(in_order);
    }
    let mut sources: Vec<&str> = lines.iter().map(|line| line.source.as_str()).collect();
    sources.sort();
    sources.dedup();
    let source = |line: &Line| sources.iter().position(|source| *source == line.source).unwrap_or_default();
    let rows = html! {
        @for (at, line) in lines.iter().enumerate() {
            @if at > 0 && line.t - lines[at - 1].t >= GAP_NS {
                tr .gap { td colspan="3" { "… " (duration(line.t - lines[at - 1].t)) " …" } }
            }
            (row(line, source(line)))
        }
    };
    let body = html! {
        @if run.logs.is_empty() { p .remark { "The nodes wrote nothing within half a second of it." } }
        @if all > lines.len() {
            p .remark {
                "Only the nearest " (lines.len()) " of " (counted(all, "line")) " are shown; the files have the rest."
            }
        }
        (switches(&sources))
        div .log { (table(&[Number("time"), Text("source"), Text("line")], rows)) }
    };
    let remark = "node logs, faults and the operations of the counterexample, merged by time";
    titled("logs", "Around the violation", remark, body)
}

/// A switch for every source, which works without scripts.
fn switches(sources: &[&str]) -> Markup {
    let off =
        |at: usize| format!("#logs:has(#source-{at}:not(:checked)) tr.source-{at} {{ display: none; }}");
    html! {
        style { @for at in 0..sources.len() { (off(at)) } }
        p .tools {
            @for (at, source) in sources.iter().enumerate() {
                label { input type="checkbox" checked id={ "source-" (at) }; (source) } " "
            }
        }
    }
}

fn row(line: &Line, source: usize) -> Markup {
    html! {
        @let id = line.at.map(|at| format!("log-{}-{at}", line.source));
        tr .(line.class) .{ "source-" (source) } id=[id] data-t=(cursor::time(line.t, Clock::Time)) {
            (number(seconds(line.t)))
            td {
                @match line.at {
                    Some(at) => a href={ "nodes/" (line.source) ".log" } title={ "line " (at) } { (line.source) },
                    None => (line.source),
                }
            }
            td { code { (line.text) } }
        }
    }
}

/// Orders by time; at the same time, by source and line number.
fn in_order(a: &Line, b: &Line) -> std::cmp::Ordering {
    (a.t, &a.source, a.at).cmp(&(b.t, &b.source, b.at))
}

fn merged(run: &RunDir, window: Window) -> Vec<Line> {
    let inside = |t: Nanos| window.from <= t && t <= window.to;
    let mut lines: Vec<Line> = run
        .logs
        .iter()
        .map(|line| Line {
            t: line.t,
            source: line.node.clone(),
            class: "node",
            text: line.text.clone(),
            at: Some(line.line),
        })
        .collect();
    for fault in run.evidence.faults.iter().filter(|fault| fault.was_in_force()) {
        let mut event = |t, what: &str, label: &str| {
            let text = elide(&format!("{what} {label}"), 200);
            lines.push(Line { t, source: "nemesis".into(), class: "nemesis", text, at: None });
        };
        event(fault.applied_ns, "apply", &fault.label);
        for shift in &fault.shifts {
            match shift.idle {
                true => event(shift.t, "nothing for now of", &fault.name()),
                false => event(shift.t, "shift to", &shift.label),
            }
        }
        fault.healed_ns.into_iter().for_each(|healed| event(healed, "heal", &fault.name()));
    }
    // Only the operations in the picture: more would hide the node logs.
    let drawn = counterexample::drawn(run);
    for bar in drawn.iter().flat_map(Picture::bars) {
        lines.extend(client_lines(bar.op, if bar.witness { "client witness" } else { "client" }));
    }
    lines.retain(|line| inside(line.t));
    lines.sort_by(in_order);
    lines
}

fn client_lines(op: &Op, class: &'static str) -> Vec<Line> {
    let source = format!("p{}", op.process);
    let to = op.node.as_deref().map_or(String::new(), |node| format!(" at {}", elide(node, 20)));
    let asked = Op { outcome: tribunal_checker::op::Outcome::Info, ..op.clone() };
    let mut lines = vec![Line {
        t: op.call,
        source: source.clone(),
        class,
        text: format!("invoke {}{to}", operation(&asked)),
        at: None,
    }];
    if let Some(t) = op.completed {
        let kind = if op.is_ok() {
            "ok"
        } else if op.is_fail() {
            "fail"
        } else {
            "info"
        };
        let error = op.error.as_deref().map_or(String::new(), |error| format!(": {}", elide(error, 120)));
        lines.push(Line { t, source, class, text: format!("{kind} {}{error}", operation(op)), at: None });
    }
    lines
}
