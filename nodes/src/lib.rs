//! The built-in systems: real servers to test. Each is a correct, readable implementation with the classic
//! bugs as switches.
//!
//! ```text
//!   wire      the framing between clients and nodes and between nodes
//!   process   a node's identity, and how its process ends
//!   wal       what must outlive the process
//!   machine   the replicated state: keys and values
//!   replica   the server around a protocol: sockets, clients, disk
//!   raft      Raft
//!   paxos     Multi-Paxos
//!   zab       ZAB, the protocol of ZooKeeper
//!   synod     single-decree Paxos: registers that are written once
//!   abd       registers at a majority, without a leader
//!   gossip    anti-entropy: all nodes converge in the end
//!   naive     five classic flawed designs
//!   rpc       the server of the systems without a log: requests and responses
//! ```
//!
//! Invariant: a server knows nothing of the test harness. Of this project the crate depends on
//! `tribunal-records` alone, for the protocol of its clients, and a node behaves the same whether it is under
//! test or not.

pub mod abd;
mod boxed;
mod bug;
mod frame;
#[cfg(feature = "gossip")]
pub mod gossip;
mod logging;
mod machine;
mod naive;
pub mod paxos;
mod process;
pub mod raft;
mod replica;
mod rpc;
pub mod synod;
mod value;
mod wal;
pub mod wire;
pub mod zab;

use std::ffi::OsString;

use clap::Parser;

pub use self::bug::BugSwitch;
use self::process::Place;
use self::replica::args::NodeArgs;

/// The built-in systems, as a command line: `raft --id n1 ...`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum NodeCommand {
    /// Run one node of a Raft cluster.
    Raft(NodeArgs<raft::Bug, raft::Options>),
    /// Run one node of a Multi-Paxos cluster.
    Paxos(NodeArgs<paxos::Bug>),
    /// Run one node of a ZAB cluster, the protocol of ZooKeeper.
    Zab(NodeArgs<zab::Bug>),
    /// Run one node of registers that are decided once (single-decree Paxos)
    Synod(rpc::NodeArgs<synod::Bug>),
    /// Run one node of registers at a majority (ABD)
    Abd(rpc::NodeArgs<abd::Bug>),
    #[cfg(feature = "gossip")]
    /// Run one node of a gossiping store
    Gossip(rpc::NodeArgs<gossip::Bug, gossip::Options>),
    /// Run one node of a primary with asynchronous backups
    PrimaryBackup(Place),
    /// Run one node of a failover by silence
    TwoPrimaries(Place),
    /// Run one node of order numbers by read, add one, write
    LastId(Place),
    /// Run one node of a lock that expires
    TtlLock(Place),
    /// Run one node of two-phase commit without recovery
    TwoPhaseCommit(Place),
}

/// The command line of one node: `raft --id n1 ...`.
#[derive(clap::Parser)]
#[command(name = "node", no_binary_name = true)]
struct CommandLine {
    #[command(subcommand)]
    node: NodeCommand,
}

/// Runs the node with this command line until it is stopped. Returns its exit code: 3 if it failed, 64 if the
/// command line is invalid.
pub fn run(args: &[OsString]) -> u8 {
    match CommandLine::try_parse_from(args) {
        Ok(line) => line.node.run(),
        Err(error) => {
            let _ = error.print(); // standard error may be closed
            64
        }
    }
}

/// Checks the command line of a node.
///
/// # Errors
/// What is unknown, or what is expected instead.
pub fn understands(args: &[OsString]) -> Result<(), String> {
    let Err(error) = CommandLine::try_parse_from(args) else { return Ok(()) };
    let text = error.render().to_string();
    let is_about_the_error =
        |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more information");
    let lines = text.lines().map(str::trim).take_while(is_about_the_error).filter(|line| !line.is_empty());
    Err(lines.collect::<Vec<_>>().join(" ").replacen("error: ", "", 1))
}

impl NodeCommand {
    /// Runs the node until it is stopped; returns its exit code.
    pub fn run(self) -> u8 {
        match self {
            NodeCommand::Raft(args) => args.run::<raft::core::Core>(),
            NodeCommand::Paxos(args) => args.run::<paxos::core::Core>(),
            NodeCommand::Zab(args) => args.run::<zab::core::Core>(),
            NodeCommand::Synod(args) => args.run(),
            NodeCommand::Abd(args) => args.run(),
            #[cfg(feature = "gossip")]
            NodeCommand::Gossip(args) => args.run(),
            NodeCommand::PrimaryBackup(place) => rpc::run(place, naive::primary_backup::PrimaryBackup::open),
            NodeCommand::TwoPrimaries(place) => rpc::run(place, naive::two_primaries::TwoPrimaries::open),
            NodeCommand::LastId(place) => rpc::run(place, naive::last_id::LastId::open),
            NodeCommand::TtlLock(place) => rpc::run(place, naive::ttl_lock::TtlLock::open),
            NodeCommand::TwoPhaseCommit(place) => {
                rpc::run(place, naive::two_phase_commit::TwoPhaseCommit::open)
            }
        }
    }
}
