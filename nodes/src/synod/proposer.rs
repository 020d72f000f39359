//! The proposer's one choice (PMS section 2.2, P2c).

use super::Bug;
use super::acceptor::{Proposal, Vote};

/// What a ballot is for, once a majority has promised it: the proposal of the highest ballot that one of them has accepted, for
/// it may be chosen; else what the client wants, if anything.
pub(super) fn choose(own: Option<Proposal>, told: Vec<Option<Vote>>, bugs: &[Bug]) -> Option<Proposal> {
    let highest = told.into_iter().flatten().max_by(|a, b| a.ballot.cmp(&b.ballot)).map(|vote| vote.proposal);
    if bugs.contains(&Bug::OwnValueOverAccepted) { own.or(highest) } else { highest.or(own) }
}
