//! The concurrent clients: one worker per process, and the phases in which they send operations.

pub(crate) mod pace;
mod recent;
pub(crate) mod recorder;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use rand::RngExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tribunal_checker::model::FINAL;
use tribunal_checker::op::{F, Value};
use tribunal_reports::run_info::FinalReads;
use tribunal_workloads::{Client, Completion, Request, Workload};

use crate::cluster::Cluster;
use crate::converging::Shown;
use crate::lock::locked;
use pace::Pace;
use recorder::{Actor, Recorder};

/// Pause of a worker after a failure that took no time, such as a refused connection. Without it, a node that
/// is down would fill the history with failures.
const FAIL_BACKOFF: Duration = Duration::from_millis(50);

/// Pause of a worker after each operation of a probe. Nodes that have just recovered are not to be slowed by
/// load.
const PROBE_PAUSE: Duration = Duration::from_millis(20);

/// Maximum time an operation may still take once the run is to end, whatever `--op-timeout` allows.
const WIND_DOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of attempts for a final read; each retry uses a new process.
const FINAL_READ_TRIES_MAX: usize = 10;

/// How often the key of a violation is read again from every node, and the pause in between.
const READ_AGAIN_ROUNDS: usize = 3;
const READ_AGAIN_PAUSE: Duration = Duration::from_millis(300);

/// State that the workers share.
pub(crate) struct Controller {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) recorder: Arc<Recorder>,
    workload: Mutex<Box<dyn Workload>>,
    workers: usize,
    pace: Pace,
    op_timeout: Duration,
    next_process: AtomicU64,
    /// The kinds of operation that have succeeded, each with the node through which it did.
    succeeded: Mutex<BTreeSet<(usize, F)>>,
    /// While the nodes are probed: what has not succeeded yet.
    missing: watch::Sender<BTreeSet<Due>>,
}

/// A kind of operation that has to succeed: through this node or, where only the leader serves clients, through any.
pub(crate) type Due = (Option<usize>, F);

/// A worker's current process and its client.
pub(crate) struct WorkerProcess {
    actor: Actor,
    node: usize,
    client: Box<dyn Client>,
}

