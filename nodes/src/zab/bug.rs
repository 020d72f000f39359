//! The classic bugs, as switches.

use clap::ValueEnum;

/// A seeded bug; each names the rule that it breaks.
///
/// A rule is switched off at the one place that enforces it: search for the name of the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bug {
    /// A new leader begins to broadcast to followers that have other histories than it (DSN 2011, section
    /// V.B, phase 2: a follower accepts the leader's history before it acknowledges the epoch).
    SkipSync,
    /// The greatest name is elected, whatever its history (DSN 2011, section V.B, phase 1: the history of the
    /// highest epoch and zxid in a majority is the one that goes on).
    ElectWithoutHighestZxid,
    /// A follower acknowledges a proposal at once and logs it within a second (DSN 2011, section V.B, phase
    /// 3: append to the history, then acknowledge; stable storage before acknowledgement).
    AckBeforeLog,
    /// Every node answers reads from what it has, without a sync (DSN 2011, section III: order is promised,
    /// not freshness).
    LocalRead,
}
