//! A part of a history, with what the explanation must know of its model.

use super::words::Clock;
use crate::op::{F, Op, Value};

/// The kinds of object that the explanation can tell apart. A model of your own that says it is one of them
/// ([`Model::describe`](crate::model::Model::describe)) gets the small counterexamples and the sentences of that kind; its
/// operations must have the names, the inputs and the outputs of the model that is named here, and mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Values that overwrite one another: `cas-register`, and `kv`.
    Register,
    /// Several of these under names, read and written together: `multi-register`.
    Registers,
    /// As a register, but what some operations do or say depends on more than one value: they append to what it
    /// holds, or tell whether it held anything. Its values cannot be told apart.
    Text,
    /// A sum of additions: `counter`.
    Counter,
    /// Elements that are there or not: `set`.
    Set,
    /// The same, judged by what every replica shows in the end: `convergent-set`.
    Replicas,
    /// Elements that leave in the order they came: `queue`.
    Queue,
    /// Elements that leave in another order, or in any: `stack`, `unordered-queue`.
    Bag,
    /// Entries that stay, in order: `log`.
    Log,
    /// The same, where the offsets of the entries are told.
    NumberedLog,
    /// Tenures, of one client at a time: `mutex`, `fencing-lock`.
    Lock,
    /// Tenures of several clients at a time, of several permits each, of so many in all: `semaphore`.
    Permits(u32),
    /// Identifiers handed out: `ids`, `ordered-ids`.
    Ids,
    /// Anything else.
    Other,
}

impl Subject {
    /// Whether it holds elements that have nothing to do with one another but their order.
    pub(super) fn is_collection(self) -> bool {
        matches!(
            self,
            Subject::Set | Subject::Replicas | Subject::Queue | Subject::Bag | Subject::Log | Subject::Ids
        )
    }

    /// Whether a write makes it forget the past.
    pub(super) fn is_overwritten(self) -> bool {
        matches!(self, Subject::Register | Subject::Text)
    }

    /// What an object of this kind is about, given what was asked of it.
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

/// The operations of one part, with what matters about them.
pub(super) struct Recorded<'a> {
    /// All that was recorded.
    pub(super) ops: &'a [Op],
    /// What they are about.
    pub(super) subject: Subject,
    /// How it tells instants.
    pub(super) clock: Clock,
    /// Which of them, with the results they returned, leave every state as it was.
    observers: Vec<bool>,
}

impl<'a> Recorded<'a> {
    /// A part, given which operations leave every state as it was.
    pub(super) fn new(
        subject: Subject,
        ops: &'a [Op],
        changes_nothing: impl Fn(&Op) -> bool,
    ) -> Recorded<'a> {
        Recorded { ops, subject, clock: Clock::of(ops), observers: ops.iter().map(changes_nothing).collect() }
    }

    /// What it takes to read an operation once more: 1, and something for what it returned, if that is long.
    pub(super) fn weight(&self, at: usize) -> u64 {
        weight(&self.ops[at])
    }

    /// What a configuration of a search over so many operations costs, where that of a register costs 1. A state that
    /// holds many elements is copied for every operation that is tried.
    pub(super) fn price(&self, ops: usize) -> u64 {
        if self.holds_little() { 1 } else { 1 + (ops as u64).pow(2) / 4_096 }
    }

    /// Whether a state takes little room, however long the history.
    pub(super) fn holds_little(&self) -> bool {
        matches!(self.subject, Subject::Register | Subject::Counter | Subject::Lock | Subject::Permits(_))
    }

    /// Whether an operation takes effect whatever the state was, and leaves the same state in any case. Adding an element to a
    /// set is so to that element.
    pub(super) fn is_blind(&self, at: usize) -> bool {
        let op = &self.ops[at];
        is_blind(op)
            || self.subject == Subject::Set && op.f == F::Add && op.output().is_none_or(Value::is_nil)
    }

    /// Whether an operation, with the result it returned, leaves every state as it was.
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

/// Whether the answer was that nothing was done: the comparison failed, the lock was taken.
pub(super) fn is_refused(op: &Op) -> bool {
    op.output() == Some(&Value::Bool(false))
}

/// Whether the operation takes effect whatever the state was, and leaves the same state in any case.
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

/// The value that a register must have held for the operation to return what it did.
pub(super) fn observed(op: &Op) -> Option<&Value> {
    match op.f {
        F::Read | F::Get => op.output().map(canonical),
        F::Cas if op.is_ok() => expected(op),
        F::Delete if is_refused(op) => Some(&Value::Nil),
        _ => None,
    }
}

/// The value that a compare-and-set must find to take place, unless it is known not to have.
pub(super) fn expected(op: &Op) -> Option<&Value> {
    let takes_place = op.f == F::Cas && !is_refused(op);
    op.input.as_pair().filter(|_| takes_place).map(|(from, _)| canonical(from))
}

/// An absent key may be read as empty text: the two are one value here.
fn canonical(value: &Value) -> &Value {
    match value {
        Value::Str(text) if text.is_empty() => &Value::Nil,
        value => value,
    }
}
