//! Partition: links are cut, in one direction or both. [`crate::links::grudge`] describes the shapes.
//!
//! Clients stay with their node, so a primary is isolated *with* its clients and still gets requests. The
//! fault [`clients`](crate::faults::clients) cuts clients off.

use std::ops::Range;

use rand::{RngExt, seq::SliceRandom};

use crate::{
    CutMode, TimedAct,
    act::verb::{Domain, Reversal, Verb, VerbSpec, simple_verb},
    faults::{AnyVerb, DrawContext, Fault, Kind, degrade},
    links::{LinkChange, grudge::Grudge},
    plan,
};

pub(crate) const FAULT: Fault = Fault {
    name: "partition",
    about: "cuts links between nodes (they stall, or reset connections); the undo opens them",
    usual: true,
    alone: false,
    kinds: &[
        Kind::leader("isolate-leader", "isolates the leader"),
        Kind::leader("one-way-leader", "the others do not hear the leader, or the leader does not hear them"),
        Kind::leader("flapping-leader", "isolates the leader repeatedly, for a moment each time"),
        Kind::leader("leader-minority", "separates the leader and a minority from the others"),
        Kind::leader(
            "shifting-majority",
            "connects a bare majority with the leader, then one that shares as few nodes with it as possible, and so on",
        ),
        Kind::each_leader("each-leader", "isolates each new leader in turn; all links are slow"),
        Kind::any_node("halves", "separates the lower-numbered half from the others"),
        Kind::any_node("random-halves", "separates two random halves"),
        Kind::any_node("isolate-one", "isolates a random node"),
        Kind::any_node("minority-third", "separates a random third of the nodes from the others"),
        Kind::any_node("majority-ring", "every node hears a majority, and no two the same"),
        Kind::any_node("bridge", "two halves that only one node joins"),
        Kind::any_node("one-way", "the others do not hear a random group"),
        Kind::any_node("flapping", "separates two random halves repeatedly, for a moment each time"),
    ],
    draw,
};

/// Maximum number of cuts of a flapping partition: enough to disturb, and few enough for a readable record.
const FLAPS_MAX: usize = 10;
/// Length of a flap, and time between two flaps: around an election timeout, in milliseconds.
const FLAP_MS: Range<u64> = 50..500;

/// How long a majority stays together before it shifts, in milliseconds: from less than an election takes to
/// some time after one.
const SHIFT_MS: Range<u64> = 200..1_500;

fn draw(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    match kind {
        "shifting-majority" => return shifting(context),
        "each-leader" => return each_leader(context),
        _ => {}
    }
    let grudge = grudge(kind, context);
    let mode = context.mode;
    let cuts = |after_ms| grudge.cuts().map(move |link| TimedAct { after_ms, act: Cut(mode).on(link) });
    let heals = |after_ms| grudge.cuts().map(move |link| TimedAct { after_ms, act: Heal.on(link) });
    let mut acts: Vec<TimedAct> = cuts(0).collect();
    if kind.starts_with("flapping") {
        let mut at_ms = 0;
        for _ in 1..FLAPS_MAX {
            let healed_ms = at_ms + context.moment_ms(FLAP_MS);
            at_ms = healed_ms + context.moment_ms(FLAP_MS);
            if at_ms >= context.hold_ms {
                break;
            }
            acts.extend(heals(healed_ms).chain(cuts(at_ms)));
        }
    }
    acts
}

/// Connects one majority after the other. Each is minimal, and has as few nodes as possible in common with
/// the one before. The next majority shares only one node with it (if the number of nodes is odd), and only
/// that node knows its decisions; the other nodes come with the logs and the knowledge of an earlier time.
/// Consensus depends on the rule that quorums intersect, and that the common node remembers and is heard.
fn shifting(context: &mut DrawContext) -> Vec<TimedAct> {
    let mut order = context.order.clone();
    let majority = order.len() / 2 + 1;
    let mode = context.mode;
    let mut cut = Grudge::split(&order, majority);
    let mut acts: Vec<TimedAct> = plan::cut_links(&cut, mode);
    let mut at_ms = 0;
    loop {
        at_ms += context.moment_ms(SHIFT_MS);
        if at_ms >= context.hold_ms {
            return acts;
        }
        order[..majority].shuffle(&mut context.rng);
        order.rotate_left(majority);
        let next = Grudge::split(&order, majority);
        let new = next.cuts().filter(|&(from, to)| cut.hears(to, from)).map(|link| Cut(mode).on(link));
        let old = cut.cuts().filter(|&(from, to)| next.hears(to, from)).map(|link| Heal.on(link));
        acts.extend(new.chain(old).map(|act| TimedAct { after_ms: at_ms, act }));
        cut = next;
    }
}

