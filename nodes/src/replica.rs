//! A server of a replicated state machine: everything that does not depend on the protocol that orders the
//! commands.
//!
//! ```text
//!   args      the command line of a node
//!   server    sockets, clock, disk thread around the protocol ................. I/O
//!   client    connections from clients          link   connections to peers ... I/O
//!   journal   the write-ahead log as a list of records ........................ I/O
//!   gateway   a client's request: routing, retries, what its outcome is ....... pure
//!   service   the leader's part: order it, wait until applied, answer ......... pure
//!   applied   what was applied last, for an observer that compares nodes ...... pure
//!   ledger    which write must be durable before which message is sent ........ pure
//!   protocol  the interface of a protocol, and the types that all share
//! ```
//!
//! A node that does not lead *forwards* requests to the leader, over the links between the nodes, so clients
//! may talk to any node. It retries them when the leadership changes, until the request's deadline.
//!
//! Caveats: the set of nodes is fixed at the start (Raft may exclude some for a while). Clients' sessions are
//! kept for ever. Nodes trust each other, and trust the network not to forge messages. Two processes are not
//! kept from using one data directory.

mod applied;
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
pub(crate) mod simulated;
#[cfg(test)]
pub(crate) mod simulator;

pub(crate) use self::gateway::outcome_of;
pub(crate) use self::protocol::{
    Config, Disk, Entry, NodeId, NotLeader, Opened, Operation, Payload, Protocol, ReadId, Ready, ServerBugs,
    Snapshot, Time,
};
