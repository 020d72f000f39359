//! A verdict in a few lines.
//!
//! ```text
//! etcd_000.log: not linearizable · cas-register · 83 ops
//!   p3 read 2 at ..., but ...
//!   before: {nil}
//!   ① p2 write 4       lines 3–10
//!     p1 write 2       line 4–, outcome unknown
//!   ✗ p0 read → 2      lines 11–13
//!   after ①: p0 read → 2 from 4: it returned 2, but the register holds 4
//! ```
//!
//! Operations are identified by their lines in a file, or by the indices of their events in a run directory:
//! not every format has times.

use std::fmt::Write;

use tribunal_checker::op::{Op, Outcome};
use tribunal_checker::verdict::{OpId, Violation};
use tribunal_reports::judgement::Judgement;
use tribunal_reports::summary;
use tribunal_reports::wording::{circled, count, counted, elide, one_line, operation, value};

use super::Source;
use crate::input::as_flags;

/// Maximum number of operations shown of a counterexample.
const OPS_MAX: usize = 16;
/// Maximum number of reasons.
const REASONS_MAX: usize = 3;
/// Maximum number of characters of a sentence.
const SENTENCE_CHARS_MAX: usize = 400;

/// The verdict on the history `name`. `timed`: its times are real; `source`: source positions of its
/// operations.
pub(super) fn render(name: &str, judgement: &Judgement, timed: bool, source: Option<&Source>) -> String {
    let model = judgement.checker.as_ref().map_or("", |verdict| &verdict.model);
    let outcome = summary::headed_by(judgement, model);
    let mut head = vec![format!("{}: {outcome}", one_line(name))];
    if let Some(verdict) = &judgement.checker {
        head.push(verdict.model.clone());
        head.push(counted(verdict.ops, "op"));
        if verdict.parts.len() > 1 {
            head.push(counted(verdict.parts.len(), "key"));
        }
    }
    let mut text = head.join(" · ") + "\n";
    if !judgement.outcome.is_good() {
        line(&mut text, &elide(&judgement.sentence, SENTENCE_CHARS_MAX));
    }
    if let Some(violation) = judgement.violation() {
        evidence(&mut text, judgement, violation, source);
        if !timed {
            line(&mut text, "(recorded without times: 1 ns stands for one event)");
        }
    }
    text
}

fn line(text: &mut String, what: &str) {
    let _ = writeln!(text, "  {what}"); // writing to a String cannot fail
}

/// The counterexample, and why no order continues.
fn evidence(text: &mut String, judgement: &Judgement, violation: &Violation, source: Option<&Source>) {
    if !violation.before.is_empty() {
        line(text, &format!("before: {{{}}}", elide(&violation.before.join(", "), SENTENCE_CHARS_MAX)));
    }
    let ops: Vec<(OpId, &Op)> =
        violation.minimal.iter().filter_map(|&id| Some((id, judgement.op(id)?))).collect();
    // The violation shows at the end.
    let hidden = ops.len().saturating_sub(OPS_MAX);
    if hidden > 0 {
        line(text, &format!("… {} earlier ops of the counterexample", count(hidden as u64)));
    }
    let shown: Vec<(String, String)> =
        ops[hidden..].iter().map(|(id, op)| bar(violation, *id, op, source)).collect();
    let width = shown.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    for (what, when) in shown {
        line(text, &format!("{what:width$}   {when}"));
    }
    let after = match violation.order.len() {
        0 => "first".to_owned(),
        1 => "after ①".to_owned(),
        n => format!("after ①–{}", circled(n)),
    };
    for impossible in violation.impossible.iter().take(REASONS_MAX) {
        let next: Vec<String> =
            impossible.next.iter().filter_map(|&id| judgement.op(id)).map(by_process).collect();
        let why =
            format!("{after}: {} from {}: {}", next.join(", then "), impossible.state, impossible.reason);
        line(text, &elide(&why, SENTENCE_CHARS_MAX));
    }
    if let Some(more @ 1..) = violation.impossible.len().checked_sub(REASONS_MAX) {
        line(text, &format!("… and {} that are impossible too", counted(more, "other way")));
    }
    // The only question whose answer names an option.
    if let Some(hint) = violation.explanations.iter().find(|asked| asked.answer.contains("option `initial "))
    {
        line(text, &as_flags(&format!("{} {}", hint.question, hint.answer)));
    }
}

/// An operation with its mark, and its source position.
fn bar(violation: &Violation, id: OpId, op: &Op, source: Option<&Source>) -> (String, String) {
    let mark = match violation.order.iter().position(|&ordered| ordered == id) {
        _ if id == violation.witness => "✗".into(),
        Some(place) => circled(place + 1),
        None => " ".into(),
    };
    let lines = source.and_then(|source| source.lines(op, id)).unwrap_or_else(|| {
        let end = op.complete_index.map_or(String::new(), |index| index.to_string());
        format!("events {}–{end}", op.invoke_index)
    });
    let doubt = if op.outcome == Outcome::Info { ", outcome unknown" } else { "" };
    let key = if op.key.is_nil() { String::new() } else { format!("{}: ", value(&op.key)) };
    (format!("{mark} {key}{}", by_process(op)), format!("{lines}{doubt}"))
}

fn by_process(op: &Op) -> String {
    format!("p{} {}", op.process, operation(op))
}