/// Delay of everything between nodes while each leader in turn is cut off, in milliseconds.
const LATE_MS: Range<u64> = 12..24;

/// Isolates each new leader in turn. All links are slow, so a leader can be cut off after its election and
/// before any node has heard from it again. Then no other node has what it has written, and the next leader
/// may be one that was cut off in the same way two terms ago (Figure 8 of the Raft paper).
fn each_leader(context: &mut DrawContext) -> Vec<TimedAct> {
    let late_ms = context.rng.random_range(LATE_MS);
    let mut acts = plan::cut_links(&Grudge::split(&context.order, 1), context.mode);
    acts.extend(degrade::late(&context.order, late_ms));
    acts
}

fn grudge(kind: &str, context: &mut DrawContext) -> Grudge {
    let order = &context.order;
    match kind {
        "halves" => {
            let mut by_number = order.clone();
            by_number.sort();
            Grudge::split(&by_number, order.len() / 2)
        }
        "random-halves" | "flapping" => Grudge::split(order, order.len() / 2),
        "minority-third" => Grudge::split(order, (order.len() / 3).max(1)),
        "leader-minority" => Grudge::split(order, (order.len().saturating_sub(1) / 2).max(1)),
        "majority-ring" => Grudge::majority_ring(order),
        "bridge" => Grudge::bridge(order),
        "one-way" => {
            let (mute, deaf) = order.split_at(context.rng.random_range(1..order.len().max(2)));
            Grudge::one_way(mute, deaf)
        }
        "one-way-leader" => {
            let (leader, others) = order.split_at(1);
            if context.rng.random() {
                Grudge::one_way(leader, others)
            } else {
                Grudge::one_way(others, leader)
            }
        }
        _ => Grudge::split(order, 1),
    }
}

/// Cuts a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut(pub(crate) CutMode);

impl Verb for Cut {
    const SPEC: VerbSpec = VerbSpec::of("cut", Domain::Link, Reversal::By(AnyVerb::Heal(Heal)));

    fn read(arguments: &[&str]) -> Option<Cut> {
        match arguments {
            ["stall"] => Some(Cut(CutMode::Stall)),
            ["reset"] => Some(Cut(CutMode::Reset)),
            _ => None,
        }
    }

    fn arguments(self) -> String {
        self.0.name().to_owned()
    }

    fn link_change(self) -> Option<LinkChange> {
        Some(LinkChange::Cut(Some(self.0)))
    }
}

