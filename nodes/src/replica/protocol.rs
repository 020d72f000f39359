//! What a protocol is to the server around it, and the words that all protocols share.
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
//! A protocol owns no socket, no file, no clock and no source of randomness but the seeded generator it is handed. So a
//! test can play any script to it, and a simulator can play millions.
//!
//! Inputs only change the state; everything that must happen outside is collected, and taken with `ready()`. Calling it
//! once after several inputs is what makes batches.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::wal::{TornTail, WalError};

/// A moment: how long after the node's start.
pub(crate) type Time = Duration;

/// Names a read that awaits its answer; chosen by the caller.
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

/// What an entry carries. No protocol ever looks into a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Payload {
    /// Nothing: it fills a place.
    Noop,
    /// A command of the state machine, in its own encoding.
    Command(Arc<[u8]>),
    /// Who the members are from here on, in protocols where that may change.
    Members(Vec<NodeId>),
}

impl Payload {
    /// Bytes on the wire and on disk, roughly.
    pub(crate) fn size(&self) -> usize {
        16 + if let Payload::Command(bytes) = self { bytes.len() } else { 0 }
    }
}

/// A payload and its place in the order, named in the protocol's own way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry<At> {
    pub(crate) at: At,
    pub(crate) payload: Payload,
}

/// The state machine after every entry up to and with `last`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot<At> {
    pub(crate) last: At,
    /// Who the members were then, in protocols where that may change.
    pub(crate) members: Vec<NodeId>,
    pub(crate) data: Arc<[u8]>,
}

/// The request needs the leader, and this node is not it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotLeader;

/// What an operator may ask of the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Makes a node a member.
    Add(NodeId),
    /// Lets a member go.
    Remove(NodeId),
    /// Lets another one lead.
    Transfer(NodeId),
}

impl Operation {
    /// The operation that a client's request names, if it names one.
    pub(crate) fn parse(f: &str, value: &serde_json::Value) -> Option<Operation> {
        let node = || value.as_str().map(NodeId::from);
        match f {
            "add-node" => Some(Operation::Add(node()?)),
            "remove-node" => Some(Operation::Remove(node()?)),
            "transfer-leadership" => Some(Operation::Transfer(node()?)),
            _ => None,
        }
    }
}

/// How a node is set up; `Options` are what only its own protocol has.
#[derive(Clone, Debug)]
pub(crate) struct Config<Bug, Options = ()> {
    pub(crate) id: NodeId,
    /// The other nodes.
    pub(crate) peers: Vec<NodeId>,
    /// The shortest and the longest election timeout.
    pub(crate) election_timeout: (Duration, Duration),
    /// How often a leader makes itself heard.
    pub(crate) heartbeat: Duration,
    pub(crate) options: Options,
    pub(crate) bugs: Vec<Bug>,
}

impl<Bug: PartialEq, Options> Config<Bug, Options> {
    /// Whether the node is to make that mistake.
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bugs.contains(&bug)
    }

    /// How long to wait for a leader this time: drawn anew each time, which keeps nodes from trying at once for long.
    pub(crate) fn draw_election_timeout(&self, rng: &mut ChaCha8Rng) -> Duration {
        let (low, high) =
            (self.election_timeout.0.as_micros() as u64, self.election_timeout.1.as_micros() as u64);
        Duration::from_micros(rng.random_range(low..=high.max(low)))
    }

    /// How many nodes are a majority of all.
    pub(crate) fn quorum(&self) -> usize {
        let nodes = self.peers.len() + 1;
        nodes / 2 + 1
    }
}

/// Mistakes around the protocol that a node makes on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mistakes {
    /// Reads are answered wherever they arrive.
    pub(crate) reads_here: bool,
    /// A change is answered before it is written or agreed upon.
    pub(crate) acks_before_write: bool,
    /// What is written is taken for durable.
    pub(crate) acks_before_fsync: bool,
    /// A command that was put in order twice is carried out twice.
    pub(crate) applies_twice: bool,
    /// A compare-and-set is decided before it has a place in the order.
    pub(crate) decides_cas_early: bool,
    /// A change without an answer is said to have failed.
    pub(crate) fails_without_answer: bool,
}

