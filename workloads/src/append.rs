//! Lists: append to a list, read all of it.
//!
//! Every appended value is unique in the run, so one read shows the order of all appends before it. No other
//! read shows more (Kingsbury and Alvaro, "Elle", VLDB 2020, use lists for the same reason).

use chacha20::ChaCha8Rng;
use rand::SeedableRng;
use tribunal_checker::op::{F, Value};

use crate::keys::{Keys, WHOLE_READS_OPS_MAX};
use crate::reads::Reads;
use crate::{Options, Request, Workload};

/// The workload `append`.
pub struct Append {
    rng: ChaCha8Rng,
    keys: Keys,
    last: i64,
    reads: Reads,
}

impl Append {
    /// Starts a new stream of operations.
    pub fn new(options: &Options) -> Self {
        Append {
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            keys: Keys::new(options.keys, options.ops_per_key.min(WHOLE_READS_OPS_MAX)),
            last: 0,
            reads: Reads::new(options),
        }
    }
}

impl Workload for Append {
    fn next(&mut self, worker: usize) -> Request {
        let key = self.keys.draw(&mut self.rng);
        if self.reads.next(worker, &mut self.rng) {
            return Request { f: F::Read, key, value: Value::Nil };
        }
        self.last += 1;
        Request { f: F::Append, key, value: Value::Int(self.last) }
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
    fn no_value_is_appended_twice() {
        let mut workload = Append::new(&Options { workers: 1, nodes: 1, ..Options::of_tests() });
        let asked: Vec<Request> = (0..200).map(|_| workload.next(0)).collect();
        let appended: Vec<&Request> = asked.iter().filter(|request| request.f == F::Append).collect();
        let distinct: HashSet<&Value> = appended.iter().map(|request| &request.value).collect();
        assert!(distinct.len() > 100 && distinct.len() == appended.len());
    }
}
