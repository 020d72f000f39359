//! Loss: packets of some links are lost, as by a bad cable. TCP hides the loss behind delays that double, so
//! a system sees late messages and connections that seem dead.
//!
//! Packets exist only between network namespaces (`--net netns`). The bytes in a proxy have been acknowledged
//! already, so losing them would not be realistic; there this fault is skipped.

use rand::RngExt;

use crate::{
    Quality, TimedAct,
    act::verb::Verb,
    faults::{DrawContext, Fault, Kind, degrade::Degrade},
    links::grudge::Grudge,
};

pub(crate) const FAULT: Fault = Fault {
    name: "loss",
    about: "loses packets between nodes (needs --net netns); the undo stops that",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("leader", "of packets from and to the leader"),
        Kind::any_node("all", "of packets of all links"),
    ],
    draw,
};

fn draw(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    let alone: Vec<&[_]> = context.order.chunks(1).collect();
    let links = match kind {
        "leader" => Grudge::split(&context.order, 1),
        _ => Grudge::between(&alone),
    };
    let loss_percent = Some(context.rng.random_range(5..40));
    let quality = Quality { loss_percent, ..Quality::default() };
    links.cuts().map(|link| Degrade(quality).on(link).into()).collect()
}
