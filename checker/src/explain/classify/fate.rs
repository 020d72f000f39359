//! What became of an effect that was acknowledged and then not shown: is it lost, or was the answer only old?
//!
//! A contradiction shows that an operation was answered as if another had not happened. It does not show whether that other
//! one is gone for good, or whether the answer came from a place that had not heard of it. What was seen *afterwards* does:
//!
//! ```text
//!   write 4 ├──┤                                          acknowledged
//!                  ├─ read → 3 ─┤                         does not show it
//!                                  ├─ read → 4 ─┤         shows it: the answer before was old
//!                                  ├─ read → 3 ─┤         does not, from another node: it is lost, as far as is known
//!                                  ├─ read → 5 ─┤         says nothing, where 5 was written in the meantime
//! ```
//!
//! Where nobody looked, or only those who gave the answer, it is not known, and that is what is said. So it is where the last
//! observation says nothing: whom a node asked for its answer is not in a history, and a leader that has not caught up answers
//! for all nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Case;
use crate::explain::words::{count, who};
use crate::op::Op;
use crate::verdict::Explanation;

/// What an observation tells of the missing effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It, or what was built upon it, is there.
    There,
    /// The same value is there, but another operation may have put it there after the answer.
    Again,
    /// It is not.
    Gone,
    /// Neither.
    Nothing,
}

/// An acknowledged effect that is missing in a later answer. Operations by position in the part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Missing {
    /// The operation whose effect it is.
    pub(in super::super) op: usize,
    /// The operation whose answer does not show it.
    pub(super) answer: usize,
    /// What became of it; `None` where this cannot be told from single observations.
    pub(super) fate: Option<Fate>,
}

/// What became of a missing effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// This operation, which began after the answer, shows it.
    Seen(usize),
    /// So many observations that began after the answer do not show it, and none does.
    Lost(usize),
    /// It is not known, and why.
    Unknown(String),
}

impl Missing {
    /// Looks at all that was observed after the answer; `told` says of an observation what it tells, and `None` of an
    /// operation that is no observation.
    pub(super) fn new(
        case: &Case<'_>,
        op: usize,
        answer: usize,
        told: impl Fn(&Op) -> Option<Told>,
    ) -> Missing {
        let returned = case.part[answer].ret();
        let later = case.recorded().filter(|(_, op)| op.is_ok() && op.call > returned);
        let later: Vec<(usize, &Op, Told)> = later.filter_map(|(at, op)| Some((at, op, told(op)?))).collect();
        let with = |wanted: Told| later.iter().filter(move |(.., told)| *told == wanted);
        let nodes: BTreeSet<&Arc<str>> = with(Told::Gone)
            .map(|(_, op, _)| *op)
            .chain([&case.part[answer]])
            .filter_map(|op| op.node.as_ref())
            .collect();
        let all_nodes: BTreeSet<&Arc<str>> = case.part.iter().filter_map(|op| op.node.as_ref()).collect();
        let last = later.iter().max_by_key(|(_, op, _)| op.call).map(|(.., told)| *told);
        let first_seen = with(Told::There).min_by_key(|(_, op, _)| op.ret());
        let fate = match (first_seen, with(Told::Gone).count()) {
            (Some((at, ..)), _) => Fate::Seen(*at),
            (None, 0) if later.is_empty() => Fate::Unknown("nobody looked after that".into()),
            (None, _) if with(Told::Again).next().is_some() => Fate::Unknown(
                "the same value was seen after that, but another operation may have put it there".into(),
            ),
            (None, 0) => Fate::Unknown("all that was seen after that had come later".into()),
            (None, _) if nodes.len() == 1 && all_nodes.len() > 1 => {
                let only = nodes.first().map_or("", |node| node);
                Fate::Unknown(format!(
                    "after that only {only} was seen without it, which had given the old answer"
                ))
            }
            // Several nodes may have asked one that had not caught up.
            (None, _) if last == Some(Told::Nothing) => Fate::Unknown(
                "what was seen last had come later, and hides whether it was there before".into(),
            ),
            (None, misses) => Fate::Lost(misses),
        };
        Missing { op, answer, fate: Some(fate) }
    }

    /// What an observation after the answer tells that shows the value itself: `puts` says which operations put it there.
    pub(super) fn shown(case: &Case<'_>, answer: usize, observer: &Op, puts: impl Fn(&Op) -> bool) -> Told {
        let again = |op: &Op| puts(op) && op.ret() > case.part[answer].call && op.call <= observer.ret();
        if case.possible().any(|(_, op)| again(op)) { Told::Again } else { Told::There }
    }

    /// A missing effect of which it cannot be told what became of it, and why.
    pub(super) fn unknown(op: usize, answer: usize, why: &str) -> Missing {
        Missing { op, answer, fate: Some(Fate::Unknown(why.to_owned())) }
    }

    /// A missing effect that single observations do not show.
    pub(super) fn in_a_sum(op: usize, answer: usize) -> Missing {
        Missing { op, answer, fate: None }
    }

    /// What speaks for its being lost, as the end of a sentence that names it.
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

    /// What shows that the answer was only old, as the end of a sentence about it.
    pub(super) fn seen_clause(&self, case: &Case<'_>, seen: usize) -> String {
        let (answer, seen) = (&case.part[self.answer], &case.part[seen]);
        format!("{} saw it, or what came after it, {} later", who(seen), case.span(answer.ret(), seen.call))
    }

    /// Whether it is lost, as a question with its answer.
    pub(in super::super) fn question(&self, case: &Case<'_>) -> Option<Explanation> {
        let missing = &case.part[self.op];
        let question = format!("Is the effect of {} lost?", who(missing));
        let (holds, said) = match self.fate.as_ref()? {
            Fate::Seen(at) => {
                (Some(false), format!("no: {}: the answer was old", self.seen_clause(case, *at)))
            }
            Fate::Lost(misses) => {
                let later = count(*misses, "later observation");
                let lack = if *misses == 1 { "lacks" } else { "lack" };
                (Some(true), format!("yes, as far as anybody looked: {later} {lack} it, and none shows it"))
            }
            Fate::Unknown(why) => (None, format!("not known: {why}")),
        };
        Some(Explanation { question, holds, answer: said })
    }
}
