//! Failover by silence: a node that hears no node before itself is the primary.
//!
//! Every node sends a sign of life ten times a second. For each node the primary is the first node by name
//! that it has heard recently, itself included. The primary applies a request, sends it to every backup that
//! it hears, and answers when these have applied it. Nothing is on disk; a restarted node is empty.
//!
//! **The rule that is broken:** silence does not tell a dead node from an unreachable one. A primary needs
//! the consent of a majority, and a number by which nodes refuse its requests once there is a later primary
//! (Oki and Liskov, "Viewstamped Replication", PODC 1988).
//!
//! **How it shows:** a partition leaves two nodes that each believe themselves the primary, and both answer.
//! Reads are stale on one side, and the other side's changes are lost when the partition heals. Workload
//! `register`.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::machine::{Command, Machine, Output};
use crate::rpc::{Peers, Service, outcome_of};
use crate::wire::Outcome;

const ALIVE_EVERY: Duration = Duration::from_millis(100);
/// A node that was not heard for this long counts as dead.
const FAILOVER_TIMEOUT: Duration = Duration::from_millis(300);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A request from one node to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PeerRequest {
    Alive,
    /// A client's request, forwarded to the primary.
    Forward(Command),
    /// A command that the primary has applied.
    Apply(Command),
}

/// One node.
pub(crate) struct TwoPrimaries {
    peers: Peers<PeerRequest, Option<Output>>,
    state: Mutex<State>,
}

struct State {
    machine: Machine,
    heard: HashMap<String, Instant>,
}

impl TwoPrimaries {
    pub(crate) fn open(peers: Peers<PeerRequest, Option<Output>>, _: &Path) -> io::Result<Self> {
        // At the start all nodes count as alive.
        let heard = peers.names().map(|name| (name.clone(), Instant::now())).collect();
        Ok(TwoPrimaries { peers, state: Mutex::new(State { machine: Machine::default(), heard }) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// The bug: every node decides alone.
    fn primary(&self) -> String {
        let state = self.state();
        let alive =
            state.heard.iter().filter(|(_, last)| last.elapsed() < FAILOVER_TIMEOUT).map(|(name, _)| name);
        alive.chain([&self.peers.me]).min().expect("it has this node").clone()
    }

    /// Executes a request as the primary: apply it, send it to the backups, answer.
    async fn lead(&self, command: Command) -> Output {
        if command.op.is_read_only() {
            return self.state().machine.read(&command.op);
        }
        let output = self.state().machine.apply(&command);
        let apply = PeerRequest::Apply(command);
        let mut waiting = self.peers.call_all(&apply, FAILOVER_TIMEOUT);
        while waiting.next().await.is_some() {}
        output
    }
}

impl Service for TwoPrimaries {
    type PeerRequest = PeerRequest;
    type PeerResponse = Option<Output>;

    async fn request(&self, command: Command) -> Outcome {
        let primary = self.primary();
        let output = if primary == self.peers.me {
            Some(self.lead(command).await)
        } else {
            self.peers.call(&primary, PeerRequest::Forward(command), RESPONSE_TIMEOUT).await.flatten()
        };
        output.map_or(Outcome::Info("the primary did not answer".into()), outcome_of)
    }

    async fn answer(&self, from: &str, request: PeerRequest) -> Option<Output> {
        match request {
            PeerRequest::Alive => {
                self.state().heard.insert(from.to_owned(), Instant::now());
                None
            }
            // The sender believes that this node is the primary.
            PeerRequest::Forward(command) => Some(self.lead(command).await),
            PeerRequest::Apply(command) => Some(self.state().machine.apply(&command)),
        }
    }

    fn leader(&self) -> Option<(String, u64)> {
        Some((self.primary(), 1))
    }

    async fn background(&self) {
        loop {
            let mut answers = self.peers.call_all(&PeerRequest::Alive, ALIVE_EVERY);
            let all = async { while answers.next().await.is_some() {} };
            tokio::join!(all, tokio::time::sleep(ALIVE_EVERY));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::rpc::test_cluster::TestCluster;

    #[tokio::test(start_paused = true)]
    async fn the_next_primary_has_everything_as_long_as_nobody_is_cut_off() {
        let mut cluster = TestCluster::new(TwoPrimaries::open);
        sleep(FAILOVER_TIMEOUT).await;
        cluster.ok("n3", "write", 1).await;
        cluster.crash("n1");
        sleep(2 * FAILOVER_TIMEOUT).await;
        assert!(cluster.leads("n2") && !cluster.leads("n3"));
        assert_eq!(cluster.ok("n3", "read", ()).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_makes_two_primaries_and_healing_it_loses_what_one_of_them_took() {
        let cluster = TestCluster::new(TwoPrimaries::open);
        sleep(FAILOVER_TIMEOUT).await;
        cluster.cut_off("n1");
        sleep(2 * FAILOVER_TIMEOUT).await;
        assert!(cluster.leads("n1") && cluster.leads("n2"));
        cluster.ok("n1", "write", 1).await;
        cluster.ok("n2", "write", 2).await;
        assert_eq!(cluster.reads().await, [1, 2, 2]);
        cluster.heal();
        sleep(2 * FAILOVER_TIMEOUT).await;
        assert_eq!(cluster.reads().await, [1, 1, 1]);
    }
}
