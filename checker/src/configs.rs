//! Sets of configurations without dominated members.
//!
//! A configuration is a state of the object and the use of the pending operations. It is a row of words, and
//! all rows of a set have the same [`Layout`]:
//!
//! ```text
//!   │ trail, state │ exact: 1 bit per slot │ spent, open: 1 bit each per slot │ counts: 16 bits per field │
//!     the only part   definite operations     definite overwrites               indeterminate operations,
//!     not compared    that are placed         (see the frontier engine)         how many of each class
//! ```
//!
//! One configuration *dominates* another with the same state and the same exact bits if it has spent no more,
//! and has no more open. It can do everything that the other can still do, so the other is dropped: the set
//! is an antichain. Counts are compared four at a time; their top bits are always 0 and serve as guards that
//! show a borrow.

use hashbrown::HashTable;

use crate::broken::broken;
use crate::space::StateId;

/// The maximum of a count.
pub(crate) const COUNT_MAX: u16 = 0x7FFF;

/// The guard bits of a word of counts.
const GUARDS: u64 = 0x8000_8000_8000_8000;

/// The number of words of a configuration, by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Words of bits for definite operations that do not overwrite.
    pub(crate) exact: usize,
    /// Words of bits for definite overwrites; two such sets are kept (spent and open).
    pub(crate) loose: usize,
    /// Words of four counts each, for indeterminate operations.
    pub(crate) counts: usize,
}

impl Layout {
    pub(crate) fn stride(self) -> usize {
        1 + self.exact + 2 * self.loose + self.counts
    }

    fn spent(self) -> usize {
        1 + self.exact
    }

    fn open(self) -> usize {
        1 + self.exact + self.loose
    }

    fn counts(self) -> usize {
        1 + self.exact + 2 * self.loose
    }
}

pub(crate) fn state(config: &[u64]) -> StateId {
    config[0] as u32
}

/// The end of the trail of operations that led to a configuration.
pub(crate) fn trail(config: &[u64]) -> u32 {
    (config[0] >> 32) as u32
}

/// Sets the state and the end of the trail of a configuration.
pub(crate) fn set_head(config: &mut [u64], state: StateId, trail: u32) {
    config[0] = u64::from(trail) << 32 | u64::from(state);
}

/// A bit of a configuration: the word, and the mask in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bit {
    word: usize,
    mask: u64,
}

impl Bit {
    pub(crate) fn is_set(self, config: &[u64]) -> bool {
        config[self.word] & self.mask != 0
    }

    pub(crate) fn set(self, config: &mut [u64]) {
        config[self.word] |= self.mask;
    }

    pub(crate) fn clear(self, config: &mut [u64]) {
        config[self.word] &= !self.mask;
    }
}

impl Layout {
    /// Whether the definite operation in this slot is placed.
    pub(crate) fn exact_bit(self, slot: u32) -> Bit {
        Bit { word: 1 + slot as usize / 64, mask: 1 << (slot % 64) }
    }

    /// Whether the overwrite in this slot has been placed where its effect is observed.
    pub(crate) fn spent_bit(self, slot: u32) -> Bit {
        Bit { word: self.spent() + slot as usize / 64, mask: 1 << (slot % 64) }
    }

    /// Whether the overwrite in this slot is not placed yet.
    pub(crate) fn open_bit(self, slot: u32) -> Bit {
        Bit { word: self.open() + slot as usize / 64, mask: 1 << (slot % 64) }
    }

    pub(crate) fn exact_words(self, config: &[u64]) -> &[u64] {
        &config[1..self.spent()]
    }

    pub(crate) fn exact_words_mut(self, config: &mut [u64]) -> &mut [u64] {
        &mut config[1..self.spent()]
    }

    pub(crate) fn open_words_mut(self, config: &mut [u64]) -> &mut [u64] {
        &mut config[self.open()..self.counts()]
    }

    /// The number of placed indeterminate operations of this field.
    pub(crate) fn count(self, config: &[u64], field: u32) -> u16 {
        (config[self.counts() + field as usize / 4] >> (16 * (field % 4))) as u16
    }

    /// Adds one placed operation to a field.
    pub(crate) fn add_count(self, config: &mut [u64], field: u32) {
        config[self.counts() + field as usize / 4] += 1 << (16 * (field % 4));
    }

    /// Sets the number of placed operations of a field that was 0.
    pub(crate) fn set_count(self, config: &mut [u64], field: u32, count: u16) {
        config[self.counts() + field as usize / 4] |= u64::from(count) << (16 * (field % 4));
    }

