//! Models: the sequential specifications that a history is judged by.
//!
//! A model says what one object does when operations come one at a time: its initial state, and the states
//! that each operation leads to. Everything else (concurrency, lost responses, limits, evidence) is the
//! checker's job.
//!
//! A model sees each operation twice. First [`Model::parse`] turns the recorded operation into a
//! [`Model::Call`], a compact form *including the recorded result*: `read → 3` and `read → 4` are different
//! calls. Then [`Model::step`] returns the states that a call can lead to. An indeterminate operation has no
//! recorded result: its call means "the operation took effect, with any result". The model need not cover the
//! case that it had no effect: the checker may always leave an indeterminate operation out.
//!
//! The engines intern states and calls as small numbers and cache every transition, so `step` is called once
//! for each pair that occurs and need not be fast. Equality matters more than speed: to the search, equal
//! calls are interchangeable and equal states are one state.

use std::collections::HashSet;
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
mod objects;
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
pub use objects::{MIXED_KEYS, Objects};
pub use ordered_ids::OrderedIds;
pub use queue::Queue;
pub use register::Register;
pub use semaphore::Semaphore;
pub use set::Set;
pub use stack::Stack;
pub use unordered_queue::UnorderedQueue;

/// The states from which a call leads to a state: see [`Model::sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources<State> {
    /// The call neither leads to the state nor is possible in it.
    Nowhere,
    /// The call may lead to it from more than one state.
    Anywhere,
    /// The call leads to it, or is possible in it, from this state only.
    Only(State),
}

/// A function that maps equivalent states to one representative: see [`Model::representative`].
pub type Representative<State> = Box<dyn Fn(State) -> State + Send + Sync>;

/// A sequential specification of one object. The example at the top of the crate implements one. Builds with
/// debug assertions compare every step with the promises below, and panic with the name of a broken promise.
pub trait Model: Sync {
    /// The complete state of the object.
    type State: Clone + Eq + Hash + Debug + Send;
    /// An operation with its recorded result, in the model's own terms.
    type Call: Clone + Eq + Hash + Debug + Send;
    /// The states that a call can lead to. `Option<Self::State>` for a deterministic object.
    type Next: IntoIterator<Item = Self::State>;

    /// The name of the model, in kebab-case.
    fn name(&self) -> &str;

    /// The state before any operation.
    fn init(&self) -> Self::State;

    /// An operation with its recorded result. `None` if it has no influence on the check, at any place in the
    /// order: for example a read whose result is unknown. Operations that certainly did not happen are never
    /// passed to this method.
    ///
    /// # Errors
    /// The words that follow "expected", if the operation has no meaning to this model.
    fn parse(&self, op: &Op) -> Result<Option<Self::Call>, String>;

    /// The states that `call` can lead to from `state`; none if its recorded result is impossible there.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Self::Next;

    /// Why [`Model::step`] returns no state: the end of the sentence "it cannot come next: ...".
    fn explain(&self, state: &Self::State, call: &Self::Call) -> String {
        format!("{call:?} is impossible when the object is {}", self.show(state))
    }

