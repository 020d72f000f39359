//! Sets that only grow: add an element, read all of them.
//!
//! Every element is unique in the run, so each read shows for every add whether it had happened. Elements are
//! texts (`e17`): for a system that also has counters, `add 17` would be an amount.
//!
//! The model `set` judges every read; `convergent-set` judges only the final reads of the nodes.

use chacha20::ChaCha8Rng;
use rand::SeedableRng;
use tribunal_checker::op::{F, Value};

use crate::keys::{Keys, WHOLE_READS_OPS_MAX};
use crate::reads::Reads;
use crate::{Options, Request, Workload};

/// The workload `set`.
pub struct Set {
    rng: ChaCha8Rng,
    keys: Keys,
    elements: u64,
    reads: Reads,
}

impl Set {
    /// Starts a new stream of operations.
    pub fn new(options: &Options) -> Self {
        Set {
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            keys: Keys::new(options.keys, options.ops_per_key.min(WHOLE_READS_OPS_MAX)),
            elements: 0,
            reads: Reads::new(options),
        }
    }
}

impl Workload for Set {
    fn next(&mut self, worker: usize) -> Request {
        let key = self.keys.draw(&mut self.rng);
        if self.reads.next(worker, &mut self.rng) {
            return Request { f: F::Read, key, value: Value::Nil };
        }
        self.elements += 1;
        Request { f: F::Add, key, value: Value::str(&format!("e{}", self.elements)) }
    }

    fn final_reads(&self) -> Vec<Request> {
        self.keys.reads()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_element_is_added_twice_and_every_set_is_read_in_the_end() {
        let mut workload = Set::new(&Options { workers: 1, nodes: 1, ..Options::of_tests() });
        let asked: Vec<Request> = (0..200).map(|_| workload.next(0)).collect();
        let added: Vec<&Request> = asked.iter().filter(|request| request.f == F::Add).collect();
        let distinct: HashSet<&Value> = added.iter().map(|request| &request.value).collect();
        assert_eq!(distinct.len(), added.len());
        let last = workload.final_reads();
        assert!(added.iter().all(|add| last.iter().any(|read| read.key == add.key)));
    }
}
