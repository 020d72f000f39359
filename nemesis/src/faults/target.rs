//! Which nodes a fault of processes takes, and in what succession.

use std::ops::Range;

use rand::RngExt;

use crate::{
    Act, CutMode, Grudge, NodeId, TimedAct,
    act::verb::Verb,
    faults::{
        Dice, Kind, degrade,
        partition::{Cut, Heal},
    },
    plan,
};

const LEADER: Kind = Kind::leader("leader", "whoever leads");
const LEADER_AGAIN: Kind =
    Kind::leader("leader-again", "whoever leads, again and again, as soon as it is back");
const CRASH_LOOP: Kind =
    Kind::anybody("crash-loop", "a random node, again and again, a few milliseconds after each start");
const ONE: Kind = Kind::anybody("one", "a random node");
const MINORITY: Kind = Kind::anybody("minority", "fewer than half of the nodes");
const MAJORITY: Kind = Kind::anybody("majority", "more than half of the nodes, but not all");
const ALL: Kind = Kind::anybody("all", "every node at once");
const ROLLING: Kind = Kind::anybody("rolling", "every node, one after the other");
const STORM: Kind = Kind::anybody("storm", "every node again and again, each at times of its own");

const BRIDGE: Kind = Kind::leader(
    "bridge",
    "whoever leads, again and again, when two halves of the others, which it alone joins, have asked for its vote",
);

/// The kinds of faults that stop processes for a while.
pub(crate) const STOPS: &[Kind] = &[LEADER, LEADER_AGAIN, ONE, MINORITY, MAJORITY, ALL, ROLLING, STORM];

/// The kinds of faults that end processes, so that they have to start.
pub(crate) const ENDS: &[Kind] =
    &[LEADER, LEADER_AGAIN, BRIDGE, CRASH_LOOP, ONE, MINORITY, MAJORITY, ALL, ROLLING, STORM];

/// The kinds of faults that make processes suffer and leave them running.
pub(crate) const SUFFERS: &[Kind] = &[LEADER, ONE, MINORITY, ALL];

/// A kind of one of these faults, with `stop` as its act.
pub(crate) fn draw(kind: &str, dice: &mut Dice, stop: impl Fn(NodeId) -> Act) -> Vec<TimedAct> {
    let n = dice.order.len();
    let majority = n / 2 + 1;
    let count = match kind {
        "leader-again" => return again(dice.order[0], UP_MS, DOWN_MS, dice, &stop),
        "bridge" => return bridge(dice, &stop),
        "crash-loop" => return again(dice.order[0], STARTING_MS, DOWN_MS, dice, &stop),
        "storm" => return storm(dice, &stop),
        "rolling" => return rolling(dice, &stop),
        "minority" => dice.rng.random_range(1..majority.max(2)),
        "majority" => dice.rng.random_range(majority..n.max(majority + 1)),
        "all" => n,
        _ => 1,
    };
    dice.order.iter().take(count).map(|&node| stop(node).into()).collect()
}

/// How long a node is left to itself before it is stopped again, in milliseconds: from while it starts to when it takes part.
const UP_MS: Range<u64> = 20..400;
/// How long a node is left to itself that is to be stopped while it starts.
const STARTING_MS: Range<u64> = 1..25;
/// How long two halves wait for the vote of the node between them, in milliseconds: longer than most elections time out.
const WAITING_MS: Range<u64> = 500..1_000;
/// When of that its links begin to stall: what they carried has ended with the node by then, and who dials again waits.
const STALLED_MS: u64 = 50;
/// How long the node has to start before they reach it: less than it takes to stand for election itself.
const BACK_MS: Range<u64> = 40..120;
/// How late everything between nodes is meanwhile. Asked whether it would vote, the node answers; asked for its vote, it gives it:
/// three times as late it has, and five times as late it hears of whom it voted for and has something new to remember.
const LATE_MS: Range<u64> = 30..50;
/// How long it is away when it has voted: less than those who want its vote go on asking.
const AWAY_MS: Range<u64> = 1..30;
/// How long it is then left to itself.
const WORKING_MS: Range<u64> = 200..600;
/// How long it is left to itself where it is just stopped again and again.
const UNAWAITED_MS: Range<u64> = 20..300;
/// How long it is stopped each time.
const DOWN_MS: Range<u64> = 10..200;
/// How often at most.
const TIMES_MAX: usize = 10;

