//! What a trial does with a system: a [`Workload`] chooses operations, a [`Client`] sends each one over the
//! system's wire protocol, and the workload names the model that judges the answers.
//!
//! A workload never talks to a system, and a client never chooses an operation. So every workload runs
//! against every system whose client supports its operations.

pub mod append;
pub mod broadcast;
pub mod client;
pub mod counter;
pub mod decide;
pub mod election;
pub mod ids;
mod keys;
pub mod lock;
pub mod mixed;
pub mod queue;
mod reads;
pub mod register;
pub mod set;

use std::time::Duration;

use tribunal_checker::model::{ModelKind, Objects};
use tribunal_checker::op::{F, Value};

pub use client::{Client, Completion, Invocation, Request};

/// The options of a workload. All counts are at least 1.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seeds every random choice.
    pub seed: u64,
    /// The number of concurrent workers; worker `w` talks to node `w % nodes`.
    pub workers: usize,
    /// The number of nodes.
    pub nodes: usize,
    /// The number of concurrent keys: fewer means more contention.
    pub keys: usize,
    /// After this many operations a key is retired and replaced by a new one; bounds the cost of a check.
    pub ops_per_key: usize,
    /// The share of reads, 0 to 1, among read/write workers: see [`Entry::reads`].
    pub reads: f64,
    /// What the system supports; only `mixed` has a choice.
    pub answers: Operations,
}

/// The operations that a system supports, by object.
pub type Operations = &'static [(Object, &'static [F])];

/// A stream of operations for a fixed number of workers. Each worker has one operation in flight at a time.
pub trait Workload: Send {
    /// The next operation of a worker (numbered from 0).
    fn next(&mut self, worker: usize) -> Request;

    /// Reports the outcome of an operation, so that later operations can build on it.
    fn observe(&mut self, _worker: usize, _request: &Request, _completion: &Completion) {}

    /// How long a worker waits between the completion of an operation and the next request.
    fn pause(&self, _worker: usize) -> Duration {
        Duration::ZERO
    }

    /// The reads after all faults are healed: enough to see every acknowledged effect.
    fn final_reads(&self) -> Vec<Request>;
}

/// The type of object that an operation acts on. It gives the operation its meaning: `add` adds to a counter
/// or puts an element into a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// A single value.
    #[default]
    Register,
    /// A number.
    Counter,
    /// An unordered set of elements.
    Set,
    /// An append-only list.
    List,
    /// A FIFO queue.
    Queue,
    /// A lock: at most one client holds it.
    Lock,
    /// An ID generator.
    Ids,
    /// Objects of several types, told apart by their keys: see [`Object::of`].
    Mixed,
    /// A type of another crate, by its name.
    Other(&'static str),
}

impl Object {
    /// The type of the object with this key: of mixed objects, what the key says.
    pub fn of(self, key: &Value) -> Object {
        match (self, Objects::Mixed.of_key(key)) {
            (Object::Mixed, Ok(ModelKind::Counter)) => Object::Counter,
            (Object::Mixed, Ok(ModelKind::Log)) => Object::List,
            (Object::Mixed, _) => Object::Register,
            (object, _) => object,
        }
    }
}

/// A workload in the registry.
#[derive(Clone)]
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// The default model for its histories.
    pub model: &'static str,
    /// Other models that fit its histories, stricter or weaker.
    pub also: &'static [&'static str],
    /// One line of description.
    pub about: &'static str,
    /// The type of its objects.
    pub object: Object,
    /// The kinds of operation that it sends before the final reads.
    pub sends: &'static [F],
    /// The default share of reads among read/write workers; `None` if only the final reads read.
    pub reads: Option<f64>,
    /// Creates a stream of operations.
    pub make: fn(&Options) -> Box<dyn Workload>,
}

