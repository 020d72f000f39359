//! Power: the machine stops, and what it had written but not synced is gone, but for a part that nobody can foretell.
//!
//! What a kill leaves, because the operating system survives it, a power failure takes. A system that answers before its
//! fsync passes every kill and fails here.

use rand::RngExt;

use crate::{
    Act, TimedAct, Trouble,
    faults::{Aim, Dice, Fault, Kind},
};

pub(crate) const FAULT: Fault = Fault {
    name: "power",
    about: "cuts the power: kills, and drops what was not fsynced; the undo starts the nodes on what is left",
    usual: false,
    alone: false,
    kinds: &[
        Kind { name: "leader", about: "whoever leads", aim: Aim::Leader },
        Kind { name: "one", about: "a random node", aim: Aim::Anybody },
        Kind { name: "all", about: "every node at once", aim: Aim::Anybody },
    ],
    draw: |kind, dice| {
        let count = if kind == "all" { dice.order.len() } else { 1 };
        let nodes: Vec<_> = dice.order.iter().copied().take(count).collect();
        nodes.into_iter().map(|node| Act::LosePower(node, dice.rng.random::<u32>().into()).into()).collect()
    },
};

/// A power failure that comes while much is on its way to the disk: nearly always it takes something, and of a write that
/// crosses a sector it may take a part.
pub(crate) const TORN_WRITE: Fault = Fault {
    name: "torn-write",
    about: "cuts the power in the middle of a slow fsync: the last write may be torn; the undo starts the nodes",
    usual: false,
    alone: false,
    kinds: &[
        Kind { name: "majority", about: "whoever leads, and enough others for a majority", aim: Aim::Leader },
        Kind { name: "all", about: "every node at once", aim: Aim::Anybody },
    ],
    draw: draw_torn,
};

/// How long each sync takes then, in milliseconds: while one lasts, the next write grows.
const SYNC_MS: u64 = 80;

fn draw_torn(kind: &str, dice: &mut Dice) -> Vec<TimedAct> {
    let all = dice.order.len();
    let nodes = dice.order.iter().copied().take(if kind == "all" { all } else { all / 2 + 1 });
    let after_ms = dice.rng.random_range(SYNC_MS..4 * SYNC_MS).min(dice.hold_ms.saturating_sub(1));
    let slow = nodes.clone().map(|node| Act::FailDisk(node, Trouble::Slow(SYNC_MS)).into());
    let mut acts: Vec<TimedAct> = slow.collect();
    for node in nodes {
        acts.push(TimedAct { after_ms, act: Act::LosePower(node, dice.rng.random::<u32>().into()) });
    }
    acts
}
