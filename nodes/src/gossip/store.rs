//! The state of a node: the newest item of every slot, and the proofs against nodes that lie. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::item::{Hash, Item, Part, Signed, Slot};
use super::merkle::Merkle;
use crate::machine::{Command, Verb};
use crate::value::Value;

/// Two different items signed by one node with the same number.
pub(super) type Proof = (Signed, Signed);

/// The items and the liars.
#[derive(Default)]
pub(super) struct Store {
    /// By leaf and slot, with their hashes. All slots of a key are in one leaf.
    items: BTreeMap<(u8, Slot), (Signed, Hash)>,
    merkle: Merkle,
    /// The leaves that changed since the tree was last updated.
    dirty: BTreeSet<u8>,
    /// Every item ever seen, by maker and number: a second item with one number is noticed.
    seen: BTreeMap<(String, u64), Signed>,
    proofs: BTreeMap<String, Proof>,
    /// TrustEverybody: signatures and numbers are not checked.
    trusts: bool,
}

/// What happened to a received item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    /// Already known, or superseded, or made by a known liar.
    Ignored,
    /// Its signature is wrong: the sender forged it, or it was damaged.
    Forged,
    /// It proves that its maker lies.
    ProvesLiar(String),
}

impl Store {
    pub(super) fn new(trusts: bool) -> Self {
        Store { trusts, ..Store::default() }
    }

    /// Adds an item from any sender.
    pub(super) fn take(&mut self, signed: Signed) -> Taken {
        let name = (signed.item.maker.clone(), signed.item.number);
        let known = self.seen.get(&name);
        if known.is_some_and(|known| *known == signed) || self.proofs.contains_key(&name.0) {
            return Taken::Ignored;
        }
        if !self.trusts {
            if !signed.is_genuine() {
                return Taken::Forged;
            }
            if let Some(known) = known.filter(|known| known.item != signed.item) {
                let proof = (known.clone(), signed);
                self.drop_liar(proof);
                return Taken::ProvesLiar(name.0);
            }
        }
        self.seen.insert(name, signed.clone());
        let place = place(&signed.item.slot);
        if self.items.get(&place).is_some_and(|(held, _)| !signed.item.supersedes(&held.item)) {
            return Taken::Ignored;
        }
        let hash = signed.hash();
        self.dirty.insert(place.0);
        self.items.insert(place, (signed, hash));
        Taken::Yes
    }

    /// Adds a proof found by another node; returns the liar if it was not known.
    pub(super) fn take_proof(&mut self, (one, other): Proof) -> Option<String> {
        let (maker, number) = (one.item.maker.clone(), one.item.number);
        let contradict = (&other.item.maker, other.item.number) == (&maker, number) && one.item != other.item;
        let news = !self.trusts && !self.proofs.contains_key(&maker);
        if !news || !contradict || !one.is_genuine() || !other.is_genuine() {
            return None;
        }
        self.drop_liar((one, other));
        Some(maker)
    }

    /// Drops everything that a liar made: which version other nodes received is unknown.
    fn drop_liar(&mut self, proof: Proof) {
        let liar = proof.0.item.maker.clone();
        self.items.retain(|_, (signed, _)| signed.item.maker != liar);
        self.dirty.extend(0..=u8::MAX);
        self.seen.retain(|(maker, _), _| *maker != liar);
        self.proofs.insert(liar, proof);
    }

    /// The proof that a node lies, if there is one.
    pub(super) fn proof_of(&self, liar: &str) -> Option<&Proof> {
        self.proofs.get(liar)
    }

    pub(super) fn proofs(&self) -> Vec<Proof> {
        self.proofs.values().cloned().collect()
    }

    /// The tree over all items, up to date.
    pub(super) fn merkle(&mut self) -> &Merkle {
        for leaf in std::mem::take(&mut self.dirty) {
            let hashes: Vec<Hash> = self.leaf(leaf).map(|(_, hash)| *hash).collect();
            self.merkle.set(leaf, &hashes);
        }
        &self.merkle
    }

    fn leaf(&self, leaf: u8) -> impl Iterator<Item = &(Signed, Hash)> {
        let from = (leaf, Slot { key: Value::Nil, part: Part::Register });
        self.items.range(from..).take_while(move |((at, _), _)| *at == leaf).map(|(_, held)| held)
    }

    /// The items in these leaves.
    pub(super) fn in_leaves(&self, leaves: &[u8]) -> Vec<Signed> {
        leaves.iter().flat_map(|leaf| self.leaf(*leaf)).map(|(signed, _)| signed.clone()).collect()
    }

    fn get(&self, key: &Value, part: Part) -> Option<&Item> {
        let slot = Slot { key: key.clone(), part };
        self.items.get(&place(&slot)).map(|(signed, _)| &signed.item)
    }

