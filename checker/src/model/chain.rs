//! Persistent lists: a list shares all but its last item with the list that it was made from.
//!
//! A search visits thousands of states of a stack, a queue or a log that differ in one or two items. As
//! vectors, each state would take memory, and time to copy, for every item. As chains, each state takes one
//! link.
//!
//! ```text
//!   [a] ◀── [a b] ◀── [a b c]        pushed, and pushed again
//!                └──◀ [a b d]        pushed something else instead
//! ```
//!
//! A link also points to one further back, so that any item is found in O(log n) steps (Myers, "An
//! applicative random-access stack", IPL 1983).

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::op::Value;

/// A list that grows and shrinks at its end.
pub struct Chain<T>(Option<Arc<Link<T>>>);

struct Link<T> {
    item: T,
    before: Chain<T>,
    /// A prefix of this list, further back.
    jump: Chain<T>,
    length: u32,
    hash: u64,
}

/// The base of the polynomial hashes.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

fn hash_of<T: Hash>(item: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    item.hash(&mut hasher);
    hasher.finish()
}

impl<T> Clone for Chain<T> {
    fn clone(&self) -> Self {
        Chain(self.0.clone())
    }
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Chain(None)
    }
}

impl<T> Chain<T> {
    /// The number of items.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |link| link.length as usize)
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The last item, and the list without it.
    pub fn split_last(&self) -> Option<(&T, &Chain<T>)> {
        self.0.as_deref().map(|link| (&link.item, &link.before))
    }

    /// The item at an index, counted from 0.
    pub fn get(&self, at: usize) -> Option<&T> {
        let mut list = self;
        loop {
            let link = list.0.as_deref().filter(|link| at < link.length as usize)?;
            if link.length as usize == at + 1 {
                return Some(&link.item);
            }
            list = if link.jump.len() > at { &link.jump } else { &link.before };
        }
    }

    /// The items, the last first.
    pub fn iter_back(&self) -> impl Iterator<Item = &T> {
        let mut list = self;
        std::iter::from_fn(move || {
            let (item, before) = list.split_last()?;
            list = before;
            Some(item)
        })
    }

    /// Whether the last `items` items are equal. Shared links need no comparison.
    fn ends_alike(&self, other: &Self, items: usize) -> bool
    where
        T: Eq,
    {
        let (mut a, mut b) = (self, other);
        for _ in 0..items {
            match (&a.0, &b.0) {
                (Some(x), Some(y)) if Arc::ptr_eq(x, y) => return true,
                (Some(x), Some(y)) if x.item == y.item => (a, b) = (&x.before, &y.before),
                _ => return false,
            }
        }
        true
    }
}

impl<T: Hash> FromIterator<T> for Chain<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        items.into_iter().fold(Chain::default(), |list, item| list.with(item))
    }
}

impl<T: Hash> Chain<T> {
    /// The list with one more item.
    #[must_use]
    pub fn with(&self, item: T) -> Self {
        let hash = self.hash_value().wrapping_mul(BASE).wrapping_add(hash_of(&item));
        // Two consecutive jumps of the same length become one of twice the length.
        let jump = match &self.0 {
            Some(last) if self.len() - last.jump.len() == last.jump.len() - last.jump.jump().len() => {
                last.jump.jump().clone()
            }
            _ => self.clone(),
        };
        Chain(Some(Arc::new(Link { item, before: self.clone(), jump, length: self.len() as u32 + 1, hash })))
    }

    fn hash_value(&self) -> u64 {
        self.0.as_ref().map_or(0, |link| link.hash)
    }
}

impl<T> Chain<T> {
    fn jump(&self) -> &Chain<T> {
        self.0.as_deref().map_or(self, |link| &link.jump)
    }
}

/// Iterative: a recursive drop of a long list would overflow the stack.
impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        let mut open = vec![self.before.0.take(), self.jump.0.take()];
        while let Some(link) = open.pop() {
            if let Some(mut link) = link.and_then(Arc::into_inner) {
                open.extend([link.before.0.take(), link.jump.0.take()]);
            }
        }
    }
}

impl<T: Eq> PartialEq for Chain<T> {
    fn eq(&self, other: &Self) -> bool {
        let hash = |list: &Self| list.0.as_ref().map_or(0, |link| link.hash);
        self.len() == other.len() && hash(self) == hash(other) && self.ends_alike(other, self.len())
    }
}

impl<T: Eq> Eq for Chain<T> {}

impl<T> Hash for Chain<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ref().map_or(0, |link| link.hash).hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Chain<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items: Vec<&T> = self.iter_back().collect();
        items.reverse();
        out.debug_list().entries(items).finish()
    }
}

