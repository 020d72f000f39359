//! Tests of the whole: of the protocol without sockets, files or clocks, and (in [`cluster`]) of servers with all three.
//!
//! [`stories`] play short scripts, some of them the paper's figures; [`simulator`] plays many random ones and checks the
//! paper's safety properties (Figure 3) all along. Both put [`Actor`]s on their stage: a core, with a disk that forgets
//! what was not synced and a state machine that remembers everything.

mod cluster;
mod simulator;
mod stories;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::bug::Bug;
use super::core::{Config, Core, Ready, Stored, Time, Write};
use super::log::Log;
use super::message::{Entry, HardState, NodeId, Payload, Position};

const HEARTBEAT: Duration = Duration::from_millis(40);
const ELECTION_TIMEOUT: (Duration, Duration) = (Duration::from_millis(150), Duration::from_millis(300));

/// What is on a disk, and what was handed to it but is not synced yet.
#[derive(Debug, Default)]
struct Disk {
    stored: Stored,
    unsynced: VecDeque<Write>,
}

impl Disk {
    /// Makes the oldest write durable, and gives its number.
    fn sync_one(&mut self) -> Option<u64> {
        let write = self.unsynced.pop_front()?;
        let Stored { state, snapshot, log } = &mut self.stored;
        if let Some(restart) = write.restart {
            *snapshot = Some(restart.snapshot);
            *log = Log::new(restart.base, Vec::new());
        }
        if let Some(new) = write.state {
            *state = new;
        }
        for entry in write.entries {
            log.truncate(entry.at.index);
            log.push(entry);
        }
        Some(write.number)
    }
}

/// One node: what is on its disk, and while it is up, its core and its state machine.
struct Actor {
    id: NodeId,
    config: Config,
    disk: Disk,
    core: Option<Core>,
    /// The state machine: every command that was applied, from the first on.
    machine: Vec<Entry>,
    /// How often it was started.
    boots: u64,
}

impl Actor {
    fn new(id: &str, all: &[&str], bugs: &[Bug], stored: Stored) -> Self {
        let peers = all.iter().filter(|peer| **peer != id).map(|peer| NodeId::from(*peer)).collect();
        let config = Config {
            id: id.into(),
            peers,
            election_timeout: ELECTION_TIMEOUT,
            heartbeat: HEARTBEAT,
            bugs: bugs.to_vec(),
        };
        let disk = Disk { stored, unsynced: VecDeque::new() };
        Actor { id: id.into(), config, disk, core: None, machine: Vec::new(), boots: 0 }
    }

    /// Starts with what is on the disk.
    fn start(&mut self, seed: u64, now: Time) {
        self.boots += 1;
        self.machine =
            self.disk.stored.snapshot.as_ref().map_or(Vec::new(), |snapshot| unpack(&snapshot.data));
        let rng = ChaCha8Rng::seed_from_u64(seed);
        self.core = Some(Core::new(self.config.clone(), self.disk.stored.clone(), rng, now));
    }

    /// Dies; what was not synced is lost.
    fn crash(&mut self) {
        self.core = None;
        self.disk.unsynced.clear();
    }

    /// Takes what follows from the inputs, hands the write to the disk and applies what is committed.
    fn settle(&mut self) -> Ready {
        let Some(core) = &mut self.core else { return Ready::default() };
        let mut ready = core.ready();
        if let (true, Some(write)) = (self.config.has(Bug::AckBeforeFsync), &ready.write) {
            core.persisted(write.number);
        }
        self.disk.unsynced.extend(ready.write.take());
        if let Some(snapshot) = &ready.install {
            self.machine = unpack(&snapshot.data);
        }
        self.machine.extend(ready.committed.iter().cloned());
        ready
    }

    /// Takes a snapshot of all that is applied.
    fn compact(&mut self, keep: u64) {
        if let Some(core) = &mut self.core {
            core.compact(core.applied(), keep, postcard::to_stdvec(&self.machine).unwrap().into());
        }
    }
}

fn unpack(snapshot: &[u8]) -> Vec<Entry> {
    postcard::from_bytes(snapshot).unwrap()
}

fn command(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

/// A disk with a log of entries of these terms, each with the term as its command.
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
