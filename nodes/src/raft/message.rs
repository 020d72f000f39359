//! The data types of Raft: terms, positions, entries, and the messages of Figures 2 and 13.

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use crate::replica::{NodeId, Payload};

/// A period with at most one leader (section 5.1).
pub(crate) type Term = u64;

/// A position in the log, counted from 1; 0 precedes the first entry.
pub(crate) type Index = u64;

/// An index and the term of its entry. Two logs with the same position are equal up to it (Log Matching).
///
/// The derived order is the up-to-date comparison of section 5.4.1: the later term wins, then the longer log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) term: Term,
    pub(crate) index: Index,
}

impl Position {
    /// The position before the first entry, where all logs agree.
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

/// The persistent state except the log (Figure 2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HardState {
    pub(crate) term: Term,
    /// The node that it voted for in that term.
    pub(crate) vote: Option<NodeId>,
}

/// A message between nodes. Every message carries the sender's term (section 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) term: Term,
    pub(crate) body: Body,
}

/// The content of a message. Replies name their request: messages may be lost, duplicated and late.
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
        /// The leader requested this election (thesis, section 4.2.3).
        transfer: bool,
    },
    VoteReply {
        granted: bool,
    },
    /// Entries to follow `prev` (section 5.3); without entries a heartbeat. `round` numbers the leader's
    /// heartbeat rounds: a reply with that number proves that it still led when the round began (thesis,
    /// section 6.4).
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
    /// A chunk of the leader's snapshot, from the byte at `offset` (Figure 13).
    InstallSnapshot {
        last: Position,
        members: Vec<NodeId>,
        offset: u64,
        data: Vec<u8>,
        done: bool,
        round: u64,
    },
    /// The receiver should stand for election at once (thesis, section 3.10).
    TimeoutNow,
    /// The follower holds `received` bytes of that snapshot.
    SnapshotReply {
        last: Position,
        received: u64,
        round: u64,
    },
}

/// The result of an AppendEntries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Appended {
    /// The follower's log equals the leader's up to here, and is on disk.
    Matched(Index),
    /// The follower does not have `prev`. The hint saves a round per entry (end of section 5.3): the
    /// follower's term at that index, if it has an entry there, and the index from which on the logs may
    /// differ.
    Conflict { prev: Index, term: Option<Term>, from: Index },
    /// The sender's term is over.
    Stale,
}
