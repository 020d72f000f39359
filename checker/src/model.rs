//! Models: the sequential specifications that a history is judged by.
//!
//! A model says what one object does when operations come one at a time: where it starts, and what each operation
//! turns a state into. Everything else (concurrency, lost answers, limits, evidence) is the checker's.
//!
//! An operation reaches the model twice. First [`Model::parse`] turns what was recorded into a [`Model::Call`], a
//! compact form *including the recorded result*: `read → 3` and `read → 4` are different calls. Then
//! [`Model::step`] says which states a call can lead to. An indeterminate operation has no recorded result: its call
//! is "the operation took effect, with whatever result". Where it could take effect without changing anything the
//! checker need not be told: an indeterminate operation may always be left out.
//!
//! The engines intern states and calls to small numbers and remember every transition, so `step` is called once for
//! each pair that occurs: it need not be clever. Equality matters more than speed: two calls that are equal are
//! interchangeable to the search, two states that are equal are one.

use std::fmt::{self, Debug};
use std::hash::Hash;
use std::str::FromStr;

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::judge::Judge;
use crate::op::{Op, Value};

mod cas_register;
mod chain;
mod convergent_set;
mod counter;
mod fencing_lock;
mod ids;
pub(crate) mod initial;
mod kv;
mod log;
mod multi_register;
mod mutex;
mod ordered_ids;
mod queue;
mod register;
#[cfg(test)]
pub(crate) mod script;
mod semaphore;
mod set;
mod stack;
mod unordered_queue;

pub use cas_register::CasRegister;
pub use chain::{Chain, Fifo};
pub(crate) use convergent_set::is_vacuous;
pub use convergent_set::{ConvergentSet, FINAL};
pub use counter::Counter;
pub use fencing_lock::{Fenced, FencingLock};
pub use ids::Ids;
pub use initial::Initial;
use initial::Starting;
pub use kv::Kv;
pub use log::Log;
pub use multi_register::{Access, MultiRegister};
pub use mutex::Mutex;
pub use ordered_ids::OrderedIds;
pub use queue::Queue;
pub use register::Register;
pub use semaphore::Semaphore;
pub use set::Set;
pub use stack::Stack;
pub use unordered_queue::UnorderedQueue;

/// What leads to a state: see [`Model::comes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comes<State> {
    /// The call cannot lead there.
    Never,
    /// It may lead there from more than one state.
    FromAnywhere,
    /// It leads there, or is made there, from this state alone.
    From(State),
}

/// Puts one state in the place of all that are like it: see [`Model::alike`].
pub type Alike<State> = Box<dyn Fn(State) -> State + Send + Sync>;

/// A sequential specification of one object. The example at the top of the crate implements it for an object of its
/// own. Builds with debug assertions hold each step against the promises below, and panic with the name of one that is broken.
pub trait Model: Sync {
    /// All that the object remembers.
    type State: Clone + Eq + Hash + Debug + Send;
    /// An operation with its recorded result, in the model's own words.
    type Call: Clone + Eq + Hash + Debug + Send;
    /// The states a call can lead to. `Option<Self::State>` for a deterministic object.
    type Next: IntoIterator<Item = Self::State>;

    /// The name people know the model by, in kebab-case.
    fn name(&self) -> &str;

    /// The state before any operation.
    fn init(&self) -> Self::State;

    /// What an operation asks, with what it was answered. `None` if it says nothing about the object, whatever its
    /// place in the order: a read whose answer nobody saw. Operations that certainly did not happen never get here.
    ///
    /// # Errors
    /// The words that follow "expected", if the operation has no meaning to this model.
    fn parse(&self, op: &Op) -> Result<Option<Self::Call>, String>;

    /// The states that `call` can turn `state` into; none where its recorded result is impossible.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Self::Next;

    /// Why [`Model::step`] offers no state: the end of the sentence "it cannot come next: ...".
    fn explain(&self, state: &Self::State, call: &Self::Call) -> String {
        format!("{call:?} is impossible when the object is {}", self.show(state))
    }

