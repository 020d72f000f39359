//! A Merkle tree over items. Two nodes compare their trees to find the differences (Merkle, "A Digital
//! Signature Based on a Conventional Encryption Function", CRYPTO 1987; for anti-entropy: DeCandia et al.,
//! "Dynamo", SOSP 2007, section 4.7).
//!
//! ```text
//!   root ── 16 branches ── 16 leaves each ── items, by the first byte of their key's hash
//! ```
//!
//! If the roots are equal there is nothing to do. Otherwise the nodes compare the branches, then the leaves
//! under differing branches, and exchange only the items in differing leaves.

use sha2::{Digest as _, Sha256};

use super::item::Hash;

const FANOUT: usize = 16;

const LEAVES: usize = FANOUT * FANOUT;

/// The hashes of a set of items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Merkle {
    leaves: Vec<Hash>,
}

impl Default for Merkle {
    /// An empty tree.
    fn default() -> Self {
        Merkle { leaves: vec![hash([]); LEAVES] }
    }
}

impl Merkle {
    /// Sets the hashes of the items in a leaf, in an order that is the same at every node.
    pub(super) fn set<'a>(&mut self, leaf: u8, items: impl IntoIterator<Item = &'a Hash>) {
        self.leaves[usize::from(leaf)] = hash(items);
    }

    pub(super) fn root(&self) -> Hash {
        hash(self.branches().iter())
    }

    pub(super) fn branches(&self) -> Vec<Hash> {
        self.leaves.chunks(FANOUT).map(hash).collect()
    }

    /// The hashes of the leaves under these branches.
    pub(super) fn leaves_under(&self, branches: &[u8]) -> Vec<Hash> {
        let under = |branch: &u8| {
            let first = usize::from(*branch) * FANOUT;
            self.leaves.get(first..first + FANOUT).unwrap_or_default().to_vec()
        };
        branches.iter().flat_map(under).collect()
    }

    /// The branches that differ from another tree's.
    pub(super) fn differing_branches(&self, theirs: &[Hash]) -> Vec<u8> {
        let pairs = self.branches().into_iter().zip(theirs);
        pairs.enumerate().filter(|(_, (ours, theirs))| ours != *theirs).map(|(at, _)| at as u8).collect()
    }

    /// The leaves under these branches that differ from another tree's, given in the same order.
    pub(super) fn differing_leaves(&self, branches: &[u8], theirs: &[Hash]) -> Vec<u8> {
        let numbers =
            branches.iter().flat_map(|branch| (0..FANOUT).map(move |at| usize::from(*branch) * FANOUT + at));
        let ours = self.leaves_under(branches);
        let differing = numbers.zip(ours.iter().zip(theirs)).filter(|(_, (ours, theirs))| ours != theirs);
        differing.map(|(leaf, _)| leaf as u8).collect()
    }
}

fn hash<'a>(parts: impl IntoIterator<Item = &'a Hash>) -> Hash {
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(items: &[(u8, Hash)]) -> Merkle {
        let mut tree = Merkle::default();
        items.iter().for_each(|(leaf, hash)| tree.set(*leaf, [hash]));
        tree
    }

    #[test]
    fn the_leaf_that_differs_is_found_from_the_root_down() {
        let ours = tree(&[(0x12, [1; 32]), (0xab, [2; 32])]);
        let theirs = tree(&[(0x12, [1; 32]), (0xab, [3; 32]), (0xff, [4; 32])]);
        assert_eq!(ours.root(), tree(&[(0xab, [2; 32]), (0x12, [1; 32])]).root());
        assert_ne!(ours.root(), theirs.root());
        let branches = ours.differing_branches(&theirs.branches());
        assert_eq!(branches, [0xa, 0xf]);
        assert_eq!(ours.differing_leaves(&branches, &theirs.leaves_under(&branches)), [0xab, 0xff]);
        assert_eq!(ours.leaves_under(&[200]), [] as [Hash; 0], "a branch that there is not");
    }
}
