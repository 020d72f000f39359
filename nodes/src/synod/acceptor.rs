//! The acceptor of one key (PMS section 2.2).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Bug;
use crate::value::Value;

/// The order of proposals: by number, then by the proposer's name. No two proposers use the same ballot.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Ballot {
    pub(super) number: u64,
    pub(super) by: String,
}

/// A client's proposal. The client is part of it: of two clients that propose the same value, one wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Proposal {
    pub(super) client: Arc<str>,
    pub(super) seq: u64,
    pub(super) value: Value,
}

/// A proposal in a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Vote {
    pub(super) ballot: Ballot,
    pub(super) proposal: Proposal,
}

/// The persistent state of an acceptor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Acceptor {
    pub(super) promised: Ballot,
    pub(super) accepted: Option<Vote>,
}

impl Acceptor {
    /// Phase 1b: promises to accept nothing below this ballot, and returns what it has accepted; the error is
    /// a higher ballot that it has promised.
    pub(super) fn prepare(&mut self, ballot: Ballot) -> Result<Option<Vote>, Ballot> {
        if ballot < self.promised {
            return Err(self.promised.clone());
        }
        self.promised = ballot;
        Ok(self.accepted.clone())
    }

    /// Phase 2b: accepts, unless it has promised a higher ballot (P1a).
    pub(super) fn accept(&mut self, vote: Vote, bugs: &[Bug]) -> Result<Option<Vote>, Ballot> {
        if vote.ballot < self.promised && !bugs.contains(&Bug::AcceptBelowPromise) {
            return Err(self.promised.clone());
        }
        self.promised = self.promised.clone().max(vote.ballot.clone());
        self.accepted = Some(vote);
        Ok(None)
    }
}
