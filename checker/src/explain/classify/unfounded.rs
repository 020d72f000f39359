//! A value was observed that was never written, was written only later, or whose write had failed.

use super::{Case, Finding};
use crate::explain::words::{on, who};
use crate::op::{Op, Value};

/// The verbs of a model in the sentences about unfounded observations.
pub(super) struct Verbs {
    /// The observer's verb: `returned`, `found`, `contains`.
    pub(super) saw: &'static str,
    /// The source's verb: `wrote`, `enqueued`.
    pub(super) put: &'static str,
    /// The passive for the value: `written`, `enqueued`.
    pub(super) been_put: &'static str,
}

/// Whether the operation at `at` observed a `value` that no operation can have written when it returned;
/// `puts` decides which operations write it.
pub(super) fn unfounded(
    case: &Case<'_>,
    (at, op): (usize, &Op),
    value: &Value,
    verbs: &Verbs,
    puts: impl Fn(usize, &Op) -> bool,
) -> Option<Finding> {
    let sources: Vec<_> =
        case.recorded().filter(|&(other, source)| other != at && puts(other, source)).collect();
    if sources.iter().any(|(_, source)| !source.is_fail() && source.call <= op.ret()) {
        return None;
    }
    let Verbs { saw, put, been_put } = verbs;
    let (subject, value) = (format!("{}{} {saw}", who(op), on(op)), super::super::words::short(value));
    let failed = sources.iter().rfind(|(_, source)| source.is_fail() && source.call <= op.ret());
    let later = sources.iter().filter(|(_, source)| !source.is_fail()).min_by_key(|(_, source)| source.call);
    Some(match (failed, later) {
        (Some(&(source, failed)), _) => {
            let told = match failed.completed {
                Some(told) if told < op.call => {
                    format!("had been reported as failed {} before it began", case.span(told, op.call))
                }
                _ => "was reported as failed".to_owned(),
            };
            let sentence = format!("{subject} {value}, but {} {told}", who(failed));
            Finding { class: "aborted-read", sentence, named: vec![source, at], missing: None }
        }
        (None, Some(&(source, later))) => {
            let margin = case.span(op.ret(), later.call);
            let sentence = format!(
                "{subject} {value} before it was {been_put}: {} began {margin} after that",
                who(later)
            );
            Finding { class: "from-the-future", sentence, named: vec![at, source], missing: None }
        }
        (None, None) => {
            let sentence = format!("{subject} {value}, which nobody ever {put}");
            Finding { class: "never-written", sentence, named: vec![at], missing: None }
        }
    })
}
