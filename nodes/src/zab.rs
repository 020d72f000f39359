//! A ZAB server, the protocol of ZooKeeper (Junqueira, Reed and Serafini, "Zab: High-performance broadcast for
//! primary-backup systems", DSN 2011; Medeiros, "ZooKeeper's Atomic Broadcast Protocol: Theory and Practice", 2012).
//!
//! ```text
//!   phase 0   election          who looks for a leader tells the others what it has; the most complete history wins
//!   phase 1   discovery         FollowerInfo -> NewEpoch -> AckEpoch: a majority promises not to follow earlier leaders
//!   phase 2   synchronisation   NewLeader -> Ack: a majority has the leader's history, by truncation, difference or snapshot
//!   phase 3   broadcast         Propose -> Ack -> Commit, each transaction in its place
//! ```
//!
//! A transaction is named by its *zxid*: the epoch of the leader that proposed it, and a counter that begins anew in each
//! epoch. Transactions are acknowledged, committed and applied in the order of their zxids.
//!
//! ```text
//!   core       the state, and who gets which message
//!   election   phase 0
//!   sync       phases 1 and 2
//!   broadcast  phase 3, reads, snapshots
//! ```
//!
//! The paper's channels lose nothing while they last. Here any message may be lost, doubled or late, so each names its
//! epoch, a proposal names its predecessor, and what is not answered is sent again.
//!
//! *Reads* are preceded by a `sync`: an empty transaction that must be committed before the leader answers. That makes them
//! linearizable. ZooKeeper itself lets every server answer reads from what it has, and clients ask for the `sync`; the bug
//! `local-read` does that, and what it gives is at most sequentially consistent.
//!
//! Caveats beyond those of every [replica](crate::replica): a synchronisation is one message, so snapshot and history must
//! fit into a frame (64 MiB).

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
