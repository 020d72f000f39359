//! A fault: a name, its kinds, and a function that draws a list of [acts](crate::Act).

use std::ops::Range;

use chacha20::ChaCha8Rng;
use rand::RngExt;

use crate::{CutMode, NodeId, TimedAct};

/// A fault, with its kinds.
#[derive(Debug)]
pub struct Fault {
    /// Name in flags, plans and records: `kill`.
    pub name: &'static str,
    /// Description in one line, for the help.
    pub about: &'static str,
    /// Whether `all` includes it.
    pub usual: bool,
    /// Whether no other fault may overlap with it.
    pub alone: bool,
    /// Its kinds, at least one.
    pub kinds: &'static [Kind],
    /// Draws the acts of the named kind, in the order of their times; empty if the cluster is too small for
    /// it.
    pub draw: fn(kind: &str, context: &mut DrawContext) -> Vec<TimedAct>,
}

/// A kind of a fault.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Name, unique in its fault: `leader`.
    pub name: &'static str,
    /// Description in one line, for the help.
    pub about: &'static str,
    /// How it chooses its nodes.
    pub aim: Aim,
}

impl Kind {
    /// A kind that targets the leader.
    pub(crate) const fn leader(name: &'static str, about: &'static str) -> Kind {
        Kind { name, about, aim: Aim::Leader }
    }

    /// A kind that targets each new leader in turn.
    pub(crate) const fn each_leader(name: &'static str, about: &'static str) -> Kind {
        Kind { name, about, aim: Aim::EachLeader }
    }

    /// A kind that targets random nodes.
    pub(crate) const fn any_node(name: &'static str, about: &'static str) -> Kind {
        Kind { name, about, aim: Aim::AnyNode }
    }

    /// Whether it targets the leader.
    pub(crate) fn at_leader(&self) -> bool {
        self.aim != Aim::AnyNode
    }
}

/// How a kind of a fault chooses its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// At random.
    AnyNode,
    /// The leader at the time when the fault is applied. The acts are drawn with the first node of the order
    /// as a stand-in for the leader.
    Leader,
    /// The leader at the time when the fault is applied, and each new leader after that.
    EachLeader,
}

/// Number of drawn lags, and their range in milliseconds.
const LAGS: usize = 12;
const LAG_MS: Range<u64> = 80..220;

/// Inputs for drawing a fault.
#[derive(Debug)]
pub struct DrawContext {
    /// All nodes, shuffled.
    pub order: Vec<NodeId>,
    /// How long the fault will be held, in milliseconds.
    pub hold_ms: u64,
    /// How links are to be cut.
    pub mode: CutMode,
    /// Source of further randomness.
    pub(crate) rng: ChaCha8Rng,
}

impl DrawContext {
    /// Draws a seed for an act that makes random choices.
    pub(crate) fn seed(&mut self) -> u64 {
        self.rng.random::<u32>().into()
    }

    /// Draws a time from `range`, but short enough that several fit into the hold. Milliseconds.
    pub(crate) fn moment_ms(&mut self, range: Range<u64>) -> u64 {
        let most = (self.hold_ms / 3).clamp(range.start + 1, range.end);
        self.rng.random_range(range.start..most)
    }

    /// Delays of a fault that follows the leader, in milliseconds. Every other leader is hit at once, before
    /// its first messages have arrived if links are slow; the others are hit after a few round trips.
    pub(crate) fn lags_ms(&mut self) -> Vec<u64> {
        (0..LAGS).map(|i| if i % 2 == 0 { 0 } else { self.rng.random_range(LAG_MS) }).collect()
    }
}