simple_verb! {
    /// Heals a link.
    Heal = VerbSpec::of("heal", Domain::Link, Reversal::IsUndo);
    LinkChange::Cut
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chacha20::ChaCha8Rng;
    use proptest::prelude::*;
    use rand::{SeedableRng, seq::SliceRandom};

    use super::*;
    use crate::{CutMode, NodeId};

    fn context(nodes: usize, seed: u64) -> DrawContext {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<NodeId> = (0..nodes).map(NodeId).collect();
        order.shuffle(&mut rng);
        DrawContext { order, hold_ms: 3_000, mode: CutMode::Stall, rng }
    }

    fn at(nodes: usize) -> impl Iterator<Item = NodeId> {
        (0..nodes).map(NodeId)
    }

    /// Whom each node hears, itself included.
    fn views(grudge: &Grudge, nodes: usize) -> Vec<BTreeSet<NodeId>> {
        at(nodes).map(|to| at(nodes).filter(|&from| grudge.hears(to, from)).collect()).collect()
    }

    proptest! {
        /// Checks what the `about` of each kind promises, for every draw.
        #[test]
        fn each_kind_does_what_its_description_says(nodes in 3..10usize, seed: u64) {
            for kind in FAULT.kinds {
                let mut context = context(nodes, seed);
                let first = context.order[0];
                if kind.name == "shifting-majority" {
                    continue;
                }
                let grudge = grudge(kind.name, &mut context);
                let views = views(&grudge, nodes);
                let distinct: BTreeSet<&BTreeSet<NodeId>> = views.iter().collect();
                let alone = |node: NodeId| {
                    at(nodes).all(|other| other == node || !(grudge.hears(node, other) || grudge.hears(other, node)))
                };
                let mut sides: Vec<usize> = distinct.iter().map(|view| view.len()).collect();
                sides.sort();
                prop_assert!(!grudge.is_empty(), "{} cuts nothing", kind.name);
                let holds = match kind.name {
                    "isolate-leader" | "flapping-leader" | "each-leader" => alone(first) && sides == [1, nodes - 1],
                    "isolate-one" => at(nodes).filter(|&node| alone(node)).count() == 1 && sides == [1, nodes - 1],
                    "leader-minority" => sides == [(nodes - 1) / 2, nodes - (nodes - 1) / 2] && views[first.0].len() < nodes / 2 + 1,
                    "halves" => views[0] == at(nodes / 2).collect() && sides == [nodes / 2, nodes.div_ceil(2)],
                    "random-halves" | "flapping" => sides == [nodes / 2, nodes.div_ceil(2)],
                    "minority-third" => sides == [nodes / 3, nodes - nodes / 3],
                    "majority-ring" => {
                        distinct.len() == nodes && views.iter().all(|view| view.len() == nodes / 2 + 1)
                    }
                    "bridge" => {
                        let joined = |node: NodeId| {
                            views[node.0].len() == nodes && at(nodes).all(|other| grudge.hears(other, node))
                        };
                        at(nodes).filter(|&node| joined(node)).count() == 1 && joined(first)
                    }
                    "one-way" => grudge.cuts().all(|(from, to)| grudge.hears(from, to)),
                    "one-way-leader" => {
                        grudge.cuts().all(|(from, to)| grudge.hears(from, to) && (from == first || to == first))
                    }
                    other => panic!("nobody says what {other} promises"),
                };
                prop_assert!(holds, "{} of {nodes}: {grudge}", kind.name);
            }
        }

        /// Each majority is minimal and shares as few nodes with the one before as two majorities can.
        #[test]
        fn a_shifting_majority_is_always_a_bare_majority(nodes in 3..10usize, seed: u64) {
            let mut context = context(nodes, seed);
            let first = context.order[0];
            let acts = draw("shifting-majority", &mut context);
            let least = nodes / 2 + 1;
            let mut cut: BTreeSet<(NodeId, NodeId)> = BTreeSet::new();
            let mut before: Option<BTreeSet<NodeId>> = None;
            for moment in acts.chunk_by(|one, other| one.after_ms == other.after_ms) {
                for timed in moment {
                    let in_turn = match timed.act.link() {
                        Some((link, LinkChange::Cut(Some(_)))) => cut.insert(link),
                        Some((link, LinkChange::Cut(None))) => cut.remove(&link),
                        _ => false,
                    };
                    prop_assert!(in_turn, "{} out of turn", timed.act);
                }
                let majority: Vec<_> =
                    views(&cut.iter().copied().collect(), nodes).into_iter().filter(|view| view.len() >= least).collect();
                prop_assert!(majority.len() == least && majority.iter().all(|view| *view == majority[0] && view.len() == least));
                match &before {
                    Some(before) => prop_assert_eq!(before.intersection(&majority[0]).count(), 2 * least - nodes),
                    None => prop_assert!(majority[0].contains(&first)),
                }
                before = Some(majority[0].clone());
            }
            prop_assert!(acts.is_sorted_by_key(|timed| timed.after_ms));
        }

        /// Cuts and heals alternate, in order, and all within the hold.
        #[test]
        fn flapping_links_heal_before_the_next_cut(nodes in 3..10usize, seed: u64) {
            for kind in ["flapping", "flapping-leader"] {
                let acts = draw(kind, &mut context(nodes, seed));
                prop_assert!(acts.is_sorted_by_key(|timed| timed.after_ms));
                prop_assert!(acts.iter().all(|timed| timed.after_ms < 3_000));
                let mut cut = BTreeSet::new();
                for timed in acts {
                    let in_turn = match timed.act.link() {
                        Some((link, LinkChange::Cut(Some(_)))) => cut.insert(link),
                        Some((link, LinkChange::Cut(None))) => cut.remove(&link),
                        _ => false,
                    };
                    prop_assert!(in_turn, "{} out of turn", timed.act);
                }
            }
        }
    }
}
