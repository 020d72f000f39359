//! The fate of an acknowledged effect that a later result does not show: is it lost, or was the result only
//! stale?
//!
//! A contradiction shows that an operation returned a result as if another operation had not happened. It
//! does not show whether that effect is gone for good, or whether the result came from a stale replica. Later
//! observations show this:
//!
//! ```text
//!   write 4 ├──┤                                          acknowledged
//!                  ├─ read → 3 ─┤                         does not show it
//!                                  ├─ read → 4 ─┤         shows it: the result before was stale
//!                                  ├─ read → 3 ─┤         from another node: apparently lost
//!                                  ├─ read → 5 ─┤         inconclusive, if 5 was written in the meantime
//! ```
//!
//! If there are no later observations, or only those of the processes that got the stale result, the fate is
//! unknown, and the report says so. It is also unknown if the last observation is inconclusive: a history
//! does not show which node really answered, and a leader that has not caught up answers for all nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Case;
use crate::explain::words::{count, who};
use crate::op::Op;
use crate::verdict::Explanation;

/// What an observation shows about the missing effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clue {
    /// The effect, or a later one that builds upon it, is present.
    Present,
    /// The same value is present, but another operation may have written it after the stale result.
    Rewritten,
    /// The effect is absent.
    Absent,
    /// Inconclusive.
    Inconclusive,
}

/// An acknowledged effect that is missing in a later result. Operations are positions in the part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Missing {
    /// The operation with the effect.
    pub(in super::super) op: usize,
    /// The operation whose result does not show it.
    pub(super) answer: usize,
    /// Its fate; `None` if single observations cannot show it.
    pub(super) fate: Option<Fate>,
}

/// The fate of a missing effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// This operation, which began after the stale result, shows it.
    Seen(usize),
    /// This many observations that began after the stale result do not show it, and none does.
    Lost(usize),
    /// Unknown, and why.
    Unknown(String),
}

impl Missing {
    /// Examines all observations after the stale result. `clue_of` returns what an observation shows, and
    /// `None` for an operation that is no observation.
    pub(super) fn new(
        case: &Case<'_>,
        op: usize,
        answer: usize,
        clue_of: impl Fn(&Op) -> Option<Clue>,
    ) -> Missing {
        let returned = case.part[answer].ret();
        let later = case.recorded().filter(|(_, op)| op.is_ok() && op.call > returned);
        let later: Vec<(usize, &Op, Clue)> =
            later.filter_map(|(at, op)| Some((at, op, clue_of(op)?))).collect();
        let with = |wanted: Clue| later.iter().filter(move |(.., clue)| *clue == wanted);
        let nodes: BTreeSet<&Arc<str>> = with(Clue::Absent)
            .map(|(_, op, _)| *op)
            .chain([&case.part[answer]])
            .filter_map(|op| op.node.as_ref())
            .collect();
        let all_nodes: BTreeSet<&Arc<str>> = case.part.iter().filter_map(|op| op.node.as_ref()).collect();
        let last = later.iter().max_by_key(|(_, op, _)| op.call).map(|(.., clue)| *clue);
        let first_seen = with(Clue::Present).min_by_key(|(_, op, _)| op.ret());
        let fate = match (first_seen, with(Clue::Absent).count()) {
            (Some((at, ..)), _) => Fate::Seen(*at),
            (None, 0) if later.is_empty() => Fate::Unknown("nothing was observed after that".into()),
            (None, _) if with(Clue::Rewritten).next().is_some() => Fate::Unknown(
                "the same value was observed later, but another operation may have written it".into(),
            ),
            (None, 0) => Fate::Unknown("later observations show only newer values".into()),
            (None, _) if nodes.len() == 1 && all_nodes.len() > 1 => {
                let only = nodes.first().map_or("", |node| node);
                Fate::Unknown(format!(
                    "later, only {only} still lacked it, the node that had returned the stale result"
                ))
            }
            // Several nodes may have forwarded to one that had not caught up.
            (None, _) if last == Some(Clue::Inconclusive) => Fate::Unknown(
                "the last observation shows a newer value, which hides whether the effect was there".into(),
            ),
            (None, misses) => Fate::Lost(misses),
        };
        Missing { op, answer, fate: Some(fate) }
    }

    /// The fate according to an observation that shows the value itself: `puts` decides which operations
    /// write it.
    pub(super) fn shown(case: &Case<'_>, answer: usize, observer: &Op, puts: impl Fn(&Op) -> bool) -> Clue {
        let again = |op: &Op| puts(op) && op.ret() > case.part[answer].call && op.call <= observer.ret();
        if case.possible().any(|(_, op)| again(op)) { Clue::Rewritten } else { Clue::Present }
    }

    /// A missing effect of unknown fate, and why it is unknown.
    pub(super) fn unknown(op: usize, answer: usize, why: &str) -> Missing {
        Missing { op, answer, fate: Some(Fate::Unknown(why.to_owned())) }
    }

    /// A missing effect that single observations do not show.
    pub(super) fn in_a_sum(op: usize, answer: usize) -> Missing {
        Missing { op, answer, fate: None }
    }

    /// The evidence that it is lost, as the end of a sentence that names it.
    pub(super) fn lost_clause(&self, case: &Case<'_>, misses: usize) -> String {
        let (missing, answer) = (&case.part[self.op], &case.part[self.answer]);
        let others = match misses {
            1 => "neither does the one later observation".to_owned(),
            _ => format!("none of {} does", count(misses, "later observation")),
        };
        format!(
            "is lost: {}, {} later, does not show it, and {others}",
            who(answer),
            case.span(missing.ret(), answer.call)
        )
    }

    /// The evidence that the result was only stale, as the end of a sentence about it.
    pub(super) fn seen_clause(&self, case: &Case<'_>, seen: usize) -> String {
        let (answer, seen) = (&case.part[self.answer], &case.part[seen]);
        format!("{} saw it, or a later change, {} afterwards", who(seen), case.span(answer.ret(), seen.call))
    }

    /// The question whether it is lost, with its answer.
    pub(in super::super) fn question(&self, case: &Case<'_>) -> Option<Explanation> {
        let missing = &case.part[self.op];
        let question = format!("Is the effect of {} lost?", who(missing));
        let (holds, said) = match self.fate.as_ref()? {
            Fate::Seen(at) => {
                (Some(false), format!("no: {}: the result was stale", self.seen_clause(case, *at)))
            }
            Fate::Lost(misses) => {
                let later = match misses {
                    1 => "the one later observation does not show it".to_owned(),
                    _ => format!("none of {} shows it", count(*misses, "later observation")),
                };
                (Some(true), format!("yes, as far as was observed: {later}"))
            }
            Fate::Unknown(why) => (None, format!("unknown: {why}")),
        };
        Some(Explanation { question, holds, answer: said })
    }
}
