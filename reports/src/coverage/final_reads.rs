//! Whether the final reads succeeded: those of a run, and those that a model needs.
//!
//! The controller counts the final reads of a run, because a history does not show a read that was never
//! sent. An imported history has no such phase; but a model that judges only the final state has nothing to
//! judge without successful final reads.

use std::collections::BTreeSet;

use tribunal_checker::history::History;
use tribunal_checker::model::{FINAL, Objects};
use tribunal_checker::op::{F, Op, Value};

use crate::run_info::RunInfo;
use crate::wording::{count, counted, duration};

/// What is missing of the final reads, if anything.
pub(super) fn missing(info: &RunInfo, model: Option<Objects>, history: &History) -> Option<String> {
    let of_run = (!info.is_history()).then(|| match info.final_reads {
        None => Some(match info.unsettled_ms {
            Some(ms) => format!(
                "the nodes had not settled {} after healing: they still changed what they show, or had too little processor time",
                duration(ms.saturating_mul(1_000_000))
            ),
            None => "the run ended before its final reads".to_owned(),
        }),
        Some(reads) if reads.answered < reads.asked => {
            let unanswered = reads.asked - reads.answered;
            Some(format!("{} of {} were not answered", count(unanswered), counted(reads.asked, "final read")))
        }
        Some(_) => None,
    });
    of_run.flatten().or_else(|| unread(history).filter(|_| model.is_some_and(Objects::is_eventual)))
}

/// The keys with additions but without a successful final read.
fn unread(history: &History) -> Option<String> {
    let is_final = |op: &&Op| op.f == F::Read && op.input == Value::str(FINAL);
    let ok = || history.ops.iter().filter(|op| op.is_ok());
    let added: BTreeSet<&Value> = ok().filter(|op| op.f == F::Add).map(|op| &op.key).collect();
    let read: BTreeSet<&Value> = ok().filter(is_final).map(|op| &op.key).collect();
    let unread = added.difference(&read).count();
    (unread > 0).then(|| {
        format!("{} of {} have no final read that was answered", count(unread), counted(added.len(), "key"))
    })
}
