//! A Multi-Paxos server (Lamport, "Paxos Made Simple", 2001, "PMS"; "The Part-Time Parliament", 1998; van
//! Renesse and Altinbuken, "Paxos Made Moderately Complex", 2015).
//!
//! One instance of the synod for every *slot* of a log. All slots share their first phase: a promise of a
//! ballot holds for all slots at once (PMS section 3), so a proposer that keeps its ballot needs one round
//! trip per command.
//!
//! ```text
//!             distinguished proposer                   acceptors                     learners
//!   phase 1   Prepare(ballot) ------------------------> promise: on disk
//!             highest accepted per slot, no-ops <------ Promise(accepted)
//!             in the gaps
//!   phase 2   Accept(ballot, slot, value) ------------> accept: on disk
//!             a majority in one ballot: chosen <------- Accepted
//!             how far: with the next message --------------------------------------> applied in slot order
//! ```
//!
//! Every node plays all three roles. It sends messages to itself as to any other node.
//!
//! ```text
//!   core      the state, and message dispatch
//!   proposer  ballots, failover, phase 1, phase 2, reads
//!   acceptor  what is promised and accepted
//!   learner   what is chosen; catching up, snapshots
//! ```
//!
//! *Failover*: a node that hears no leader for an election timeout prepares a higher ballot. Safety does not
//! depend on a single proposer (PMS section 2.4), so clocks decide only which nodes try.
//!
//! *Reads* go through the log: a read waits until a no-op is chosen in a slot after everything chosen before
//! the read arrived. Concurrent reads share one no-op.
//!
//! Caveats beyond those of every replica (`replica.rs`): a snapshot is sent as one message, so it must fit
//! into a frame (64 MiB).

mod acceptor;
mod bug;
pub(crate) mod core;
mod learner;
mod message;
mod proposer;
#[cfg(test)]
mod tests;

pub use self::bug::Bug;
