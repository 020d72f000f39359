//! Decisions: registers that are written once. Each client proposes a unique value with a compare-and-set
//! from nil. One proposal wins, and every later read or proposal must return the same value.
//!
//! This is consensus as a register (Herlihy, "Wait-Free Synchronization", TOPLAS 1991, section 3.2). Bugs
//! show when many clients propose at once, so keys are retired soon. They also show when the nodes that
//! decided have crashed, so a key is still read for a while after its decision.

use chacha20::ChaCha8Rng;
use rand::SeedableRng;
use tribunal_checker::op::{F, Value};

use crate::keys::Keys;
use crate::reads::Reads;
use crate::{Options, Request, Workload};

/// The maximum number of operations on one key.
const OPS_PER_KEY_MAX: usize = 100;

/// The workload `decide`.
pub struct Decide {
    rng: ChaCha8Rng,
    keys: Keys,
    proposed: i64,
    reads: Reads,
}

impl Decide {
    /// Starts a new stream of operations.
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
        let mut workload = Decide::new(&Options { ops_per_key: 2_000, ..Options::of_tests() });
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
