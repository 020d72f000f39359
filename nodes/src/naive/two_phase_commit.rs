//! Two-phase commit without recovery.
//!
//! Every node has all the data. The node that receives a change is its coordinator. First all nodes promise
//! to apply it and lock the key (*prepare*). When all have promised, the change is decided and the
//! coordinator notifies all nodes (*commit*). If one refuses or does not answer, the change is cancelled
//! (*abort*). Any node answers a read from its own data, once the key is not locked. Without faults this is
//! linearizable.
//!
//! **The rule that is broken:** a participant that has promised must not decide alone. If it no longer hears
//! its coordinator, it has to query the decision for as long as it takes; here it gives up after [`PROMISE_TIMEOUT`]
//! and treats the change as aborted. Promises and decisions are not on disk, either (Gray, "Notes on Data
//! Base Operating Systems", 1978; Bernstein, Hadzilacos and Goodman, "Concurrency Control and Recovery in
//! Database Systems", 1987, section 7.4).
//!
//! **How it shows:** a coordinator crashes or is isolated between two commits. Some nodes have the change for
//! ever and others never get it, so reads disagree. Workload `register`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt as _;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::machine::{Command, Machine, Op, Output};
use crate::rpc::{Peers, Service, outcome_of};
use crate::value::Value;
use crate::wire::Outcome;

/// A participant that hears nothing for this long drops its promise.
const PROMISE_TIMEOUT: Duration = Duration::from_millis(500);
/// The coordinator's timeout for promises and for confirmations.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(300);
/// How often a coordinator tries to lock a key.
const TRIES: usize = 20;
const PAUSE_MS_MAX: u64 = 10;

/// A request from one node to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PeerRequest {
    Prepare(Command),
    Commit(Command),
    Abort(Command),
    /// All data, for a node that has just started.
    Data,
}

/// The responses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PeerResponse {
    Promised,
    Refused,
    /// It was committed, or aborted.
    Done,
    /// The data, if the node has them.
    Data(Option<Vec<u8>>),
}

