//! Starve: processes get a small part of the processor, like a machine whose neighbours are greedy. Unlike a pause it is
//! no clean stop: every thread goes on, late, and the timers that should have told of a slow peer are late as well.
//!
//! Two ways, chosen by what the machine allows:
//!
//! - a *cgroup* with a quota (`cpu.max`, or `cpu.cfs_quota_us` of version 1): the kernel withholds exactly what is over the
//!   quota, and counts it. Takes the right to make a cgroup, which mostly only root has.
//! - *stutter*: SIGSTOP and SIGCONT in turns, so that the process may run for its part of every period. Takes no right at
//!   all. All threads stop together, which a quota does not do, and a process that has nothing to do is stopped all the same.

mod quota;
mod stutter;

use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rand::RngExt;
use tokio::sync::Mutex;

use crate::{
    Act, NodeId, Nodes, TimedAct,
    faults::{Dice, Fault, target},
    processes::Marks,
};
use quota::Quota;
use stutter::Stutter;

pub(crate) const FAULT: Fault = Fault {
    name: "starve",
    about: "gives processes a small part of a processor; the undo gives them all of it",
    usual: false,
    alone: false,
    kinds: target::SUFFERS,
    draw,
};

fn draw(kind: &str, dice: &mut Dice) -> Vec<TimedAct> {
    let percent = dice.rng.random_range(1..6);
    target::draw(kind, dice, |node| Act::Starve(node, percent))
}

/// What a reader should know of how a node will be starved here, if it is not by the kernel.
pub(crate) fn remark() -> Option<String> {
    quota::place(None).err().map(|why| format!("by SIGSTOP and SIGCONT in turns: {why}"))
}

/// A node that is being starved.
#[derive(Debug)]
pub(crate) struct Starved(Way);

#[derive(Debug)]
enum Way {
    Quota(Quota),
    Stutter(Stutter),
}

impl Starved {
    /// Starves a node, and the processes that take the place of those it has now, once [`Starved::again`] is called.
    pub(crate) fn begin<N: Nodes>(
        node: NodeId,
        nodes: Arc<N>,
        marks: Arc<Mutex<Marks>>,
        percent: u8,
    ) -> Result<Starved, String> {
        // Two trials of one process may starve nodes of the same name.
        static MADE: AtomicU64 = AtomicU64::new(0);
        let (own, nth) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let name = format!("tribunal-{own}-{nth}-{node}-cpu");
        let Ok(quota) = Quota::make(&name, nodes.pid(node), |path| nodes.cgroup(path, true)) else {
            return Ok(Starved(Way::Stutter(Stutter::begin(node, nodes, marks, percent))));
        };
        let starved = Starved(Way::Quota(quota));
        starved.again(node, &*nodes, percent)?;
        Ok(starved)
    }

    /// The node has another process, or is to have another share.
    pub(crate) fn again<N: Nodes>(&self, node: NodeId, nodes: &N, percent: u8) -> Result<(), String> {
        let Way::Quota(quota) = &self.0 else { return Ok(()) };
        quota.set(percent)?;
        quota.admit(&nodes.processes(node))
    }

    /// Gives the node all it wants; one that is paused besides stays so. The processor time that was withheld.
    pub(crate) async fn end<N: Nodes>(self, nodes: &N, paused: bool) -> Result<Duration, String> {
        match self.0 {
            Way::Quota(quota) => {
                let path = quota.path().to_owned();
                let end = tokio::task::spawn_blocking(|| quota.end());
                let withheld = end.await.map_err(|error| error.to_string())??;
                nodes.cgroup(&path, false);
                Ok(withheld)
            }
            Way::Stutter(stutter) => stutter.end(nodes, paused).await,
        }
    }
}
