//! Decisions: registers that are written once. Everybody proposes a value of his own by a compare-and-set from nothing, one
//! wins, and all who read or propose later must be told the same for ever.
//!
//! That is consensus as a register (Herlihy, "Wait-Free Synchronization", TOPLAS 1991, section 3.2). What is interesting happens when
//! many propose at once, so a key is soon retired; and when those who decided are gone, so it is asked about for a while.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tribunal_checker::op::{F, Value};

use crate::keys::Keys;
use crate::reads::Reads;
use crate::{Options, Request, Workload};

/// How many operations a key gets at most.
const OPS_PER_KEY_MAX: usize = 100;

/// The workload `decide`.
pub struct Decide {
    rng: ChaCha8Rng,
    keys: Keys,
    proposed: i64,
    reads: Reads,
}

impl Decide {
    /// A fresh stream of operations.
    pub fn new(options: &Options) -> Self {
        Decide {
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            keys: Keys::new(options.keys, options.ops_per_key.min(OPS_PER_KEY_MAX)),
            proposed: 0,
            reads: Reads::new(options),
        }
    }
}

impl Workload for Decide {
    fn next(&mut self, worker: usize) -> Request {
        let key = self.keys.draw(&mut self.rng);
        if self.reads.next(worker, &mut self.rng) {
            return Request { f: F::Read, key, value: Value::Nil };
        }
        self.proposed += 1;
        Request { f: F::Cas, key, value: Value::pair(Value::Nil, self.proposed) }
    }

    fn final_reads(&self) -> Vec<Request> {
        self.keys.reads()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn proposals_are_unique_and_start_from_nothing() {
        let mut workload =
            Decide::new(&Options { seed: 1, workers: 6, nodes: 3, keys: 2, ops_per_key: 2_000, reads: 0.25 });
        let (mut values, mut per_key) = (HashSet::new(), HashMap::<Value, usize>::new());
        for round in 0..1_000 {
            let request = workload.next(round % 6);
            *per_key.entry(request.key).or_default() += 1;
            if request.f == F::Cas {
                let (from, to) = request.value.as_pair().unwrap();
                assert!(from.is_nil() && values.insert(to.clone()));
            } else {
                assert_eq!(request.f, F::Read);
            }
        }
        assert!(per_key.values().all(|operations| *operations <= OPS_PER_KEY_MAX));
        assert_eq!(workload.final_reads().len(), per_key.len());
    }
}