    /// The value of a key: its elements if it is a set, the sum of the shares if it is a counter, else its
    /// register.
    pub(super) fn read(&self, key: &Value) -> Value {
        let first = place(&Slot { key: key.clone(), part: Part::Register });
        let under = self.items.range(first..).map(|(_, (signed, _))| &signed.item);
        let under = under.take_while(|item| item.slot.key == *key);
        let (mut elements, mut sum, mut register) = (BTreeSet::new(), None, Value::Nil);
        for item in under {
            match (&item.slot.part, &item.value) {
                (Part::Element(element), _) => _ = elements.insert(element.clone()),
                (Part::Share(_), Value::Int(share)) => sum = Some(sum.unwrap_or(0) + share),
                (_, value) => register = value.clone(),
            }
        }
        match sum {
            _ if !elements.is_empty() => Value::List(elements.into_iter().collect()),
            Some(sum) => Value::Int(sum),
            None => register,
        }
    }

    /// The slot that a command changes, its new state, and the result for the client; `None` for an operation
    /// that gossip does not support.
    pub(super) fn change(&self, me: &str, Command { op, .. }: &Command) -> Option<(Slot, Value, Value)> {
        let slot = |part| Slot { key: op.key.clone(), part };
        match (op.verb, &op.value) {
            (Verb::Write, value) => Some((slot(Part::Register), value.clone(), Value::Nil)),
            (Verb::AddElement, element) => {
                Some((slot(Part::Element(element.clone())), Value::Nil, Value::Nil))
            }
            (Verb::Add, Value::Int(amount)) => {
                let part = Part::Share(me.to_owned());
                let share = match self.get(&op.key, part.clone()) {
                    Some(Item { value: Value::Int(share), .. }) => *share,
                    _ => 0,
                };
                Some((slot(part), Value::Int(share.wrapping_add(*amount)), Value::Nil))
            }
            _ => None,
        }
    }
}

/// The position of a slot in the tree.
fn place(slot: &Slot) -> (u8, Slot) {
    let bytes = postcard::to_stdvec(&slot.key).expect("keys hold only what postcard can write");
    (Sha256::digest(bytes)[0], slot.clone())
}

#[cfg(test)]
mod tests {
    use super::super::item::key_of;
    use super::*;

    fn element(maker: &str, number: u64, element: &str) -> Signed {
        let slot = Slot { key: "k".into(), part: Part::Element(element.into()) };
        Signed::new(Item { at: 0, maker: maker.into(), number, slot, value: Value::Nil }, &key_of(maker))
    }

    fn read(store: &Store) -> String {
        store.read(&"k".into()).to_json().to_string()
    }

    #[test]
    fn what_was_taken_in_another_order_is_the_same() {
        let items = [element("n1", 1, "a"), element("n2", 1, "b"), element("n1", 2, "c")];
        let (mut one, mut other) = (Store::new(false), Store::new(false));
        assert!(items.iter().all(|item| one.take(item.clone()) == Taken::Yes));
        assert_ne!(one.merkle(), other.merkle());
        assert!(items.iter().rev().all(|item| other.take(item.clone()) == Taken::Yes));
        assert_eq!(one.merkle(), other.merkle());
        assert_eq!((read(&one), read(&other)), (r#"["a","b","c"]"#.into(), r#"["a","b","c"]"#.into()));
        assert_eq!(one.take(items[0].clone()), Taken::Ignored);
    }

    #[test]
    fn who_signs_two_things_with_one_number_is_convicted_and_forgotten() {
        let mut store = Store::new(false);
        store.take(element("n1", 1, "a"));
        store.take(element("n2", 1, "b"));
        assert_eq!(store.take(element("n2", 1, "c")), Taken::ProvesLiar("n2".into()));
        assert_eq!(read(&store), r#"["a"]"#);
        assert_eq!(store.take(element("n2", 2, "d")), Taken::Ignored);

        let mut other = Store::new(false);
        other.take(element("n2", 1, "b"));
        let proof = store.proofs().remove(0);
        assert_eq!(other.take_proof(proof.clone()), Some("n2".into()));
        assert_eq!(other.take_proof(proof), None, "no news any more");
        assert_eq!(
            other.take_proof((element("n1", 1, "a"), element("n1", 2, "a"))),
            None,
            "no contradiction"
        );
        assert_eq!(read(&other), "null");
    }

    #[test]
    fn what_is_forged_is_only_taken_by_who_trusts() {
        let mut forged = element("n1", 1, "a");
        forged.item.slot.part = Part::Element("evil".into());
        assert_eq!(Store::new(false).take(forged.clone()), Taken::Forged);
        assert_eq!(Store::new(true).take(forged), Taken::Yes);
    }

    #[test]
    fn shares_of_a_counter_are_summed() {
        let mut store = Store::new(false);
        for (maker, number, share) in [("n1", 1, 2), ("n2", 1, 5), ("n1", 2, 3)] {
            let slot = Slot { key: "k".into(), part: Part::Share(maker.into()) };
            let item = Item { at: 0, maker: maker.into(), number, slot, value: share.into() };
            store.take(Signed::new(item, &key_of(maker)));
        }
        assert_eq!(read(&store), "8");
    }
}
