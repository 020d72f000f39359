//! The words that Raft nodes share: terms, positions, entries, and the messages of Figure 2 and Figure 13.

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use crate::replica::{NodeId, Payload};

/// A period with at most one leader (section 5.1).
pub(crate) type Term = u64;

/// A place in the log, counted from 1; 0 is the place before the first.
pub(crate) type Index = u64;

/// An index and the term of the entry there. Two logs with the same position agree up to it (Log Matching).
///
/// The derived order is the up-to-date comparison of section 5.4.1: the later term wins, then the longer log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) term: Term,
    pub(crate) index: Index,
}

impl Position {
    /// The place before the first entry, where all logs agree.
    pub(crate) const START: Position = Position { term: 0, index: 0 };
}

impl fmt::Debug for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@t{}", self.index, self.term)
    }
}

/// One entry of the log.
pub(crate) type Entry = crate::replica::Entry<Position>;

/// The state machine after every entry up to `last` (section 7).
pub(crate) type Snapshot = crate::replica::Snapshot<Position>;

/// What a node must not forget (Figure 2, persistent state), beside the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HardState {
    pub(crate) term: Term,
    /// Whom it voted for in that term.
    pub(crate) vote: Option<NodeId>,
}

/// One message from node to node. All carry the sender's term (section 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) term: Term,
    pub(crate) body: Body,
}

/// What a message says. Replies name what they reply to: messages may be lost, doubled and late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// "Would you vote for me in the next term?" (thesis, section 9.6).
    PreVote {
        last: Position,
    },
    PreVoteReply {
        granted: bool,
    },
    /// "Vote for me in this term" (section 5.2).
    RequestVote {
        last: Position,
        /// The leader itself wants it so (thesis, section 4.2.3).
        transfer: bool,
    },
    VoteReply {
        granted: bool,
    },
    /// Entries to follow `prev` (section 5.3); without entries a heartbeat. `round` numbers the leader's heartbeat
    /// rounds: a reply with that number proves that it still led when the round began (thesis, section 6.4).
    AppendEntries {
        prev: Position,
        entries: Vec<Entry>,
        commit: Index,
        round: u64,
    },
    AppendReply {
        round: u64,
        result: Appended,
    },
    /// A part of the leader's snapshot, from the byte at `offset` (Figure 13).
    InstallSnapshot {
        last: Position,
        members: Vec<NodeId>,
        offset: u64,
        data: Vec<u8>,
        done: bool,
        round: u64,
    },
    /// "Stand for election at once" (thesis, section 3.10).
    TimeoutNow,
    /// The follower holds `received` bytes of that snapshot.
    SnapshotReply {
        last: Position,
        received: u64,
        round: u64,
    },
}

/// What became of an AppendEntries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Appended {
    /// The follower's log is the leader's up to here, and safely on its disk.
    Matched(Index),
    /// The follower does not have `prev`. The hint saves a round per entry (end of section 5.3): the term that it has
    /// there instead, if it has one, and the index from which on it may differ.
    Conflict { prev: Index, term: Option<Term>, from: Index },
    /// The sender's term is over.
    Stale,
}
