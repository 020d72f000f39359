//! The built-in systems: real servers to put on trial, each a correct implementation told clearly, with the classic
//! mistakes as switches.
//!
//! ```text
//!   wire      what clients say to any of them
//!   process   who a node is, and how its process ends
//!   wal       what must outlive the process
//!   machine   the state that they replicate: keys and values
//!   replica   the server around a protocol: sockets, clients, disk
//!   raft      Raft
//!   paxos     Multi-Paxos
//!   zab       ZAB, the protocol of ZooKeeper
//!   synod     single-decree Paxos: registers that are written once
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

use std::process::ExitCode;

pub use self::bug::Mistake;
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

impl NodeCommand {
    /// Runs the node until it is told to stop; the code says how it ended.
    pub fn run(self) -> ExitCode {
        match self {
            NodeCommand::Raft(args) => args.run::<raft::core::Core>(),
            NodeCommand::Paxos(args) => args.run::<paxos::core::Core>(),
            NodeCommand::Zab(args) => args.run::<zab::core::Core>(),
            NodeCommand::Synod(args) => args.run(),
            NodeCommand::Abd(args) => args.run(),
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
