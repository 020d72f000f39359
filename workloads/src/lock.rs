//! Locks: acquire a lock, hold it for a while, release it.
//!
//! An acquire does not wait: if the lock is held, it is refused. Hold times are random: most are short, some
//! as long as a swapping program, a garbage collection or a slow disk would cause. A lock that expires
//! meanwhile has two holders.
//!
//! After an unknown acquire or release, the holder may be a process that will not return. Such a lock is
//! retired. In the end every lock is tried once more: a client that still holds a lock must find it held.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tribunal_checker::op::{F, Value};

use crate::keys::Keys;
use crate::{Completion, Options, Request, Workload};

/// Ranges of durations in milliseconds; each duration is drawn from its range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Seven of eight tenures.
    pub(crate) hold_ms: (u64, u64),
    /// One of eight tenures.
    pub(crate) hold_long_ms: (u64, u64),
    /// From a refusal to the next attempt.
    pub(crate) wait_ms: (u64, u64),
}

const PACE: Pace = Pace { hold_ms: (0, 10), hold_long_ms: (100, 1_000), wait_ms: (1, 20) };

/// The workloads `lock` and `fenced-lock`; with one lock and another pace, `election`.
pub struct Lock {
    rng: ChaCha8Rng,
    keys: Keys,
    pace: Pace,
    /// The lock that each worker holds.
    held: Vec<Option<Value>>,
    /// The next wait of each worker.
    pauses: Vec<Duration>,
}

impl Lock {
    /// Starts a new stream of operations.
    pub fn new(options: &Options) -> Self {
        Lock::paced(options, options.keys, PACE)
    }

    pub(crate) fn paced(options: &Options, locks: usize, pace: Pace) -> Self {
        Lock {
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            keys: Keys::new(locks, options.ops_per_key),
            pace,
            held: vec![None; options.workers],
            pauses: vec![Duration::ZERO; options.workers],
        }
    }
}

impl Workload for Lock {
    fn next(&mut self, worker: usize) -> Request {
        match &self.held[worker] {
            Some(key) => Request { f: F::Release, key: key.clone(), value: Value::Nil },
            None => Request { f: F::Acquire, key: self.keys.draw(&mut self.rng), value: Value::Nil },
        }
    }

    fn observe(&mut self, worker: usize, request: &Request, completion: &Completion) {
        let refused = *completion == Completion::Ok(Value::Bool(false));
        let (least, most) = match (&request.f, completion) {
            (F::Acquire, Completion::Ok(_)) if !refused => {
                self.held[worker] = Some(request.key.clone());
                if self.rng.random_bool(0.125) { self.pace.hold_long_ms } else { self.pace.hold_ms }
            }
            // The lock is still held: release it again.
            (F::Release, Completion::Fail(_)) => (0, 0),
            (_, completion) => {
                self.held[worker] = None;
                if let Completion::Info(_) = completion {
                    self.keys.retire(&request.key);
                }
                self.pace.wait_ms
            }
        };
        self.pauses[worker] = Duration::from_millis(self.rng.random_range(least..=most));
    }

    fn pause(&self, worker: usize) -> Duration {
        self.pauses[worker]
    }

    fn final_reads(&self) -> Vec<Request> {
        self.keys.reads().into_iter().map(|read| Request { f: F::Acquire, ..read }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Lock {
        Lock::new(&Options { workers: 2, nodes: 1, keys: 1, ops_per_key: 100, ..Options::of_tests() })
    }

    #[test]
    fn what_was_acquired_is_released() {
        let mut workload = workload();
        let acquire = workload.next(0);
        assert_eq!(acquire.f, F::Acquire);
        workload.observe(0, &acquire, &Completion::Ok(Value::Int(1)));
        let release = workload.next(0);
        assert_eq!((&release.f, &release.key), (&F::Release, &acquire.key));
        workload.observe(0, &release, &Completion::Fail("refused".into()));
        assert_eq!(workload.next(0), release, "it certainly was not released");
        workload.observe(0, &release, &Completion::Ok(Value::Bool(true)));
        assert_eq!(workload.next(0).f, F::Acquire);
    }

    #[test]
    fn a_refused_acquire_waits_and_an_unknown_one_retires_the_lock() {
        let mut workload = workload();
        let acquire = workload.next(1);
        workload.observe(1, &acquire, &Completion::Ok(Value::Bool(false)));
        assert_eq!(workload.next(1).f, F::Acquire);
        assert!(workload.pause(1) >= Duration::from_millis(PACE.wait_ms.0));
        workload.observe(1, &acquire, &Completion::Info("lost".into()));
        assert_ne!(workload.next(1).key, acquire.key);
    }
}
