//! The set of placed operations, and the memory of visited sets.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::part::Part;
use crate::space::StateId;

/// The set of placed operations, with a short key: all definite operations before the first unplaced one are
/// placed, so the key holds only the rest.
pub(super) struct Placed {
    /// Per operation: whether it is definite, and its bit among its kind.
    bit: Vec<(bool, u32)>,
    /// Definite operations in the order of their invocations; then indeterminate ones.
    definite_bits: Vec<u64>,
    indeterminate_bits: Vec<u64>,
    pub(super) definite: usize,
    pub(super) definite_left: usize,
    key: Vec<u64>,
    /// Every word of `definite_bits` before the first index is full; every word after the second is empty.
    low: usize,
    high: usize,
}

impl Placed {
    pub(super) fn new(part: &Part) -> Self {
        let mut counts = [0u32, 0];
        let mut count = |definite: bool| {
            counts[usize::from(definite)] += 1;
            (definite, counts[usize::from(definite)] - 1)
        };
        let bit = part.ops.iter().map(|op| count(op.definite())).collect();
        let words = |n: u32| vec![0; n as usize / 64 + 1];
        Placed {
            bit,
            definite_bits: words(counts[1]),
            indeterminate_bits: words(counts[0]),
            definite: 0,
            definite_left: counts[1] as usize,
            key: Vec::new(),
            low: 0,
            high: 0,
        }
    }

    pub(super) fn insert(&mut self, op: u32) {
        let (definite, bit) = self.bit[op as usize];
        let word = bit as usize / 64;
        if definite {
            self.definite_bits[word] |= 1 << (bit % 64);
            self.definite += 1;
            self.definite_left -= 1;
            self.high = self.high.max(word);
            while self.definite_bits[self.low] == u64::MAX {
                self.low += 1;
            }
        } else {
            self.indeterminate_bits[word] |= 1 << (bit % 64);
        }
    }

    pub(super) fn remove(&mut self, op: u32) {
        let (definite, bit) = self.bit[op as usize];
        let word = bit as usize / 64;
        if definite {
            self.definite_bits[word] &= !(1 << (bit % 64));
            self.definite -= 1;
            self.definite_left += 1;
            self.low = self.low.min(word);
            while self.high > 0 && self.definite_bits[self.high] == 0 {
                self.high -= 1;
            }
        } else {
            self.indeterminate_bits[word] &= !(1 << (bit % 64));
        }
    }

    /// Whether all of these operations are placed.
    pub(super) fn has_all(&self, ops: Option<&Vec<u32>>) -> bool {
        ops.into_iter().flatten().all(|&op| {
            let (definite, bit) = self.bit[op as usize];
            let bits = if definite { &self.definite_bits } else { &self.indeterminate_bits };
            bits[bit as usize / 64] >> (bit % 64) & 1 == 1
        })
    }

    /// The key of the configuration: these operations and this state.
    pub(super) fn key(&mut self, state: StateId) -> &[u64] {
        self.key.clear();
        self.key.push(u64::from(state) << 32 | self.low as u64);
        self.key.extend_from_slice(&self.indeterminate_bits);
        self.key.extend(self.definite_bits.get(self.low..=self.high).unwrap_or_default());
        &self.key
    }
}

/// All visited configurations, by key.
#[derive(Default)]
pub(super) struct Seen {
    hasher: DefaultHashBuilder,
    /// Where each key starts in `words`, which holds its length and then the key.
    table: HashTable<usize>,
    words: Vec<u64>,
}

impl Seen {
    /// Adds a key. Returns whether it is new.
    pub(super) fn insert(&mut self, key: &[u64]) -> bool {
        let Seen { hasher, table, words } = self;
        let at = |start: usize| &words[start + 1..start + 1 + words[start] as usize];
        let hash = hasher.hash_one(key);
        if table.find(hash, |&start| at(start) == key).is_some() {
            return false;
        }
        let start = words.len();
        table.insert_unique(hash, start, |&start| hasher.hash_one(at(start)));
        words.push(key.len() as u64);
        words.extend_from_slice(key);
        true
    }

    pub(super) fn clear(&mut self) {
        *self = Seen { hasher: self.hasher.clone(), ..Seen::default() };
    }

    pub(super) fn bytes(&self) -> usize {
        self.table.capacity() * (size_of::<usize>() + 1) + self.words.capacity() * size_of::<u64>()
    }
}
