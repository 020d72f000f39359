//! Starve: processes get a small part of the processor, as on an overloaded machine. Unlike a pause it does
//! not stop them: every thread continues, late, and the timers that should detect a slow peer are late as
//! well.
//!
//! There are two methods. The machine decides which one is used:
//!
//! - A *cgroup* with a quota (`cpu.max`, or `cpu.cfs_quota_us` of version 1): the kernel withholds exactly
//!   what exceeds the quota, and counts it. It needs the right to create a cgroup, which usually only root
//!   has.
//! - *Stutter*: SIGSTOP and SIGCONT alternate, so that the process runs for its part of every period. It
//!   needs no rights. All threads stop together, unlike with a quota, and an idle process is stopped as well.

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
    act::verb::{Applied, Domain, Reversal, Verb, VerbSpec, property, simple_verb},
    faults::{AnyVerb, DrawContext, Fault, target},
    processes::{LockedNode, UndoState},
};
use quota::Quota;
use stutter::Stutter;

pub(crate) const FAULT: Fault = Fault {
    name: "starve",
    about: "gives processes a small part of a processor; the undo gives them the whole processor",
    usual: false,
    alone: false,
    kinds: target::IMPAIR_KINDS,
    draw,
};

fn draw(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    let percent = context.rng.random_range(1..6);
    target::draw(kind, context, |node| Starve(percent).on(node))
}

/// Gives a node's processes this percentage of one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Starve(u8);

impl Verb for Starve {
    const SPEC: VerbSpec = VerbSpec {
        impairs: true,
        // Without a process there is nothing to say.
        note: |pid| {
            let why = pid.and_then(|_| quota::place(None).err());
            why.map(|why| format!("by SIGSTOP and SIGCONT in turns: {why}"))
        },
        ..VerbSpec::of("starve", Domain::Process, Reversal::By(AnyVerb::Feed(Feed)))
    };

    fn read(arguments: &[&str]) -> Option<Starve> {
        let [share] = arguments else { return None };
        property(share, "cpu_percent").filter(|percent| (1..100).contains(percent)).map(Starve)
    }

    fn arguments(self) -> String {
        format!("cpu_percent={}", self.0)
    }

    async fn apply<N: Nodes>(self, node: &mut LockedNode<N>) -> Result<Applied, String> {
        match node.undo_state.saved::<Option<Starved>>() {
            // The node has a new process, or gets another share.
            Some(starved) => starved.again(node.id, &*node.nodes, self.0)?,
            None => {
                let starved = Starved::begin(node.id, node.nodes.clone(), node.lock.clone(), self.0)?;
                *node.undo_state.saved() = Some(starved);
            }
        }
        Ok(Applied::default())
    }
}

simple_verb! {
    /// Gives a node's processes the whole processor again.
    Feed = VerbSpec::of("feed", Domain::Process, Reversal::IsUndo);
    |node| {
        let Some(starved) = node.undo_state.saved::<Option<Starved>>().take() else { return Ok(Applied::default()) };
        let withheld = starved.end(&*node.nodes, node.undo_state.paused).await?;
        Ok(FaultEffect { cpu_withheld_ms: withheld.as_millis() as u64, ..FaultEffect::default() })
    }
}

/// A starving node.
#[derive(Debug)]
struct Starved(Method);

#[derive(Debug)]
enum Method {
    Quota(Quota),
    Stutter(Stutter),
}

impl Starved {
    /// Starves the current processes of a node. Its new processes are starved by [`Starved::again`].
    fn begin<N: Nodes>(
        node: NodeId,
        nodes: Arc<N>,
        undo_state: Arc<Mutex<UndoState>>,
        percent: u8,
    ) -> Result<Starved, String> {
        // Several trials in one process may starve nodes of the same name.
        static MADE: AtomicU64 = AtomicU64::new(0);
        let (own, nth) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let name = format!("tribunal-{own}-{nth}-{node}-cpu");
        let Ok(quota) = Quota::make(&name, nodes.pid(node), |path| nodes.cgroup(path, true)) else {
            return Ok(Starved(Method::Stutter(Stutter::begin(node, nodes, undo_state, percent))));
        };
        let starved = Starved(Method::Quota(quota));
        starved.again(node, &*nodes, percent)?;
        Ok(starved)
    }

    /// Starves a new process of the node, or sets another share.
    fn again<N: Nodes>(&self, node: NodeId, nodes: &N, percent: u8) -> Result<(), String> {
        let Method::Quota(quota) = &self.0 else { return Ok(()) };
        quota.set(percent)?;
        quota.admit(&nodes.processes(node))
    }

    /// Stops starving the node, but lets it stay paused. Returns the processor time that was withheld.
    async fn end<N: Nodes>(self, nodes: &N, paused: bool) -> Result<Duration, String> {
        match self.0 {
            Method::Quota(quota) => {
                let path = quota.path().to_owned();
                let end = tokio::task::spawn_blocking(|| quota.end());
                let withheld = end.await.map_err(|error| error.to_string())??;
                nodes.cgroup(&path, false);
                Ok(withheld)
            }
            Method::Stutter(stutter) => stutter.end(nodes, paused).await,
        }
    }
}