    /// The number of placed indeterminate operations.
    fn counted(self, config: &[u64]) -> u64 {
        let pairs = |word: &u64| (word & 0xFFFF_0000_FFFF) + (word >> 16 & 0xFFFF_0000_FFFF);
        config[self.counts()..].iter().map(pairs).map(|sum| (sum & 0xFFFF_FFFF) + (sum >> 32)).sum()
    }

    /// Whether `a`, with the same state and exact bits, has spent no more than `b` and has no more open.
    fn dominates(self, a: &[u64], b: &[u64]) -> bool {
        let (spent, counts) = (self.spent(), self.counts());
        if broken("R3: more is better") {
            return b[spent..] == a[spent..] || a[counts..] > b[counts..];
        }
        let subset = a[spent..counts].iter().zip(&b[spent..counts]).all(|(a, b)| a & !b == 0);
        subset && a[counts..].iter().zip(&b[counts..]).all(|(a, b)| ((b | GUARDS) - a) & GUARDS == GUARDS)
    }

    /// Copies a configuration of this layout into one of a larger layout.
    fn moved(self, config: &[u64], to: Layout, into: &mut Vec<u64>) {
        let mut copy = |from: usize, len: usize, room: usize| {
            into.extend_from_slice(&config[from..from + len]);
            into.resize(into.len() + room - len, 0);
        };
        copy(0, 1, 1);
        copy(1, self.exact, to.exact);
        copy(self.spent(), self.loose, to.loose);
        copy(self.open(), self.loose, to.loose);
        copy(self.counts(), self.counts, to.counts);
    }
}

/// The end of a group's list.
const END: u32 = u32::MAX;
/// Replaces the next member of a configuration that was dropped.
const DROPPED: u32 = u32::MAX - 1;

/// An antichain of configurations, numbered by insertion.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configs {
    layout: Layout,
    words: Vec<u64>,
    /// Per configuration, the next one with the same state and exact bits.
    next: Vec<u32>,
    /// The first of each such group.
    groups: HashTable<u32>,
    live: usize,
    /// Comparisons of two configurations since the last [`Configs::take_compared`].
    compared: u64,
}

impl Configs {
    /// The set with this configuration alone.
    pub(crate) fn of(layout: Layout, config: &[u64]) -> Self {
        let mut configs = Configs { layout, ..Configs::default() };
        configs.insert(config);
        configs
    }