    /// A state as people read it.
    fn show(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// Whether this call, *with its recorded result*, never changes any state in which it is possible. A promise:
    /// such calls are put in order as soon as they are possible, without looking further. A write is never
    /// read-only, not even in a state where it happens to change nothing.
    fn read_only(&self, _call: &Self::Call) -> bool {
        false
    }

    /// Whether this call is possible in every state and leads to one and the same state from all of them, as a blind
    /// write does. A promise: such calls are only tried where somebody could notice.
    fn overwrites(&self, _call: &Self::Call) -> bool {
        false
    }

    /// Whether this call is possible in every state, leads to one state from each, and may change places with every other
    /// call that commutes: additions that return nothing. A promise: such calls are only tried where another call could
    /// notice.
    fn commutes(&self, _call: &Self::Call) -> bool {
        false
    }

    /// Whether `call` is impossible in this state and remains so after any number of calls like `by`, which
    /// [commutes](Model::commutes). Where that is so of each of several calls, it must be so of all of them together. A
    /// promise.
    fn out_of_reach(&self, _state: &Self::State, _call: &Self::Call, _by: &Self::Call) -> bool {
        false
    }

    /// Whether `call` is impossible in this state and in all that may follow, whatever is called: the log is longer by now
    /// than what was read. A promise.
    fn is_over(&self, _state: &Self::State, _call: &Self::Call) -> bool {
        false
    }

    /// The only state in which an observation is possible, where there is but one. One state may stand for several, if it
    /// does so here and in [`Model::comes`], and for the initial one stands itself. A promise.
    fn sees(&self, _observation: &Self::Call) -> Option<Self::State> {
        None
    }

    /// Before which states a call, with its recorded result, leads to this state, or is made in it. A promise: the
    /// evidence of a stale read rests on it.
    fn comes(&self, _call: &Self::Call, _to: &Self::State) -> Comes<Self::State> {
        Comes::FromAnywhere
    }

    /// Whether an observation may become possible after this state, as long as nothing overwrites the object: a text
    /// that is only appended to leads toward the texts that begin with it. No promise but a hint, for the order in
    /// which things are tried.
    fn leads_toward(&self, _state: &Self::State, _observation: &Self::Call) -> bool {
        true
    }

    /// Which states nobody will ever tell apart, where every call of the history is known: a function that puts one state in
    /// the place of all that are like it. A promise: each of these calls leads from both to states that are like each
    /// other, or is possible in neither. `None` where that is not worth the trouble.
    fn alike(&self, _calls: &[Self::Call]) -> Option<Alike<Self::State>> {
        None
    }

    /// Which parts of the object this call is about, where it is about these alone: the element of a set, the registers
    /// of a transaction. When every call of a history says so, parts that no chain of calls joins are checked apart. A
    /// promise: calls without a common part commute, and neither can tell whether the other took place.
    fn touches(&self, _call: &Self::Call) -> Option<Vec<Value>> {
        None
    }

    /// Roughly how many bytes a state owns beyond its own size, for the limit on memory. Asked once for each state that
    /// is met. Unless told otherwise, from the length of its debug output.
    fn heap_bytes(&self, state: &Self::State) -> usize {
        4 * debug_length(state)
    }

    /// What kind of object it is, for the evidence: which operations may be left out of a counterexample, and what a
    /// violation is called. A promise: the operations mean what they mean in the model named there.
    fn describe(&self) -> Subject {
        Subject::Other
    }

    /// Whether it starts as no other object of its kind does. What is said of a violation then does not mention how the
    /// object starts.
    fn begins_elsewhere(&self) -> bool {
        false
    }

    /// An exact algorithm for this very object, which is tried before any search.
    fn fast_path(&self) -> Option<FastPath> {
        None
    }
}

/// Roughly the bytes of a B-tree of so many entries: its nodes are two thirds full.
fn tree_bytes(entries: usize, entry: usize) -> usize {
    if entries == 0 { 0 } else { 64 + entries * (entry + entry / 2 + 8) }
}

/// How long the debug output of something is.
fn debug_length(what: &impl Debug) -> usize {
    struct Length(usize);
    impl fmt::Write for Length {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut length = Length(0);
    // What cannot be shown is taken to be small.
    let _ = fmt::Write::write_fmt(&mut length, format_args!("{what:?}"));
    length.0
}

/// One row per model: its name in the code, an instance, its name for people, what the object does.
macro_rules! models {
    ($($kind:ident = $model:expr, $name:literal, $summary:literal;)*) => {
        /// The models that come with the checker.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ModelKind {
            $(#[doc = $summary] $kind,)*
        }

        impl ModelKind {
            /// All of them, in the order of `tribunal list models`.
            pub const ALL: [ModelKind; [$($name),*].len()] = [$(ModelKind::$kind),*];

            /// The name in kebab-case, as [`ModelKind::from_str`] takes it.
            pub fn name(self) -> &'static str {
                match self { $(ModelKind::$kind => $name,)* }
            }

            /// One line that says what the object does.
            pub fn summary(self) -> &'static str {
                match self { $(ModelKind::$kind => $summary,)* }
            }

            /// Whether it judges what the nodes show in the end, and not every answer on the way: its final reads are
            /// to be asked of each node, with the input [`FINAL`], when the nodes have had time to converge.
            pub fn is_eventual(self) -> bool {
                self == ModelKind::ConvergentSet
            }

            /// The model itself, behind the checker's own interface.
            pub(crate) fn judge(self) -> &'static dyn Judge {
                match self {
                    $(ModelKind::$kind => {
                        static JUDGE: Starting<$kind> = Starting::usual($model);
                        &JUDGE
                    })*
                }
            }
        }
    };
}

