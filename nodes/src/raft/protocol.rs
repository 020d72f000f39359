//! Raft behind the interface of the replica server.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use chacha20::ChaCha8Rng;

use super::bug::Bug;
use super::core::{Config, Core, Notice, Ready};
use super::message::{Message, NodeId, Payload, Position};
use super::options::Options;
use super::wal::RaftDisk;
use crate::replica::{NotLeader, Opened, Operation, Protocol, ReadId, ServerBugs, Time};
use crate::wal::WalError;

impl Protocol for Core {
    type Bug = Bug;
    type Options = Options;
    type At = Position;
    type Message = Message;
    type Notice = Notice;
    type Disk = RaftDisk;

    fn server_bugs(bugs: &[Bug]) -> ServerBugs {
        let has = |bug| bugs.contains(&bug);
        ServerBugs {
            reads_here: has(Bug::FollowerRead),
            acks_before_write: has(Bug::AckBeforeWrite),
            acks_before_fsync: has(Bug::AckBeforeFsync),
            applies_twice: has(Bug::ApplyTwiceOnRetry),
            decides_cas_early: has(Bug::CasBeforeCommit),
            fails_without_answer: has(Bug::FailInsteadOfInfo),
            forgets_sessions: has(Bug::SnapshotWithoutSessions),
        }
    }

    fn open(config: Config, data: &Path, rng: ChaCha8Rng) -> Result<Opened<Self>, WalError> {
        let (disk, stored, torn) = RaftDisk::open(data, config.has(Bug::TornTailKept))?;
        let snapshot = stored.snapshot.clone();
        Ok(Opened { protocol: Core::new(config, stored, rng, Time::ZERO), disk, snapshot, torn })
    }

    fn start_summary(&self) -> String {
        format!(
            "term {}, log up to {:?}, snapshot at {}",
            self.term(),
            self.log().last(),
            self.snapshot_index()
        )
    }

    fn tick(&mut self, now: Time) {
        Core::tick(self, now);
    }

    fn next_tick(&self) -> Time {
        Core::next_tick(self)
    }

    fn receive(&mut self, now: Time, from: &NodeId, message: Message) {
        Core::receive(self, now, from, message);
    }

    fn propose(&mut self, command: Arc<[u8]>) -> Result<(), NotLeader> {
        Core::propose(self, command).map(|_| ())
    }

    fn read(&mut self, id: ReadId) -> Result<(), NotLeader> {
        Core::read(self, id)
    }

    fn lease_holds(&self, now: Time) -> bool {
        Core::lease_holds(self, now)
    }

    fn operate(&mut self, operation: &Operation) -> Result<(), String> {
        Core::operate(self, operation)
    }

    fn persisted(&mut self, number: u64) {
        Core::persisted(self, number);
    }

    fn ready(&mut self) -> Ready {
        Core::ready(self)
    }

    /// Keeps a tail of the log for slow followers.
    fn compact_if_due(&mut self, every: u64, data: impl FnOnce() -> Arc<[u8]>) {
        if self.applied() >= self.snapshot_index() + every {
            self.compact(self.applied(), every / 4, data());
        }
    }

    fn leader(&self) -> Option<&NodeId> {
        Core::leader(self)
    }

    fn is_leader(&self) -> bool {
        Core::is_leader(self)
    }

    fn term(&self) -> u64 {
        Core::term(self)
    }

    fn leadership(&self) -> Option<String> {
        Core::is_leader(self).then(|| format!("term {}", self.term()))
    }

    fn pending(&self) -> Vec<Payload> {
        self.log().from(self.applied() + 1).iter().map(|entry| entry.payload.clone()).collect()
    }

    fn status(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id().to_string(),
            "role": self.role(),
            "term": self.term(),
            "leader": self.leader().map(|leader| leader.to_string()),
            "commit": self.commit(),
            "applied": self.applied(),
            "last": self.log().last().index,
            "snapshot": self.snapshot_index(),
            "members": self.agreed_members().iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::BecameFollower { term, leader: Some(leader), .. } => {
                write!(out, "follows {leader} in term {term}")
            }
            Notice::BecameFollower { term, leader: None, why } => {
                write!(out, "follower without a leader in term {term}: {why}")
            }
            Notice::BecamePreCandidate { term } => {
                write!(out, "asks for pre-votes in term {term}: hears no leader")
            }
            Notice::BecameCandidate { term } => write!(out, "candidate in term {term}"),
            Notice::BecameLeader { term, last } => write!(out, "leader in term {term}, log up to {last:?}"),
            Notice::Truncated { from, last } => {
                write!(out, "erases its entries {from} to {last:?}: the leader has others")
            }
            Notice::Compacted { at, bytes } => write!(out, "took a snapshot at {at:?}, {bytes} bytes"),
            Notice::SendingSnapshot { to, at, bytes } => {
                write!(out, "sends {to} the snapshot at {at:?}, {bytes} bytes")
            }
            Notice::InstalledSnapshot { at, bytes } => {
                write!(out, "installed a snapshot at {at:?}, {bytes} bytes")
            }
        }
    }
}
