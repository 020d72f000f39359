//! The processes of the nodes in the driver's hands: what is done to them beyond what [`Nodes`] does, and what has to be
//! remembered to undo it.
//!
//! One lock per node: stopping a process for a moment, letting it stutter and pausing it would otherwise undo each other.

pub(crate) mod cgroup;
pub(crate) mod family;
pub(crate) mod holders;
pub(crate) mod listeners;
pub(crate) mod stopped;

use std::sync::Arc;

use tokio::{
    sync::{Mutex, MutexGuard},
    task::spawn_blocking,
};

use crate::{
    Act, Damage, FaultEffect, Limit, NodeId, NodeState, Nodes,
    faults::{
        clock,
        limits::{self, Lowered},
        starve::{self, Starved},
    },
};

/// The processes of all nodes.
pub(crate) struct Processes<N> {
    nodes: Arc<N>,
    each: Vec<Arc<Mutex<Marks>>>,
}

/// What was done to one node's processes.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// A pause is in force: only its undo may let the process go on.
    pub(crate) paused: bool,
    starved: Option<Starved>,
    lowered: Vec<Lowered>,
}

impl<N: Nodes> Processes<N> {
    pub(crate) fn new(nodes: Arc<N>) -> Processes<N> {
        let each = (0..nodes.count()).map(|_| Arc::default()).collect();
        Processes { nodes, each }
    }

    /// Why an act cannot be done on this machine, if it cannot: known before anything is touched.
    pub(crate) fn forbids(&self, act: Act) -> Option<String> {
        match act {
            Act::Skew(node, _) => clock::forbidden(self.nodes.pid(node)),
            _ => None,
        }
    }

    /// What is to be said of how an act will be done here.
    pub(crate) fn remark(&self, act: Act) -> Option<String> {
        match act {
            // Of a node that is down there is nothing to be said, nor of one that is none.
            Act::Starve(node, _) => self.nodes.pid(node).and_then(|_| starve::remark()),
            _ => None,
        }
    }

    /// Does an act on a node's processes. What undoing acts find that was done, they give.
    pub(crate) async fn perform(&self, node: NodeId, act: Act) -> Result<FaultEffect, String> {
        let nodes = &*self.nodes;
        let mut marks = self.each[node.0].lock().await;
        let nothing = FaultEffect::default();
        match act {
            Act::Kill(_) => nodes.kill(node).await?,
            Act::Terminate(_) => nodes.terminate(node).await?,
            Act::Start(_) => nodes.start(node).await?,
            Act::Pause(_) => {
                marks.paused = true;
                nodes.pause(node).await?;
            }
            Act::Resume(_) => {
                marks.paused = false;
                nodes.resume(node).await?;
            }
            Act::Skew(_, skew) => {
                return self.blocking(node, move |pids| clock::skew(&pids, skew)).await;
            }
            Act::Unskew(_) => {
                let (effect, settling) = self.blocking(node, |pids| clock::unskew(&pids)).await?;
                if let Some(settling) = settling {
                    self.settle(node, settling);
                }
                return Ok(effect);
            }
            Act::Starve(_, percent) => self.starve(node, percent, &mut marks).await?,
            Act::Feed(_) => return self.feed(&mut marks).await,
            Act::Limit(_, limit) => self.limit(node, limit, &mut marks).await?,
            Act::Unlimit(_) => return self.unlimit(node, &mut marks).await,
            Act::LosePower(_, seed) => nodes.lose_power(node, seed).await?,
            Act::FailDisk(_, trouble) => nodes.trouble_disk(node, Some(trouble)).await?,
            Act::MendDisk(_) => nodes.trouble_disk(node, None).await?,
            Act::Backup(_) => nodes.backup(node).await?,
            Act::Remove(_) | Act::Add(_) | Act::Transfer(_) => {
                let done = match act {
                    Act::Transfer(_) => nodes.transfer(node).await?,
                    _ => nodes.set_member(node, matches!(act, Act::Add(_))).await?,
                };
                return Ok(FaultEffect { requests_granted: done.into(), ..nothing });
            }
            Act::Damage(_, damage, seed) => drop(nodes.damage(node, damage, seed).await?),
            Act::Cut(..) | Act::Heal(..) | Act::Degrade(..) | Act::Restore(..) => {}
        }
        Ok(nothing)
    }

    /// Damages the files of a node that is down, and says what it touched.
    pub(crate) async fn damage(&self, node: NodeId, damage: Damage, seed: u64) -> Result<String, String> {
        let _marks = self.each[node.0].lock().await;
        self.nodes.damage(node, damage, seed).await
    }

    /// Does something to the node's processes, if it is up, where waiting for them keeps nobody else waiting.
    async fn blocking<T: Default + Send + 'static>(
        &self,
        node: NodeId,
        work: impl FnOnce(Vec<i32>) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        if self.nodes.pid(node).is_none() {
            return Ok(T::default());
        }
        let nodes = self.nodes.clone();
        spawn_blocking(move || work(nodes.processes(node))).await.map_err(|error| error.to_string())?
    }

    /// Puts the last of the clocks right when they have come back to the truth.
    fn settle(&self, node: NodeId, settling: std::time::Duration) {
        let (nodes, marks) = (self.nodes.clone(), self.each[node.0].clone());
        tokio::spawn(async move {
            tokio::time::sleep(settling).await;
            let _stopping = marks.lock_owned().await;
            // What is not settled by now was made wrong anew and will be undone in its turn.
            let _ = spawn_blocking(move || clock::settle(&nodes.processes(node))).await;
        });
    }

    async fn starve(&self, node: NodeId, percent: u8, marks: &mut Marks) -> Result<(), String> {
        match &mut marks.starved {
            // The node has a new process, or another share.
            Some(starved) => starved.again(node, &*self.nodes, percent),
            None => {
                let starved = Starved::begin(node, self.nodes.clone(), self.each[node.0].clone(), percent);
                marks.starved = Some(starved?);
                Ok(())
            }
        }
    }

    async fn feed(&self, marks: &mut MutexGuard<'_, Marks>) -> Result<FaultEffect, String> {
        let Some(starved) = marks.starved.take() else { return Ok(FaultEffect::default()) };
        let paused = marks.paused;
        let withheld = starved.end(&*self.nodes, paused).await?;
        Ok(FaultEffect { cpu_withheld_ms: withheld.as_millis() as u64, ..FaultEffect::default() })
    }

    async fn limit(&self, node: NodeId, limit: Limit, marks: &mut Marks) -> Result<(), String> {
        self.nodes.may_die(node);
        let lowered = self.blocking(node, move |pids| limits::lower(&pids, limit)).await?;
        marks.lowered.extend(lowered);
        Ok(())
    }

    async fn unlimit(&self, node: NodeId, marks: &mut Marks) -> Result<FaultEffect, String> {
        let lowered = std::mem::take(&mut marks.lowered);
        let unaccepted = self.blocking(node, |pids| Ok(limits::unaccepted(&pids))).await?;
        limits::raise(&lowered);
        let died = !lowered.is_empty() && self.nodes.state(node) == NodeState::Down;
        Ok(FaultEffect {
            connections_unaccepted: unaccepted,
            nodes_died: u64::from(died),
            ..FaultEffect::default()
        })
    }
}
