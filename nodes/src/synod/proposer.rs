//! The proposer's only choice (PMS section 2.2, P2c).

use super::Bug;
use super::acceptor::{Proposal, Vote};

/// The proposal for a ballot that a majority has promised: the accepted proposal of the highest ballot,
/// because it may be chosen; otherwise the client's own, if any.
pub(super) fn choose(own: Option<Proposal>, votes: Vec<Option<Vote>>, bugs: &[Bug]) -> Option<Proposal> {
    let highest =
        votes.into_iter().flatten().max_by(|a, b| a.ballot.cmp(&b.ballot)).map(|vote| vote.proposal);
    if bugs.contains(&Bug::OwnValueOverAccepted) { own.or(highest) } else { highest.or(own) }
}