impl Controller {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        recorder: Arc<Recorder>,
        workload: Box<dyn Workload>,
        workers: usize,
        pace: Pace,
        op_timeout: Duration,
    ) -> Arc<Self> {
        let (workload, next_process) = (Mutex::new(workload), AtomicU64::new(0));
        let (succeeded, missing) = Default::default();
        Arc::new(Controller {
            cluster,
            recorder,
            workload,
            workers,
            pace,
            op_timeout,
            next_process,
            succeeded,
            missing,
        })
    }

    /// Runs all workers until `stop` is cancelled; returns when every pending operation has ended.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub(crate) async fn drive(self: &Arc<Self>, stop: &CancellationToken) -> Result<()> {
        let mut workers = JoinSet::new();
        let began = Instant::now();
        for worker in 0..self.workers {
            let (controller, stop) = (self.clone(), stop.clone());
            workers.spawn(async move { controller.work(worker, Some(began), &stop).await });
        }
        finish(workers, stop).await
    }

    /// Goes on with the workload, each worker with short pauses, until what is [`expected`] has succeeded, or
    /// `stop` is cancelled. Returns how many of these pairs did.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub(crate) async fn probe(self: &Arc<Self>, stop: &CancellationToken) -> Result<u64> {
        let asked = self.honest().into_iter().filter(|node| *node < self.workers);
        let all = expected(&locked(&self.succeeded), asked, self.cluster.system.is_served_by_leader());
        let asked = all.len();
        self.missing.send_replace(all);
        let mut workers = JoinSet::new();
        let (end, mut missing) = (stop.child_token(), self.missing.subscribe());
        for worker in 0..self.workers {
            let (controller, end) = (self.clone(), end.clone());
            workers.spawn(async move { controller.work(worker, None, &end).await });
        }
        let ended = async {
            tokio::select! { _ = missing.wait_for(BTreeSet::is_empty) => {}, () = end.cancelled() => {} }
            end.cancel();
        };
        let (finished, ()) = tokio::join!(finish(workers, &end), ended);
        finished?;
        Ok((asked - self.missing.send_replace(BTreeSet::new()).len()) as u64)
    }

    /// While the nodes are probed: what has not succeeded yet.
    pub(crate) fn missing(&self) -> Vec<Due> {
        self.missing.borrow().iter().cloned().collect()
    }

    /// Sends operations until `stop` is cancelled: at the run's pace since `began`, or with a short pause
    /// after each.
    async fn work(&self, worker: usize, began: Option<Instant>, stop: &CancellationToken) -> Result<()> {
        let mut process = self.fresh_process(worker);
        let mut due = Duration::ZERO;
        loop {
            if let Some(began) = began {
                let now = began.elapsed();
                let draw = || rand::rng().random_range(f64::EPSILON..1.0);
                due = self.pace.next(due, now, self.workers, draw);
                if due > now {
                    tokio::select! { () = sleep_until(began + due) => {}, () = stop.cancelled() => {} }
                }
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            let request = self.lock_workload().next(worker);
            let completion = self.execute(&mut process, &request, stop).await?;
            self.lock_workload().observe(worker, &request, &completion);
            match completion {
                Completion::Ok(_) => {}
                Completion::Fail(_) => {
                    tokio::select! { () = sleep(FAIL_BACKOFF) => {}, () = stop.cancelled() => {} }
                }
                // The operation may still be running: this process must never send again.
                Completion::Info(_) => process = self.fresh_process(worker),
            }
            let pause = self.lock_workload().pause(worker);
            let pause = if began.is_none() { pause.max(PROBE_PAUSE) } else { pause };
            if !pause.is_zero() {
                tokio::select! { () = sleep(pause) => {}, () = stop.cancelled() => {} }
            }
        }
    }

    /// Sends the workload's final reads, spread over the workers, each until it is answered. With
    /// `everywhere`, every node gets each of them, marked as final.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub(crate) async fn final_reads(
        self: &Arc<Self>,
        everywhere: bool,
        stop: &CancellationToken,
    ) -> Result<FinalReads> {
        let mut requests = self.lock_workload().final_reads();
        if everywhere {
            requests.iter_mut().for_each(|request| request.value = Value::str(FINAL));
        }
        self.send_final_reads(requests, everywhere, stop).await
    }

    /// Sends the final reads of one key, after a violation on it: they distinguish a lost value from a stale
    /// one. Every node gets each plain read. An operation that removes something is sent once.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub(crate) async fn read_again(
        self: &Arc<Self>,
        key: &Value,
        stop: &CancellationToken,
    ) -> Result<FinalReads> {
        let mut requests = self.lock_workload().final_reads();
        requests.retain(|request| request.key == *key);
        if requests.iter().any(|request| request.f != F::Read) {
            return self.send_final_reads(requests, false, stop).await;
        }
        // All nodes may forward to one leader, which may need a moment to catch up.
        for _ in 1..READ_AGAIN_ROUNDS {
            self.send_final_reads(requests.clone(), true, stop).await?;
            sleep(READ_AGAIN_PAUSE).await;
        }
        self.send_final_reads(requests, true, stop).await
    }

    /// Indices of the nodes whose answers count (not those that lie on purpose).
    fn honest(&self) -> Vec<usize> {
        let Cluster { system, nodes, .. } = &*self.cluster;
        (0..nodes.len()).filter(|&node| system.is_honest(&nodes[node].place.name)).collect()
    }

    /// One process for each honest node, to sample what the nodes show.
    pub(crate) fn samplers(&self) -> Vec<WorkerProcess> {
        self.honest().into_iter().map(|node| self.fresh_process(node)).collect()
    }

    /// Reads once from every node all keys of the final reads, and returns what each node shows. The nodes
    /// are still converging: these reads are in the history, but not marked as final.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub(crate) async fn sample(
        &self,
        samplers: &mut [WorkerProcess],
        stop: &CancellationToken,
    ) -> Result<Vec<Shown>> {
        let requests = &self.lock_workload().final_reads();
        let samples = samplers.iter_mut().zip(self.honest()).map(|(process, node)| async move {
            let mut shown = Shown::new();
            for request in requests {
                match self.execute(process, request, stop).await? {
                    Completion::Ok(value) => drop(shown.insert(request.key.clone(), value)),
                    Completion::Fail(_) => {}
                    Completion::Info(_) => {
                        // A node that hangs would cost a timeout for every further read.
                        *process = self.fresh_process(node);
                        break;
                    }
                }
            }
            anyhow::Ok(shown)
        });
        try_join_all(samples).await
    }

    /// Number of keys of the final reads.
    pub(crate) fn final_read_keys(&self) -> usize {
        self.lock_workload().final_reads().len()
    }

    async fn send_final_reads(
        self: &Arc<Self>,
        requests: Vec<Request>,
        everywhere: bool,
        stop: &CancellationToken,
    ) -> Result<FinalReads> {
        let nodes = self.cluster.nodes.len();
        let honest = self.honest();
        let queues = if everywhere { honest.len() } else { 1 };
        let queues: Vec<_> = (0..queues).map(|_| Arc::new(Mutex::new(requests.clone()))).collect();
        let left = |queue: &Arc<Mutex<Vec<Request>>>| locked(queue).len();
        // Worker w talks to node w % nodes.
        let queue_of = |worker: usize| {
            let at = honest.iter().position(|&node| node == worker % nodes)?;
            Some(&queues[at % queues.len()])
        };
        // A worker whose node does not answer gives its request back, and the others try again without it.
        let mut workers: Vec<usize> = (0..self.workers.max(nodes)).collect();
        while !workers.is_empty() && queues.iter().map(left).sum::<usize>() > 0 && !stop.is_cancelled() {
            let answering = Arc::new(Mutex::new(Vec::new()));
            let mut reading = JoinSet::new();
            for worker in workers {
                let Some(queue) = queue_of(worker).cloned() else { continue };
                let (controller, answering, stop) = (self.clone(), answering.clone(), stop.clone());
                reading.spawn(async move {
                    if controller.work_on_final_reads(worker, &queue, &stop).await? {
                        locked(&answering).push(worker);
                    }
                    Ok(())
                });
            }
            finish(reading, stop).await?;
            workers = std::mem::take(&mut locked(&answering));
            workers.retain(|worker| queue_of(*worker).is_some_and(|queue| left(queue) > 0));
        }
        let asked = requests.len() * queues.len();
        Ok(FinalReads { asked, answered: asked - queues.iter().map(left).sum::<usize>() })
    }

    /// Sends final reads until none is left. Returns false if one was not answered; it is given back.
    async fn work_on_final_reads(
        &self,
        worker: usize,
        requests: &Mutex<Vec<Request>>,
        stop: &CancellationToken,
    ) -> Result<bool> {
        let mut process = self.fresh_process(worker);
        let take = || locked(requests).pop();
        while let Some(request) = take() {
            let mut answered = false;
            for _ in 0..FINAL_READ_TRIES_MAX {
                if stop.is_cancelled() {
                    break;
                }
                let completion = self.execute(&mut process, &request, stop).await?;
                answered = matches!(completion, Completion::Ok(_));
                if answered {
                    break;
                }
                process = self.fresh_process(worker);
                sleep(FAIL_BACKOFF).await;
            }
            if !answered {
                locked(requests).push(request);
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn execute(
        &self,
        process: &mut WorkerProcess,
        request: &Request,
        stop: &CancellationToken,
    ) -> Result<Completion> {
        self.recorder.invoke(&process.actor, request).context("cannot write history.jsonl")?;
        let deadline = async {
            stop.cancelled().await;
            sleep(WIND_DOWN_TIMEOUT).await;
        };
        let completion = tokio::select! {
            completion = process.client.invoke(request) => completion,
            () = deadline => Completion::Info("the run ended before there was an answer".into()),
        };
        self.recorder.complete(&process.actor, request, &completion).context("cannot write history.jsonl")?;
        if matches!(completion, Completion::Ok(_)) {
            self.cluster.nodes[process.node].note_answer();
            locked(&self.succeeded).insert((process.node, request.f.clone()));
            self.missing.send_if_modified(|missing| {
                let done = [Some(process.node), None].map(|node| missing.remove(&(node, request.f.clone())));
                done.contains(&true)
            });
        }
        Ok(completion)
    }

    /// A new process with a new connection to the worker's node.
    fn fresh_process(&self, worker: usize) -> WorkerProcess {
        let process = self.next_process.fetch_add(1, Ordering::Relaxed);
        let at = worker % self.cluster.nodes.len();
        let node = &self.cluster.nodes[at];
        let client = self.cluster.system.client(&node.for_clients, process, self.op_timeout);
        WorkerProcess { actor: Actor { process, node: node.place.name.as_str().into() }, node: at, client }
    }

    fn lock_workload(&self) -> std::sync::MutexGuard<'_, Box<dyn Workload>> {
        locked(&self.workload)
    }
}

/// What a recovered cluster has to do: each of these nodes the kinds of operation that it has ever done. A node
/// that has done nothing at all has to do what others have: it must not pass because it never served. If only the
/// leader serves clients, some node has to do each kind.
fn expected(
    succeeded: &BTreeSet<(usize, F)>,
    nodes: impl Iterator<Item = usize>,
    by_leader: bool,
) -> BTreeSet<Due> {
    if by_leader {
        return succeeded.iter().map(|(_, f)| (None, f.clone())).collect();
    }
    let of_node = |node: usize| {
        let is_known = succeeded.iter().any(|(other, _)| *other == node);
        let kinds = succeeded.iter().filter(move |(other, _)| *other == node || !is_known);
        kinds.map(move |(_, f)| (Some(node), f.clone()))
    };
    nodes.flat_map(of_node).collect()
}

/// Waits for all workers. The first error stops the others.
async fn finish(mut workers: JoinSet<Result<()>>, stop: &CancellationToken) -> Result<()> {
    let mut end = Ok(());
    while let Some(joined) = workers.join_next().await {
        if let Err(error) = joined.context("a worker panicked").and_then(|worked| worked) {
            stop.cancel();
            end = end.and(Err(error));
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_to_do_again_what_it_did_and_at_least_something() {
        let succeeded = BTreeSet::from([(0, F::Read), (0, F::Write), (1, F::Read)]);
        let all = [(0, F::Read), (0, F::Write), (1, F::Read), (2, F::Read), (2, F::Write)];
        let all = all.map(|(node, f)| (Some(node), f));
        assert_eq!(expected(&succeeded, 0..3, false), BTreeSet::from(all));
        assert!(expected(&BTreeSet::new(), 0..3, false).is_empty());
        let by_leader = BTreeSet::from([(None, F::Read), (None, F::Write)]);
        assert_eq!(expected(&succeeded, 0..3, true), by_leader);
    }
}
