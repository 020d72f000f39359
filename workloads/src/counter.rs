//! Independent counters: add one, read.
//!
//! The check is exact, not by bounds: each read must equal the number of additions before it in some legal
//! order.

use chacha20::ChaCha8Rng;
use rand::SeedableRng;
use tribunal_checker::op::{F, Value};

use crate::keys::Keys;
use crate::reads::Reads;
use crate::{Options, Request, Workload};

/// The workload `counter`.
pub struct Counter {
    rng: ChaCha8Rng,
    keys: Keys,
    reads: Reads,
}

impl Counter {
    /// Starts a new stream of operations.
    pub fn new(options: &Options) -> Self {
        Counter {
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            keys: Keys::new(options.keys, options.ops_per_key),
            reads: Reads::new(options),
        }
    }
}

impl Workload for Counter {
    fn next(&mut self, worker: usize) -> Request {
        let key = self.keys.draw(&mut self.rng);
        if !self.reads.next(worker, &mut self.rng) {
            Request { f: F::Add, key, value: Value::Int(1) }
        } else {
            Request { f: F::Read, key, value: Value::Nil }
        }
    }

    fn final_reads(&self) -> Vec<Request> {
        self.keys.reads()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_one_or_reads_and_reads_every_key_in_the_end() {
        let mut workload = Counter::new(&Options { workers: 1, nodes: 1, ..Options::of_tests() });
        let asked: Vec<Request> = (0..100).map(|_| workload.next(0)).collect();
        assert!(asked.iter().all(|r| (r.f == F::Add && r.value == Value::Int(1)) || r.f == F::Read));
        let last = workload.final_reads();
        assert!(asked.iter().all(|r| last.iter().any(|read| read.key == r.key)));
    }
}
