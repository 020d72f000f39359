//! Which nodes a fault of processes hits, and when.

use std::ops::Range;

use rand::RngExt;

use crate::{
    Act, CutMode, Grudge, NodeId, TimedAct,
    act::verb::Verb,
    faults::{
        DrawContext, Kind, degrade,
        partition::{Cut, Heal},
    },
    plan,
};

const LEADER: Kind = Kind::leader("leader", "the leader");
const LEADER_AGAIN: Kind = Kind::leader("leader-again", "the leader, repeatedly, as soon as it is back");
const CRASH_LOOP: Kind =
    Kind::any_node("crash-loop", "a random node, repeatedly, a few milliseconds after each start");
const ONE: Kind = Kind::any_node("one", "a random node");
const MINORITY: Kind = Kind::any_node("minority", "fewer than half of the nodes");
const MAJORITY: Kind = Kind::any_node("majority", "more than half of the nodes, but not all");
const ALL: Kind = Kind::any_node("all", "every node at once");
const ROLLING: Kind = Kind::any_node("rolling", "every node, one after the other");
const STORM: Kind = Kind::any_node("storm", "every node, repeatedly, each at times of its own");

const BRIDGE: Kind = Kind::leader(
    "bridge",
    "the leader, the only link between two halves, repeatedly, when both have asked for its vote",
);

/// Kinds of faults that stop processes for a while.
pub(crate) const PAUSE_KINDS: &[Kind] = &[LEADER, LEADER_AGAIN, ONE, MINORITY, MAJORITY, ALL, ROLLING, STORM];

/// Kinds of faults that end processes.
pub(crate) const KILL_KINDS: &[Kind] =
    &[LEADER, LEADER_AGAIN, BRIDGE, CRASH_LOOP, ONE, MINORITY, MAJORITY, ALL, ROLLING, STORM];

/// Kinds of faults that impair processes and leave them running.
pub(crate) const IMPAIR_KINDS: &[Kind] = &[LEADER, ONE, MINORITY, ALL];

/// Draws a kind of one of these faults, with `stop` as its act.
pub(crate) fn draw(kind: &str, context: &mut DrawContext, stop: impl Fn(NodeId) -> Act) -> Vec<TimedAct> {
    let n = context.order.len();
    let majority = n / 2 + 1;
    let count = match kind {
        "leader-again" => return again(context.order[0], UP_MS, DOWN_MS, context, &stop),
        "bridge" => return bridge(context, &stop),
        "crash-loop" => return again(context.order[0], STARTING_MS, DOWN_MS, context, &stop),
        "storm" => return storm(context, &stop),
        "rolling" => return rolling(context, &stop),
        "minority" => context.rng.random_range(1..majority.max(2)),
        "majority" => context.rng.random_range(majority..n.max(majority + 1)),
        "all" => n,
        _ => 1,
    };
    context.order.iter().take(count).map(|&node| stop(node).into()).collect()
}

/// How long a node runs before it is stopped again, in milliseconds: from its start-up to normal operation.
const UP_MS: Range<u64> = 20..400;
/// How long a node runs if it is to be stopped during its start-up.
const STARTING_MS: Range<u64> = 1..25;
/// How long the two halves wait for the vote of the bridge, in milliseconds: longer than most election
/// timeouts.
const WAITING_MS: Range<u64> = 500..1_000;
/// When in that time its links begin to stall: by then its old connections have ended, and new ones wait.
const STALLED_MS: u64 = 50;
/// How long the bridge has to start before messages reach it: less than its own election timeout.
const BACK_MS: Range<u64> = 40..120;
/// Delay of everything between nodes meanwhile. The bridge answers a pre-vote request, then a vote request:
/// after three delays it has voted. After five delays it hears from the winner, and has something new to
/// remember.
const LATE_MS: Range<u64> = 30..50;
/// How long the bridge is down after its vote: less than the candidates keep asking.
const AWAY_MS: Range<u64> = 1..30;
/// How long the bridge then runs.
const WORKING_MS: Range<u64> = 200..600;
/// How long the bridge runs if it is stopped repeatedly without this timing.
const UNAWAITED_MS: Range<u64> = 20..300;
/// How long a node is stopped each time.
const DOWN_MS: Range<u64> = 10..200;
/// Maximum number of stops.
const TIMES_MAX: usize = 10;

