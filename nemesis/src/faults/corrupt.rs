//! Corrupt: bits flip on links between nodes. TCP's checksum does not help, because it is computed anew when
//! the bytes leave the proxy. So messages need a checksum of their own. The fault is only for systems that
//! claim to have one, or to tolerate Byzantine faults; other systems may trust the network.

use rand::RngExt;

use crate::{
    Quality, TimedAct,
    act::verb::Verb,
    faults::{DrawContext, Fault, Kind, degrade::Degrade},
    links::grudge::Grudge,
};

pub(crate) const FAULT: Fault = Fault {
    name: "corrupt",
    about: "flips bits on links; only for systems that claim checksums on the wire",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("from-leader", "in messages of the leader"),
        Kind::any_node("from-one", "in messages of a random node"),
        Kind::any_node("everywhere", "in messages of all nodes"),
    ],
    draw,
};

fn draw(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    let links = match kind {
        "everywhere" => Grudge::between(&context.order.chunks(1).collect::<Vec<_>>()),
        _ => Grudge::one_way(&context.order[..1], &context.order[1..]),
    };
    let flip_one_in = Some(context.rng.random_range(100..10_000));
    let quality = Quality { flip_one_in, ..Quality::default() };
    links.cuts().map(|link| Degrade(quality).on(link).into()).collect()
}
