//! Starving without privileges: the node is stopped and resumed in turn.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{NodeId, NodeState, Nodes, processes::UndoState};

/// Length of one stop and one run, as with the kernel's quotas.
const PERIOD: Duration = Duration::from_millis(100);

/// A node that is stopped most of the time.
#[derive(Debug)]
pub(crate) struct Stutter {
    node: NodeId,
    withheld_ms: Arc<AtomicU64>,
    _task: AbortOnDropHandle<()>,
}

impl Stutter {
    pub(crate) fn begin<N: Nodes>(
        node: NodeId,
        nodes: Arc<N>,
        undo_state: Arc<Mutex<UndoState>>,
        percent: u8,
    ) -> Stutter {
        let withheld_ms = Arc::new(AtomicU64::new(0));
        let count = withheld_ms.clone();
        let runs = PERIOD * u32::from(percent) / 100;
        let task = async move {
            loop {
                let stopped = {
                    let undo_state = undo_state.lock().await;
                    let running = !undo_state.paused && nodes.state(node) == NodeState::Running;
                    (running && nodes.pause(node).await.is_ok()).then(Instant::now)
                };
                sleep(PERIOD - runs).await;
                let undo_state = undo_state.lock().await;
                if let Some(stopped) = stopped.filter(|_| !undo_state.paused) {
                    let _ = nodes.resume(node).await;
                    count.fetch_add(stopped.elapsed().as_millis() as u64, Relaxed);
                }
                drop(undo_state);
                sleep(runs).await;
            }
        };
        Stutter { node, withheld_ms, _task: AbortOnDropHandle::new(tokio::spawn(task)) }
    }

    /// Resumes the node, unless it is paused as well. Returns how long it was stopped in total.
    pub(crate) async fn end<N: Nodes>(self, nodes: &N, paused: bool) -> Result<Duration, String> {
        let Stutter { node, withheld_ms, _task } = self;
        drop(_task);
        if !paused {
            nodes.resume(node).await?;
        }
        Ok(Duration::from_millis(withheld_ms.load(Relaxed)))
    }
}
