//! The answer of a check, and its evidence. Everything here is plain data: the contents of `verdict.json`.
//!
//! Operations are identified by their position in [`History::ops`](crate::history::History::ops).

use serde::{Deserialize, Serialize};

use crate::judge::Algorithm;
use crate::limits::Limit;
use crate::linearization::Linearization;
use crate::op::{Nanos, Op, Outcome, Value};

/// The position of an operation in [`History::ops`](crate::history::History::ops).
pub type OpId = usize;

/// The three answers. There is no fourth: a check cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// A legal order of the operations exists that explains all observations.
    Linearizable,
    /// No legal order exists. This is proved, even if other parts are unknown.
    Violation,
    /// A limit was reached before either was proved.
    Unknown,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Violation if any part has one; else unknown if any part is unknown; else linearizable.
    pub answer: Answer,
    /// The name of the model.
    pub model: String,
    /// The number of operations checked, failed ones included.
    pub ops: usize,
    /// The independent parts, one per key, in the order of the keys.
    pub parts: Vec<Part>,
    /// The earliest proved violation, with its evidence. A violation on the key that was decided first takes
    /// precedence.
    pub violation: Option<Violation>,
    /// The cost of the check.
    pub effort: Effort,
}

/// One independent part of a history: the operations on one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The key; `nil` if the history has only one object.
    pub key: Value,
    /// The number of its operations.
    pub ops: usize,
    /// The answer for this part alone.
    pub answer: Answer,
    /// The algorithm that decided it.
    pub engine: Algorithm,
    /// The number of configurations explored.
    pub states: u64,
    /// The largest number of configurations held at once; 0 if the algorithm holds none.
    pub frontier_max: usize,
    /// Where and why the search stopped, if the answer is unknown.
    pub undecided: Option<Undecided>,
    /// A linearization, if certificates were requested and one exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linearization: Option<Linearization>,
}

/// Where a search stopped without an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undecided {
    /// The limit that was reached, such as `time limit of 60 s`.
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
    /// Whether the part was abandoned without reaching a limit, because a violation in another part had
    /// already decided the verdict.
    pub fn was_abandoned(&self) -> bool {
        self.by == Limit::Cancelled
    }
}

/// The classes of violations, each with its meaning.
pub const CLASSES: [(&str, &str); 38] = [
    ("stale-read", "an overwritten value was read; a later operation shows that the newer one is not lost"),
    ("missed-write", "an overwritten value was read; whether the newer one is lost is unknown"),
    ("missed-entry", "a read lacks an acknowledged entry; whether that is lost is unknown"),
    ("missed-element", "an acknowledged element was not found; whether it is lost is unknown"),
    ("missed-increment", "a sum lacks an acknowledged addition"),
    ("non-monotonic-reads", "an observation is older than one that had completed before it began"),
    ("diverging-reads", "two observations contradict each other, and nothing was written in between"),
    ("false-empty", "a queue was reported empty while it held an element"),
    ("lost-write", "an acknowledged write is gone: no later observation shows it"),
    ("lost-entry", "an acknowledged entry is gone: no later read shows it"),
    ("lost-element", "an acknowledged element is gone: it was never seen or taken again"),
    ("lost-update", "the operations are legal only without an acknowledged one"),
    ("diverged", "two nodes show different final states"),
    ("split-brain", "two operations succeeded of which only one can have"),
    ("two-holders", "two clients held a lock at the same time"),
    ("too-many-holders", "more permits were held than exist"),
    ("stale-token", "a fencing token is not larger than an earlier one"),
    ("released-by-stranger", "a client released what it did not hold"),
    ("taken-twice", "an element was removed more often than it was added"),
    ("duplicated-entry", "an entry is shown more often than it was appended"),
    ("duplicate", "an operation took effect twice"),
    ("duplicate-id", "the same identifier was returned twice"),
    ("phantom-increment", "a sum is higher than all additions together"),
    ("impossible-sum", "a sum that no additions give"),
    ("aborted-read", "the effect of an operation that was reported as failed was observed"),
    ("never-written", "a value was observed that nobody wrote"),
    ("from-the-future", "a value was observed before the operation began that wrote it"),
    ("internal", "a transaction does not see its own writes"),
    ("half-seen", "a transaction saw half of another one's writes"),
    ("out-of-order", "elements or entries appear in an order that contradicts real time"),
    ("out-of-order-id", "an identifier is smaller than an earlier one"),
    ("moved-entry", "an entry is not at the offset that its append returned"),
    ("reordered", "two changes are legal only in the order that real time forbids"),
    ("false-refusal", "an operation was refused although its condition held"),
    ("false-success", "an operation succeeded although its condition did not hold"),
    ("refused-though-free", "a lock or permit was refused although it was free"),
    ("impossible-answer", "a result that no order of the other operations explains, at any time"),
    ("no-order", "no legal order exists, and no simpler pattern describes why"),
];