/// Every workload, in the order of the listing.
pub const WORKLOADS: &[Entry] = &[
    Entry {
        name: "mixed",
        model: "mixed",
        also: &[],
        about: "registers, counters and lists at once, as far as the system has them",
        object: Object::Mixed,
        sends: &[F::Read, F::Write, F::Cas, F::Add, F::Append],
        reads: Some(0.25),
        make: |options| Box::new(mixed::Mixed::new(options)),
    },
    Entry {
        name: "register",
        model: "cas-register",
        also: &[],
        about: "read, write and compare-and-set on independent registers; every written value is unique",
        object: Object::Register,
        sends: &[F::Read, F::Write, F::Cas],
        reads: Some(0.2),
        make: |options| Box::new(register::Register::new(options, true)),
    },
    Entry {
        name: "rw-register",
        model: "register",
        also: &["cas-register"],
        about: "the same without compare-and-set",
        object: Object::Register,
        sends: &[F::Read, F::Write],
        reads: Some(0.2),
        make: |options| Box::new(register::Register::new(options, false)),
    },
    Entry {
        name: "decide",
        model: "cas-register",
        also: &[],
        about: "registers that are written once: compare-and-set from nothing, and read",
        object: Object::Register,
        sends: &[F::Read, F::Cas],
        reads: Some(0.25),
        make: |options| Box::new(decide::Decide::new(options)),
    },
    Entry {
        name: "counter",
        model: "counter",
        also: &[],
        about: "add one and read on independent counters, judged exactly",
        object: Object::Counter,
        sends: &[F::Read, F::Add],
        reads: Some(0.3),
        make: |options| Box::new(counter::Counter::new(options)),
    },
    Entry {
        name: "set",
        model: "set",
        also: &["convergent-set"],
        about: "add elements to sets that only grow, and read all of them",
        object: Object::Set,
        sends: &[F::Read, F::Add],
        reads: Some(0.25),
        make: |options| Box::new(set::Set::new(options)),
    },
    Entry {
        name: "append",
        model: "log",
        also: &[],
        about: "append to lists, and read the whole of them",
        object: Object::List,
        sends: &[F::Read, F::Append],
        reads: Some(0.25),
        make: |options| Box::new(append::Append::new(options)),
    },
    Entry {
        name: "queue",
        model: "queue",
        also: &["unordered-queue"],
        about: "enqueue and dequeue; drain every queue at the end",
        object: Object::Queue,
        sends: &[F::Enqueue, F::Dequeue],
        reads: None,
        make: |options| Box::new(queue::Queue::new(options)),
    },
    Entry {
        name: "lock",
        model: "mutex",
        also: &["fencing-lock"],
        about: "acquire locks, hold them for a while, release them",
        object: Object::Lock,
        sends: &[F::Acquire, F::Release],
        reads: None,
        make: |options| Box::new(lock::Lock::new(options)),
    },
    Entry {
        name: "fenced-lock",
        model: "fencing-lock",
        also: &["mutex"],
        about: "the same, where every acquire returns a larger token",
        object: Object::Lock,
        sends: &[F::Acquire, F::Release],
        reads: None,
        make: |options| Box::new(lock::Lock::new(options)),
    },
    Entry {
        name: "election",
        model: "fencing-lock",
        also: &["mutex"],
        about: "one office: at most one leader at any moment, with growing terms",
        object: Object::Lock,
        sends: &[F::Acquire, F::Release],
        reads: None,
        make: |options| Box::new(election::election(options)),
    },
    Entry {
        name: "unique-ids",
        model: "ids",
        also: &[],
        about: "generate identifiers; each must be unique",
        object: Object::Ids,
        sends: &[F::Generate],
        reads: None,
        make: |options| Box::new(ids::Ids::new(options)),
    },
    Entry {
        name: "order-ids",
        model: "ordered-ids",
        also: &["ids"],
        about: "generate numbers that grow in real time",
        object: Object::Ids,
        sends: &[F::Generate],
        reads: None,
        make: |options| Box::new(ids::Ids::new(options)),
    },
    Entry {
        name: "broadcast",
        model: "convergent-set",
        also: &["set"],
        about: "publish messages that every node must show at the end",
        object: Object::Set,
        sends: &[F::Read, F::Add],
        reads: Some(0.05),
        make: |options| Box::new(broadcast::Broadcast::new(options)),
    },
];

impl Entry {
    /// Every model that fits its histories, the default first.
    pub fn models(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.model).chain(self.also.iter().copied())
    }
}

/// Looks a workload up by name.
pub fn find(name: &str) -> Option<&'static Entry> {
    WORKLOADS.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    impl Options {
        /// Some options, and a system that supports everything that `mixed` can ask.
        pub(crate) const fn of_tests() -> Options {
            const ALL: Operations = &[
                (Object::Register, &[F::Read, F::Write, F::Cas]),
                (Object::Counter, &[F::Read, F::Add]),
                (Object::List, &[F::Read, F::Append]),
            ];
            Options { seed: 1, workers: 6, nodes: 3, keys: 6, ops_per_key: 50, reads: 0.25, answers: ALL }
        }
    }

    #[test]
    fn every_workload_sends_what_it_says_and_nothing_else() {
        for entry in WORKLOADS {
            let reads = entry.reads.unwrap_or_default();
            let options = Options {
                seed: 1,
                workers: 6,
                nodes: 3,
                keys: 2,
                ops_per_key: 50,
                reads,
                ..Options::of_tests()
            };
            let mut workload = (entry.make)(&options);
            let mut sent = BTreeSet::new();
            for round in 0..1_000 {
                let request = workload.next(round % 6);
                workload.observe(round % 6, &request, &Completion::Ok(Value::Bool(true)));
                sent.insert(request.f);
            }
            assert_eq!(sent, entry.sends.iter().cloned().collect(), "{}", entry.name);
        }
    }

    #[test]
    fn the_models_that_are_named_exist() {
        for model in WORKLOADS.iter().flat_map(Entry::models) {
            assert!(model.parse::<Objects>().is_ok(), "{model}");
        }
    }
}
