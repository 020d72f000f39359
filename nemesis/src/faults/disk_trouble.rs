//! Disks in trouble: full, failing, slow. The process goes on, if it can: some systems rightly stop when their disk fails,
//! and are started again when it is mended.

use rand::RngExt;

use crate::{
    Act, TimedAct, Trouble,
    faults::{Aim, Dice, Fault, Kind},
};

/// Milliseconds that a slow sync takes longer: from a spinning disk to a disk about to die.
const SLOW_MS: std::ops::Range<u64> = 10..500;

/// When a node that was killed starts again, in milliseconds.
const RESTART_MS: std::ops::Range<u64> = 50..300;

pub(crate) const FULL: Fault = Fault {
    name: "disk-full",
    about: "leaves no room on the disk: what needs more fails with ENOSPC",
    usual: false,
    alone: false,
    kinds: WHERE,
    draw: |kind, dice| on(kind, dice, Trouble::Full),
};

pub(crate) const SLOW: Fault = Fault {
    name: "slow-disk",
    about: "makes every fsync take 10 to 500 ms longer",
    usual: false,
    alone: false,
    kinds: WHERE,
    draw: |kind, dice| {
        let ms = dice.rng.random_range(SLOW_MS);
        on(kind, dice, Trouble::Slow(ms))
    },
};

pub(crate) const ERROR: Fault = Fault {
    name: "disk-error",
    about: "makes the reads, the writes or the fsyncs of a node fail with EIO",
    usual: false,
    alone: false,
    kinds: &[
        Kind { name: "leader-write", about: "writes, of whoever leads", aim: Aim::Leader },
        Kind {
            name: "leader-sync",
            about: "fsyncs, of whoever leads; no later one makes up for it",
            aim: Aim::Leader,
        },
        Kind { name: "write", about: "writes, of a random node", aim: Aim::Anybody },
        Kind { name: "sync", about: "fsyncs, of a random node", aim: Aim::Anybody },
        Kind {
            name: "read",
            about: "reads, of a random node that starts anew: what it had in memory it would read on",
            aim: Aim::Anybody,
        },
    ],
    draw: |kind, dice| {
        let trouble = match kind {
            "read" => Trouble::Read,
            "sync" | "leader-sync" => Trouble::Sync,
            _ => Trouble::Write,
        };
        let mut acts = on("one", dice, trouble);
        // Where the hold is too short for that, it starts in the middle of it.
        let restart_ms = dice.moment_ms(RESTART_MS).min(dice.hold_ms / 2);
        if let (Trouble::Read, &[node, ..]) = (trouble, &dice.order[..]) {
            acts.insert(0, Act::Kill(node).into());
            acts.push(TimedAct { after_ms: restart_ms, act: Act::Start(node) });
        }
        acts
    },
};

const WHERE: &[Kind] = &[
    Kind { name: "leader", about: "whoever leads", aim: Aim::Leader },
    Kind { name: "one", about: "a random node", aim: Aim::Anybody },
    Kind { name: "minority", about: "fewer than half of the nodes", aim: Aim::Anybody },
];

fn on(kind: &str, dice: &mut Dice, trouble: Trouble) -> Vec<TimedAct> {
    let count = if kind == "minority" { (dice.order.len() - 1) / 2 } else { 1 };
    dice.order.iter().take(count.max(1)).map(|&node| Act::FailDisk(node, trouble).into()).collect()
}
