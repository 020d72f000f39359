//! The usual causes of each class of violation, as data: what to suspect after which events, and where to look
//! first. docs/violations.md is made from this.
//!
//! `{server}` stands for the node that answered the operation that cannot be linearized, `{other}` for the
//! node that answered the operation that it contradicts.

use tribunal_records::oracles::{DIFFERENT_ENTRIES, Oracle};

use crate::between::Trigger::{self, *};

/// Classes with the same causes.
pub(super) struct Group {
    /// The heading of the section in docs/violations.md.
    pub(super) title: &'static str,
    /// The classes, as in `verdict.json`.
    pub(super) classes: &'static [&'static str],
    /// The causes, the most frequent first.
    pub(super) causes: &'static [Cause],
}

/// A cause of violations.
pub(super) struct Cause {
    /// The events that bring it to light; empty: it needs none.
    pub(super) triggers: &'static [Trigger],
    /// What is wrong in the system.
    pub(super) bug: &'static str,
    /// Where to look first.
    pub(super) look: &'static str,
    /// Whether it needs no event and is frequent: it comes before causes whose events only happened nearby.
    pub(super) is_likely: bool,
    /// Beside its events, what it takes.
    pub(super) takes: Takes,
}

/// What a cause takes beside its events; without it, it cannot be the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// A system with a leader.
    ALeader,
    /// An answer from a node that is not known to be the only leader.
    AnOldLeader,
    /// A class that leaves open whether the effect is late or lost.
    AnUnknownFate,
    /// A read that returned a value before its write was acknowledged: [`exposed`](super::exposed).
    AnExposedWrite,
    /// Two nodes that lead in one term.
    LeadersOfOneTerm,
    /// An object that is held: a lock or a semaphore.
    ALock,
    /// A system without a leader, whose object is not held.
    AProposal,
    /// A request that waited: its events may be over when it takes effect.
    ALateCopy,
    /// An operation that had returned before the other one was sent.
    AnEarlierOperation,
}

const fn cause(triggers: &'static [Trigger], bug: &'static str, look: &'static str) -> Cause {
    Cause { triggers, bug, look, is_likely: false, takes: Takes::Nothing }
}

const fn likely(bug: &'static str, look: &'static str) -> Cause {
    Cause { is_likely: true, ..cause(&[], bug, look) }
}

const fn of_leader(triggers: &'static [Trigger], bug: &'static str, look: &'static str) -> Cause {
    Cause { takes: Takes::ALeader, ..cause(triggers, bug, look) }
}

const STILL_ANSWERS: Cause = Cause {
    takes: Takes::AnOldLeader,
    ..cause(
        &[Leader, Network],
        "A leader that was cut off or replaced still answers: it does not confirm that it leads before it answers a \
         read.",
        "In the log of {server}: its role and term at that time, and when it learns of a newer term.",
    )
};

const LOST_NOT_LATE: Cause = Cause {
    takes: Takes::AnUnknownFate,
    ..cause(
        &[Leader, Restart, Power],
        "It is lost, not late: it was acknowledged before it was durable or before a majority had it, or a node without \
         it became the leader; a restart or the new leader removed it.",
        "Whether {server} and the leader ever had it; see “Lost writes” in docs/violations.md.",
    )
};

const VOTED_TWICE: Cause = Cause {
    takes: Takes::LeadersOfOneTerm,
    ..cause(
        &[],
        "Two nodes lead in one term: a node voted for both, because it lost its vote or its term in a restart, or votes \
         were counted twice.",
        "In the logs of all nodes: the votes of that term, and what each node writes to disk before it votes.",
    )
};

const TWO_CONFIGURATIONS: Cause = cause(
    &[Members],
    "Two configurations decide side by side: a change of the members began before the last one was committed, or it \
     added or removed more than one, so that two majorities do not overlap.",
    "In the logs of {server} and {other}: which members each knew, in which order, and which change was committed.",
);