/// A queue: grows at its end and shrinks at its beginning.
#[derive(Clone)]
pub struct Fifo<T> {
    /// All items that were ever added, or at least those that are left.
    came: Chain<T>,
    length: usize,
    /// The hash of the items that are left.
    hash: u64,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Fifo { came: Chain::default(), length: 0, hash: 0 }
    }
}

impl<T> Fifo<T> {
    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The oldest item.
    pub fn first(&self) -> Option<&T> {
        if self.is_empty() { None } else { self.came.get(self.came.len() - self.length) }
    }

    /// The items, the last first.
    pub fn iter_back(&self) -> impl Iterator<Item = &T> {
        self.came.iter_back().take(self.length)
    }
}

impl<T: Hash> Fifo<T> {
    /// The list with one more item.
    #[must_use]
    pub fn with(&self, item: T) -> Self {
        let hash = self.hash.wrapping_mul(BASE).wrapping_add(hash_of(&item));
        Fifo { came: self.came.with(item), length: self.length + 1, hash }
    }

    /// The list without its first item; `None` if it is empty.
    pub fn without_first(&self) -> Option<Self> {
        let first = self.first()?;
        let length = self.length - 1;
        if length == 0 {
            return Some(Fifo::default());
        }
        let gone = hash_of(first).wrapping_mul(BASE.wrapping_pow(length as u32));
        Some(Fifo { came: self.came.clone(), length, hash: self.hash.wrapping_sub(gone) })
    }
}

impl<T: Hash> FromIterator<T> for Fifo<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        items.into_iter().fold(Fifo::default(), |list, item| list.with(item))
    }
}

impl<T: Eq> PartialEq for Fifo<T> {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length
            && self.hash == other.hash
            && self.came.ends_alike(&other.came, self.length)
    }
}

impl<T: Eq> Eq for Fifo<T> {}

impl<T> Hash for Fifo<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Fifo<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items: Vec<&T> = self.iter_back().collect();
        items.reverse();
        out.debug_list().entries(items).finish()
    }
}

/// The list as people read it.
impl fmt::Display for Chain<Value> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        in_order(self.iter_back()).fmt(out)
    }
}

impl fmt::Display for Fifo<Value> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        in_order(self.iter_back()).fmt(out)
    }
}

fn in_order<'a>(back: impl Iterator<Item = &'a Value>) -> Value {
    let mut items: Vec<Value> = back.cloned().collect();
    items.reverse();
    Value::List(items.into())
}

/// The bytes of one link.
pub(super) const fn link_bytes<T>() -> usize {
    size_of::<Link<T>>() + 32
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::generate::SplitMix64;

    #[test]
    fn a_chain_is_a_stack_whose_items_are_found_by_their_place() {
        let (mut random, mut chain, mut plain) = (SplitMix64::new(5), Chain::default(), Vec::new());
        for _ in 0..5_000 {
            if random.below(5) < 3 {
                let item = random.below(3);
                plain.push(item);
                chain = chain.with(item);
            } else {
                chain = chain.split_last().map_or_else(Chain::default, |(_, before)| before.clone());
                plain.pop();
            }
            assert_eq!(chain.len(), plain.len());
            let at = random.below(plain.len() as u64 + 2) as usize;
            assert_eq!(chain.get(at), plain.get(at));
        }
        let again = plain.iter().fold(Chain::default(), |chain, &item| chain.with(item));
        assert!(again == chain && again.with(1) != chain.with(2) && again.with(1) != chain);
        assert_eq!(format!("{chain:?}"), format!("{plain:?}"));
    }

    #[test]
    fn equal_queues_are_equal_wherever_they_come_from() {
        let (mut random, mut fifo, mut plain) = (SplitMix64::new(6), Fifo::default(), VecDeque::new());
        for _ in 0..5_000 {
            if random.below(2) == 0 {
                let item = random.below(3);
                plain.push_back(item);
                fifo = fifo.with(item);
            } else {
                assert_eq!(fifo.first(), plain.front());
                assert_eq!(fifo.without_first().is_none(), plain.pop_front().is_none());
                fifo = fifo.without_first().unwrap_or_default();
            }
            let again = plain.iter().fold(Fifo::default(), |fifo, &item| fifo.with(item));
            assert!(again == fifo && again.with(0) != fifo.with(1));
            assert_eq!(hash_of(&again), hash_of(&fifo));
        }
    }

    #[test]
    fn a_long_chain_is_let_go_of_without_recursion() {
        drop((0..1_000_000).fold(Chain::default(), |chain, item| chain.with(item)));
    }
}
