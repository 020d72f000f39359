//! A log represented by its length and a digest of its values, for the live check.
//!
//! Equal lists have equal digests, and a digest and a value determine the next digest. So every order that is
//! legal for the log itself is legal for its digests: a violation of the digests is a violation of the log.
//! The converse fails only if two lists of the same length have the same 128 bits; then the live check misses
//! a violation, and the check of the whole history finds it.

use crate::model::{Log, Model};
use crate::op::{F, Op, Value};

/// The model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogDigest;

/// The digest of a list of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest {
    length: usize,
    /// 128 bits, the high half first.
    hash: [u64; 2],
}

/// The calls of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DigestCall {
    /// A value with this digest was appended, at this offset if it returned one.
    Append(u128, Option<i64>),
    /// A read returned these values, the whole log.
    Read(Digest),
}

impl Digest {
    fn empty() -> Self {
        Digest { length: 0, hash: [0, 1] }
    }

    /// The number of values.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    fn with(self, value: u128) -> Self {
        let [high, low] = self.hash.map(u128::from);
        let hash = mixed(high << 64 | low, value);
        Digest { length: self.length + 1, hash: [(hash >> 64) as u64, hash as u64] }
    }

    fn of(values: &[Value]) -> Self {
        let hash = values.iter().fold(1, |hash, value| mixed(hash, digest(value)));
        Digest { length: values.len(), hash: [(hash >> 64) as u64, hash as u64] }
    }
}

/// A bijection of either argument when the other is fixed: two lists that differ in one value never collide.
fn mixed(hash: u128, word: u128) -> u128 {
    let product = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    product ^ product >> 64
}

/// The digest of one value; for a small value the value itself, with its kind.
fn digest(value: &Value) -> u128 {
    let kind = |kind: u128, word: u64| kind << 64 | u128::from(word);
    match value {
        Value::Nil => kind(1, 0),
        Value::Bool(flag) => kind(2, u64::from(*flag)),
        Value::Int(i) => kind(3, *i as u64),
        Value::Str(text) => text.as_bytes().chunks(8).fold(kind(4, text.len() as u64), |hash, chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            mixed(hash, u128::from(u64::from_le_bytes(word)))
        }),
        Value::List(items) => {
            items.iter().fold(kind(5, items.len() as u64), |hash, item| mixed(hash, digest(item)))
        }
    }
}

impl Model for LogDigest {
    type State = Digest;
    type Call = DigestCall;
    type Next = Option<Digest>;

    fn name(&self) -> &str {
        Log.name()
    }

    fn init(&self) -> Digest {
        Digest::empty()
    }

    fn parse(&self, op: &Op) -> Result<Option<DigestCall>, String> {
        match (&op.f, op.output()) {
            (F::Append, Some(Value::Int(offset))) => {
                Ok(Some(DigestCall::Append(digest(&op.input), Some(*offset))))
            }
            // The place where a read shows it.
            (F::Append, Some(Value::List(place))) => {
                Ok(Some(DigestCall::Append(digest(&op.input), place.first().and_then(Value::as_int))))
            }
            (F::Append, None | Some(Value::Nil)) => Ok(Some(DigestCall::Append(digest(&op.input), None))),
            (F::Read, Some(Value::List(all))) => Ok(Some(DigestCall::Read(Digest::of(all)))),
            (F::Read, Some(Value::Nil)) => Ok(Some(DigestCall::Read(Digest::empty()))),
            // No call, or the log's error.
            _ => Log.parse(op).map(|_| None),
        }
    }

    fn step(&self, state: &Digest, call: &DigestCall) -> Option<Digest> {
        match call {
            DigestCall::Append(value, offset) => {
                let fits = offset.is_none_or(|offset| offset == state.length as i64);
                fits.then(|| state.with(*value))
            }
            DigestCall::Read(all) => (all == state).then_some(*state),
        }
    }

    fn heap_bytes(&self, _state: &Digest) -> usize {
        0
    }

    fn read_only(&self, call: &DigestCall) -> bool {
        matches!(call, DigestCall::Read(_))
    }

    fn is_over(&self, state: &Digest, call: &DigestCall) -> bool {
        match call {
            DigestCall::Append(_, offset) => offset.is_some_and(|offset| offset < state.length as i64),
            DigestCall::Read(all) => all.length < state.length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::SplitMix64;

    /// A value and similar ones in a list.
    fn value(random: &mut SplitMix64, depth: u64) -> Value {
        match random.below(4 + depth) {
            0 => Value::Nil,
            1 => random.one_in(2).into(),
            2 => (random.below(4) as i64).into(),
            3 => ["", "a", "b", "ab", "12345678", "123456789"][random.below(6) as usize].into(),
            _ => Value::List((0..random.below(3)).map(|_| value(random, depth - 1)).collect()),
        }
    }

    #[test]
    fn lists_are_equal_if_their_digests_are() {
        let mut random = SplitMix64::new(4);
        let mut lists: Vec<Vec<Value>> =
            (0..3_000).map(|_| (0..random.below(5)).map(|_| value(&mut random, 2)).collect()).collect();
        lists.sort();
        lists.dedup();
        let mut digests: Vec<[u64; 2]> = lists.iter().map(|list| Digest::of(list).hash).collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), lists.len());
    }

    #[test]
    fn a_digest_grows_as_its_list_does() {
        let mut random = SplitMix64::new(5);
        let (mut list, mut grown) = (Vec::new(), Digest::empty());
        for _ in 0..100 {
            assert_eq!(Digest::of(&list), grown);
            list.push(value(&mut random, 2));
            grown = grown.with(digest(&list[list.len() - 1]));
        }
    }
}
