//! The classic bugs, as switches.

use clap::ValueEnum;

/// A seeded bug; each names the rule that it breaks.
///
/// A rule is switched off at the one place that enforces it: search for the name of the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Bug {
    /// A leader answers reads without confirming that it still leads, and does not step down when it has lost
    /// contact with the quorum (Raft section 8; Ongaro's thesis, sections 6.2 and 6.4).
    StaleRead,
    /// Every node answers reads from its own state machine (Raft section 8: only a confirmed leader may).
    FollowerRead,
    /// A leader answers as soon as it has the entry in memory, and writes and replicates it with the next
    /// heartbeat (Raft section 5.3: answer once the entry is committed).
    AckBeforeWrite,
    /// A node takes what it has written for durable, and syncs it only once a second (Raft Figure 2: "updated
    /// on stable storage before responding", section 5.1). What a killed process has written is still there;
    /// only a power failure shows the mistake.
    AckBeforeFsync,
    /// A leader's lease counts from the followers' answers, lasts for the longest election timeout, and is
    /// looked at now and then, not after each read (Ongaro's thesis, section 6.4.1).
    LeaseWithoutMargin,
    /// A node forgets in a crash whom it voted for (Raft section 5.2: one vote per term).
    ForgetVote,
    /// A node forgets in a crash its term, and so its vote (Raft section 5.1; Figure 2, persistent state).
    ForgetTerm,
    /// Votes are given to candidates whose log is behind (Raft section 5.4.1).
    VoteWithoutLogCheck,
    /// A leader commits entries of earlier terms by counting, and so without an entry of its own term (Raft
    /// section 5.4.2, Figure 8).
    CommitPriorTerm,
    /// A leader commits what one follower has (Raft section 5.3: a majority).
    CommitWithoutMajority,
    /// A leader takes a follower's acknowledgement for another one's, too (Raft section 5.3).
    AckCreditedToWrongFollower,
    /// A follower erases all that follows the previous entry, conflict or not, so that a late AppendEntries
    /// erases acknowledged entries (Raft Figure 2, AppendEntries, step 3; section 5.3).
    TruncateUnconditionally,
    /// A follower appends though its previous entry is another (Raft section 5.3, the consistency check).
    SkipPreviousEntryCheck,
    /// A leader that sees a later term takes the term on and goes on leading, whoever else leads it; nor does
    /// it step down without a quorum (Raft section 5.1; Ongaro's thesis, section 6.2).
    NoStepDown,
    /// A command that was put into the log twice is carried out twice (Raft section 8; Ongaro's thesis,
    /// section 6.3).
    ApplyTwiceOnRetry,
    /// A leader decides a compare-and-set, and answers it, from what is applied when it arrives, and logs
    /// only what it writes (Raft section 2: decide by applying the log in order).
    CasBeforeCommit,
    /// A write whose outcome is not known at its deadline is reported as failed (Raft section 8: it may be
    /// committed).
    FailInsteadOfInfo,
    /// A snapshot claims to cover the log to its end, and covers only what is applied (Raft section 7).
    SnapshotLosesTail,
    /// A snapshot holds the data and not the last answers to clients, so that a command that was put into the
    /// log twice is carried out twice by whoever has the snapshot (Ongaro's thesis, section 6.3).
    SnapshotWithoutSessions,
    /// A node that starts gives the index of its last entry to the next one (Raft section 5.3; Figure 2,
    /// persistent state).
    ReuseIndexAfterRestart,
    /// A leader begins a change of the members while another is under way, or before it has committed
    /// anything in its term (Ongaro's thesis, section 4.1, and its erratum). Shown by changes of the members.
    MembershipTwoAtOnce,
    /// A node keeps the torn end of its log and writes on after it: the next start takes all that for torn,
    /// too, and forgets it (Raft Figure 2, persistent state; section 5.1). Shown by a power failure that
    /// tears a write, and a later crash.
    TornTailKept,
}
