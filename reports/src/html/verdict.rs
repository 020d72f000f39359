//! The top of the page: the outcome in one sentence, what was tested, and how to repeat it.

use maud::{Markup, html};
use tribunal_records::oracles::Oracle;

use crate::circumstances;
use crate::judgement::RunOutcome;
use crate::run_dir::RunDir;
use crate::summary;
use crate::wording::elide;

/// The maximum length of the sentence, in characters.
const SENTENCE_CHARS_MAX: usize = 600;
/// The maximum length of a line of a node's last output.
const LINE_CHARS_MAX: usize = 300;

pub(super) fn header(run: &RunDir) -> Markup {
    let judgement = &run.judgement;
    let sign = summary::sign(judgement.outcome);
    // The sentence of a good run begins with the word.
    let word = match judgement.outcome {
        good if good.is_good() => format!("{sign} "),
        _ => format!("{sign} {}. ", capital(summary::headed(run))),
    };
    let sentence = elide(&judgement.sentence, SENTENCE_CHARS_MAX);
    // A finding begins with the name of a node.
    let sentence = if judgement.decisive_finding().is_some() { sentence } else { capital(&sentence) };
    html! {
        header .verdict.(judgement.outcome.name()) {
            h1 {
                span .word { (word) }
                (with_code(&sentence))
            }
            (subject(run))
            @if judgement.interrupted && judgement.outcome != RunOutcome::Unknown {
                p { "The run was interrupted. The verdict is based on the history so far." }
            }
            @if let (Some(failure), RunOutcome::Violation) = (&judgement.harness_failure, judgement.outcome) {
                p .besides {
                    "In addition, the harness failed: " (elide(&failure.source, 60)) ": " (elide(failure.error.lines().next().unwrap_or_default(), 300))
                    ". " (match judgement.found_by {
                        Some(oracle) if oracle != Oracle::Model => format!("The finding of the oracle {oracle} holds in any case."),
                        _ => "The violation is proved by the recorded history in any case.".to_owned(),
                    })
                }
            }
        }
        @if let Some(failure) = &judgement.harness_failure { (further_lines(&failure.error)) }
    }
}

/// The lines after the first line of an error: a node's last output.
fn further_lines(error: &str) -> Markup {
    let lines: Vec<String> = error.lines().skip(1).map(|line| elide(line, LINE_CHARS_MAX)).collect();
    html! { @if !lines.is_empty() { pre .commands { (lines.join("\n")) } } }
}

/// What was tested; the key and the time of a violation, and the faults around it.
fn subject(run: &RunDir) -> Markup {
    let around = circumstances::around_violation(run, circumstances::NAMED_MAX);
    html! {
        p .subject {
            (summary::subject(run).join(" · "))
            @if let Some(key) = summary::violated_key(run) { " · key " code { (key) } }
            @if let Some(violation) = run.judgement.violation() {
                " · detected at " (run.clock().instant(violation.detected))
            }
        }
        @if let Some(otherwise) = summary::other_live_violation(run) { p { (with_code(&capital(&otherwise))) "." } }
        @if let Some(survived) = summary::survived(run) { p .survived { (survived) } }
        @if !around.is_empty() {
            ul .circumstances { @for sentence in &around { li { (with_code(&elide(sentence, SENTENCE_CHARS_MAX))) } } }
        }
    }
}

/// What to type next, each with a button that copies it (shown by the script).
pub(super) fn commands(run: &RunDir) -> Markup {
    html! {
        div .commands {
            @for (_, command, remark) in summary::commands(run) {
                p {
                    // A line may end after a word, not in the middle of a flag.
                    code { @for (at, word) in command.split(' ').enumerate() { @if at > 0 { " " } span { (word) } } }
                    " " span .remark { "# " (remark) } " "
                    button .copy type="button" title="copy the command" hidden { "copy" }
                }
            }
        }
    }
}

/// A sentence whose text in backticks is code.
pub(super) fn with_code(sentence: &str) -> Markup {
    html! {
        @for (at, piece) in sentence.split('`').enumerate() {
            @if at % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}
