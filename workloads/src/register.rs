//! Independent registers: read, write, compare-and-set; `rw-register` has no compare-and-set, for systems
//! without it.
//!
//! Every written value is unique in the run. This costs nothing and ties each read to one write, so that no
//! value can recur and hide a bug. It turns an NP-complete check into a sort (Gibbons & Korach, "Testing
//! Shared Memories", SIAM J. Comput. 1997).
//!
//! A compare-and-set expects the value that its worker last saw in the register, so that a fair share of them
//! succeeds.

use std::collections::HashMap;

use chacha20::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tribunal_checker::op::{F, Value};

use crate::keys::Keys;
use crate::reads::Reads;
use crate::{Completion, Options, Request, Workload};

/// The workloads `register` and `rw-register`.
pub struct Register {
    rng: ChaCha8Rng,
    keys: Keys,
    next_value: i64,
    reads: Reads,
    cas: bool,
    /// The value that each worker last saw, by key. The entry of a retired key is dropped when the worker
    /// sees a new key.
    seen: Vec<HashMap<Value, Value>>,
}

/// A worker remembers this many keys. Few keys are live, so a forgotten key is long retired.
const KEYS_REMEMBERED_MAX: usize = 256;

impl Register {
    /// Starts a new stream of operations, with or without compare-and-set.
    pub fn new(options: &Options, cas: bool) -> Self {
        Register {
            cas,
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            keys: Keys::new(options.keys, options.ops_per_key),
            next_value: 0,
            reads: Reads::new(options),
            seen: vec![HashMap::new(); options.workers],
        }
    }

    fn fresh_value(&mut self) -> Value {
        self.next_value += 1;
        Value::Int(self.next_value)
    }
}

impl Workload for Register {
    fn next(&mut self, worker: usize) -> Request {
        let key = self.keys.draw(&mut self.rng);
        if self.reads.next(worker, &mut self.rng) {
            return Request { f: F::Read, key, value: Value::Nil };
        }
        let last_seen = self.seen[worker].get(&key).cloned();
        match last_seen {
            Some(from) if self.cas && self.rng.random() => {
                let to = self.fresh_value();
                Request { f: F::Cas, key, value: Value::pair(from, to) }
            }
            _ => Request { f: F::Write, key, value: self.fresh_value() },
        }
    }

    fn observe(&mut self, worker: usize, request: &Request, completion: &Completion) {
        let Completion::Ok(output) = completion else { return };
        let now = match (&request.f, request.value.as_pair()) {
            (F::Read, _) => output.clone(),
            (F::Cas, Some((_, to))) if *output != Value::Bool(false) => to.clone(),
            (F::Cas, _) => return,
            _ => request.value.clone(),
        };
        let seen = &mut self.seen[worker];
        if seen.len() >= KEYS_REMEMBERED_MAX {
            seen.clear();
        }
        // A compare-and-set from "never written" would test no more than a write.
        if !now.is_nil() {
            seen.insert(request.key.clone(), now);
        }
    }

    fn final_reads(&self) -> Vec<Request> {
        self.keys.reads()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const OPTIONS: Options = Options {
        seed: 7,
        workers: 3,
        nodes: 3,
        keys: 2,
        ops_per_key: 50,
        reads: 0.2,
        ..Options::of_tests()
    };

    #[test]
    fn written_values_are_unique_and_every_operation_occurs() {
        let mut workload = Register::new(&OPTIONS, true);
        let (mut written, mut fs) = (HashSet::new(), HashSet::new());
        for round in 0..1_000 {
            let request = workload.next(round % 3);
            let value = match request.value.as_pair() {
                Some((_, to)) => to.clone(),
                None => request.value.clone(),
            };
            assert!(value.is_nil() || written.insert(value));
            workload.observe(round % 3, &request, &Completion::Ok(Value::Nil));
            fs.insert(request.f);
        }
        assert_eq!(fs, HashSet::from([F::Read, F::Write, F::Cas]));
    }

    #[test]
    fn without_compare_and_set_there_is_none() {
        let mut workload = Register::new(&OPTIONS, false);
        let write = Request { f: F::Write, key: Value::str("k0"), value: Value::Int(-1) };
        workload.observe(1, &write, &Completion::Ok(Value::Nil));
        assert!((0..200).all(|_| workload.next(1).f != F::Cas));
    }

    #[test]
    fn cas_starts_from_what_the_worker_saw() {
        let mut workload = Register::new(&OPTIONS, true);
        let write = Request { f: F::Write, key: Value::str("k0"), value: Value::Int(-1) };
        workload.observe(1, &write, &Completion::Ok(Value::Nil));
        let cas = (0..200).map(|_| workload.next(1)).find(|r| r.f == F::Cas && r.key == write.key);
        if let Some(cas) = cas {
            assert_eq!(cas.value.as_pair().unwrap().0, &Value::Int(-1));
        } else {
            panic!("two hundred operations without a compare-and-set on k0");
        }
    }

    #[test]
    fn every_node_has_a_worker_that_only_reads() {
        let mut workload = Register::new(&Options { workers: 9, ..OPTIONS }, true);
        for worker in 0..3 {
            assert!((0..100).all(|_| workload.next(worker).f == F::Read));
        }
        assert!((0..100).any(|_| workload.next(3).f == F::Write));
    }

    #[test]
    fn the_seed_decides_the_stream() {
        let stream = |seed| {
            let mut workload = Register::new(&Options { seed, ..OPTIONS }, true);
            (0..50).map(|i| workload.next(i % 3)).collect::<Vec<_>>()
        };
        assert_eq!(stream(1), stream(1));
        assert_ne!(stream(1), stream(2));
    }
}
