//! A server of a replicated state machine: all that does not depend on the protocol which puts the commands in order.
//!
//! ```text
//!   args      the command line of a node
//!   server    sockets, clock, disk thread around the protocol ................. I/O
//!   client    connections from clients          link   connections to peers ... I/O
//!   journal   the write-ahead log as a list of records ........................ I/O
//!   gateway   a client's request: where to send it, when again, what is known . pure
//!   service   the leader's part: order it, wait until applied, answer ......... pure
//!   ledger    what must be on disk before which message may go ................ pure
//!   protocol  what a protocol is to all of these, and the words they share
//! ```
//!
//! A node that does not lead *forwards* requests to the one that does, over the links between the nodes, so clients may
//! talk to any node, and retries them when the leadership changes, until the request's deadline.
//!
//! Caveats: who the nodes are is fixed when they start (Raft may leave some out for a while). Clients' sessions are kept for ever. Nodes trust each other and
//! the network not to forge messages. Nothing keeps two processes from using one data directory.

pub(crate) mod args;
mod client;
#[cfg(test)]
mod cluster;
mod gateway;
pub(crate) mod journal;
pub(crate) mod ledger;
mod link;
mod protocol;
pub(crate) mod server;
mod service;
#[cfg(test)]
pub(crate) mod simulator;
#[cfg(test)]
pub(crate) mod stage;

pub(crate) use self::gateway::told;
pub(crate) use self::protocol::{
    Config, Disk, Entry, Mistakes, NodeId, NotLeader, Opened, Operation, Payload, Protocol, ReadId, Ready,
    Snapshot, Time,
};