/// Stops and restarts one node for as long as the fault is held, to hit it while it starts and recovers.
fn again(
    node: NodeId,
    up: Range<u64>,
    down: Range<u64>,
    context: &mut DrawContext,
    stop: &impl Fn(NodeId) -> Act,
) -> Vec<TimedAct> {
    let mut acts = vec![stop(node).into()];
    let mut at_ms = 0;
    for _ in 1..TIMES_MAX {
        let up_ms = at_ms + context.moment_ms(down.clone());
        at_ms = up_ms + context.moment_ms(up.clone());
        if at_ms >= context.hold_ms {
            break;
        }
        acts.extend(stop(node).undo().map(|act| TimedAct { after_ms: up_ms, act }));
        acts.push(TimedAct { after_ms: at_ms, act: stop(node) });
    }
    acts
}

/// Two halves that do not hear each other, each one node short of a majority, and the bridge between them,
/// which both need: what it has told one half, it must not have forgotten when the other half asks.
///
/// In a quarter of the cases the bridge is just stopped repeatedly. Otherwise the timing makes two candidates
/// of one term likely, which is rare if the first candidate gets its response before the second one asks:
///
/// ```text
///   bridge         ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████████▁▁▁████████████   stopped again after its vote
///   links to it    ██▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████████████████   requests of both halves arrive at once
///                    waiting             back voting away working
/// ```
fn bridge(context: &mut DrawContext, stop: &impl Fn(NodeId) -> Act) -> Vec<TimedAct> {
    let halves = Grudge::bridge(&context.order);
    let Some((bridge, others)) = context.order.split_first().filter(|_| !halves.is_empty()) else {
        return Vec::new();
    };
    let (bridge, links) = (*bridge, Grudge::one_way(others, &[*bridge]));
    let mut acts = plan::cut_links(&halves, context.mode);
    if context.rng.random_ratio(1, 4) {
        acts.extend(again(bridge, UNAWAITED_MS, AWAY_MS, context, stop));
        return acts;
    }
    let late_ms = context.rng.random_range(LATE_MS);
    acts.extend(degrade::late(&context.order, late_ms));
    let mut at_ms = 0;
    while at_ms < context.hold_ms {
        let start_ms = at_ms + context.moment_ms(WAITING_MS);
        let joined_ms = start_ms + context.moment_ms(BACK_MS);
        let voted_ms = joined_ms + context.rng.random_range(3 * late_ms..5 * late_ms);
        let back_ms = voted_ms + context.moment_ms(AWAY_MS);
        let start = stop(bridge).undo();
        let mut at = |after_ms, act| acts.push(TimedAct { after_ms, act });
        at(at_ms, stop(bridge));
        links.cuts().for_each(|link| at(at_ms + STALLED_MS, Cut(CutMode::Stall).on(link)));
        start.into_iter().for_each(|act| at(start_ms, act));
        links.cuts().for_each(|link| at(joined_ms, Heal.on(link)));
        at(voted_ms, stop(bridge));
        start.into_iter().for_each(|act| at(back_ms, act));
        at_ms = back_ms + context.moment_ms(WORKING_MS);
    }
    acts.retain(|timed| timed.after_ms < context.hold_ms);
    acts
}

/// Stops and restarts every node at times of its own. All may be down at once, or never.
fn storm(context: &mut DrawContext, stop: &impl Fn(NodeId) -> Act) -> Vec<TimedAct> {
    let mut acts: Vec<TimedAct> = Vec::new();
    for node in context.order.clone() {
        let begins_ms = context.moment_ms(0..UP_MS.end);
        let hold_ms = context.hold_ms;
        context.hold_ms = hold_ms.saturating_sub(begins_ms).max(1);
        let own = again(node, UP_MS, DOWN_MS, context, stop);
        context.hold_ms = hold_ms;
        acts.extend(own.into_iter().map(|timed| TimedAct { after_ms: begins_ms + timed.after_ms, ..timed }));
    }
    acts.sort_by_key(|timed| timed.after_ms);
    acts
}

/// Stops every node for an equal part of the hold. A node is stopped when the previous one restarts, even if
/// that node is not ready yet.
fn rolling(context: &mut DrawContext, stop: &impl Fn(NodeId) -> Act) -> Vec<TimedAct> {
    let turn_ms = context.hold_ms / context.order.len() as u64;
    let mut acts = Vec::new();
    for (at, &node) in context.order.iter().enumerate() {
        let after_ms = turn_ms * at as u64;
        if let Some(&previous) = at.checked_sub(1).and_then(|before| context.order.get(before)) {
            acts.extend(stop(previous).undo().map(|act| TimedAct { after_ms, act }));
        }
        acts.push(TimedAct { after_ms, act: stop(node) });
    }
    acts
}