    /// A state in readable form.
    fn show(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// Whether this call, *with its recorded result*, never changes any state in which it is possible. A
    /// promise: the search places such calls as soon as they are possible and tries no other place. A write
    /// is never read-only, not even in a state where it happens to change nothing.
    fn read_only(&self, _call: &Self::Call) -> bool {
        false
    }

    /// Whether this call is possible in every state and leads to the same state from all of them, as a blind
    /// write does. A promise: the search tries such calls only where another pending call could observe them.
    fn overwrites(&self, _call: &Self::Call) -> bool {
        false
    }

    /// Whether this call is possible in every state, leads to exactly one state from each, and can swap
    /// places with every other call that commutes: for example additions that return nothing. A promise: the
    /// search tries such calls only where another call could observe them.
    fn commutes(&self, _call: &Self::Call) -> bool {
        false
    }

    /// Whether `call` is impossible in this state and remains impossible after any number of calls like `by`,
    /// which [commutes](Model::commutes). If this holds for each of several calls `by`, it must hold for any
    /// mix of them. A promise.
    fn out_of_reach(&self, _state: &Self::State, _call: &Self::Call, _by: &Self::Call) -> bool {
        false
    }

    /// Whether `call` is impossible in this state and in all later states, whatever is called: for example
    /// the log is already longer than the read result. A promise.
    fn is_over(&self, _state: &Self::State, _call: &Self::Call) -> bool {
        false
    }

    /// The only state in which an observation is possible, if there is exactly one. The state may be a
    /// representative of several, if [`Model::sources`] uses the same representative and the initial state
    /// represents itself. A promise.
    fn observed_state(&self, _observation: &Self::Call) -> Option<Self::State> {
        None
    }

    /// The states from which a call, with its recorded result, leads to this state or is possible in it. A
    /// promise: the evidence of a stale read rests on it.
    fn sources(&self, _call: &Self::Call, _to: &Self::State) -> Sources<Self::State> {
        Sources::Anywhere
    }

    /// Whether an observation may become possible after this state, as long as nothing overwrites the object:
    /// a text that is only appended to leads toward the texts that begin with it. A hint, not a promise: it
    /// orders the attempts of the search.
    fn leads_toward(&self, _state: &Self::State, _observation: &Self::Call) -> bool {
        true
    }

    /// Given every call of the history: a function that maps states which no call can distinguish to one
    /// representative. A promise: from a state and its representative, each of these calls leads to states
    /// with the same representative, or is possible in neither. `None` if merging does not pay.
    fn representative(&self, _calls: &[Self::Call]) -> Option<Representative<Self::State>> {
        None
    }

    /// Given every operation of the history: the actors ([`Op::actor`]) whose names make no difference to
    /// any result. A promise: the history is legal exactly if it is legal with all of them as one actor.
    fn nameless_actors(&self, _ops: &[&Op]) -> HashSet<u64> {
        HashSet::new()
    }

    /// The components of the object that this call touches, if it depends on no others: the element of a set,
    /// the registers of a transaction. If every call of a history names its components, components that no
    /// chain of calls connects are checked separately. A promise: calls without a common component commute,
    /// and neither can observe whether the other took place.
    fn components(&self, _call: &Self::Call) -> Option<Vec<Value>> {
        None
    }

    /// Approximate number of bytes that a state owns beyond its own size, for the memory limit. Called once
    /// for each state that occurs. By default derived from the length of its debug output.
    fn heap_bytes(&self, state: &Self::State) -> usize {
        4 * debug_length(state)
    }

    /// The kind of object, for the evidence: it defines which operations may be left out of a counterexample,
    /// and how a violation is classified. A promise: the operations have the meaning of the model named
    /// there.
    fn describe(&self) -> Subject {
        Subject::Other
    }

    /// Whether it starts in another state than other objects of its kind. The sentence about a violation then
    /// does not mention the initial state.
    fn has_unusual_start(&self) -> bool {
        false
    }

    /// An exact algorithm for this object, which is tried before any search.
    fn fast_path(&self) -> Option<FastPath> {
        None
    }
}

/// Approximate number of bytes of a B-tree: its nodes are two thirds full.
fn tree_bytes(entries: usize, entry: usize) -> usize {
    if entries == 0 { 0 } else { 64 + entries * (entry + entry / 2 + 8) }
}

/// The length of a value's debug output.
fn debug_length(what: &impl Debug) -> usize {
    struct Length(usize);
    impl fmt::Write for Length {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut length = Length(0);
    // A value that cannot be formatted counts as small.
    let _ = fmt::Write::write_fmt(&mut length, format_args!("{what:?}"));
    length.0
}

/// One row per model: variant, instance, name, summary.
macro_rules! models {
    ($($kind:ident = $model:expr, $name:literal, $summary:literal;)*) => {
        /// The built-in models.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ModelKind {
            $(#[doc = $summary] $kind,)*
        }

        impl ModelKind {
            /// All of them, in the order of `tribunal list models`. See [`Objects`] for several in one history.
            pub const ALL: [ModelKind; [$($name),*].len()] = [$(ModelKind::$kind),*];

            /// The name in kebab-case, as [`ModelKind::from_str`] accepts it.
            pub fn name(self) -> &'static str {
                match self { $(ModelKind::$kind => $name,)* }
            }

            /// One line that says what the object does.
            pub fn summary(self) -> &'static str {
                match self { $(ModelKind::$kind => $summary,)* }
            }

            /// Whether the model judges only final reads and no earlier results. The final reads are sent to
            /// each node with the input [`FINAL`] after the nodes have had time to converge.
            pub fn is_eventual(self) -> bool {
                self == ModelKind::ConvergentSet
            }

            /// The model behind the checker's internal interface.
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

/// The error for an unknown model name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no model is called `{name}`: expected one of {}", Objects::all().map(Objects::name).collect::<Vec<_>>().join(", "))]
pub struct NoSuchModel {
    /// The unknown name.
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
