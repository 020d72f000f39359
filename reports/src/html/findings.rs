//! The mistakes that oracles beside the model found, and how often each oracle looked.

use maud::{Markup, html};

use tribunal_records::oracles::Finding;

use super::advice::{causes, to_read};
use super::titled;
use crate::advice;
use crate::circumstances;
use crate::findings;
use crate::run_dir::RunDir;
use crate::wording::elide;

/// The maximum length of a line, in characters.
const LINE_CHARS_MAX: usize = 400;

/// The number of causes shown at once: several are equally likely.
const CAUSES_OPEN: usize = 3;

/// Every finding with its evidence; empty without one.
pub(super) fn section(run: &RunDir) -> Markup {
    let found = &run.judgement.findings;
    if found.is_empty() {
        return html! {};
    }
    let body = html! {
        @for (at, finding) in found.iter().enumerate() {
            p { b { (finding.oracle.name()) } " at " (run.clock().instant(finding.t)) ": " (elide(&finding.sentence, LINE_CHARS_MAX)) "." }
            @if let Some(excuse) = &finding.excuse { p .remark { "It does not count, because of " (elide(excuse, LINE_CHARS_MAX)) "." } }
            @if finding.excuse.is_none() && !found[..at].iter().any(|it| it.oracle == finding.oracle) {
                (what_to_do(run, finding))
            }
            @if !finding.evidence.is_empty() {
                details open[found.len() == 1] {
                summary { "Evidence" }
                pre { @for line in &finding.evidence { (elide(line, LINE_CHARS_MAX)) "\n" } }
                }
            }
        }
    };
    titled("findings", "Findings", "mistakes that show without any client", body)
}

/// The leader and the faults at that time, the usual causes of such a finding, and the lines to read first.
fn what_to_do(run: &RunDir, finding: &Finding) -> Markup {
    html! {
        ul .circumstances { @for sentence in circumstances::around_finding(run, finding) { li { (sentence) } } }
        (causes(&advice::of_finding(run, finding), CAUSES_OPEN))
        (to_read(&advice::lines_of_finding(run, finding)))
    }
}

/// How often each oracle looked.
pub(super) fn oracles(run: &RunDir) -> Markup {
    let looked = findings::looked(&run.evidence.info, &run.judgement);
    let never = &run.evidence.info.never;
    if run.judgement.oracles.is_empty() {
        return html! {};
    }
    titled(
        "oracles",
        "Oracles",
        "what was looked for, and how often",
        html! {
            ul { @for line in &looked { li { (line) } } }
            @if !never.is_empty() { p { "What most bugs need, and what never happened in this run: " (never.join("; ")) "." } }
        },
    )
}
