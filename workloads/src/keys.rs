//! The keys in use. Few are live at a time, so that operations contend; each is retired after a bounded
//! number of operations.
//!
//! Half of the operations go to the first live key, half of the others to the second, and so on. The hot keys
//! have the most concurrency. The cold keys live long, so damage by an early fault is still visible after a
//! later one.

use std::collections::HashSet;

use rand::{Rng, RngExt};
use tribunal_checker::op::{F, Value};

use crate::Request;

/// If a read returns everything ever added to its key, the history grows with the square of this bound.
pub(crate) const WHOLE_READS_OPS_MAX: usize = 200;

/// A window of live keys in the endless sequence `k0, k1, k2, ...`.
pub(crate) struct Keys {
    /// The live keys: number, and operations left.
    live: Vec<(usize, usize)>,
    /// The number of the next new key; all below it have been used.
    fresh: usize,
    ops_per_key: usize,
}

impl Keys {
    pub(crate) fn new(live: usize, ops_per_key: usize) -> Self {
        Keys { live: (0..live).map(|number| (number, ops_per_key)).collect(), fresh: live, ops_per_key }
    }

    /// A random live key, the first ones more often; uses up one of its operations.
    pub(crate) fn draw(&mut self, rng: &mut impl Rng) -> Value {
        let at = (rng.random::<u64>().trailing_zeros() as usize).min(self.live.len() - 1);
        let slot = &mut self.live[at];
        let number = slot.0;
        slot.1 -= 1;
        if slot.1 == 0 {
            *slot = (self.fresh, self.ops_per_key);
            self.fresh += 1;
        }
        name(number)
    }

    /// Stops drawing this key.
    pub(crate) fn retire(&mut self, key: &Value) {
        let Some(retired) = number(key) else { return };
        if let Some(slot) = self.live.iter_mut().find(|(number, _)| *number == retired) {
            *slot = (self.fresh, self.ops_per_key);
            self.fresh += 1;
        }
    }

    /// A read of every key drawn so far.
    pub(crate) fn reads(&self) -> Vec<Request> {
        let untouched = self.live.iter().filter(|(_, left)| *left == self.ops_per_key);
        let untouched: HashSet<usize> = untouched.map(|(number, _)| *number).collect();
        let drawn = (0..self.fresh).filter(|number| !untouched.contains(number));
        drawn.map(|number| Request { f: F::Read, key: name(number), value: Value::Nil }).collect()
    }
}

fn number(key: &Value) -> Option<usize> {
    let Value::Str(name) = key else { return None };
    name.strip_prefix('k')?.parse().ok()
}

fn name(number: usize) -> Value {
    Value::str(&format!("k{number}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chacha20::ChaCha8Rng;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn no_key_is_drawn_more_often_than_it_may_be() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut keys = Keys::new(3, 10);
        let mut drawn: HashMap<Value, usize> = HashMap::new();
        for _ in 0..1_000 {
            *drawn.entry(keys.draw(&mut rng)).or_default() += 1;
        }
        assert!(drawn.values().all(|times| *times <= 10));
        assert!(drawn.keys().all(|key| keys.reads().iter().any(|read| read.key == *key)));
        assert!(drawn.len() >= 100);
    }

    #[test]
    fn what_nobody_asked_for_is_not_read() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut keys = Keys::new(1_000_000, 10);
        assert!(keys.reads().is_empty());
        let drawn: HashSet<Value> = (0..1_000).map(|_| keys.draw(&mut rng)).collect();
        keys.retire(&name(5));
        let reads: HashSet<Value> = keys.reads().into_iter().map(|read| read.key).collect();
        assert!(drawn.is_subset(&reads) && reads.len() <= drawn.len() + 1, "{} reads", reads.len());
    }

    #[test]
    fn there_are_hot_keys_and_cold_ones() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut keys = Keys::new(5, usize::MAX);
        let mut drawn: HashMap<Value, usize> = HashMap::new();
        for _ in 0..16_000 {
            *drawn.entry(keys.draw(&mut rng)).or_default() += 1;
        }
        let of = |number| drawn[&name(number)];
        assert!((7_500..8_500).contains(&of(0)) && (700..1_300).contains(&of(4)), "{drawn:?}");
    }
}
