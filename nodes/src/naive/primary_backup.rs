//! A primary with backups, and asynchronous replication.
//!
//! The primary appends commands to a log, applies each, answers, and ships the log to the backups a moment
//! later. A backup that hears no primary for a while takes over with what it has, in the next epoch. Epochs
//! order the primaries: a primary that hears of a later epoch steps down and replaces its log with the later
//! primary's. Everything is in memory.
//!
//! **The rule that is broken:** before an acknowledgement, the change must be where any future primary will
//! find it, that is, at a majority (Oki and Liskov, "Viewstamped Replication", PODC 1988; the failure in the
//! wild: Kingsbury, "Call me maybe: Redis", 2013).
//!
//! **How it shows:** an acknowledged write is gone after a failover. Also, an isolated primary keeps
//! answering until it hears of the next one, so reads are stale. Workload `register`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::logging::log;
use crate::machine::{Command, Machine, Output};
use crate::rpc::{Peers, Service, outcome_of};
use crate::wire::Outcome;

const SHIP_EVERY: Duration = Duration::from_millis(50);
/// Commands in one message, at most.
const BATCH: usize = 2_000;
/// A backup takes over after this silence (first value), plus the second value for each node before it by
/// name.
const FAILOVER_TIMEOUT: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(150));
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Identifies a primary. The later epoch wins, then the greater name.
type View = (u64, String);

/// A request from one node to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PeerRequest {
    /// The log of this view's primary from `from` on.
    Ship { view: View, from: usize, commands: Vec<Command> },
    /// A client's request, forwarded to the primary.
    Forward(Command),
}

/// The responses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PeerResponse {
    /// The backup's view, and the length of its log.
    Has(View, usize),
    /// The result of the request.
    Done(Output),
    NotPrimary,
}

/// One node.
pub(crate) struct PrimaryBackup {
    peers: Peers<PeerRequest, PeerResponse>,
    state: Mutex<State>,
}

struct State {
    view: View,
    heard: Instant,
    log: Vec<Command>,
    machine: Machine,
    /// On the primary: the length of each backup's log.
    has: BTreeMap<String, usize>,
}

impl State {
    fn apply(&mut self, command: Command) -> Output {
        let output = self.machine.apply(&command);
        self.log.push(command);
        output
    }

    fn enter(&mut self, view: View) {
        log(format_args!("{} is the primary of epoch {}", view.1, view.0));
        self.view = view;
        self.has.clear();
    }
}

