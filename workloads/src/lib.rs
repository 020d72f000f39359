//! What a trial asks of a system: a [`Workload`] says which operations and in what order, a [`Client`] carries
//! one of them over the system's own wire, and the workload names the model that judges the answers.
//!
//! A workload never speaks to a system and a client never chooses an operation, so that every workload runs
//! against every system whose client understands its operations.

pub mod client;
pub mod counter;
mod keys;
pub mod register;

pub use client::{Client, Completion, Invocation, Request};

/// What the workloads can be told. All counts are at least 1.
#[derive(Clone, Debug)]
pub struct Options {
    /// Drives every random choice.
    pub seed: u64,
    /// How many workers ask at once; worker `w` speaks to node `w % nodes`.
    pub workers: usize,
    /// How many nodes they speak to.
    pub nodes: usize,
    /// How many keys are in use at once: few of them make operations contend.
    pub keys: usize,
    /// After this many operations a key is retired and a fresh one takes its place; bounds the cost of a check.
    pub ops_per_key: usize,
}

impl Options {
    /// Whether a worker only ever reads: where there are two workers or more to a node, one of every three.
    ///
    /// At a node that is cut off, whoever writes soon waits for an answer that does not come. A worker that only
    /// reads goes on asking, and sees what such a node still dares to say.
    pub(crate) fn only_reads(&self, worker: usize) -> bool {
        self.workers >= 2 * self.nodes && (worker / self.nodes).is_multiple_of(3)
    }
}

/// A stream of operations for a fixed number of workers, each of which has one operation under way at a time.
pub trait Workload: Send {
    /// The next operation of a worker (counted from 0).
    fn next(&mut self, worker: usize) -> Request;

    /// What became of it, so that later operations can build on what was seen.
    fn observe(&mut self, worker: usize, request: &Request, completion: &Completion);

    /// What to ask when everything is healed: enough to see every acknowledged effect.
    fn final_reads(&self) -> Vec<Request>;
}

/// A workload as the registry knows it.
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// The model that judges its histories.
    pub model: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// Makes one.
    pub make: fn(&Options) -> Box<dyn Workload>,
}

/// Every workload, in the order in which they are listed.
pub const WORKLOADS: &[Entry] = &[
    Entry {
        name: "register",
        model: "cas-register",
        about: "read, write and compare-and-set on independent registers; every written value is unique",
        make: |options| Box::new(register::Register::new(options)),
    },
    Entry {
        name: "counter",
        model: "counter",
        about: "add one and read on independent counters, judged exactly",
        make: |options| Box::new(counter::Counter::new(options)),
    },
];

/// The workload of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    WORKLOADS.iter().find(|entry| entry.name == name)
}
