//! Broadcast: a message that one node accepts must reach every node.
//!
//! Most operations add a message; few reads happen during the run. The final reads decide: when the faults
//! are healed and the nodes have had time to converge, every node must return, for every topic (the key),
//! each message that any node acknowledged, and no message that was never sent.

use chacha20::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tribunal_checker::op::{F, Value};

use crate::keys::{Keys, WHOLE_READS_OPS_MAX};
use crate::{Options, Request, Workload};

/// The workload `broadcast`.
pub struct Broadcast {
    rng: ChaCha8Rng,
    topics: Keys,
    messages: u64,
    /// The share of reads.
    reads: f64,
}

impl Broadcast {
    /// Starts a new stream of operations.
    pub fn new(options: &Options) -> Self {
        Broadcast {
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            topics: Keys::new(options.keys, options.ops_per_key.min(WHOLE_READS_OPS_MAX)),
            messages: 0,
            reads: options.reads,
        }
    }
}

impl Workload for Broadcast {
    fn next(&mut self, _worker: usize) -> Request {
        let key = self.topics.draw(&mut self.rng);
        if self.rng.random_bool(self.reads) {
            return Request { f: F::Read, key, value: Value::Nil };
        }
        self.messages += 1;
        Request { f: F::Add, key, value: Value::str(&format!("m{}", self.messages)) }
    }

    fn final_reads(&self) -> Vec<Request> {
        self.topics.reads()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_it_is_messages_and_every_topic_is_read_in_the_end() {
        let mut workload = Broadcast::new(&Options { workers: 1, nodes: 1, ..Options::of_tests() });
        let asked: Vec<Request> = (0..200).map(|_| workload.next(0)).collect();
        assert!(asked.iter().filter(|request| request.f == F::Add).count() > 150);
        let last = workload.final_reads();
        assert!(asked.iter().all(|request| last.iter().any(|read| read.key == request.key)));
    }
}
