//! What a fault is: a name, its kinds, and a function from randomness to a list of [acts](crate::Act).

use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{CutMode, NodeId, TimedAct};

/// A way to hurt a cluster, with its variants.
#[derive(Debug)]
pub struct Fault {
    /// Its name in flags, plans and records: `kill`.
    pub name: &'static str,
    /// What it does, in one line for help.
    pub about: &'static str,
    /// Whether `all` includes it.
    pub usual: bool,
    /// Whether no other fault may join it.
    pub alone: bool,
    /// Its variants, at least one.
    pub kinds: &'static [Kind],
    /// The acts of the named kind, in the order of their times; empty where the cluster is too small for it.
    pub draw: fn(kind: &str, dice: &mut Dice) -> Vec<TimedAct>,
}

/// A variant of a fault.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name, unique in its fault: `leader`.
    pub name: &'static str,
    /// What it does, in one line for help.
    pub about: &'static str,
    /// Whom it is about.
    pub aim: Aim,
}

impl Kind {
    /// About whoever leads when it is applied.
    pub(crate) const fn leader(name: &'static str, about: &'static str) -> Kind {
        Kind { name, about, aim: Aim::Leader }
    }

    /// About whoever leads, one leader after the other.
    pub(crate) const fn each_leader(name: &'static str, about: &'static str) -> Kind {
        Kind { name, about, aim: Aim::EachLeader }
    }

    /// About nodes as they fall.
    pub(crate) const fn anybody(name: &'static str, about: &'static str) -> Kind {
        Kind { name, about, aim: Aim::Anybody }
    }

    /// Whether it is about whoever leads.
    pub(crate) fn at_leader(&self) -> bool {
        self.aim != Aim::Anybody
    }
}

/// Whom a kind of fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Nodes as they fall.
    Anybody,
    /// Whoever leads when it is applied. The acts are drawn with the first node of the order in the leader's place.
    Leader,
    /// Whoever leads when it is applied, and, when another node leads while it is in force, that one instead.
    EachLeader,
}

/// How many lags are drawn, and how long they are.
const LAGS: usize = 12;
const LAG_MS: Range<u64> = 80..220;

/// What a fault may draw from.
#[derive(Debug)]
pub struct Dice {
    /// All nodes, shuffled.
    pub order: Vec<NodeId>,
    /// How long the fault will be held, in milliseconds.
    pub hold_ms: u64,
    /// How links are to be cut.
    pub mode: CutMode,
    /// Further randomness.
    pub(crate) rng: ChaCha8Rng,
}

impl Dice {
    /// A seed for an act that leaves something to chance.
    pub(crate) fn seed(&mut self) -> u64 {
        self.rng.random::<u32>().into()
    }

    /// A time from `range`, but short enough that several fit into the hold. Milliseconds.
    pub(crate) fn moment_ms(&mut self, range: Range<u64>) -> u64 {
        let most = (self.hold_ms / 3).clamp(range.start + 1, range.end);
        self.rng.random_range(range.start..most)
    }

    /// How late a fault that follows the leader is each time, in milliseconds: one leader of two is hit before its first words
    /// have arrived, if links are slow, the others after a few rounds of them.
    pub(crate) fn lags_ms(&mut self) -> Vec<u64> {
        (0..LAGS).map(|i| if i % 2 == 0 { 0 } else { self.rng.random_range(LAG_MS) }).collect()
    }
}