/// One node.
pub(crate) struct TwoPhaseCommit {
    peers: Peers<PeerRequest, PeerResponse>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` until the node has fetched the data.
    machine: Option<Machine>,
    /// The command that holds each locked key, and since when.
    promised: BTreeMap<Value, (Command, Instant)>,
}

impl TwoPhaseCommit {
    pub(crate) fn open(peers: Peers<PeerRequest, PeerResponse>, _: &Path) -> io::Result<Self> {
        Ok(TwoPhaseCommit { peers, state: Mutex::default() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.state.lock().expect("nobody panics while holding it");
        // The bug: the coordinator may have decided to commit.
        state.promised.retain(|_, (_, since)| since.elapsed() < PROMISE_TIMEOUT);
        state
    }

    fn prepare(&self, command: &Command) -> bool {
        let mut state = self.state();
        let free = state.machine.is_some() && !state.promised.contains_key(&command.op.key);
        if free {
            state.promised.insert(command.op.key.clone(), (command.clone(), Instant::now()));
        }
        free
    }

    /// Ends a promise that has not timed out; applies the change on commit.
    fn end(&self, command: &Command, commit: bool) -> Option<Output> {
        let mut state = self.state();
        if state.promised.get(&command.op.key).is_none_or(|(promised, _)| promised != command) {
            return None;
        }
        state.promised.remove(&command.op.key);
        if commit { state.machine.as_mut().map(|machine| machine.apply(command)) } else { None }
    }

    async fn all_promise(&self, command: &Command) -> bool {
        if !self.prepare(command) {
            return false;
        }
        let prepare = PeerRequest::Prepare(command.clone());
        let promises = self.peers.call_all(&prepare, RESPONSE_TIMEOUT);
        let all = promises
            .filter(|(_, answer)| std::future::ready(matches!(answer, PeerResponse::Promised)))
            .count()
            .await;
        all == self.peers.names().count()
    }

    async fn notify_all(&self, decision: PeerRequest) {
        let mut confirmations = self.peers.call_all(&decision, RESPONSE_TIMEOUT);
        while confirmations.next().await.is_some() {}
    }

    async fn read(&self, op: &Op) -> Outcome {
        loop {
            {
                let state = self.state();
                let Some(machine) = &state.machine else { return Outcome::Fail("still starting".into()) };
                if !state.promised.contains_key(&op.key) {
                    return outcome_of(machine.read(op));
                }
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Service for TwoPhaseCommit {
    type PeerRequest = PeerRequest;
    type PeerResponse = PeerResponse;

    async fn request(&self, command: Command) -> Outcome {
        if command.op.is_read_only() {
            return self.read(&command.op).await;
        }
        for _ in 0..TRIES {
            if self.all_promise(&command).await {
                let Some(output) = self.end(&command, true) else {
                    return Outcome::Info("decided too late".into());
                };
                self.notify_all(PeerRequest::Commit(command)).await;
                return outcome_of(output);
            }
            self.end(&command, false);
            self.notify_all(PeerRequest::Abort(command.clone())).await;
            let pause = rand::rng().random_range(1..=PAUSE_MS_MAX);
            sleep(Duration::from_millis(pause)).await;
        }
        Outcome::Fail("not all nodes promised".into())
    }

    async fn answer(&self, _: &str, request: PeerRequest) -> PeerResponse {
        match request {
            PeerRequest::Prepare(command) if self.prepare(&command) => PeerResponse::Promised,
            PeerRequest::Prepare(_) => PeerResponse::Refused,
            PeerRequest::Commit(command) => {
                self.end(&command, true);
                PeerResponse::Done
            }
            PeerRequest::Abort(command) => {
                self.end(&command, false);
                PeerResponse::Done
            }
            PeerRequest::Data => PeerResponse::Data(self.state().machine.as_ref().map(Machine::snapshot)),
        }
    }

    fn leader(&self) -> Option<(String, u64)> {
        self.state().machine.as_ref().map(|_| (self.peers.me.clone(), 1))
    }

    /// Fetches the data from a node that has them. If all nodes answer that they have none, the data are
    /// empty.
    async fn background(&self) {
        while self.state().machine.is_none() {
            let mut without = 0;
            let mut answers = self.peers.call_all(&PeerRequest::Data, RESPONSE_TIMEOUT);
            while let Some((_, PeerResponse::Data(data))) = answers.next().await {
                match data.map(|data| Machine::restore(&data)) {
                    Some(Ok(machine)) => self.state().machine = Some(machine),
                    _ => without += 1,
                }
            }
            if without == self.peers.names().count() {
                self.state().machine = Some(Machine::default());
            }
            sleep(RESPONSE_TIMEOUT / 10).await;
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::rpc::test_cluster::{LATENCY, TestCluster};

    async fn cluster() -> TestCluster<TwoPhaseCommit> {
        let cluster = TestCluster::new(TwoPhaseCommit::open);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(cluster.reads().await, [(); 3].map(Json::from));
        cluster
    }

    #[tokio::test(start_paused = true)]
    async fn all_nodes_have_a_change_or_none_has() {
        let mut cluster = cluster().await;
        cluster.ok("n2", "write", 1).await;
        assert_eq!(cluster.reads().await, [1, 1, 1]);
        // The two coordinators may block each other until both give up.
        tokio::join!(cluster.request("n1", "c", "write", 2), cluster.request("n3", "d", "write", 3));
        sleep(2 * PROMISE_TIMEOUT).await;
        let [n1, n2, n3] = cluster.reads().await;
        assert!(n1 == n2 && n2 == n3, "{n1} {n2} {n3}");

        cluster.crash("n3");
        assert!(!matches!(cluster.request("n1", "c", "write", 4).await, Outcome::Ok(_)));
        sleep(2 * PROMISE_TIMEOUT).await;
        assert_eq!([cluster.ok("n1", "read", ()).await, cluster.ok("n2", "read", ()).await], [n1, n2]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_hears_no_decision_decides_alone_and_disagrees_for_ever() {
        let cluster = cluster().await;
        let cut = async {
            // By now the promise has arrived and the commit is in flight.
            sleep(LATENCY * 5 / 2).await;
            cluster.cut_off("n3");
        };
        assert_eq!(tokio::join!(cluster.ok("n1", "write", 1), cut).0, Json::Null);
        cluster.heal();
        sleep(10 * PROMISE_TIMEOUT).await;
        assert_eq!(cluster.reads().await, [Json::from(1), Json::from(1), Json::Null]);
    }
}
