//! Corrupt: bits flip on the way between nodes. TCP's checksum is of no help, as it is right again when the bytes leave the
//! proxy; what is sent must carry a checksum of its own. Only for systems that claim one, and as the Byzantine network of
//! those that claim to bear it: no other system is at fault when it believes what it hears.

use rand::RngExt;

use crate::{
    Quality, TimedAct,
    act::verb::Verb,
    faults::{Dice, Fault, Kind, degrade::Degrade},
    links::grudge::Grudge,
};

pub(crate) const FAULT: Fault = Fault {
    name: "corrupt",
    about: "flips bits on links; only for systems that claim checksums on the wire",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("from-leader", "in what whoever leads sends"),
        Kind::anybody("from-one", "in what a random node sends"),
        Kind::anybody("everywhere", "in what anybody sends"),
    ],
    draw,
};

fn draw(kind: &str, dice: &mut Dice) -> Vec<TimedAct> {
    let links = match kind {
        "everywhere" => Grudge::between(&dice.order.chunks(1).collect::<Vec<_>>()),
        _ => Grudge::one_way(&dice.order[..1], &dice.order[1..]),
    };
    let flip_one_in = Some(dice.rng.random_range(100..10_000));
    let quality = Quality { flip_one_in, ..Quality::default() };
    links.cuts().map(|link| Degrade(quality).on(link).into()).collect()
}
