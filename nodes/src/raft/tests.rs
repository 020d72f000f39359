//! Tests of the protocol without sockets, files or clocks.
//!
//! [`stories`], [`leases`] and [`memberships`] run short scripts, some from the paper's figures.
//! [`simulator`] runs many random schedules and checks the paper's safety properties (Figure 3) after every
//! step.

mod leases;
mod memberships;
mod script;
mod simulator;
mod stories;

use std::sync::Arc;

use super::core::{Core, Stored};
use super::log::Log;
use super::message::{Entry, HardState, Payload, Position};
pub(crate) use crate::replica::simulated::{ELECTION_TIMEOUT, HEARTBEAT};

type Actor = crate::replica::simulated::Actor<Core>;

fn command(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

/// A disk with a log of entries of these terms; each command is the term.
fn disk_with(terms: &[u64], current_term: u64) -> Stored {
    let entry = |(&term, index)| Entry {
        at: Position { term, index },
        payload: Payload::Command(command(&format!("{index} of {term}"))),
    };
    Stored {
        state: HardState { term: current_term, vote: None },
        snapshot: None,
        log: Log::new(Position::START, terms.iter().zip(1..).map(entry).collect()),
    }
}
