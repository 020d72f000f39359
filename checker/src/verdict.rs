//! What a check answers, and the evidence for it. Everything here is data: it is what `verdict.json` holds.
//!
//! Operations are named by their position in [`History::ops`](crate::history::History::ops).

use serde::{Deserialize, Serialize};

use crate::judge::Algorithm;
use crate::limits::Limit;
use crate::linearization::Linearization;
use crate::op::{Nanos, Op, Outcome, Value};

/// The position of an operation in [`History::ops`](crate::history::History::ops).
pub type OpId = usize;

/// The three answers. There is no fourth: a check never fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Some legal order of the operations explains all that was observed.
    Linearizable,
    /// No legal order does. This is proved, whatever else is unknown.
    Violation,
    /// A limit was reached before either was proved.
    Unknown,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// A violation in any part wins; then unknown; then linearizable.
    pub answer: Answer,
    /// The name of the model it was judged by.
    pub model: String,
    /// How many operations were judged (failed ones included).
    pub ops: usize,
    /// The independent parts (one per key), in the order of their keys.
    pub parts: Vec<Part>,
    /// The earliest violation that was proved, with its evidence; that of the key that was to be decided first comes before
    /// all others.
    pub violation: Option<Violation>,
    /// What the check cost.
    pub effort: Effort,
}

/// One independent part of a history: the operations on one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The key; `nil` where there is only one object.
    pub key: Value,
    /// How many operations it has.
    pub ops: usize,
    /// The answer for this part alone.
    pub answer: Answer,
    /// Which algorithm decided it.
    pub engine: Algorithm,
    /// How many configurations were explored.
    pub states: u64,
    /// The largest number of configurations held at once (0 where the algorithm holds none).
    pub frontier_max: usize,
    /// Where it stopped and why, when the answer is unknown.
    pub undecided: Option<Undecided>,
    /// A linearization, when certificates were asked for and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linearization: Option<Linearization>,
}

/// Where a search stopped without an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undecided {
    /// Which limit was reached, such as `time limit of 60 s`.
    pub limit: String,
    /// The limit as data.
    #[serde(alias = "flag")]
    pub by: Limit,
    /// The part is linearizable up to this many operations ...
    pub reached: usize,
    /// ... of this many.
    pub of: usize,
}

impl Undecided {
    /// Whether no limit was reached: a violation of another part had decided the whole, and the search stopped.
    pub fn is_left(&self) -> bool {
        self.by == Limit::Cancelled
    }
}

/// A proved violation with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// The key of the part it was found in.
    pub key: Value,
    /// The operation at whose completion no configuration survived.
    pub witness: OpId,
    /// The time of that completion.
    pub detected: Nanos,
    /// One sentence that says what went wrong: process, operation, value, the operation it contradicts, the margin.
    pub sentence: String,
    /// The class of the violation, in kebab-case: `stale-read`, `lost-write`, `never-written`, ... or `no-order`.
    pub class: String,
    /// The minimal counterexample, by time of invocation: a sub-history that is itself not linearizable.
    pub minimal: Vec<OpId>,
    /// The longest legal order of operations of the minimal counterexample (the circled numbers of the picture).
    pub order: Vec<OpId>,
    /// What the object may hold at the left edge of the minimal counterexample, by all that was recorded until then; empty
    /// where that is not known.
    pub before: Vec<String>,
    /// Operations on the same key that overlap the counterexample; shown faded, never counted.
    pub context: Vec<OpId>,
    /// Every way to go on after [`Violation::order`], and why it is impossible.
    pub impossible: Vec<Impossible>,
    /// At most three of the deepest configurations of the whole part before the witness.
    pub configurations: Vec<Configuration>,
    /// What would make the history legal: cheap re-checks, each with its answer.
    pub explanations: Vec<Explanation>,
    /// How the counterexample was made small.
    pub shrink: Shrink,
    /// The operations that the sentence sets against each other; some may be context, none at all if it names none.
    #[serde(default)]
    pub named: Vec<OpId>,
    /// The acknowledged operation whose effect the witness does not show, where there is one: what may have been lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<OpId>,
    /// Where the counterexample is about some elements of a collection only: those. Its reads of the whole collection
    /// are seen through them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<Vec<Value>>,
    /// Of a counter: what the counterexample does not tell apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<Sums>,
}

