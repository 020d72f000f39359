//! Queues: enqueue unique values, dequeue them, and drain every queue in the end.
//!
//! Every acknowledged value must be dequeued once, in order; draining a queue shows the lost ones. If the
//! response to a dequeue is lost, the checker does not know which element was taken and has to guess from
//! then on, so that queue is retired.

use std::collections::HashMap;

use chacha20::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tribunal_checker::op::{F, Value};

use crate::keys::{Keys, WHOLE_READS_OPS_MAX};
use crate::{Completion, Options, Request, Workload};

/// The workload `queue`.
pub struct Queue {
    rng: ChaCha8Rng,
    keys: Keys,
    last: i64,
    /// An upper bound of the elements still in each queue.
    inside: HashMap<Value, usize>,
}

impl Queue {
    /// Starts a new stream of operations.
    pub fn new(options: &Options) -> Self {
        Queue {
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            keys: Keys::new(options.keys, options.ops_per_key.min(WHOLE_READS_OPS_MAX)),
            last: 0,
            inside: HashMap::new(),
        }
    }
}

impl Workload for Queue {
    fn next(&mut self, _worker: usize) -> Request {
        let key = self.keys.draw(&mut self.rng);
        // More dequeues than enqueues: a queue is sometimes found empty, which the checker can use well.
        if self.rng.random_bool(0.52) {
            return Request { f: F::Dequeue, key, value: Value::Nil };
        }
        self.last += 1;
        Request { f: F::Enqueue, key, value: Value::Int(self.last) }
    }

    fn observe(&mut self, _worker: usize, request: &Request, completion: &Completion) {
        let inside = self.inside.entry(request.key.clone()).or_default();
        match (&request.f, completion) {
            (_, Completion::Fail(_)) | (F::Dequeue, Completion::Ok(Value::Nil)) => {}
            (F::Enqueue, _) => *inside += 1,
            (_, Completion::Ok(_)) => *inside = inside.saturating_sub(1),
            (_, Completion::Info(_)) => self.keys.retire(&request.key),
        }
    }

    /// As many dequeues as there can be elements, and one more that should find nothing.
    fn final_reads(&self) -> Vec<Request> {
        let drain = |read: Request| {
            let inside = self.inside.get(&read.key).map_or(0, |inside| inside + 1);
            std::iter::repeat_n(Request { f: F::Dequeue, ..read }, inside)
        };
        self.keys.reads().into_iter().flat_map(drain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_inside_is_drained_in_the_end() {
        let mut workload =
            Queue::new(&Options { workers: 1, nodes: 1, keys: 1, ops_per_key: 200, ..Options::of_tests() });
        let enqueue = Request { f: F::Enqueue, key: Value::str("k0"), value: Value::Int(1) };
        let dequeue = Request { f: F::Dequeue, key: Value::str("k0"), value: Value::Nil };
        let info = || Completion::Info("lost".into());
        assert_eq!(workload.next(0).key, enqueue.key);
        workload.observe(0, &enqueue, &Completion::Ok(Value::Nil));
        workload.observe(0, &enqueue, &info());
        workload.observe(0, &enqueue, &Completion::Fail("refused".into()));
        workload.observe(0, &dequeue, &Completion::Ok(Value::Int(1)));
        workload.observe(0, &dequeue, &Completion::Ok(Value::Nil));
        assert_eq!(workload.final_reads(), [dequeue.clone(), dequeue.clone()]);
        workload.observe(0, &dequeue, &info());
        assert_ne!(workload.next(0).key, dequeue.key, "nobody asks that queue any more");
    }
}
