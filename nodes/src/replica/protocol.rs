//! The interface of a protocol to its server, and the types that all protocols share.
//!
//! ```text
//!   receive(message) --+                              +-- write      to be made durable, then persisted(number)
//!   tick(now) ---------+                              +-- messages   to be sent
//!   propose(command) --+--> Protocol --> ready() -----+-- committed  to be applied to the state machine, in order
//!   read(id) ----------+                              +-- reads      to be answered from the state machine now
//!   persisted(number) -+                              +-- install    a snapshot that replaces the state machine
//!   compact(snapshot) -+
//! ```
//!
//! A protocol has no socket, no file, no clock, and no randomness except a seeded generator. So a test can
//! run any script against it, and a simulator can run millions.
//!
//! Inputs only change the state. All effects are collected and taken with `ready()`; one call after several
//! inputs makes batches.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand::RngExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::wal::{TornTail, WalError};

/// A time: the duration since the node's start.
pub(crate) type Time = Duration;

/// The ID of a pending read, chosen by the caller.
pub(crate) type ReadId = u64;

/// The name of a node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct NodeId(Arc<str>);

impl From<&str> for NodeId {
    fn from(name: &str) -> Self {
        NodeId(name.into())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The content of an entry. No protocol looks into a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Payload {
    /// Nothing: it fills a position.
    Noop,
    /// A command of the state machine, in its own encoding.
    Command(Arc<[u8]>),
    /// The members from here on, in protocols with membership changes.
    Members(Vec<NodeId>),
}

impl Payload {
    /// The approximate size on the wire and on disk, in bytes.
    pub(crate) fn size(&self) -> usize {
        16 + if let Payload::Command(bytes) = self { bytes.len() } else { 0 }
    }
}

/// A payload and its position in the order; each protocol has its own position type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry<At> {
    pub(crate) at: At,
    pub(crate) payload: Payload,
}

/// The state machine after every entry up to and including `last`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot<At> {
    pub(crate) last: At,
    /// The members at that time, in protocols with membership changes.
    pub(crate) members: Vec<NodeId>,
    pub(crate) data: Arc<[u8]>,
}

/// The request needs the leader, and this node does not lead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotLeader;

/// An operator's request to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Adds a node to the members.
    Add(NodeId),
    /// Removes a node from the members.
    Remove(NodeId),
    /// Transfers the leadership.
    Transfer(NodeId),
}

impl Operation {
    /// The operation in a client's request, if it is an operator's.
    pub(crate) fn parse(f: &str, value: Option<&serde_json::Value>) -> Option<Operation> {
        let node = || value.and_then(serde_json::Value::as_str).map(NodeId::from);
        match f {
            "add-node" => Some(Operation::Add(node()?)),
            "remove-node" => Some(Operation::Remove(node()?)),
            "transfer-leadership" => Some(Operation::Transfer(node()?)),
            _ => None,
        }
    }
}

/// The configuration of a node; `Options` are specific to its protocol.
#[derive(Clone, Debug)]
pub(crate) struct Config<Bug, Options = ()> {
    pub(crate) id: NodeId,
    /// The other nodes.
    pub(crate) peers: Vec<NodeId>,
    /// The shortest and the longest election timeout.
    pub(crate) election_timeout: (Duration, Duration),
    /// The heartbeat interval of a leader.
    pub(crate) heartbeat: Duration,
    pub(crate) options: Options,
    pub(crate) bugs: Vec<Bug>,
}

impl<Bug: PartialEq, Options> Config<Bug, Options> {
    /// Whether the node has this bug.
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bugs.contains(&bug)
    }

    /// A random timeout for the next election. New values each time keep nodes from standing at once again
    /// and again.
    pub(crate) fn draw_election_timeout(&self, rng: &mut ChaCha8Rng) -> Duration {
        let (low, high) =
            (self.election_timeout.0.as_micros() as u64, self.election_timeout.1.as_micros() as u64);
        Duration::from_micros(rng.random_range(low..=high.max(low)))
    }

    /// The size of a majority of all nodes.
    pub(crate) fn quorum(&self) -> usize {
        let nodes = self.peers.len() + 1;
        nodes / 2 + 1
    }
}

/// The seeded bugs of the server around the protocol.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerBugs {
    /// Every node answers reads from its own state.
    pub(crate) reads_here: bool,
    /// A change is acknowledged before it is written or committed.
    pub(crate) acks_before_write: bool,
    /// Written data counts as durable before it is synced.
    pub(crate) acks_before_fsync: bool,
    /// A command that is in the log twice is applied twice.
    pub(crate) applies_twice: bool,
    /// A compare-and-set is decided before it is in the log.
    pub(crate) decides_cas_early: bool,
    /// A change without an answer is reported as failed.
    pub(crate) fails_without_answer: bool,
    /// A snapshot holds no sessions of clients.
    pub(crate) forgets_sessions: bool,
}

