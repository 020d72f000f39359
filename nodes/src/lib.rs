//! The built-in systems: real servers to put on trial, each a correct implementation told clearly, with the classic
//! mistakes as switches.
//!
//! ```text
//!   wire      what clients say to any of them
//!   machine   the state that they replicate: keys and values
//!   replica   the server around a protocol: sockets, clients, disk
//!   raft      Raft
//! ```
//!
//! Invariant: a server does not know its judge. This crate depends on nothing else of this project, and a node behaves
//! the same whether it is on trial or not.

mod logging;
mod machine;
pub mod raft;
mod replica;
mod value;
pub mod wire;

use std::process::ExitCode;

/// The built-in systems, as a command line: `raft --id n1 ...`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum NodeCommand {
    /// Run one node of a Raft cluster.
    Raft(raft::Args),
}

impl NodeCommand {
    /// Runs the node until it is told to stop; the code says how it ended.
    pub fn run(self) -> ExitCode {
        match self {
            NodeCommand::Raft(args) => raft::run(args),
        }
    }
}
