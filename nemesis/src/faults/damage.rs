//! Damaged files: what happens to data at rest. One node is killed, its files are damaged while it is down, and it is
//! started again on them.
//!
//! There is no undo. The node may refuse to start, and is then left out; it may not notice, and then the others have to make
//! up for it. Systems that count on their disks to remember (Raft does: a vote, an acknowledged entry) may lose what they
//! promised by a `wipe` or a `restore`; the verdict says whether they did. At most a minority of the nodes is damaged in
//! one run. They come alone: a node that another fault starts meanwhile, on files that are being damaged, would die of it, and
//! nobody could say of what.

use rand::RngExt;

use crate::{
    Act, Damage, TimedAct,
    faults::{Aim, Dice, Fault, Kind},
};

pub(crate) const BITFLIP: Fault = Fault {
    name: "bitflip",
    about: "flips one bit in one file of a node while it is down",
    usual: false,
    alone: true,
    kinds: WHERE,
    draw: |_, dice| at_rest(dice, Damage::BitFlip),
};

pub(crate) const TRUNCATE: Fault = Fault {
    name: "truncate",
    about: "cuts the end off one file of a node while it is down",
    usual: false,
    alone: true,
    kinds: WHERE,
    draw: |_, dice| at_rest(dice, Damage::Truncate),
};

pub(crate) const WIPE: Fault = Fault {
    name: "wipe",
    about: "removes all files of a node while it is down",
    usual: false,
    alone: true,
    kinds: WHERE,
    draw: |_, dice| at_rest(dice, Damage::Wipe),
};

pub(crate) const RESTORE: Fault = Fault {
    name: "restore",
    about: "copies the files of a node, and puts the copy back later",
    usual: false,
    alone: true,
    kinds: WHERE,
    draw: |_, dice| {
        let Some(&node) = dice.order.first() else { return Vec::new() };
        let (up_ms, again_ms) = (dice.hold_ms / 10, dice.hold_ms * 7 / 10);
        let mut acts: Vec<TimedAct> = vec![Act::Kill(node).into(), Act::Backup(node).into()];
        acts.push(TimedAct { after_ms: up_ms, act: Act::Start(node) });
        acts.push(TimedAct { after_ms: again_ms, act: Act::Kill(node) });
        acts.push(TimedAct { after_ms: again_ms, act: Act::Damage(node, Damage::Restore, seed(dice)) });
        acts
    },
};

const WHERE: &[Kind] = &[
    Kind { name: "leader", about: "whoever leads", aim: Aim::Leader },
    Kind { name: "one", about: "a random node", aim: Aim::Anybody },
];

fn at_rest(dice: &mut Dice, damage: Damage) -> Vec<TimedAct> {
    let Some(&node) = dice.order.first() else { return Vec::new() };
    vec![Act::Kill(node).into(), Act::Damage(node, damage, seed(dice)).into()]
}

fn seed(dice: &mut Dice) -> u64 {
    dice.rng.random::<u32>().into()
}
