//! How many nodes a fault of processes takes.

use rand::RngExt;

use crate::{
    NodeId,
    fault::{Dice, Kind},
};

/// The kinds of every fault that takes nodes.
pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "leader", about: "whoever leads", at_leader: true },
    Kind { name: "one", about: "a random node", at_leader: false },
    Kind { name: "minority", about: "fewer than half of the nodes", at_leader: false },
    Kind { name: "majority", about: "more than half of the nodes, but not all", at_leader: false },
    Kind { name: "all", about: "every node at once", at_leader: false },
];

/// The nodes that a kind takes from the head of the order.
pub(crate) fn take(kind: &str, dice: &mut Dice) -> Vec<NodeId> {
    let n = dice.order.len();
    let majority = n / 2 + 1;
    let count = match kind {
        "minority" => dice.rng.random_range(1..majority.max(2)),
        "majority" => dice.rng.random_range(majority..n.max(majority + 1)),
        "all" => n,
        _ => 1,
    };
    dice.order.iter().copied().take(count).collect()
}
