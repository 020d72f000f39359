//! A part of a history, with the properties of its model that the explanation needs.

use super::words::Clock;
use crate::op::{F, Op, Value};

/// The kinds of object that the explanation distinguishes. A model of your own that declares one of them
/// ([`Model::describe`](crate::model::Model::describe)) gets the small counterexamples and the sentences of
/// that kind. Its operations must then have the names, the inputs, the outputs and the meaning of those of
/// the model named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Values that overwrite each other: `cas-register`, and `kv`.
    Register,
    /// Several named registers, read and written together: `multi-register`.
    Registers,
    /// As a register, but some operations depend on more than one value: they append to the value, or return
    /// whether there was one. Its values cannot be separated.
    Text,
    /// A sum of additions: `counter`.
    Counter,
    /// Elements that are present or absent: `set`.
    Set,
    /// As a set, judged by the final reads of every replica: `convergent-set`.
    Replicas,
    /// Elements that leave in the order in which they were added: `queue`.
    Queue,
    /// Elements that leave in another order, or in any: `stack`, `unordered-queue`.
    Bag,
    /// Entries that stay, in order: `log`.
    Log,
    /// As a log, with operations that return offsets.
    NumberedLog,
    /// Tenures of one client at a time: `mutex`, `fencing-lock`.
    Lock,
    /// Tenures of several clients at a time with several permits each, of this total: `semaphore`.
    Permits(u32),
    /// Generated identifiers: `ids`, `ordered-ids`.
    Ids,
    /// Anything else.
    Other,
}

impl Subject {
    /// Whether it holds elements that are independent of each other except for their order.
    pub(super) fn is_collection(self) -> bool {
        matches!(
            self,
            Subject::Set | Subject::Replicas | Subject::Queue | Subject::Bag | Subject::Log | Subject::Ids
        )
    }

    /// Whether a write makes it independent of the past.
    pub(super) fn is_overwritten(self) -> bool {
        matches!(self, Subject::Register | Subject::Text)
    }

    /// The subject of a part, given the operations on it.
    pub(super) fn among(self, ops: &[Op]) -> Subject {
        let told =
            |f: F| ops.iter().any(|op| op.f == f && op.output().is_some_and(|output| !output.is_nil()));
        match self {
            Subject::Register if ops.iter().any(|op| op.f == F::Append) || told(F::Delete) => Subject::Text,
            Subject::Log if told(F::Append) => Subject::NumberedLog,
            other => other,
        }
    }
}

/// The operations of one part, with the properties that the explanation needs.
pub(super) struct Recorded<'a> {
    /// All recorded operations.
    pub(super) ops: &'a [Op],
    /// The kind of object.
    pub(super) subject: Subject,
    /// The notation for instants.
    pub(super) clock: Clock,
    /// Per operation: whether it leaves every state unchanged, with its recorded result.
    observers: Vec<bool>,
}

impl<'a> Recorded<'a> {
    /// A part; `observes` decides which operations leave every state unchanged.
    pub(super) fn new(
        subject: Subject,
        ops: &'a [Op],
        changes_nothing: impl Fn(&Op) -> bool,
    ) -> Recorded<'a> {
        Recorded { ops, subject, clock: Clock::of(ops), observers: ops.iter().map(changes_nothing).collect() }
    }

    /// The cost of reading an operation again: 1, plus something for a long result.
    pub(super) fn weight(&self, at: usize) -> u64 {
        weight(&self.ops[at])
    }

    /// The cost of one configuration in a search over this many operations, where that of a register costs 1.
    /// A state that holds many elements is copied for every operation tried.
    pub(super) fn price(&self, ops: usize) -> u64 {
        if self.holds_little() { 1 } else { 1 + (ops as u64).pow(2) / 4_096 }
    }

    /// Whether a state is small for any length of the history.
    pub(super) fn holds_little(&self) -> bool {
        matches!(self.subject, Subject::Register | Subject::Counter | Subject::Lock | Subject::Permits(_))
    }

    /// Whether an operation takes effect in any state, and always leaves the same state. For one element of a
    /// set, adding it is blind.
    pub(super) fn is_blind(&self, at: usize) -> bool {
        let op = &self.ops[at];
        is_blind(op)
            || self.subject == Subject::Set && op.f == F::Add && op.output().is_none_or(Value::is_nil)
    }

    /// Whether an operation, with its recorded result, leaves every state unchanged.
    pub(super) fn is_observer(&self, at: usize) -> bool {
        self.observers[at]
    }
}

/// See [`Recorded::weight`].
pub(super) fn weight(op: &Op) -> u64 {
    match op.output() {
        Some(Value::List(items)) => 1 + items.len() as u64 / 4,
        Some(Value::Str(text)) => 1 + text.len() as u64 / 64,
        _ => 1,
    }
}

/// Whether the result means that the operation was refused: the comparison failed, the lock was held.
pub(super) fn is_refused(op: &Op) -> bool {
    op.output() == Some(&Value::Bool(false))
}

/// Whether the operation takes effect in any state, and always leaves the same state.
pub(super) fn is_blind(op: &Op) -> bool {
    matches!(op.f, F::Write | F::Put) || (op.f == F::Delete && op.output().is_none_or(Value::is_nil))
}

/// The value that a register holds once the operation has taken effect.
pub(super) fn written(op: &Op) -> Option<&Value> {
    match op.f {
        F::Write | F::Put => Some(canonical(&op.input)),
        F::Delete if !is_refused(op) => Some(&Value::Nil),
        F::Cas if !is_refused(op) => op.input.as_pair().map(|(_, to)| canonical(to)),
        _ => None,
    }
}

/// The value that a register must have held for the recorded result.
pub(super) fn observed(op: &Op) -> Option<&Value> {
    match op.f {
        F::Read | F::Get => op.output().map(canonical),
        F::Cas if op.is_ok() => expected(op),
        F::Delete if is_refused(op) => Some(&Value::Nil),
        _ => None,
    }
}

/// The value that a compare-and-set must find to take place, unless it is known not to have taken place.
pub(super) fn expected(op: &Op) -> Option<&Value> {
    let takes_place = op.f == F::Cas && !is_refused(op);
    op.input.as_pair().filter(|_| takes_place).map(|(from, _)| canonical(from))
}

/// An absent key may be read as empty text: the two are treated as equal.
fn canonical(value: &Value) -> &Value {
    match value {
        Value::Str(text) if text.is_empty() => &Value::Nil,
        value => value,
    }
}
