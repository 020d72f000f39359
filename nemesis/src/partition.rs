//! Partition: links are cut, in one direction or both. The shapes are told in [`crate::grudge`].

use std::ops::Range;

use rand::RngExt;

use crate::{
    Act, TimedAct,
    fault::{Dice, Fault, Kind},
    grudge::Grudge,
};

pub(crate) const FAULT: Fault = Fault {
    name: "partition",
    about: "cuts links between nodes (they stall, or reset connections); the undo opens them",
    usual: true,
    kinds: &[
        Kind { name: "isolate-leader", about: "whoever leads, apart from all others", at_leader: true },
        Kind {
            name: "one-way-leader",
            about: "whoever leads is not heard by the others, or does not hear them",
            at_leader: true,
        },
        Kind {
            name: "flapping-leader",
            about: "whoever leads, apart from all others, again and again for a moment",
            at_leader: true,
        },
        Kind { name: "halves", about: "two random halves", at_leader: false },
        Kind { name: "isolate-one", about: "a random node, apart from all others", at_leader: false },
        Kind {
            name: "minority-third",
            about: "a random third of the nodes, apart from the others",
            at_leader: false,
        },
        Kind {
            name: "majority-ring",
            about: "every node hears a majority, and no two the same",
            at_leader: false,
        },
        Kind { name: "bridge", about: "two halves joined by one node only", at_leader: false },
        Kind { name: "one-way", about: "a random group is not heard by the others", at_leader: false },
    ],
    draw,
};

/// How often a flapping partition is cut at most: enough to be a nuisance, few enough to be read in a record.
const FLAPS_MAX: usize = 10;
/// How long a flap lasts, and the time between two: around an election timeout, in milliseconds.
const FLAP_MS: Range<u64> = 50..500;

fn draw(kind: &str, dice: &mut Dice) -> Vec<TimedAct> {
    let grudge = grudge(kind, dice);
    let mode = dice.mode;
    let cuts =
        |after_ms| grudge.cuts().map(move |(from, to)| TimedAct { after_ms, act: Act::Cut(from, to, mode) });
    let heals =
        |after_ms| grudge.cuts().map(move |(from, to)| TimedAct { after_ms, act: Act::Heal(from, to) });
    let mut acts: Vec<TimedAct> = cuts(0).collect();
    if kind == "flapping-leader" {
        let mut at_ms = 0;
        for _ in 1..FLAPS_MAX {
            let healed_ms = at_ms + dice.moment_ms(FLAP_MS);
            at_ms = healed_ms + dice.moment_ms(FLAP_MS);
            if at_ms >= dice.hold_ms {
                break;
            }
            acts.extend(heals(healed_ms).chain(cuts(at_ms)));
        }
    }
    acts
}

fn grudge(kind: &str, dice: &mut Dice) -> Grudge {
    let order = &dice.order;
    match kind {
        "halves" => Grudge::split(order, order.len() / 2),
        "minority-third" => Grudge::split(order, (order.len() / 3).max(1)),
        "majority-ring" => Grudge::majority_ring(order),
        "bridge" => Grudge::bridge(order),
        "one-way" => {
            let (mute, deaf) = order.split_at(dice.rng.random_range(1..order.len().max(2)));
            Grudge::one_way(mute, deaf)
        }
        "one-way-leader" => {
            let (leader, others) = order.split_at(1);
            if dice.rng.random() { Grudge::one_way(leader, others) } else { Grudge::one_way(others, leader) }
        }
        _ => Grudge::split(order, 1),
    }
}
