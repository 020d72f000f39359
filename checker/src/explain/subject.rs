//! A part of a history, with what the explanation must know of its model.

use super::words::Clock;
use crate::op::{F, Op, Value};

/// The kinds of object that the explanation can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Values that overwrite one another.
    Register,
    /// As a register, but some operations append to what it holds: there are no values to tell apart.
    Text,
    /// A sum of additions.
    Counter,
    /// Elements that are there or not.
    Set,
    /// Elements that leave in the order they came.
    Queue,
    /// Elements that leave in another order, or in any.
    Bag,
    /// Entries that stay, in order.
    Log,
    /// Tenures.
    Lock,
    /// Identifiers handed out.
    Ids,
    /// Anything else.
    Other,
}

impl Subject {
    /// Whether it holds elements that have nothing to do with one another but their order.
    pub(super) fn is_collection(self) -> bool {
        matches!(self, Subject::Set | Subject::Queue | Subject::Bag | Subject::Log | Subject::Ids)
    }

    /// Whether a write makes it forget the past.
    pub(super) fn is_overwritten(self) -> bool {
        matches!(self, Subject::Register | Subject::Text)
    }

    /// What a model that comes with the checker is about, given what is asked of it.
    pub(super) fn of(model: &str, ops: &[Op]) -> Subject {
        let appends = || ops.iter().any(|op| op.f == F::Append);
        match model {
            "register" | "cas-register" | "kv" if appends() => Subject::Text,
            "register" | "cas-register" | "kv" => Subject::Register,
            "counter" => Subject::Counter,
            "set" => Subject::Set,
            "queue" => Subject::Queue,
            "stack" | "unordered-queue" => Subject::Bag,
            "log" => Subject::Log,
            "mutex" | "fencing-lock" | "semaphore" => Subject::Lock,
            "ids" => Subject::Ids,
            _ => Subject::Other,
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

    /// Whether an operation, with the result it returned, leaves every state as it was.
    pub(super) fn is_observer(&self, at: usize) -> bool {
        self.observers[at]
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
        F::Write | F::Put => Some(&op.input),
        F::Delete => Some(&Value::Nil),
        F::Cas if !is_refused(op) => op.input.as_pair().map(|(_, to)| to),
        _ => None,
    }
}

/// The value that a register must have held for the operation to return what it did.
pub(super) fn observed(op: &Op) -> Option<&Value> {
    match op.f {
        F::Read | F::Get => op.output(),
        F::Cas if op.is_ok() && !is_refused(op) => op.input.as_pair().map(|(from, _)| from),
        _ => None,
    }
}
