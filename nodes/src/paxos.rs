//! A Multi-Paxos server (Lamport, "Paxos Made Simple", 2001, "PMS"; "The Part-Time Parliament", 1998; van Renesse and
//! Altinbuken, "Paxos Made Moderately Complex", 2015).
//!
//! One instance of the synod for every *slot* of a log. All share their first phase: a ballot that is promised is promised
//! for all slots at once (PMS section 3), so that a proposer which keeps its ballot needs one round trip per command.
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
//! Every node plays all three parts, and speaks to itself as to any other.
//!
//! ```text
//!   core      the state, and who gets which message
//!   proposer  ballots, failover, phase 1, phase 2, reads
//!   acceptor  what is promised and accepted
//!   learner   what is chosen; catching up, snapshots
//! ```
//!
//! *Failover*: whoever hears no leader for an election timeout prepares a higher ballot. Safety never rests on there being
//! one proposer (PMS section 2.4), so clocks decide only who tries.
//!
//! *Reads* go through the log: a read waits until a no-op is chosen in a later slot than anything that was chosen before
//! the read came. All that arrive together share one.
//!
//! Caveats beyond those of every [replica](crate::replica): a snapshot goes to a node that needs it as one message, so it
//! must fit into a frame (64 MiB).

mod acceptor;
mod bug;
pub(crate) mod core;
mod learner;
mod message;
mod proposer;
#[cfg(test)]
mod tests;

pub use self::bug::Bug;
