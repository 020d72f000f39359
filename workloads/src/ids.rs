//! ID generators: request a new ID.
//!
//! `unique-ids` requires that no ID is returned twice. `order-ids` also requires order, like order numbers
//! and revisions: a request that starts after another was answered gets a larger ID.

use chacha20::ChaCha8Rng;
use rand::SeedableRng;
use tribunal_checker::op::{F, Value};

use crate::keys::{Keys, WHOLE_READS_OPS_MAX};
use crate::{Options, Request, Workload};

/// The workloads `unique-ids` and `order-ids`.
pub struct Ids {
    rng: ChaCha8Rng,
    keys: Keys,
}

impl Ids {
    /// Starts a new stream of operations.
    pub fn new(options: &Options) -> Self {
        // The live check keeps every ID of a generator in memory.
        let ops_per_key = options.ops_per_key.min(WHOLE_READS_OPS_MAX);
        Ids { rng: ChaCha8Rng::seed_from_u64(options.seed), keys: Keys::new(options.keys, ops_per_key) }
    }
}

impl Workload for Ids {
    fn next(&mut self, _worker: usize) -> Request {
        Request { f: F::Generate, key: self.keys.draw(&mut self.rng), value: Value::Nil }
    }

    /// One more ID from each generator: it must be a new one.
    fn final_reads(&self) -> Vec<Request> {
        self.keys.reads().into_iter().map(|read| Request { f: F::Generate, ..read }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_asked_once_more_in_the_end() {
        let mut workload = Ids::new(&Options { workers: 1, nodes: 1, ..Options::of_tests() });
        let asked: Vec<Request> = (0..50).map(|_| workload.next(0)).collect();
        let last = workload.final_reads();
        assert!(asked.iter().all(|request| request.f == F::Generate && last.contains(request)));
    }
}