/// The effects for the server to carry out, in this order.
pub(crate) struct Ready<P: Protocol> {
    pub(crate) notices: Vec<P::Notice>,
    pub(crate) messages: Vec<(NodeId, P::Message)>,
    pub(crate) write: Option<<P::Disk as Disk>::Write>,
    pub(crate) install: Option<Arc<Snapshot<P::At>>>,
    pub(crate) committed: Vec<Entry<P::At>>,
    pub(crate) reads: Vec<ReadId>,
    /// Reads that may be answered now if [`lease_holds`](Protocol::lease_holds) after the state machine was
    /// read.
    pub(crate) leased: Vec<ReadId>,
    /// The node no longer leads: uncommitted proposals are uncertain, reads must be retried.
    pub(crate) deposed: bool,
}

impl<P: Protocol> Default for Ready<P> {
    fn default() -> Self {
        Ready {
            notices: Vec::new(),
            messages: Vec::new(),
            write: None,
            install: None,
            committed: Vec::new(),
            reads: Vec::new(),
            leased: Vec::new(),
            deposed: false,
        }
    }
}

/// A node's stable storage. It is used by a thread of its own, because a sync blocks.
pub(crate) trait Disk: Send + Sized + 'static {
    /// A write that must become durable atomically.
    type Write: Send + 'static;

    /// Writes are numbered from 1 and become durable in order.
    fn number(write: &Self::Write) -> u64;

    /// Writes several batches in order; they are durable after a [`sync`](Disk::sync). After an error the
    /// stored state is unknown.
    fn write(&mut self, writes: Vec<Self::Write>) -> io::Result<()>;

    /// Makes all written data durable.
    fn sync(&self) -> io::Result<()>;
}

/// A node started from its disk.
pub(crate) struct Opened<P: Protocol> {
    pub(crate) protocol: P,
    pub(crate) disk: P::Disk,
    /// The state machine's snapshot on disk.
    pub(crate) snapshot: Option<Arc<Snapshot<P::At>>>,
    pub(crate) torn: Option<TornTail>,
}

/// One node's part in a protocol that orders commands.
pub(crate) trait Protocol: Sized + Send + 'static {
    type Bug: clap::ValueEnum + Copy + PartialEq + fmt::Debug + Send;
    /// Options of this protocol only.
    type Options: Clone + Default + fmt::Debug + Send;
    /// The position of an entry.
    type At: Clone + PartialEq + fmt::Debug + Serialize + DeserializeOwned + Send + Sync;
    type Message: Clone + Serialize + DeserializeOwned + fmt::Debug + Send + 'static;
    /// An event that is logged.
    type Notice: fmt::Display;
    type Disk: Disk;

    /// The bugs that the server has to implement.
    fn server_bugs(bugs: &[Self::Bug]) -> ServerBugs;

    /// Opens the disk and starts from its content, at time zero.
    fn open(
        config: Config<Self::Bug, Self::Options>,
        data: &Path,
        rng: ChaCha8Rng,
    ) -> Result<Opened<Self>, WalError>;

    /// The state at the start, for the node's first log line: begins with `term N`, or the equivalent.
    fn start_summary(&self) -> String;

    /// Advances the time.
    fn tick(&mut self, now: Time);

    /// The next time at which [`tick`](Protocol::tick) has work.
    fn next_tick(&self) -> Time;

    /// Receives a message, which may be late or a duplicate.
    fn receive(&mut self, now: Time, from: &NodeId, message: Self::Message);

    /// Proposes a client's command. Only a leader accepts it, and an accepted command may still not be
    /// committed.
    fn propose(&mut self, command: Arc<[u8]>) -> Result<(), NotLeader>;

    /// Registers a read. It appears in [`Ready::reads`] or [`Ready::leased`], unless this node is deposed
    /// first.
    fn read(&mut self, id: ReadId) -> Result<(), NotLeader>;

    /// Whether this node certainly still leads at that time, without a message. Always false in a protocol
    /// without leases.
    fn lease_holds(&self, _now: Time) -> bool {
        false
    }

    /// Starts an operator's request. The result shows later in the leader and the members.
    fn operate(&mut self, _operation: &Operation) -> Result<(), String> {
        Err("this protocol has no such operation".into())
    }

    /// The writes up to and including this number are on disk.
    fn persisted(&mut self, number: u64);

    /// Takes the pending effects.
    fn ready(&mut self) -> Ready<Self>;

    /// Takes a snapshot of the state machine, after everything handed out so far, if `every` entries were
    /// handed out since the last one.
    fn compact_if_due(&mut self, every: u64, data: impl FnOnce() -> Arc<[u8]>);

    /// The leader that this node knows.
    fn leader(&self) -> Option<&NodeId>;

    fn is_leader(&self) -> bool;

    /// The current term, ballot or epoch.
    fn term(&self) -> u64;

    /// While this node leads: the name of its leadership, such as `term 5`, which no other node may win.
    fn leadership(&self) -> Option<String>;

    /// The commands that it has accepted and not yet handed to the state machine.
    fn pending(&self) -> Vec<Payload>;

    /// The node's status; see the table of [`crate::wire`].
    fn status(&self) -> serde_json::Value;
}
