//! What to do: the usual causes, those first that fit what happened, and the log lines to read.

use maud::{Markup, html};

use super::titled;
use super::verdict::with_code;
use crate::advice::{self, LogSpan, PAGE, Suspicion, uncapitalized};
use crate::run_dir::RunDir;
use crate::wording::{elide, seconds};

/// The number of causes shown at once; the others are folded.
const CAUSES_OPEN: usize = 2;

pub(super) fn section(run: &RunDir) -> Markup {
    let Some(advice) = advice::of(run) else { return html! {} };
    let body = html! {
        (causes(&advice.causes, CAUSES_OPEN))
        (to_read(&advice.read))
        p .remark { "More about this class: " (PAGE) ", section “" (advice.section) "”." }
    };
    let remark = format!("{}: {}", advice.class, advice.meaning);
    titled("advice", "What to do", &remark, body)
}

/// The causes in order; those beyond the first `open` are folded.
pub(super) fn causes(all: &[Suspicion], open: usize) -> Markup {
    let (first, more) = all.split_at(all.len().min(open));
    html! {
        ol .causes { @for cause in first { (suspicion(cause)) } }
        @if !more.is_empty() {
            details {
                summary { "Other causes" }
                ol .causes start=(first.len() + 1) { @for cause in more { (suspicion(cause)) } }
            }
        }
    }
}

/// The log lines to read first.
pub(super) fn to_read(spans: &[LogSpan]) -> Markup {
    html! {
        @if !spans.is_empty() {
            p { "Read first:" }
            ul { @for span in spans { li { (log_span(span)) } } }
        }
    }
}

fn suspicion(cause: &Suspicion) -> Markup {
    html! {
        li {
            (with_code(&cause.bug)) " " span .look { "Look first: " (with_code(&uncapitalized(&cause.look))) }
            @if let Some(seen) = &cause.seen { p .seen { "In this run: " (with_code(&elide(seen, 300))) "." } }
        }
    }
}

fn log_span(span: &LogSpan) -> Markup {
    let ((first, last), (from, to)) = (span.lines, span.times);
    html! {
        a href={ "nodes/" (span.node) ".log" } { (elide(&span.node, 40)) ".log" }
        @if first == last {
            " line " a href={ "#log-" (span.node) "-" (first) } { (first) } " (" (seconds(from)) " s): it "
        } @else {
            " lines " a href={ "#log-" (span.node) "-" (first) } { (first) "–" (last) }
            " (" (seconds(from)) "–" (seconds(to)) " s): it "
        }
        (with_code(&elide(&span.why, 200)))
    }
}