/// A proved violation with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// The key of its part.
    pub key: Value,
    /// The operation whose completion no configuration survived.
    pub witness: OpId,
    /// The time of that completion.
    pub detected: Nanos,
    /// One sentence that says what went wrong: process, operation, value, the operation it contradicts, and
    /// by how much time.
    pub sentence: String,
    /// The class of the violation, one of [`CLASSES`]: `stale-read`, `lost-write`, ... or `no-order`.
    pub class: String,
    /// The minimal counterexample, by time of invocation: a sub-history that is itself not linearizable.
    pub minimal: Vec<OpId>,
    /// The longest legal order of operations of the minimal counterexample (the circled numbers in the
    /// drawing).
    pub order: Vec<OpId>,
    /// The states along [`Violation::order`], in readable form, as far as the counterexample knows them: before
    /// the first operation, and after each; empty if the order is long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
    /// The values that the object may hold at the left edge of the minimal counterexample, according to
    /// everything recorded until then; empty if unknown.
    pub before: Vec<String>,
    /// Operations on the same key that overlap the counterexample; drawn faded, never counted.
    pub context: Vec<OpId>,
    /// Every possible next step after [`Violation::order`], and why it is impossible.
    pub impossible: Vec<Impossible>,
    /// At most three of the deepest configurations of the whole part that precede the witness.
    pub configurations: Vec<Configuration>,
    /// Hypotheses that would make the history legal: cheap re-checks, each with its answer.
    pub explanations: Vec<Explanation>,
    /// How the counterexample was minimised.
    pub shrink: Shrink,
    /// The operations that the sentence names as contradicting each other. Some may be context; empty if the
    /// sentence names none.
    #[serde(default)]
    pub named: Vec<OpId>,
    /// The acknowledged operation whose effect the witness does not show, if there is one: its effect may
    /// have been lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<OpId>,
    /// The elements of a collection that the counterexample is limited to, if it is. Its reads of the whole
    /// collection are then restricted to these elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<Vec<Value>>,
    /// For a counter: which details of the additions the counterexample ignores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<Sums>,
}

/// Additions to a counter that a counterexample simplifies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// One addition that stands for all that had completed before the first read or sum, and their total.
    pub all: Option<(OpId, i64)>,
    /// The additions whose returned sums are ignored, in order.
    pub untold: Vec<OpId>,
}

impl Sums {
    /// Changes an operation into its simplified form in the counterexample.
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

/// A configuration of the search: a state, and the pending operations that it has used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The state of the model in readable form.
    pub state: String,
    /// The number of operations that it has put in order ...
    pub placed: usize,
    /// ... out of this many in the part.
    pub total: usize,
    /// Pending operations that it has already put in order.
    pub used: Vec<OpId>,
    /// Pending operations that it has not put in order yet.
    pub unused: Vec<OpId>,
}

/// One continuation that the model or real time forbids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Impossible {
    /// The operations that were tried, in this order (usually one).
    pub next: Vec<OpId>,
    /// The state in which they were tried.
    pub state: String,
    /// Why they cannot come next.
    pub reason: String,
}

/// A question about the violation, and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The question, such as `would it be sequentially consistent?`.
    pub question: String,
    /// Whether the hypothesis would explain the violation; `None` if a limit stopped the re-check.
    pub holds: Option<bool>,
    /// The answer in words.
    pub answer: String,
}

/// How a counterexample was minimised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shrink {
    /// The number of operations before.
    pub from: usize,
    /// The number of operations after.
    pub to: usize,
    /// The number of sub-histories that were checked.
    pub rechecks: usize,
    /// Whether the minimisation reached a fixpoint within its budget.
    pub complete: bool,
}

/// The cost of a check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Configurations explored, over all parts.
    pub states: u64,
    /// The largest number of configurations held at once by any part.
    pub frontier_max: usize,
    /// The limits of the check, in words.
    pub limits: Vec<String>,
    /// How the frontier of the hardest part grew, if the frontier engine decided any part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontier: Option<Frontier>,
}

/// The size of the frontier along one part of a history. The check was slow where it is large.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frontier {
    /// The part's key.
    pub key: Value,
    /// By time, at most a few hundred points. Between two points the frontier was never larger than at the
    /// larger of the two.
    pub sizes: Vec<Front>,
}

/// The number of configurations that explained everything up to a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Front {
    /// The time in the history, in nanoseconds.
    pub at: Nanos,
    /// The number of configurations held.
    pub size: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fast::FastPath;

    /// A part in today's format of verdict.json, and in the older one that had limits and algorithms as text.
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