/// All that must happen outside, in this order.
pub(crate) struct Ready<P: Protocol> {
    pub(crate) notices: Vec<P::Notice>,
    pub(crate) messages: Vec<(NodeId, P::Message)>,
    pub(crate) write: Option<<P::Disk as Disk>::Write>,
    pub(crate) install: Option<Arc<Snapshot<P::At>>>,
    pub(crate) committed: Vec<Entry<P::At>>,
    pub(crate) reads: Vec<ReadId>,
    /// Reads that may be answered now if, after the state machine was read, [`lease_holds`](Protocol::lease_holds).
    pub(crate) leased: Vec<ReadId>,
    /// The node led, and does not any more: proposals that were not committed are uncertain, reads must be retried.
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

/// A node's stable storage. Used by one thread of its own, since a sync blocks.
pub(crate) trait Disk: Send + Sized + 'static {
    /// What must be made durable, as one: all of it or nothing.
    type Write: Send + 'static;

    /// Writes are numbered from 1; a later write must not become durable before an earlier one.
    fn number(write: &Self::Write) -> u64;

    /// Writes several, in order; they are durable after a [`sync`](Disk::sync). After an error nothing is known about what
    /// is stored.
    fn write(&mut self, writes: Vec<Self::Write>) -> io::Result<()>;

    /// Makes durable what is written.
    fn sync(&self) -> io::Result<()>;
}

/// A node that starts with what is on its disk.
pub(crate) struct Opened<P: Protocol> {
    pub(crate) protocol: P,
    pub(crate) disk: P::Disk,
    /// The state machine that the disk holds.
    pub(crate) snapshot: Option<Arc<Snapshot<P::At>>>,
    pub(crate) torn: Option<TornTail>,
}

/// One node's part in a protocol that puts commands in order.
pub(crate) trait Protocol: Sized + Send + 'static {
    type Bug: clap::ValueEnum + Copy + PartialEq + fmt::Debug + Send;
    /// What only this protocol can be told.
    type Options: Clone + Default + fmt::Debug + Send;
    /// How the place of an entry is named.
    type At: Clone + PartialEq + fmt::Debug + Serialize + DeserializeOwned + Send + Sync;
    type Message: Clone + Serialize + DeserializeOwned + fmt::Debug + Send + 'static;
    /// A thing worth a line in the log.
    type Notice: fmt::Display;
    type Disk: Disk;

    /// Which of its bugs are the server's to make.
    fn mistakes(bugs: &[Self::Bug]) -> Mistakes;

    /// Opens the disk, and starts from what it holds at moment zero.
    fn open(
        config: Config<Self::Bug, Self::Options>,
        data: &Path,
        rng: ChaCha8Rng,
    ) -> Result<Opened<Self>, WalError>;

    /// Where it stands, for the line that a node says at its start: it begins with `term N`, or what is one here.
    fn standing(&self) -> String;

    /// Time has passed.
    fn tick(&mut self, now: Time);

    /// The next moment at which [`tick`](Protocol::tick) has something to do.
    fn next_tick(&self) -> Time;

    /// A message has arrived, maybe late, maybe not for the first time.
    fn receive(&mut self, now: Time, from: &NodeId, message: Self::Message);

    /// A client's command. Only a leader takes it; that it was taken does not mean that it will be committed.
    fn propose(&mut self, command: Arc<[u8]>) -> Result<(), NotLeader>;

    /// A read has arrived. It will come out of [`Ready::reads`] or [`Ready::leased`], unless this node is deposed before.
    fn read(&mut self, id: ReadId) -> Result<(), NotLeader>;

    /// Whether this node certainly still leads at that moment, without asking anybody. Where there are no leases nobody
    /// ever is.
    fn lease_holds(&self, _now: Time) -> bool {
        false
    }

    /// Begins what an operator asks for; leading, members and the like tell later what came of it.
    fn operate(&mut self, _operation: &Operation) -> Result<(), String> {
        Err("this protocol has no such operation".into())
    }

    /// The writes up to and with this number are on disk.
    fn persisted(&mut self, number: u64);

    /// Takes what must happen outside.
    fn ready(&mut self) -> Ready<Self>;

    /// Takes a snapshot of the state machine, as it is after all that was handed out, if `every` entries were handed
    /// out since the last.
    fn compact_if_due(&mut self, every: u64, data: impl FnOnce() -> Arc<[u8]>);

    /// Who leads, as far as this node knows.
    fn leader(&self) -> Option<&NodeId>;

    fn is_leader(&self) -> bool;

    /// The commands that it has taken and not yet handed out to be applied.
    fn pending(&self) -> Vec<Payload>;

    /// What it says of itself; see the table of [`crate::wire`].
    fn status(&self) -> serde_json::Value;
}
