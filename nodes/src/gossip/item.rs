//! Items: what nodes gossip. Each is signed by the node that made it.
//!
//! An item is the state of one *slot*: the register under a key, one node's share of the counter under a key,
//! or one element of the set under a key. Of two items of one slot, the same one wins at every node and in
//! every order of arrival. So nodes that have seen the same items hold the same state (Shapiro et al.,
//! "Conflict-free Replicated Data Types", SSS 2011: a last-writer-wins register, a grow-only counter, a
//! grow-only set).
//!
//! A node numbers its items and signs each with its number. Two different items with one number prove that
//! their maker tells different nodes different things.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::value::Value;

/// A SHA-256 hash.
pub(super) type Hash = [u8; 32];

/// The slot of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) key: Value,
    pub(super) part: Part,
}

/// The part of a key's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Part {
    /// The register; the last write wins.
    Register,
    /// This node's share of the counter.
    Share(String),
    /// An element of the set.
    Element(Value),
}

/// The state of one slot, as its maker last knew it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Item {
    /// Microseconds since 1970, on the maker's clock.
    pub(super) at: u64,
    /// The node that made it.
    pub(super) maker: String,
    /// The number of items that the maker had made by then.
    pub(super) number: u64,
    pub(super) slot: Slot,
    pub(super) value: Value,
}

impl Item {
    /// Whether it replaces another item of its slot. Registers go by the clock; a share has a single maker,
    /// who numbers it.
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

    /// Whether the named maker has signed exactly this item.
    pub(super) fn is_genuine(&self) -> bool {
        let Ok(signature) = Signature::from_slice(&self.signature) else { return false };
        let key: VerifyingKey = key_of(&self.item.maker).verifying_key();
        // No node may change another node's share.
        let own = !matches!(&self.item.slot.part, Part::Share(node) if *node != self.item.maker);
        own && key.verify_strict(&bytes(&self.item), &signature).is_ok()
    }

    /// The hash of the item; two items with one hash count as one.
    pub(super) fn hash(&self) -> Hash {
        Sha256::digest(bytes(&self.item)).into()
    }
}

/// The key of a node. Here it follows from the name, so that nodes need no configuration. In a production
/// system each node would have a secret key and only the other nodes' public keys.
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
