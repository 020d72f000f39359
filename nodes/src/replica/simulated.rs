//! A test environment for a protocol: nodes with a disk that loses unsynced writes, and a state machine that
//! keeps every entry.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::SeedableRng as _;

use super::{Config, Disk as _, Entry, NodeId, Protocol, Ready, Time};

pub(crate) const HEARTBEAT: Duration = Duration::from_millis(40);
pub(crate) const ELECTION_TIMEOUT: (Duration, Duration) =
    (Duration::from_millis(150), Duration::from_millis(300));

/// A write of the protocol's disk.
type Write<P> = <<P as Protocol>::Disk as super::Disk>::Write;

/// A protocol with a simulated disk.
pub(crate) trait Simulated: Protocol {
    /// The content of a disk.
    type Stored: Clone + Default;

    /// Observations that no later step may contradict, beyond those of every protocol.
    type Observations: Default;

    /// Adds a write to the disk.
    fn store(stored: &mut Self::Stored, write: Write<Self>);

    /// The state machine's part of the snapshot.
    fn snapshot(stored: &Self::Stored) -> Option<Arc<[u8]>>;

    /// Starts a node from that disk.
    fn start(
        config: Config<Self::Bug, Self::Options>,
        stored: Self::Stored,
        rng: ChaCha8Rng,
        now: Time,
    ) -> Self;

    /// Checks one node, by its number, after a step; `committed` are the entries applied on any node, in
    /// order.
    fn check_invariants(
        &self,
        node: usize,
        notices: &[Self::Notice],
        committed: &[Entry<Self::At>],
        observations: &mut Self::Observations,
    ) -> Result<(), String>;
}

/// A disk, and the writes that are not synced yet.
pub(crate) struct Disk<P: Simulated> {
    pub(crate) stored: P::Stored,
    pub(crate) unsynced: VecDeque<Write<P>>,
}

impl<P: Simulated> Disk<P> {
    /// Makes the oldest write durable, and returns its number.
    pub(crate) fn sync_one(&mut self) -> Option<u64> {
        let write = self.unsynced.pop_front()?;
        let number = P::Disk::number(&write);
        P::store(&mut self.stored, write);
        Some(number)
    }
}

/// One node: its disk and, while it is up, its protocol and its state machine.
pub(crate) struct Actor<P: Simulated> {
    pub(crate) id: NodeId,
    pub(crate) config: Config<P::Bug, P::Options>,
    pub(crate) disk: Disk<P>,
    pub(crate) core: Option<P>,
    /// The state machine: every applied entry, from the first on.
    pub(crate) machine: Vec<Entry<P::At>>,
    /// How often it was started.
    pub(crate) boots: u64,
}

impl<P: Simulated> Actor<P> {
    pub(crate) fn new(
        id: &str,
        all: &[&str],
        bugs: &[P::Bug],
        options: P::Options,
        stored: P::Stored,
    ) -> Self {
        let peers = all.iter().filter(|peer| **peer != id).map(|peer| NodeId::from(*peer)).collect();
        let config = Config {
            id: id.into(),
            peers,
            election_timeout: ELECTION_TIMEOUT,
            heartbeat: HEARTBEAT,
            options,
            bugs: bugs.to_vec(),
        };
        let disk = Disk { stored, unsynced: VecDeque::new() };
        Actor { id: id.into(), config, disk, core: None, machine: Vec::new(), boots: 0 }
    }

    /// Starts from the disk.
    pub(crate) fn start(&mut self, seed: u64, now: Time) {
        self.boots += 1;
        self.machine = P::snapshot(&self.disk.stored).map_or(Vec::new(), |data| unpack(&data));
        let rng = ChaCha8Rng::seed_from_u64(seed);
        self.core = Some(P::start(self.config.clone(), self.disk.stored.clone(), rng, now));
    }

    /// Crashes; unsynced writes are lost.
    pub(crate) fn crash(&mut self) {
        self.core = None;
        self.disk.unsynced.clear();
    }

    /// Takes the effects, hands the write to the disk and applies the committed entries.
    pub(crate) fn settle(&mut self) -> Ready<P> {
        let Some(core) = &mut self.core else { return Ready::default() };
        let mut ready = core.ready();
        if let (true, Some(write)) = (P::server_bugs(&self.config.bugs).acks_before_fsync, &ready.write) {
            core.persisted(P::Disk::number(write));
        }
        self.disk.unsynced.extend(ready.write.take());
        if let Some(snapshot) = &ready.install {
            self.machine = unpack(&snapshot.data);
        }
        self.machine.extend(ready.committed.iter().cloned());
        ready
    }

    /// Takes a snapshot if `every` entries were applied since the last one.
    pub(crate) fn compact(&mut self, every: u64) {
        if let Some(core) = &mut self.core {
            core.compact_if_due(every, || postcard::to_stdvec(&self.machine).unwrap().into());
        }
    }
}

fn unpack<At: serde::de::DeserializeOwned>(snapshot: &[u8]) -> Vec<Entry<At>> {
    postcard::from_bytes(snapshot).unwrap()
}