/// Additions to a counter of which a counterexample says less than was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// The addition that stands for all that had completed before the counter was first looked at, and what they come to.
    pub all: Option<(OpId, i64)>,
    /// The additions whose returned sums count for nothing, in order.
    pub untold: Vec<OpId>,
}

impl Sums {
    /// An operation as it is in the counterexample.
    pub(crate) fn seen(&self, id: OpId, op: &mut Op) {
        let stands = self.all.filter(|(all, _)| *all == id);
        if let Some((_, amount)) = stands {
            op.input = Value::Int(amount);
        }
        if op.is_ok() && (stands.is_some() || self.untold.binary_search(&id).is_ok()) {
            op.outcome = Outcome::Ok(Value::Nil);
        }
    }
}

/// A configuration of the search: a state, and which of the pending operations it has used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The model's state, as people read it.
    pub state: String,
    /// How many operations it has put in order ...
    pub placed: usize,
    /// ... of how many that the part has.
    pub total: usize,
    /// Pending operations that it has already put in order.
    pub used: Vec<OpId>,
    /// Pending operations that it has not.
    pub unused: Vec<OpId>,
}

/// One continuation that the model or real time forbids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Impossible {
    /// The operations tried, in this order (most often one).
    pub next: Vec<OpId>,
    /// The state they were tried from.
    pub state: String,
    /// Why they cannot come next.
    pub reason: String,
}

/// One question asked of the violation, and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked, such as `would it be sequentially consistent?`.
    pub question: String,
    /// Whether it would explain the violation; `None` when a limit stopped the re-check.
    pub holds: Option<bool>,
    /// The answer in words.
    pub answer: String,
}

/// How a counterexample was made small.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shrink {
    /// Operations before.
    pub from: usize,
    /// Operations after.
    pub to: usize,
    /// How many sub-histories were checked again.
    pub rechecks: usize,
    /// Whether a fixpoint was reached within the budget.
    pub complete: bool,
}

/// What a check cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Configurations explored, over all parts.
    pub states: u64,
    /// The largest number of configurations held at once by any part.
    pub frontier_max: usize,
    /// The limits that were in force, in words.
    pub limits: Vec<String>,
    /// How the frontier of the hardest part grew, if any part was decided by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontier: Option<Frontier>,
}

/// The size of the frontier along one part of a history: where it is large, the check was slow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frontier {
    /// The part's key.
    pub key: Value,
    /// By time, a few hundred at most. Between two of them it was no larger than at the larger one.
    pub sizes: Vec<Front>,
}

/// The number of configurations that explained everything up to some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Front {
    /// The time in the history.
    pub at: Nanos,
    /// How many configurations were held.
    pub size: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fast::FastPath;

    /// A part as verdict.json has it, and as it had it before limits and algorithms were data.
    #[test]
    fn a_part_is_read_as_it_was_written() {
        let part = |engine: &str, undecided: &str| -> Part {
            let rest = r#""key":null,"ops":9,"answer":"unknown","states":1,"frontier_max":1"#;
            serde_json::from_str(&format!("{{{rest},\"engine\":{engine},\"undecided\":{undecided}}}"))
                .unwrap()
        };
        for (name, algorithm) in [
            ("none", Algorithm::None),
            ("depth-first", Algorithm::DepthFirst),
            ("frontier", Algorithm::Frontier),
            ("unique-register", Algorithm::Fast(FastPath::UniqueRegister)),
        ] {
            let read = part(&format!("\"{name}\""), "null");
            assert_eq!(read.engine, algorithm);
            assert_eq!(
                (read.engine.to_string(), serde_json::to_value(read.engine).unwrap()),
                (name.into(), name.into())
            );
        }
        let [new, old] = [r#""by":"time""#, r#""flag":"--check-time-limit""#].map(|limit| {
            part(
                "\"frontier\"",
                &format!("{{\"limit\":\"time limit of 60 s\",{limit},\"reached\":3,\"of\":9}}"),
            )
        });
        assert_eq!(new, old);
        assert_eq!(new.undecided.unwrap().by, Limit::Time);
        for path in FastPath::ALL {
            assert_eq!(serde_json::to_value(path).unwrap(), path.name());
        }
    }
}
