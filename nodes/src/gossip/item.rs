//! What is gossiped: items, each signed by the node that made it.
//!
//! An item is the state of one *slot*: the register under a key, one node's share of the counter under a key, one element of
//! the set under a key. Of two items of one slot one supersedes the other, always the same, whoever compares them when: so
//! nodes that have seen the same items hold the same, in whatever order they came (Shapiro et al., "Conflict-free Replicated
//! Data Types", SSS 2011: a last-writer-wins register, a grow-only counter, a grow-only set).
//!
//! A node numbers the items that it makes, and signs each with its number. Two different items with one number can only come
//! from a node that tells different nodes different things, and are the proof of it.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::value::Value;

/// A SHA-256 hash.
pub(super) type Hash = [u8; 32];

/// What an item is the state of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) key: Value,
    pub(super) part: Part,
}

/// Which part of what a key holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Part {
    /// The register; the last writer wins.
    Register,
    /// What this node has added to the counter.
    Share(String),
    /// This element of the set.
    Element(Value),
}

/// The state of one slot, as its maker last knew it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Item {
    /// Microseconds since 1970, on the maker's clock.
    pub(super) at: u64,
    /// Who made it.
    pub(super) maker: String,
    /// How many the maker had made by then.
    pub(super) number: u64,
    pub(super) slot: Slot,
    pub(super) value: Value,
}

impl Item {
    /// Whether it takes the place of another item of its slot. Registers go by the clock; a share has one maker, who counts.
    pub(super) fn supersedes(&self, other: &Item) -> bool {
        match self.slot.part {
            Part::Share(_) => self.number > other.number,
            Part::Register | Part::Element(_) => self > other,
        }
    }
}

/// An item with its maker's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signed {
    pub(super) item: Item,
    signature: Vec<u8>,
}

impl Signed {
    pub(super) fn new(item: Item, key: &SigningKey) -> Self {
        let signature = key.sign(&bytes(&item)).to_bytes().to_vec();
        Signed { item, signature }
    }

    /// Whether the maker that it names has signed it as it is.
    pub(super) fn is_genuine(&self) -> bool {
        let Ok(signature) = Signature::from_slice(&self.signature) else { return false };
        let key: VerifyingKey = key_of(&self.item.maker).verifying_key();
        // Nobody can add to another node's share.
        let own = !matches!(&self.item.slot.part, Part::Share(node) if *node != self.item.maker);
        own && key.verify_strict(&bytes(&self.item), &signature).is_ok()
    }

    /// The hash of the item; two items with one hash are one.
    pub(super) fn hash(&self) -> Hash {
        Sha256::digest(bytes(&self.item)).into()
    }
}

/// The key of a node. Here it follows from the name, so that nodes need no configuration; where that matters each would be
/// given its own, and only the others' public halves.
pub(super) fn key_of(node: &str) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(format!("tribunal gossip {node}")).into())
}

fn bytes(item: &Item) -> Vec<u8> {
    postcard::to_stdvec(item).expect("items hold only what postcard can write")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(maker: &str, number: u64) -> Item {
        let slot = Slot { key: "k".into(), part: Part::Share("n1".into()) };
        Item { at: 0, maker: maker.into(), number, slot, value: 1.into() }
    }

    #[test]
    fn what_was_changed_or_signed_by_another_is_not_genuine() {
        let genuine = Signed::new(item("n1", 1), &key_of("n1"));
        assert!(genuine.is_genuine());
        let changed = Signed { item: item("n1", 2), ..genuine.clone() };
        assert!(!changed.is_genuine());
        assert!(!Signed::new(item("n1", 1), &key_of("n2")).is_genuine(), "another's key");
        assert!(!Signed::new(item("n2", 1), &key_of("n2")).is_genuine(), "another's share");
        assert!(!Signed { signature: vec![0; 64], ..genuine.clone() }.is_genuine());
        assert!(!Signed { signature: Vec::new(), ..genuine }.is_genuine());
    }

    #[test]
    fn of_two_items_one_supersedes_the_other() {
        let mut register = item("n1", 1);
        register.slot.part = Part::Register;
        let later = Item { at: 5, maker: "n0".into(), ..register.clone() };
        assert!(later.supersedes(&register) && !register.supersedes(&later));
        assert!(item("n1", 2).supersedes(&item("n1", 1)) && !item("n1", 1).supersedes(&item("n1", 1)));
    }
}