/// One node, stopped and let go for as long as the fault is held: hits a process while it starts and recovers.
fn again(
    node: NodeId,
    up: Range<u64>,
    down: Range<u64>,
    dice: &mut Dice,
    stop: &impl Fn(NodeId) -> Act,
) -> Vec<TimedAct> {
    let mut acts = vec![stop(node).into()];
    let mut at_ms = 0;
    for _ in 1..TIMES_MAX {
        let up_ms = at_ms + dice.moment_ms(down.clone());
        at_ms = up_ms + dice.moment_ms(up.clone());
        if at_ms >= dice.hold_ms {
            break;
        }
        acts.extend(stop(node).undo().map(|act| TimedAct { after_ms: up_ms, act }));
        acts.push(TimedAct { after_ms: at_ms, act: stop(node) });
    }
    acts
}

/// Two halves that do not hear each other, each one short of a majority, and the node between them, which both need: what it
/// has told one half it must not have forgotten when the other asks.
///
/// Now and then it is just stopped again and again. Else so that there are two candidates of one term, which is rare where
/// the first to ask is answered before the second asks:
///
/// ```text
///   bridge         ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████████▁▁▁████████████   is down, starts, is stopped when it has voted
///   links to it    ██▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████████████████   stalled: what both halves ask meanwhile arrives at once
///                    waiting             back voting away working
/// ```
fn bridge(dice: &mut Dice, stop: &impl Fn(NodeId) -> Act) -> Vec<TimedAct> {
    let halves = Grudge::bridge(&dice.order);
    let Some((bridge, others)) = dice.order.split_first().filter(|_| !halves.is_empty()) else {
        return Vec::new();
    };
    let (bridge, links) = (*bridge, Grudge::one_way(others, &[*bridge]));
    let mut acts = plan::hold(&halves, dice.mode);
    if dice.rng.random_ratio(1, 4) {
        acts.extend(again(bridge, UNAWAITED_MS, AWAY_MS, dice, stop));
        return acts;
    }
    let late_ms = dice.rng.random_range(LATE_MS);
    acts.extend(degrade::late(&dice.order, late_ms));
    let mut at_ms = 0;
    while at_ms < dice.hold_ms {
        let start_ms = at_ms + dice.moment_ms(WAITING_MS);
        let joined_ms = start_ms + dice.moment_ms(BACK_MS);
        let voted_ms = joined_ms + dice.rng.random_range(3 * late_ms..5 * late_ms);
        let back_ms = voted_ms + dice.moment_ms(AWAY_MS);
        let start = stop(bridge).undo();
        let mut at = |after_ms, act| acts.push(TimedAct { after_ms, act });
        at(at_ms, stop(bridge));
        links.cuts().for_each(|link| at(at_ms + STALLED_MS, Cut(CutMode::Stall).on(link)));
        start.into_iter().for_each(|act| at(start_ms, act));
        links.cuts().for_each(|link| at(joined_ms, Heal.on(link)));
        at(voted_ms, stop(bridge));
        start.into_iter().for_each(|act| at(back_ms, act));
        at_ms = back_ms + dice.moment_ms(WORKING_MS);
    }
    acts.retain(|timed| timed.after_ms < dice.hold_ms);
    acts
}

/// Every node, stopped and let go at times of its own. They may all be gone at once, or never.
fn storm(dice: &mut Dice, stop: &impl Fn(NodeId) -> Act) -> Vec<TimedAct> {
    let mut acts: Vec<TimedAct> = Vec::new();
    for node in dice.order.clone() {
        let begins_ms = dice.moment_ms(0..UP_MS.end);
        let hold_ms = dice.hold_ms;
        dice.hold_ms = hold_ms.saturating_sub(begins_ms).max(1);
        let own = again(node, UP_MS, DOWN_MS, dice, stop);
        dice.hold_ms = hold_ms;
        acts.extend(own.into_iter().map(|timed| TimedAct { after_ms: begins_ms + timed.after_ms, ..timed }));
    }
    acts.sort_by_key(|timed| timed.after_ms);
    acts
}

/// Every node for an equal part of the hold; the next one goes as the last one comes back, whether or not it is ready.
fn rolling(dice: &mut Dice, stop: &impl Fn(NodeId) -> Act) -> Vec<TimedAct> {
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