    /// Empties the set, for configurations of another layout.
    pub(crate) fn clear(&mut self, layout: Layout) {
        self.layout = layout;
        self.words.clear();
        self.next.clear();
        // Clearing a table costs time in proportion to its capacity: release what one hard event needed.
        if self.groups.capacity() > 1024 && self.live < self.groups.capacity() / 64 {
            self.groups = HashTable::new();
        }
        self.groups.clear();
        self.live = 0;
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The number of comparisons since the last call.
    pub(crate) fn take_compared(&mut self) -> u64 {
        std::mem::take(&mut self.compared)
    }

    /// The number of configurations.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// The number of configurations, including dropped ones.
    pub(crate) fn len(&self) -> u32 {
        self.next.len() as u32
    }

    /// The configuration with this number, unless it was dropped.
    pub(crate) fn get(&self, i: u32) -> Option<&[u64]> {
        (self.next[i as usize] != DROPPED).then(|| row(&self.words, self.layout, i))
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u64]> {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// Changes every configuration in a way that makes none dominate another. The groups are not updated, so
    /// nothing can be inserted afterwards until the set is cleared or grows.
    pub(crate) fn for_each_mut(&mut self, mut change: impl FnMut(&mut [u64])) {
        let stride = self.layout.stride();
        let rows = self.words.chunks_exact_mut(stride).zip(&self.next);
        rows.filter(|&(_, &next)| next != DROPPED).for_each(|(config, _)| change(config));
    }

    /// Adds a configuration, unless a present one dominates it; drops those that it dominates. Returns
    /// whether it was added.
    pub(crate) fn insert(&mut self, config: &[u64]) -> bool {
        let (layout, words) = (self.layout, &self.words);
        let in_group = |&i: &u32| same_group(layout, row(words, layout, i), config);
        let entry =
            self.groups.entry(hash(layout, config), in_group, |&i| hash(layout, row(words, layout, i)));
        let head = entry.or_insert(END).into_mut();
        let (mut at, mut before) = (*head, END);
        while at != END {
            let next = self.next[at as usize];
            let member = row(&self.words, layout, at);
            self.compared += 1;
            if layout.dominates(member, config) {
                return false;
            }
            if layout.dominates(config, member) {
                match before {
                    END => *head = next,
                    before => self.next[before as usize] = next,
                }
                self.next[at as usize] = DROPPED;
                self.live -= 1;
            } else {
                before = at;
            }
            at = next;
        }
        self.words.extend_from_slice(config);
        self.next.push(*head);
        *head = self.next.len() as u32 - 1;
        self.live += 1;
        true
    }

    /// Keeps only the most promising configurations: for each state in turn the one that has placed the
    /// fewest indeterminate operations. Returns whether any were dropped.
    pub(crate) fn cut(&mut self, width: usize) -> bool {
        if self.live <= width {
            return false;
        }
        let layout = self.layout;
        let mut ranked: Vec<(u32, u64, u32)> =
            (0..self.len()).filter_map(|i| self.get(i).map(|c| (state(c), layout.counted(c), i))).collect();
        ranked.sort_unstable();
        let (mut last, mut turn) = (None, 0);
        for entry in &mut ranked {
            turn = if last == Some(entry.0) { turn + 1 } else { 0 };
            last = Some(entry.0);
            entry.0 = turn;
        }
        ranked.sort_unstable();
        ranked.truncate(width);
        let kept: Vec<u64> =
            ranked.iter().flat_map(|&(_, _, i)| row(&self.words, layout, i)).copied().collect();
        self.clear(layout);
        for config in kept.chunks_exact(layout.stride()) {
            self.insert(config);
        }
        true
    }

    /// Extends every configuration with room for more slots and fields.
    pub(crate) fn grow(&mut self, to: Layout) {
        if to == self.layout {
            return;
        }
        let before = std::mem::replace(self, Configs { layout: to, ..Configs::default() });
        let mut grown = Vec::with_capacity(to.stride());
        for config in before.iter() {
            grown.clear();
            before.layout.moved(config, to, &mut grown);
            self.insert(&grown);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<u64>() * self.words.capacity()
            + size_of::<u32>() * (self.next.capacity() + self.groups.capacity() * 2)
    }
}

fn row(words: &[u64], layout: Layout, i: u32) -> &[u64] {
    let stride = layout.stride();
    &words[i as usize * stride..][..stride]
}

fn same_group(layout: Layout, a: &[u64], b: &[u64]) -> bool {
    let exact =
        layout.exact_words(a) == layout.exact_words(b) || broken("R3: definite operations are optional");
    state(a) == state(b) && exact
}

/// The hash of a configuration's group: its state and its exact bits.
fn hash(layout: Layout, config: &[u64]) -> u64 {
    let mix = |hash: u64, word: u64| {
        let wide = u128::from(hash ^ word) * 0x9E37_79B9_7F4A_7C15;
        (wide >> 64) as u64 ^ wide as u64
    };
    let exact = if broken("R3: definite operations are optional") { &[] } else { layout.exact_words(config) };
    exact.iter().fold(mix(!0, u64::from(state(config))), |hash, &word| mix(hash, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { exact: 1, loose: 1, counts: 1 };

    fn config(exact: u64, spent: u64, open: u64, counts: u64) -> [u64; 5] {
        [7, exact, spent, open, counts]
    }

    #[test]
    fn a_configuration_with_less_spent_and_less_open_dominates() {
        let mut configs = Configs::of(LAYOUT, &config(1, 0b10, 0b1, 5));
        configs.insert(&config(1, 0b11, 0b1, 5));
        assert_eq!(configs.live(), 1, "it has spent more");
        configs.insert(&config(1, 0, 0b11, 5));
        assert_eq!(configs.live(), 2, "it has spent less, but has more open");
        configs.insert(&config(1, 0, 0, 0x1_0004));
        assert_eq!(configs.live(), 3, "one count is less, the other is more");
        configs.insert(&config(3, 0b11, 0b11, 9));
        assert_eq!(configs.live(), 4, "other operations are placed");
        configs.insert(&config(1, 0, 0, 0));
        let left: Vec<_> = configs.iter().map(<[u64]>::to_vec).collect();
        assert_eq!(left, [config(3, 0b11, 0b11, 9), config(1, 0, 0, 0)]);
    }

    #[test]
    fn a_larger_layout_keeps_every_bit_in_its_place() {
        let mut configs = Configs::of(LAYOUT, &config(1, 2, 3, 4));
        let larger = Layout { exact: 2, loose: 3, counts: 2 };
        configs.grow(larger);
        assert_eq!(configs.iter().next().unwrap(), [7, 1, 0, 2, 0, 0, 3, 0, 0, 4, 0]);
        assert_eq!(larger.count(configs.iter().next().unwrap(), 0), 4);
    }
}
