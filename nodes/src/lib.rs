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
//!   abd       registers at a majority, without a leader
//!   gossip    anti-entropy: everybody has everything in the end
//!   naive     what people build before they know: systems that fail by design
//!   rpc       the server of those that need no log: questions and answers
//! ```
//!
//! Invariant: a server does not know its judge. This crate depends on nothing else of this project, and a node behaves
//! the same whether it is on trial or not.

pub mod abd;
mod bug;
mod frame;
pub mod gossip;
mod journal;
mod logging;
mod machine;
mod naive;
pub mod paxos;
pub mod raft;
mod replica;
mod rpc;
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
    /// Run one node of registers at a majority (ABD)
    Abd(abd::Args),
    /// Run one node of a gossiping store
    Gossip(gossip::Args),
    /// Run one node of a primary with asynchronous backups
    PrimaryBackup(rpc::args::PeerArgs),
    /// Run one node of a failover by silence
    TwoPrimaries(rpc::args::PeerArgs),
    /// Run one node of order numbers by read, add one, write
    LastId(rpc::args::PeerArgs),
    /// Run one node of a lock that expires
    TtlLock(rpc::args::PeerArgs),
    /// Run one node of two-phase commit without recovery
    TwoPhaseCommit(rpc::args::PeerArgs),
}

impl NodeCommand {
    /// Runs the node until it is told to stop; the code says how it ended.
    pub fn run(self) -> ExitCode {
        match self {
            NodeCommand::Raft(args) => raft::run(args),
            NodeCommand::Paxos(args) => paxos::run(args),
            NodeCommand::Zab(args) => zab::run(args),
            NodeCommand::Abd(args) => args.run(),
            NodeCommand::Gossip(args) => args.run(),
            NodeCommand::PrimaryBackup(args) => args.run(naive::primary_backup::PrimaryBackup::open),
            NodeCommand::TwoPrimaries(args) => args.run(naive::two_primaries::TwoPrimaries::open),
            NodeCommand::LastId(args) => args.run(naive::last_id::LastId::open),
            NodeCommand::TtlLock(args) => args.run(naive::ttl_lock::TtlLock::open),
            NodeCommand::TwoPhaseCommit(args) => args.run(naive::two_phase_commit::TwoPhaseCommit::open),
        }
    }
}