const OLD_ENTRIES: Cause = of_leader(
    &[Leader, Network, Restart],
    "A node kept entries of an old leader, or accepted entries that do not follow on its own log: two copies differ \
     from there on.",
    "In the logs of {server} and {other}: the first entry in which they differ, and who sent it in which term.",
);

const ACKNOWLEDGED_TOO_EARLY: Cause = of_leader(
    &[Leader, Network, Restart, Power],
    "It was acknowledged before it was durable or before a majority had it: the next leader went on without it, or put \
     it in another place.",
    "What {other} waits for before it answers; what becomes of the entry at the next election and after the next restart.",
);

const NOT_WRITTEN_BACK: Cause = Cause {
    takes: Takes::AnExposedWrite,
    ..cause(
        &[],
        "A read returns a value that a majority does not have yet, and does not write it back first, so that a later \
         operation may miss it.",
        "Which nodes had the value when it was read, and whether the read stores it at a majority before it returns.",
    )
};

/// Every class of violation is in one group.
pub(super) const GROUPS: &[Group] = &[
    Group {
        title: "Stale reads",
        classes: &[
            "stale-read",
            "missed-write",
            "missed-entry",
            "missed-element",
            "missed-increment",
            "non-monotonic-reads",
            "false-empty",
        ],
        causes: &[
            VOTED_TWICE,
            STILL_ANSWERS,
            LOST_NOT_LATE,
            TWO_CONFIGURATIONS,
            cause(
                &[Restart, Power],
                "A restarted node answers before it has applied everything that is committed.",
                "In the log of {server}, from its start to this answer: does it wait until it has applied the entries \
                 that were committed before it started?",
            ),
            cause(
                &[Pause, Clock],
                "A node trusts a lease that has ended for the others: it was paused, or a clock was changed.",
                "How {server} measures its lease, and whether it looks at the clock again after a pause.",
            ),
            cause(
                &[Members],
                "A removed member, or the old leader after a handover, still answers.",
                "In the log of {server}: when it learns that it is no longer a member or leader.",
            ),
            cause(
                &[Power, Disk],
                "A node has lost data that it had acknowledged, and serves what is left.",
                "In the log of {server}: how much it recovered at its last start; the faults table: what was dropped.",
            ),
            cause(
                &[],
                "Reads are answered by a follower, a replica or a cache without asking the leader or a quorum.",
                "Whether {server} led at that time. If not: why does it answer reads by itself?",
            ),
            NOT_WRITTEN_BACK,
            cause(
                &[],
                "Writes are acknowledged before the state that reads see has changed, or before all replicas that \
                 answer reads have them.",
                "The order of acknowledging and applying in {other}.",
            ),
        ],
    },
    Group {
        title: "Reads that contradict each other",
        classes: &["diverging-reads"],
        causes: &[
            STILL_ANSWERS,
            OLD_ENTRIES,
            cause(
                &[],
                "Reads are answered by replicas without asking the leader or a quorum, and one of them lacks writes.",
                "Whether {server} and {other} have applied the same writes at that time.",
            ),
            NOT_WRITTEN_BACK,
        ],
    },
    Group {
        title: "Lost writes",
        classes: &["lost-write", "lost-entry", "lost-element", "lost-update"],
        causes: &[
            VOTED_TWICE,
            cause(
                &[Power],
                "It was acknowledged before it was durable: the answer was not preceded by an fsync of the log, or of \
                 the directory after a new file.",
                "The faults table: what the power failure dropped. In the log of {other}: what it recovered afterwards.",
            ),
            cause(
                &[Restart],
                "It was acknowledged while it was only in memory: the kill removed it before it was in the log, or \
                 in the logs of a majority.",
                "In the log of {other}, after its restart: the last entry that it recovered.",
            ),
            cause(
                &[Leader, Network],
                "It was acknowledged without a majority, or nodes voted for a leader that did not have it; that leader \
                 then replaced it.",
                "The last entry and term of the next leader at its election; entries that {other} erases afterwards.",
            ),
            cause(
                &[Disk],
                "A write that failed, or reached the disk in part, was taken for done.",
                "How {other} treats errors of write and fsync, and a damaged log at its start.",
            ),
            TWO_CONFIGURATIONS,
            cause(
                &[Clock],
                "Two leaders decide side by side, because a lease ended early by one of their clocks.",
                "How {server} and {other} measure the lease.",
            ),
            cause(
                &[],
                "It was acknowledged before any other node had it.",
                "What {other} waits for before it answers.",
            ),
            cause(
                &[],
                "Another update overwrote it: both read the old state, and the second did not notice the first.",
                "Operations that overlap it in the picture; whether updates are conditional.",
            ),
        ],
    },
    Group {
        title: "Effects that happened twice",
        classes: &["taken-twice", "duplicated-entry", "duplicate", "duplicate-id", "phantom-increment"],
        causes: &[
            Cause {
                takes: Takes::ALateCopy,
                ..cause(
                    &[Leader, Network, Pause, Restart],
                    "A request was sent again after a timeout or a change of the leader, and both copies took effect: \
                     nothing recognises a request that was applied before.",
                    "The same value or request id twice in the logs of {server} and {other}.",
                )
            },
            cause(
                &[Restart, Power, Disk],
                "The first effect, or the record that it had been done, did not survive a restart, and it was done again.",
                "In the logs after the restart: from which entry it continues, and what it repeats.",
            ),
            cause(
                &[Leader, Network],
                "Two nodes accepted requests at the same time.",
                "Which nodes led when {server} and {other} answered, and in which terms.",
            ),
            cause(
                &[],
                "Looking up and changing are not one atomic step: two requests saw the same state before either changed it.",
                "Whether the two operations overlap in the picture.",
            ),
        ],
    },
    Group {
        title: "Exclusion that failed",
        classes: &[
            "split-brain",
            "two-holders",
            "too-many-holders",
            "stale-token",
            "released-by-stranger",
            "false-success",
        ],
        causes: &[
            VOTED_TWICE,
            TWO_CONFIGURATIONS,
            Cause {
                takes: Takes::ALock,
                ..likely(
                    "The lock expires after a fixed time, and the holder works on.",
                    "The time limit of the lock, against how long it was held.",
                )
            },
            Cause {
                takes: Takes::AnEarlierOperation,
                ..cause(
                    &[Leader, Network, Restart, Power],
                    "The first was acknowledged and then lost: a majority did not have it, or a node erased entries that \
                     it had acknowledged. See “Lost writes” in docs/violations.md.",
                    "What becomes of its entry in the logs of all nodes; each line about erased or replaced entries.",
                )
            },
            cause(
                &[Leader, Network],
                "Two nodes decided at the same time, each without the other: one of them had no majority.",
                "Which nodes led when {server} and {other} answered, and in which terms.",
            ),
            cause(
                &[Pause, Clock],
                "A lock or lease expires by a clock, and its holder does not notice: it was paused, or a clock was wrong.",
                "When the lock expired by the clock of {server}, and whether the holder has to prove that it holds it \
                 (a fencing token).",
            ),
            cause(
                &[Restart, Power, Disk],
                "The first decision did not survive a restart: afterwards the lock looked free, or the old value unchanged.",
                "In the logs after the restart: which decisions were recovered.",
            ),
            cause(
                &[],
                "Testing and changing are not one atomic step: both operations passed the test before either changed \
                 the state.",
                "Whether the two operations overlap in the picture.",
            ),
            Cause {
                takes: Takes::AProposal,
                ..likely(
                    "Two proposals at the same time both found a majority: a node accepted one below the number that it \
                     had promised, or a proposer did not adopt the value that was accepted before.",
                    "In the logs of {server} and {other}: the numbers that were promised and accepted, in order.",
                )
            },
        ],
    },
    Group {
        title: "Failed operations that took effect",
        classes: &["aborted-read"],
        causes: &[
            likely(
                "The client reports as failed what may have happened: a timeout, or a connection that broke after \
                 the request was sent, means unknown.",
                "The error of the failed operation. `tribunal lint-client` tests a client for this.",
            ),
            of_leader(
                &[Leader, Network, Restart],
                "A leader that stepped down answered that the request had failed, but the entry was in the log and \
                 was committed later.",
                "In the log of {other}: what becomes of the entry after the answer.",
            ),
            cause(
                &[],
                "Reads see changes that are not committed yet (dirty reads).",
                "From which state {server} answers reads.",
            ),
        ],
    },
    Group {
        title: "Impossible values",
        classes: &[
            "never-written",
            "from-the-future",
            "internal",
            "half-seen",
            "impossible-answer",
            "impossible-sum",
        ],
        causes: &[
            cause(
                &[Disk, Network],
                "Data was damaged on the disk or on the wire, and no checksum showed it.",
                "Whether the value resembles another one; which bytes the fault changed.",
            ),
            cause(
                &[Network, Pause],
                "An answer was assigned to the wrong request: a late answer is taken for that of the next request.",
                "Whether the value belongs to an earlier request of this client, or to another key.",
            ),
            cause(
                &[],
                "A change is applied in parts, and readers see the parts.",
                "Operations that overlap it in the picture.",
            ),
            cause(
                &[],
                "The client reads the answer wrongly, or the workload and the system do not mean the same by an operation.",
                "`tribunal doctor` and `tribunal lint-client` try single operations without any fault.",
            ),
        ],
    },
    Group {
        title: "Wrong order, diverging copies",
        classes: &["out-of-order", "out-of-order-id", "moved-entry", "reordered"],
        causes: &[
            ACKNOWLEDGED_TOO_EARLY,
            OLD_ENTRIES,
            cause(
                &[Leader, Network],
                "Two nodes assigned positions at the same time, or a new leader did not continue after the last position.",
                "The last position of the old leader, and the first of the new one.",
            ),
            cause(
                &[Restart, Power, Disk],
                "After a restart the position continues from an older value.",
                "In the log after the restart: the position that was recovered.",
            ),
            cause(
                &[],
                "Positions are assigned in one step and become visible in another, so that a later one overtakes.",
                "Operations that overlap the first one in the picture.",
            ),
        ],
    },
    Group {
        title: "Unjustified refusals",
        classes: &["false-refusal", "refused-though-free"],
        causes: &[
            likely(
                "A lock or lease expired while its holder still used it.",
                "The time limit of the lock, against how long it was held.",
            ),
            cause(
                &[Leader, Network, Restart, Power],
                "The condition was tested against an old state.",
                "Which node tested it: whether {server} led, and what it had applied.",
            ),
            cause(
                &[Leader, Network, Pause],
                "A request was sent again and met its own first copy: the first took effect, the second was refused.",
                "The same request twice in the log of {server}.",
            ),
            cause(
                &[],
                "The client reports an error as a refusal.",
                "The answer of {server}; `tribunal lint-client` tests a client for this.",
            ),
        ],
    },
    Group {
        title: "Replicas that do not converge",
        classes: &["diverged"],
        causes: &[
            cause(
                &[Network, Pause, Restart],
                "An update that a node missed during the fault is never sent to it again.",
                "What the nodes exchange after the fault is over.",
            ),
            cause(
                &[],
                "The merge depends on the order: two nodes that have seen the same updates differ.",
                "The merge function: it has to be commutative, associative and idempotent.",
            ),
        ],
    },
    Group {
        title: "No simple pattern",
        classes: &["no-order"],
        causes: &[cause(
            &[],
            "No single operation is to blame.",
            "The table “Why no order works”: each row is a possible next step. The states in it show which operation \
             the object seems to have missed.",
        )],
    },
];