impl PrimaryBackup {
    pub(crate) fn open(peers: Peers<PeerRequest, PeerResponse>, _: &Path) -> io::Result<Self> {
        let (log, has) = (Vec::new(), BTreeMap::new());
        let state =
            State { view: (0, String::new()), heard: Instant::now(), log, machine: Machine::default(), has };
        Ok(PrimaryBackup { peers, state: Mutex::new(state) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// Executes a request, if this node is the primary.
    fn lead(&self, command: Command) -> Option<Output> {
        let mut state = self.state();
        if state.view.1 != self.peers.me {
            return None;
        }
        // The bug: the backups receive the command only after the answer.
        Some(if command.op.is_read_only() { state.machine.read(&command.op) } else { state.apply(command) })
    }

    /// Takes over a part of the primary's log.
    fn follow(&self, view: View, from: usize, commands: Vec<Command>) -> PeerResponse {
        let mut state = self.state();
        if view >= state.view {
            if view > state.view {
                state.enter(view);
                state.log.clear();
                state.machine = Machine::default();
            }
            state.heard = Instant::now();
            if from <= state.log.len() {
                let known = state.log.len() - from;
                commands.into_iter().skip(known).for_each(|command| drop(state.apply(command)));
            }
        }
        PeerResponse::Has(state.view.clone(), state.log.len())
    }

    async fn ship(&self, backup: &str) {
        let (view, from, commands) = {
            let state = self.state();
            let from = state.has.get(backup).copied().unwrap_or(0);
            (state.view.clone(), from, state.log.iter().skip(from).take(BATCH).cloned().collect())
        };
        let ship = PeerRequest::Ship { view: view.clone(), from, commands };
        let Some(PeerResponse::Has(theirs, length)) =
            self.peers.call(backup, ship, RESPONSE_TIMEOUT / 4).await
        else {
            return;
        };
        let mut state = self.state();
        if theirs == state.view {
            state.has.insert(backup.to_owned(), length);
        } else if theirs > state.view {
            // The later primary ships its log when it sees that this node is behind.
            state.enter(theirs);
            state.heard = Instant::now();
            state.log.clear();
            state.machine = Machine::default();
        }
    }
}

impl Service for PrimaryBackup {
    type PeerRequest = PeerRequest;
    type PeerResponse = PeerResponse;

    async fn request(&self, command: Command) -> Outcome {
        if let Some(output) = self.lead(command.clone()) {
            return outcome_of(output);
        }
        let primary = self.state().view.1.clone();
        match self.peers.call(&primary, PeerRequest::Forward(command), RESPONSE_TIMEOUT).await {
            Some(PeerResponse::Done(output)) => outcome_of(output),
            Some(_) => Outcome::Fail(format!("{primary} is no primary")),
            None => Outcome::Info("the primary did not answer".into()),
        }
    }

    async fn answer(&self, _: &str, request: PeerRequest) -> PeerResponse {
        match request {
            PeerRequest::Ship { view, from, commands } => self.follow(view, from, commands),
            PeerRequest::Forward(command) => {
                self.lead(command).map_or(PeerResponse::NotPrimary, PeerResponse::Done)
            }
        }
    }

    fn leader(&self) -> Option<(String, u64)> {
        let (epoch, primary) = self.state().view.clone();
        (epoch > 0).then_some((primary, epoch))
    }

    async fn background(&self) {
        let rank = self.peers.names().filter(|name| **name < self.peers.me).count() as u32;
        let failover_timeout = FAILOVER_TIMEOUT.0 + rank * FAILOVER_TIMEOUT.1;
        loop {
            tokio::time::sleep(SHIP_EVERY).await;
            let leads = {
                let mut state = self.state();
                if state.view.1 != self.peers.me && state.heard.elapsed() > failover_timeout {
                    let next = (state.view.0 + 1, self.peers.me.clone());
                    state.enter(next);
                }
                state.view.1 == self.peers.me
            };
            if leads {
                join_all(self.peers.names().map(|backup| self.ship(backup))).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rpc::test_cluster::TestCluster;

    async fn cluster() -> TestCluster<PrimaryBackup> {
        let cluster = TestCluster::new(PrimaryBackup::open);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(cluster.leads("n1") && !cluster.leads("n2"));
        cluster
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_primary_has_what_was_shipped_and_nothing_else() {
        let mut cluster = cluster().await;
        cluster.ok("n2", "write", 1).await;
        assert_eq!(cluster.reads().await, [1, 1, 1]);
        tokio::time::sleep(3 * SHIP_EVERY).await;
        // The write is acknowledged, and no backup has it.
        cluster.ok("n1", "write", 2).await;
        cluster.crash("n1");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(cluster.leads("n2"));
        assert_eq!([cluster.ok("n2", "read", ()).await, cluster.ok("n3", "read", ()).await], [1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_primary_that_is_cut_off_goes_on_until_it_hears_of_the_next() {
        let cluster = cluster().await;
        cluster.ok("n1", "write", 1).await;
        tokio::time::sleep(3 * SHIP_EVERY).await;
        cluster.cut_off("n1");
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.ok("n2", "write", 2).await;
        assert_eq!(cluster.reads().await, [json!(1), json!(2), json!(2)]);
        cluster.heal();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(cluster.reads().await, [2, 2, 2]);
    }
}
