//! The built-in systems: real servers to put on trial, each a correct implementation told clearly, with the classic
//! mistakes as switches.
//!
//! ```text
//!   wire      what clients say to any of them
//!   machine   the state that they replicate: keys and values
//!   replica   the server around a protocol: sockets, clients, disk
//!   raft      Raft
//!   paxos     Multi-Paxos
//!   zab       ZAB, the protocol of ZooKeeper
//! ```
//!
//! Invariant: a server does not know its judge. This crate depends on nothing else of this project, and a node behaves
//! the same whether it is on trial or not.

mod bug;
mod logging;
mod machine;
pub mod paxos;
pub mod raft;
mod replica;
mod value;
pub mod wire;
pub mod zab;

use std::process::ExitCode;

pub use self::bug::Mistake;

/// The built-in systems, as a command line: `raft --id n1 ...`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum NodeCommand {
    /// Run one node of a Raft cluster.
    Raft(raft::Args),
    /// Run one node of a Multi-Paxos cluster.
    Paxos(paxos::Args),
    /// Run one node of a ZAB cluster, the protocol of ZooKeeper.
    Zab(zab::Args),
}

impl NodeCommand {
    /// Runs the node until it is told to stop; the code says how it ended.
    pub fn run(self) -> ExitCode {
        match self {
            NodeCommand::Raft(args) => raft::run(args),
            NodeCommand::Paxos(args) => paxos::run(args),
            NodeCommand::Zab(args) => zab::run(args),
        }
    }
}