/// The usual causes of one kind of finding of an oracle beside the model.
pub(super) struct Finds {
    /// The oracle.
    pub(super) oracle: Oracle,
    /// The kind in words, if the oracle has several kinds of finding.
    pub(super) kind: &'static str,
    /// What the sentence of a finding of this kind contains. The first kind that fits counts.
    pub(super) says: &'static str,
    /// The causes, the most frequent first.
    pub(super) causes: &'static [Cause],
}

const PROMISED_TWICE: Cause = cause(
    &[Restart, Power, Disk],
    "A node lost its vote, its term or a promise in a restart, so that it gave it twice.",
    "What a node writes to disk before it answers; in the logs: the term or ballot, before and after the restart.",
);

const SAME_NUMBER: Cause = cause(
    &[],
    "Two candidates or proposers used the same number: it has to contain the node's name, or each node may give it \
     only once.",
    "How the number of a term or ballot is made, and who voted for it.",
);

/// What to suspect after a finding of an oracle beside the model.
pub(super) const FINDINGS: &[Finds] = &[
    Finds {
        oracle: Oracle::Agreement,
        kind: "different entries at one position",
        says: DIFFERENT_ENTRIES,
        causes: &[
            likely(
                "A new leader or proposer went on without entries that a majority had accepted: votes do not compare \
                 logs, or it does not adopt the accepted values that it is told of.",
                "How the second of the two entries came about: who proposed it, in which term or ballot, and what that \
                 node had been told by the majority that elected it.",
            ),
            likely(
                "An entry was applied before a majority had accepted it: an acknowledgement was counted twice, for \
                 another node or across terms, or an entry of an earlier term was taken as committed by its count alone.",
                "Which acknowledgements the leader counted for this position, and the terms of the entry and of the leader.",
            ),
            likely(
                "A node kept or accepted entries of an old leader, below the number that it had promised, or entries that \
                 do not follow on its own log.",
                "The first entry in which the two nodes differ, and who sent it in which term or ballot.",
            ),
            TWO_CONFIGURATIONS,
            cause(
                &[Restart, Power, Disk],
                "A node continued at a wrong position after a restart or a snapshot: it skipped entries, applied some \
                 again, or the snapshot covers entries that it does not hold.",
                "From which position the node continued, and what its snapshot and its log held before.",
            ),
            PROMISED_TWICE,
            SAME_NUMBER,
        ],
    },
    Finds {
        oracle: Oracle::Agreement,
        kind: "a term or ballot that two nodes won, or that went back",
        says: "",
        causes: &[
            PROMISED_TWICE,
            SAME_NUMBER,
            cause(
                &[],
                "A vote was counted twice or for another node, or a majority of an old configuration was counted.",
                "Which votes the winners counted.",
            ),
            TWO_CONFIGURATIONS,
        ],
    },
    Finds {
        oracle: Oracle::Divergence,
        kind: "",
        says: "",
        causes: &[
            likely(
                "A node kept entries of an old leader, or accepted entries that do not follow on its own log.",
                "The first entry in which the two nodes differ, and who sent it in which term.",
            ),
            likely(
                "Applying an entry depends on more than the entry and the state: on time, on chance, on the order of a \
                 hash table, or on what a snapshot leaves out.",
                "The first entry after which the states differ; whether one node had restored a snapshot.",
            ),
            cause(
                &[Restart, Power, Disk],
                "A node applied an entry twice or not at all after a restart: what it had applied and how far it had \
                 come are not stored in one step.",
                "The first entry that the node applied after its restart.",
            ),
        ],
    },
    Finds {
        oracle: Oracle::Crash,
        kind: "",
        says: "",
        causes: &[cause(
            &[],
            "A case that the code excludes did happen: the evidence has the last lines of the node.",
            "The last lines of its log, and the faults in force at that time.",
        )],
    },
    Finds {
        oracle: Oracle::Restart,
        kind: "",
        says: "",
        causes: &[cause(
            &[],
            "The node cannot read what it has written itself: a file that was cut short, or written in part.",
            "The lines of its log after the restart, and the files in its data directory.",
        )],
    },
    Finds {
        oracle: Oracle::Recovery,
        kind: "",
        says: "",
        causes: &[
            cause(
                &[],
                "After the faults nothing makes the node go on: no new election, no new connection, or a queue that \
                 stays full.",
                "Its log from the end of the last fault on: elections, connections and what it waits for.",
            ),
            cause(
                &[],
                "Only the leader serves clients, and this node does not lead: then it is no bug.",
                "`served-by = \"leader\"` under `[client]` in the description of the system (docs/own-system.md).",
            ),
        ],
    },
];
