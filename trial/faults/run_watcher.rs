//! What the nemesis is told of the run: what triggers wait for, and what was going on when a fault came and went.
//!
//! Nothing here is asked of the system more often than its answer is needed: leaders are asked for as long as there are
//! faults to come, log lines and operations are passed on only where a trigger waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tribunal_nemesis::{NodeId, Nodes, On, Plan, Signal};

use crate::cluster::Cluster;
use crate::controller::recorder::Recorder;

/// How often operations are counted for triggers, and how often the nodes are asked who leads.
const COUNT_EVERY: Duration = Duration::from_millis(2);
const ASK_EVERY: Duration = Duration::from_millis(100);
/// The same where a fault follows the leader: before the new one has done much.
const ASK_EVERY_TO_FOLLOW: Duration = Duration::from_millis(20);

/// What was going on at some moment of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Situation {
    /// Operations that had been invoked and had not ended.
    pub(super) operations_in_flight: u64,
    /// How often the leader had changed since the clients began.
    pub(super) leader_changes: u64,
}

/// Looks at a run until it is dropped.
pub(super) struct RunWatcher {
    recorder: Arc<Recorder>,
    leader_changes: Arc<AtomicU64>,
    watchers: Vec<JoinHandle<()>>,
}

impl RunWatcher {
    /// Begins to look, and gives the signals that the plan's triggers listen to.
    pub(super) fn open(
        plan: &Plan,
        cluster: Arc<Cluster>,
        recorder: Arc<Recorder>,
    ) -> (Self, mpsc::UnboundedReceiver<Signal>) {
        let (sender, signals) = mpsc::unbounded_channel();
        let waits_for = |what: fn(&On) -> bool| plan.triggers.iter().any(|trigger| what(&trigger.on));
        if waits_for(|on| matches!(on, On::Log { .. })) {
            cluster.tell_lines(&sender);
        }
        let leader_changes = Arc::new(AtomicU64::new(0));
        let mut watchers = Vec::new();
        if waits_for(|on| matches!(on, On::Operations(_))) {
            watchers.push(tokio::spawn(count_operations(recorder.clone(), sender.clone())));
        }
        if !plan.is_empty() {
            let every = if plan.follows_leaders() { ASK_EVERY_TO_FOLLOW } else { ASK_EVERY };
            watchers.push(tokio::spawn(watch_leader(cluster, every, leader_changes.clone(), sender)));
        }
        (RunWatcher { recorder, leader_changes, watchers }, signals)
    }

    pub(super) fn seen(&self) -> Situation {
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

/// Tells how many operations have ended, whenever it is more.
async fn count_operations(recorder: Arc<Recorder>, signals: mpsc::UnboundedSender<Signal>) {
    let mut told = 0;
    loop {
        let tally = recorder.tally();
        let ended = tally.ok + tally.fail + tally.info;
        if ended != told && signals.send(Signal::Operations(ended)).is_err() {
            return;
        }
        told = ended;
        sleep(COUNT_EVERY).await;
    }
}

/// Counts and tells changes of the leader. An election in which the old leader wins again is none.
async fn watch_leader(
    cluster: Arc<Cluster>,
    every: Duration,
    changes: Arc<AtomicU64>,
    signals: mpsc::UnboundedSender<Signal>,
) {
    let mut last: Option<NodeId> = None;
    loop {
        if let Some(&leader) = cluster.primaries().await.first() {
            let before = last.replace(leader);
            if before.is_some_and(|before| before != leader) {
                changes.fetch_add(1, Ordering::Relaxed);
            }
            if before != Some(leader) {
                // Nobody may be listening: the count is kept all the same.
                let _ = signals.send(Signal::Leader(leader));
            }
        }
        sleep(every).await;
    }
}
