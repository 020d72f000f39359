//! Which nodes a fault of processes takes, and in what succession.

use std::ops::Range;

use rand::RngExt;

use crate::{
    Act, NodeId, TimedAct,
    fault::{Dice, Kind},
};

/// The kinds of every fault that stops processes.
pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "leader", about: "whoever leads", at_leader: true },
    Kind {
        name: "leader-again",
        about: "whoever leads, again and again, as soon as it is back",
        at_leader: true,
    },
    Kind { name: "one", about: "a random node", at_leader: false },
    Kind { name: "minority", about: "fewer than half of the nodes", at_leader: false },
    Kind { name: "majority", about: "more than half of the nodes, but not all", at_leader: false },
    Kind { name: "all", about: "every node at once", at_leader: false },
    Kind { name: "rolling", about: "every node, one after the other", at_leader: false },
];

/// A kind of one of these faults, with `stop` as its act.
pub(crate) fn draw(kind: &str, dice: &mut Dice, stop: fn(NodeId) -> Act) -> Vec<TimedAct> {
    let n = dice.order.len();
    let majority = n / 2 + 1;
    let count = match kind {
        "leader-again" => return again(dice.order[0], dice, stop),
        "rolling" => return rolling(dice, stop),
        "minority" => dice.rng.random_range(1..majority.max(2)),
        "majority" => dice.rng.random_range(majority..n.max(majority + 1)),
        "all" => n,
        _ => 1,
    };
    dice.order.iter().take(count).map(|&node| stop(node).into()).collect()
}

/// How long a node is left to itself before it is stopped again, in milliseconds: from while it starts to when it takes part.
const UP_MS: Range<u64> = 20..400;
/// How long it is stopped each time.
const DOWN_MS: Range<u64> = 10..200;
/// How often at most.
const TIMES_MAX: usize = 10;

/// One node, stopped and let go for as long as the fault is held: hits a process while it starts and recovers.
fn again(node: NodeId, dice: &mut Dice, stop: fn(NodeId) -> Act) -> Vec<TimedAct> {
    let mut acts = vec![stop(node).into()];
    let mut at_ms = 0;
    for _ in 1..TIMES_MAX {
        let up_ms = at_ms + dice.moment_ms(DOWN_MS);
        at_ms = up_ms + dice.moment_ms(UP_MS);
        if at_ms >= dice.hold_ms {
            break;
        }
        acts.extend(stop(node).undo().map(|act| TimedAct { after_ms: up_ms, act }));
        acts.push(TimedAct { after_ms: at_ms, act: stop(node) });
    }
    acts
}

/// Every node for an equal part of the hold; the next one goes as the last one comes back, whether or not it is ready.
fn rolling(dice: &mut Dice, stop: fn(NodeId) -> Act) -> Vec<TimedAct> {
    let turn_ms = dice.hold_ms / dice.order.len() as u64;
    let mut acts = Vec::new();
    for (at, &node) in dice.order.iter().enumerate() {
        let after_ms = turn_ms * at as u64;
        if let Some(&previous) = at.checked_sub(1).and_then(|before| dice.order.get(before)) {
            acts.extend(stop(previous).undo().map(|act| TimedAct { after_ms, act }));
        }
        acts.push(TimedAct { after_ms, act: stop(node) });
    }
    acts
}
