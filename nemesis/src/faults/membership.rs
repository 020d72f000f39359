//! Membership and transfer: what operators do to a healthy cluster. Nodes are removed and added again, and
//! the leadership moves, on request. The system under test must support such requests.
//!
//! *split* sends two requests at once to a leader that is cut off with less than half of the nodes. These
//! requests must not give it a majority.

use rand::seq::SliceRandom;

use crate::{
    FaultEffect, TimedAct,
    act::verb::{Domain, Reversal, Verb, VerbSpec, simple_verb},
    faults::{AnyVerb, DrawContext, Fault, Kind},
    links::grudge::Grudge,
    plan,
};

pub(crate) const MEMBERSHIP: Fault = Fault {
    name: "membership",
    about: "asks the leader to remove members; the undo adds them again",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("leader", "the leader is asked to remove itself"),
        Kind::leader(
            "split",
            "a leader that is cut off with a minority is asked to remove two of the others at once",
        ),
        Kind::any_node("one", "a random node"),
        Kind::any_node("minority", "fewer than half of the nodes, all at once"),
    ],
    draw: draw_membership,
};

fn draw_membership(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    let (order, minority) = (&context.order, (context.order.len() - 1) / 2);
    let remove = |node: &_| Remove.on(*node).into();
    match kind {
        // With fewer than four nodes, removing two leaves no node that could disagree.
        "split" if order.len() < 4 => Vec::new(),
        "split" => {
            let mut acts = plan::cut_links(&Grudge::split(order, minority), context.mode);
            acts.extend(order[minority..].iter().take(2).map(remove));
            acts
        }
        "minority" => order.iter().take(minority).map(remove).collect(),
        _ if order.len() < 2 => Vec::new(),
        _ => order.iter().take(1).map(remove).collect(),
    }
}

pub(crate) const TRANSFER: Fault = Fault {
    name: "transfer",
    about: "asks the leader to hand its leadership over (nothing to undo)",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("once", "from the leader to a random node"),
        Kind::any_node("round", "to every node, one after the other"),
    ],
    draw: draw_transfer,
};

fn draw_transfer(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    if context.order.len() < 2 {
        return Vec::new();
    }
    if kind == "once" {
        return vec![Transfer.on(context.order[1]).into()];
    }
    let mut order = context.order.clone();
    order.shuffle(&mut context.rng);
    let step_ms = context.hold_ms / (order.len() as u64 + 1);
    let at = |(i, node)| TimedAct { after_ms: i as u64 * step_ms, act: Transfer.on(node) };
    order.into_iter().enumerate().map(at).collect()
}

/// The effect of a request to the leader.
fn granted(granted: bool) -> FaultEffect {
    FaultEffect { requests_granted: granted.into(), ..FaultEffect::default() }
}

simple_verb! {
    /// Asks the leader to remove a node from the members.
    Remove = VerbSpec::of("remove", Domain::Membership, Reversal::By(AnyVerb::Add(Add)));
    |node| node.nodes.set_member(node.id, false).await.map(granted)
}

simple_verb! {
    /// Asks the leader to add a node to the members.
    Add = VerbSpec::of("add", Domain::Membership, Reversal::IsUndo);
    |node| node.nodes.set_member(node.id, true).await.map(granted)
}

simple_verb! {
    /// Asks the leader to hand its leadership to a node.
    Transfer = VerbSpec::of("transfer", Domain::Membership, Reversal::Never);
    |node| node.nodes.transfer_leadership(node.id).await.map(granted)
}
