//! The classic bugs, as switches.

use clap::ValueEnum;

/// A seeded bug; each names the rule that it breaks.
///
/// A rule is switched off at the one place that enforces it: search for the name of the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bug {
    /// An acceptor forgets in a crash what it has promised (PMS section 2.5: stable storage keeps what an
    /// acceptor must remember).
    PromiseNotPersisted,
    /// An acceptor accepts proposals numbered below what it has promised (PMS section 2.2, P1a).
    AcceptBelowPromise,
    /// A proposer passes over what acceptors report as accepted, and proposes its own values there (PMS
    /// section 2.2, P2c).
    OwnValueOverAccepted,
    /// Every learner is told of acceptances, and counts them slot by slot whatever their ballot (PMS section
    /// 2.2: chosen is what a majority accepted as one proposal).
    CountAcrossBallots,
    /// Ballots are numbers without the proposer's name, so two proposers may have the same one (PMS section
    /// 2.2: different proposals have different numbers).
    EqualBallots,
    /// Every node answers reads from its own state machine (PMS section 3: a command is carried out in its
    /// slot).
    ReadLocal,
}