models! {
    Register = Register, "register", "one value: read, write";
    CasRegister = CasRegister, "cas-register", "one value: read, write, compare-and-set";
    MultiRegister = MultiRegister, "multi-register", "several values, read and written at once: txn";
    Kv = Kv, "kv", "one key of a store: get, put, append, compare-and-set, delete";
    Counter = Counter, "counter", "a number: read, add (which may return the new value)";
    Mutex = Mutex, "mutex", "a lock: acquire, release (by its holder)";
    FencingLock = FencingLock, "fencing-lock", "a lock whose every acquire returns a larger token";
    Semaphore = Semaphore { permits: 2 }, "semaphore", "two permits: acquire, release";
    Set = Set, "set", "elements: add, delete, contains, read";
    UnorderedQueue = UnorderedQueue, "unordered-queue", "values that leave in any order: enqueue, dequeue";
    Queue = Queue, "queue", "values that leave first in, first out: enqueue, dequeue";
    Stack = Stack, "stack", "values that leave last in, first out: push, pop";
    Log = Log, "log", "values that stay, in order: append (which may return the offset), read";
    Ids = Ids, "ids", "identifiers that are never given twice: generate";
    OrderedIds = OrderedIds, "ordered-ids", "integers that only grow: generate";
    ConvergentSet = ConvergentSet, "convergent-set", "elements that every replica shows in the end: add, read";
}

impl fmt::Display for ModelKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A name that no model has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no model is called `{name}`: expected one of {}", ModelKind::ALL.map(ModelKind::name).join(", "))]
pub struct NoSuchModel {
    /// The name that was asked for.
    pub name: String,
}

impl FromStr for ModelKind {
    type Err = NoSuchModel;

    fn from_str(name: &str) -> Result<Self, NoSuchModel> {
        let found = ModelKind::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| NoSuchModel { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_found_by_its_name() {
        for kind in ModelKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(kind.judge().name(), kind.name());
        }
        let unknown = "cas".parse::<ModelKind>().unwrap_err();
        assert!(
            unknown
                .to_string()
                .starts_with("no model is called `cas`: expected one of register, cas-register,")
        );
    }
}
