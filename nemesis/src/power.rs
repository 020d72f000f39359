//! Power: the machine stops, and what it had written but not synced is gone, but for a part that nobody can foretell.
//!
//! What a kill leaves, because the operating system survives it, a power failure takes. A system that answers before its
//! fsync passes every kill and fails here.

use rand::RngExt;

use crate::{
    Act,
    fault::{Fault, Kind},
};

pub(crate) const FAULT: Fault = Fault {
    name: "power",
    about: "cuts the power: kills, and drops what was not fsynced; the undo starts the nodes on what is left",
    usual: false,
    kinds: &[
        Kind { name: "leader", about: "whoever leads", at_leader: true },
        Kind { name: "one", about: "a random node", at_leader: false },
        Kind { name: "all", about: "every node at once", at_leader: false },
    ],
    draw: |kind, dice| {
        let count = if kind == "all" { dice.order.len() } else { 1 };
        let nodes: Vec<_> = dice.order.iter().copied().take(count).collect();
        nodes.into_iter().map(|node| Act::LosePower(node, dice.rng.random::<u32>().into()).into()).collect()
    },
};
