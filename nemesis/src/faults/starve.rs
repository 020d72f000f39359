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
    FaultEffect, NodeId, Nodes, TimedAct,
    act::verb::{Domain, Done, Ends, Nature, Verb, plain, property},
    faults::{AnyVerb, Dice, Fault, target},
    processes::{Held, Marks},
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
    target::draw(kind, dice, |node| Starve(percent).on(node))
}

/// Gives a node's processes so many percent of one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Starve(u8);

impl Verb for Starve {
    const NATURE: Nature = Nature {
        hurts: true,
        // Of a node that is down there is nothing to be said, nor of one that is none.
        remark: |pid| {
            let why = pid.and_then(|_| quota::place(None).err());
            why.map(|why| format!("by SIGSTOP and SIGCONT in turns: {why}"))
        },
        ..Nature::of("starve", Domain::Process, Ends::By(AnyVerb::Feed(Feed)))
    };

    fn read(arguments: &[&str]) -> Option<Starve> {
        let [share] = arguments else { return None };
        property(share, "cpu_percent").filter(|percent| (1..100).contains(percent)).map(Starve)
    }

    fn arguments(self) -> String {
        format!("cpu_percent={}", self.0)
    }

    async fn apply<N: Nodes>(self, node: &mut Held<N>) -> Result<Done, String> {
        match node.marks.kept::<Option<Starved>>() {
            // The node has a new process, or another share.
            Some(starved) => starved.again(node.id, &*node.nodes, self.0)?,
            None => {
                let starved = Starved::begin(node.id, node.nodes.clone(), node.lock.clone(), self.0)?;
                *node.marks.kept() = Some(starved);
            }
        }
        Ok(Done::default())
    }
}

plain! {
    /// Gives them all they want.
    Feed = Nature::of("feed", Domain::Process, Ends::Undo);
    |node| {
        let Some(starved) = node.marks.kept::<Option<Starved>>().take() else { return Ok(Done::default()) };
        let withheld = starved.end(&*node.nodes, node.marks.paused).await?;
        Ok(FaultEffect { cpu_withheld_ms: withheld.as_millis() as u64, ..FaultEffect::default() })
    }
}

/// A node that is being starved.
#[derive(Debug)]
struct Starved(Way);

#[derive(Debug)]
enum Way {
    Quota(Quota),
    Stutter(Stutter),
}

impl Starved {
    /// Starves a node, and the processes that take the place of those it has now, once [`Starved::again`] is called.
    fn begin<N: Nodes>(
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
    fn again<N: Nodes>(&self, node: NodeId, nodes: &N, percent: u8) -> Result<(), String> {
        let Way::Quota(quota) = &self.0 else { return Ok(()) };
        quota.set(percent)?;
        quota.admit(&nodes.processes(node))
    }

    /// Gives the node all it wants; one that is paused besides stays so. The processor time that was withheld.
    async fn end<N: Nodes>(self, nodes: &N, paused: bool) -> Result<Duration, String> {
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
