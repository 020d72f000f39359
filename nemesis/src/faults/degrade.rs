//! Degrade: links get worse without being cut: slow, narrow, fragmenting or short-lived, like a good network
//! on a bad day. Every correct system must survive it. [`crate::links::quality`] describes the properties.

use std::ops::Range;

use rand::RngExt;

use crate::{
    CutMode, Delay, NodeId, Quality, TimedAct,
    act::verb::{Domain, Reversal, Verb, VerbSpec, simple_verb},
    faults::{
        AnyVerb, DrawContext, Fault, Kind,
        partition::{Cut, Heal},
    },
    links::{LinkChange, grudge::Grudge},
};

pub(crate) const FAULT: Fault = Fault {
    name: "degrade",
    about: "makes links slow, narrow or short-lived; the undo restores them",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("slow-leader", "delays everything from and to the leader"),
        Kind::leader("narrow-leader", "little bandwidth from the leader to the others"),
        Kind::leader("unread-leader", "messages of the leader are not read, until its writes block"),
        Kind::any_node("slow", "delays everything between nodes by about the same time"),
        Kind::any_node("uneven", "delays every link by a time of its own"),
        Kind::any_node("jitter", "delays everything by a time that varies widely"),
        Kind::any_node("one-by-one", "messages arrive one at a time, so that those sent together are apart"),
        Kind::any_node("shreds", "messages arrive a few bytes at a time"),
        Kind::any_node("short-lived", "connections are reset after some bytes"),
        Kind::any_node("cut-short", "connections are closed after some bytes"),
        Kind::any_node("churn", "all connections are reset repeatedly"),
    ],
    draw,
};

/// Maximum number of times that connections are reset, and the time between, in milliseconds.
const CHURNS_MAX: usize = 10;
const CHURN_MS: Range<u64> = 50..800;

fn draw(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    let alone: Vec<&[_]> = context.order.chunks(1).collect();
    let all = Grudge::between(&alone);
    let leader = Grudge::split(&context.order, 1);
    let rng = &mut context.rng;
    // Delays from far below to about twice an election timeout of 150 to 300 ms. Depending on the draw, a
    // follower hears from its leader in time, or not.
    let (links, quality) = match kind {
        "slow-leader" => (leader, delayed(Delay::Constant(rng.random_range(20..400)))),
        "narrow-leader" => {
            let (leader, others) = context.order.split_at(1);
            let bytes_per_s = Some(rng.random_range(1_000..30_000));
            (Grudge::one_way(leader, others), Quality { bytes_per_s, ..Quality::default() })
        }
        "jitter" => (all, delayed(Delay::Exponential(rng.random_range(5..60)))),
        "one-by-one" => (all, Quality { gap_ms: Some(rng.random_range(2..30)), ..Quality::default() }),
        "shreds" => {
            let write_max = Some(rng.random_range(1..8));
            (
                all,
                Quality {
                    write_max,
                    bytes_per_s: Some(rng.random_range(5_000..50_000)),
                    ..Quality::default()
                },
            )
        }
        "short-lived" => {
            let reset_after = Some(rng.random_range(200..4_000));
            (all, Quality { reset_after, ..Quality::default() })
        }
        "cut-short" => {
            let close_after = Some(rng.random_range(200..4_000));
            (all, Quality { close_after, ..Quality::default() })
        }
        "unread-leader" => {
            let (leader, others) = context.order.split_at(1);
            let read_max = Some(rng.random_range(1..2_000));
            (Grudge::one_way(leader, others), Quality { read_max, ..Quality::default() })
        }
        "uneven" => return uneven(&all, context),
        "churn" => return churn(&all, context),
        _ => {
            let least = rng.random_range(1..60);
            (all, delayed(Delay::Uniform(least, least * 2)))
        }
    };
    links.cuts().map(|link| Degrade(quality).on(link).into()).collect()
}

/// Delays everything between these nodes.
pub(crate) fn late(nodes: &[NodeId], late_ms: u64) -> impl Iterator<Item = TimedAct> {
    let each: Vec<&[NodeId]> = nodes.chunks(1).collect();
    let links: Vec<_> = Grudge::between(&each).cuts().collect();
    let late = delayed(Delay::Constant(late_ms));
    links.into_iter().map(move |link| Degrade(late).on(link).into())
}

fn delayed(delay: Delay) -> Quality {
    Quality { delay: Some(delay), ..Quality::default() }
}

/// Each link has its own delay, from almost nothing to an election timeout: some peers are near and others
/// far.
fn uneven(links: &Grudge, context: &mut DrawContext) -> Vec<TimedAct> {
    let mut late = || delayed(Delay::Constant(context.rng.random_range(0..150)));
    links.cuts().map(|link| Degrade(late()).on(link).into()).collect()
}

/// Cuts that reset and are healed at once: open connections end, new connections work.
fn churn(links: &Grudge, context: &mut DrawContext) -> Vec<TimedAct> {
    let mut acts = Vec::new();
    let mut after_ms = 0;
    for _ in 0..CHURNS_MAX {
        for link in links.cuts() {
            acts.push(TimedAct { after_ms, act: Cut(CutMode::Reset).on(link) });
            acts.push(TimedAct { after_ms, act: Heal.on(link) });
        }
        after_ms += context.moment_ms(CHURN_MS);
        if after_ms >= context.hold_ms {
            break;
        }
    }
    acts
}

/// Degrades a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Degrade(pub(crate) Quality);

impl Verb for Degrade {
    const SPEC: VerbSpec = VerbSpec {
        parse_error: "degrades nothing: expected properties such as delay_ms=50 or write_max=3, each more than 0",
        ..VerbSpec::of("degrade", Domain::Link, Reversal::By(AnyVerb::Restore(Restore)))
    };

    fn read(arguments: &[&str]) -> Option<Degrade> {
        Quality::parse(arguments).map(Degrade)
    }

    fn arguments(self) -> String {
        self.0.to_string()
    }

    fn link_change(self) -> Option<LinkChange> {
        Some(LinkChange::Degrade(Some(self.0)))
    }
}

simple_verb! {
    /// Restores a link.
    Restore = VerbSpec::of("restore", Domain::Link, Reversal::IsUndo);
    LinkChange::Degrade
}
