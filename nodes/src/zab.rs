//! A ZAB server, the protocol of ZooKeeper (Junqueira, Reed and Serafini, "Zab: High-performance broadcast
//! for primary-backup systems", DSN 2011; Medeiros, "ZooKeeper's Atomic Broadcast Protocol: Theory and
//! Practice", 2012).
//!
//! ```text
//!   phase 0   election          nodes without a leader exchange what they have; the most complete history wins
//!   phase 1   discovery         FollowerInfo -> NewEpoch -> AckEpoch: a majority promises not to follow earlier leaders
//!   phase 2   synchronisation   NewLeader -> Ack: a majority has the leader's history, by truncation, difference or snapshot
//!   phase 3   broadcast         Propose -> Ack -> Commit, each transaction in its place
//! ```
//!
//! A transaction is identified by its *zxid*: the epoch of the leader that proposed it, and a counter that
//! restarts in each epoch. Transactions are acknowledged, committed and applied in the order of their zxids.
//!
//! ```text
//!   core       the state, and message dispatch
//!   election   phase 0
//!   sync       phases 1 and 2
//!   broadcast  phase 3, reads, snapshots
//! ```
//!
//! The paper's channels lose nothing while they last. Here any message may be lost, duplicated or late, so
//! each carries its epoch, a proposal names its predecessor, and unanswered messages are sent again.
//!
//! *Reads* are preceded by a `sync`: an empty transaction that must be committed before the leader answers.
//! This makes them linearizable. In ZooKeeper itself every server answers reads from its own state, and
//! clients request the `sync`; the bug `local-read` does the same, and its reads are at most sequentially
//! consistent.
//!
//! Caveats beyond those of every replica (`replica.rs`): a synchronisation is one message, so snapshot and
//! history must fit into a frame (64 MiB).

mod broadcast;
mod bug;
pub(crate) mod core;
mod election;
mod history;
mod message;
mod sync;
#[cfg(test)]
mod tests;

pub use self::bug::Bug;
