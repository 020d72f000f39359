//! What the nemesis learns about the run: events for triggers, and the situation when a fault begins and
//! ends.
//!
//! It polls no more than necessary: leaders are queried while the plan has faults, and log lines and
//! operations are forwarded only if a trigger waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tribunal_nemesis::{NodeId, Nodes, Plan, RunEvent, TriggerCondition};

use crate::cluster::Cluster;
use crate::controller::recorder::Recorder;

/// How often operations are counted for triggers, and how often the nodes are asked for the leader.
const COUNT_POLL: Duration = Duration::from_millis(2);
const LEADER_POLL: Duration = Duration::from_millis(100);
/// The same if a fault follows the leader: fast enough to hit a new leader early.
const LEADER_POLL_TO_FOLLOW: Duration = Duration::from_millis(20);

/// The situation at some moment of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Situation {
    /// Pending operations.
    pub(super) operations_in_flight: u64,
    /// Number of leader changes since the clients started.
    pub(super) leader_changes: u64,
}

/// Watches a run until it is dropped.
pub(super) struct RunWatcher {
    recorder: Arc<Recorder>,
    leader_changes: Arc<AtomicU64>,
    watchers: Vec<JoinHandle<()>>,
}

impl RunWatcher {
    /// Starts to watch. The receiver gets the events for the plan's triggers.
    pub(super) fn open(
        plan: &Plan,
        cluster: Arc<Cluster>,
        recorder: Arc<Recorder>,
    ) -> (Self, mpsc::UnboundedReceiver<RunEvent>) {
        let (sender, run_events) = mpsc::unbounded_channel();
        let waits_for =
            |what: fn(&TriggerCondition) -> bool| plan.triggers.iter().any(|trigger| what(&trigger.on));
        if waits_for(|on| matches!(on, TriggerCondition::Log { .. })) {
            cluster.forward_lines(&sender);
        }
        let leader_changes = Arc::new(AtomicU64::new(0));
        let mut watchers = Vec::new();
        if waits_for(|on| matches!(on, TriggerCondition::Operations(_))) {
            watchers.push(tokio::spawn(count_operations(recorder.clone(), sender.clone())));
        }
        if !plan.is_empty() {
            let every = if plan.follows_leaders() { LEADER_POLL_TO_FOLLOW } else { LEADER_POLL };
            watchers.push(tokio::spawn(watch_leader(cluster, every, leader_changes.clone(), sender)));
        }
        (RunWatcher { recorder, leader_changes, watchers }, run_events)
    }

    pub(super) fn situation(&self) -> Situation {
        Situation {
            operations_in_flight: self.recorder.tally().in_flight,
            leader_changes: self.leader_changes.load(Ordering::Relaxed),
        }
    }
}

impl Drop for RunWatcher {
    fn drop(&mut self) {
        self.watchers.iter().for_each(JoinHandle::abort);
    }
}

/// Sends the number of completed operations whenever it changes.
async fn count_operations(recorder: Arc<Recorder>, run_events: mpsc::UnboundedSender<RunEvent>) {
    let mut sent = 0;
    loop {
        let tally = recorder.tally();
        let ended = tally.ok + tally.fail + tally.info;
        if ended != sent && run_events.send(RunEvent::Operations(ended)).is_err() {
            return;
        }
        sent = ended;
        sleep(COUNT_POLL).await;
    }
}

/// Counts and reports changes of the leader. An election won by the old leader is not a change.
async fn watch_leader(
    cluster: Arc<Cluster>,
    every: Duration,
    changes: Arc<AtomicU64>,
    run_events: mpsc::UnboundedSender<RunEvent>,
) {
    let mut last: Option<NodeId> = None;
    loop {
        if let Some(&leader) = cluster.primaries().await.first() {
            let before = last.replace(leader);
            if before.is_some_and(|before| before != leader) {
                changes.fetch_add(1, Ordering::Relaxed);
            }
            if before != Some(leader) {
                // The receiver may be gone; changes are counted all the same.
                let _ = run_events.send(RunEvent::Leader(leader));
            }
        }
        sleep(every).await;
    }
}
