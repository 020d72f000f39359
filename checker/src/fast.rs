//! Exact algorithms for objects and histories that need no search.
//!
//! Deciding linearizability is NP-complete in general, because the history does not show in which order the
//! operations took effect. For many objects it nearly does: values that are written once, counters that
//! return their sums, queues and logs of distinct elements. Each file here decides one such object in
//! O(n log n), *exactly*, with a certificate for either answer.
//!
//! | file | object | precondition |
//! |---|---|---|
//! | `unique_register` | register: read, write, compare-and-set | no value written twice |
//! | `registers` | several registers: txn | no value written twice to one; exact if no transaction connects two |
//! | `texts` | key of a store: put, append, get | every observed text can be decomposed in one way only |
//! | `counter` | counter: add, read | equal additions, additions that return the new value, most others |
//! | `queue` | FIFO queue | no value enqueued twice |
//! | `unordered_queue` | queue without an order | no value enqueued twice |
//! | `stack` | stack | no value pushed twice |
//! | `set` | set: add, contains, read | no element added twice, none deleted |
//! | `mutex` | lock: acquire, release | every process has one operation at a time |
//! | `fencing_lock` | lock with tokens: acquire, release | the same |
//! | `log` | append-only list | no value appended twice |
//! | `ordered_ids` | increasing identifiers | every result an integer |
//!
//! Each algorithm checks its own precondition and otherwise declines; the search engines are the fallback. So
//! workloads should write unique values: the same test is then checked in milliseconds, and repeated values
//! cannot mask a violation.
//!
//! **Real time.** Intervals are closed: `a` precedes `b` iff `a.ret() < b.call`, and operations that meet in
//! one instant are concurrent. An order of operations agrees with real time iff no operation in it returned
//! before an earlier one of the order was invoked (`contradiction`). Then each operation can take effect at
//! the latest invocation up to it in the order.

mod counter;
mod fencing_lock;
mod log;
mod mutex;
mod ordered_ids;
mod queue;
mod registers;
mod set;
mod stack;
#[cfg(test)]
mod tests;
mod texts;
mod unique_register;
mod unordered_queue;

use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::model::is_vacuous;
use crate::op::Op;

/// The objects with an exact algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FastPath {
    /// A register in which no value is written twice.
    UniqueRegister,
    /// Several registers in which no value is written twice.
    Registers,
    /// A key of a store whose texts show how they were made.
    Texts,
    /// A counter.
    Counter,
    /// A FIFO queue of distinct values.
    Queue,
    /// A queue of distinct values without an order.
    UnorderedQueue,
    /// A stack of distinct values.
    Stack,
    /// A set of distinct elements that only grows.
    Set,
    /// A lock.
    Mutex,
    /// A lock whose every acquire returns a larger token.
    FencingLock,
    /// An append-only list of distinct values.
    Log,
    /// Increasing identifiers.
    OrderedIds,
    /// A set of distinct elements that only grows, judged by its final reads.
    ConvergentSet,
}

impl FastPath {
    /// All of them.
    pub const ALL: [FastPath; 13] = [
        FastPath::UniqueRegister,
        FastPath::Registers,
        FastPath::Texts,
        FastPath::Counter,
        FastPath::Queue,
        FastPath::UnorderedQueue,
        FastPath::Stack,
        FastPath::Set,
        FastPath::Mutex,
        FastPath::FencingLock,
        FastPath::Log,
        FastPath::OrderedIds,
        FastPath::ConvergentSet,
    ];

    /// The name of the algorithm in a verdict.
    pub fn name(self) -> &'static str {
        match self {
            FastPath::UniqueRegister => "unique-register",
            FastPath::Registers => "registers",
            FastPath::Texts => "texts",
            FastPath::Counter => "counter",
            FastPath::Queue => "queue",
            FastPath::UnorderedQueue => "unordered-queue",
            FastPath::Stack => "stack",
            FastPath::Set => "set",
            FastPath::Mutex => "mutex",
            FastPath::FencingLock => "fencing-lock",
            FastPath::Log => "log",
            FastPath::OrderedIds => "ordered-ids",
            FastPath::ConvergentSet => "convergent-set",
        }
    }

    /// Decides one part of a history: all operations on one object, in the order of their invocations.
    /// Declines if its precondition or that order does not hold.
    pub fn decide(self, ops: &[&Op]) -> Decision {
        if !ops.is_sorted_by_key(|op| op.call) {
            return Decision::Declined;
        }
        match self {
            FastPath::UniqueRegister => unique_register::decide(ops),
            FastPath::Registers => registers::decide(ops),
            FastPath::Texts => texts::decide(ops),
            FastPath::Counter => counter::decide(ops),
            FastPath::Queue => queue::decide(ops),
            FastPath::UnorderedQueue => unordered_queue::decide(ops),
            FastPath::Stack => stack::decide(ops),
            FastPath::Set => set::decide(ops, |_| true),
            FastPath::Mutex => mutex::decide(ops),
            FastPath::FencingLock => fencing_lock::decide(ops),
            FastPath::Log => log::decide(ops),
            FastPath::OrderedIds => ordered_ids::decide(ops),
            FastPath::ConvergentSet => set::decide(ops, |op| !is_vacuous(op)),
        }
    }
}

/// The first two operations of `order` that contradict real time: the later one returned before the earlier
/// one was invoked.
fn contradiction(ops: &[&Op], order: &[usize]) -> Option<[usize; 2]> {
    let mut last: Option<usize> = None;
    for &at in order {
        if let Some(before) = last.filter(|&before| ops[at].ret() < ops[before].call) {
            return Some([before, at]);
        }
        if last.is_none_or(|before| ops[before].call < ops[at].call) {
            last = Some(at);
        }
    }
    None
}

/// Whether a test has disabled the rule of this name, to prove that some test detects it.
#[cfg(test)]
fn broken(rule: &'static str) -> bool {
    tests::BROKEN.with(|broken| broken.get() == Some(rule))
}

#[cfg(not(test))]
const fn broken(_rule: &'static str) -> bool {
    false
}
