//! Power: the machine stops, and what was written but not synced is lost, except for a random part.
//!
//! A kill loses nothing that was written, because the operating system survives it; a power failure does. A
//! system that responds before its fsync passes every kill and fails here.

use rand::RngExt;
use tribunal_records::DiskKind;

use crate::{
    DiskFault, NodeState, Nodes, TimedAct,
    act::verb::{Applied, Domain, Reversal, Verb, VerbSpec, property},
    faults::{AnyVerb, DrawContext, Fault, Kind, disk_fault::FailDisk, kill::Start},
    processes::LockedNode,
};

pub(crate) const FAULT: Fault = Fault {
    name: "power",
    about: "cuts the power: kills, and drops what was not fsynced; the undo starts the nodes on what is left",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("leader", "the leader"),
        Kind::any_node("one", "a random node"),
        Kind::any_node("all", "every node at once"),
    ],
    draw: |kind, context| {
        let count = if kind == "all" { context.order.len() } else { 1 };
        let nodes: Vec<_> = context.order.iter().copied().take(count).collect();
        nodes.into_iter().map(|node| LosePower(context.seed()).on(node).into()).collect()
    },
};

/// A power failure while much data is on its way to the disk. It nearly always loses something, and it may
/// tear a write that crosses a sector.
pub(crate) const TORN_WRITE: Fault = Fault {
    name: "torn-write",
    about: "cuts the power in the middle of a slow fsync: the last write may be torn; the undo starts the nodes",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("majority", "the leader, and enough others for a majority"),
        Kind::any_node("all", "every node at once"),
    ],
    draw: draw_torn,
};

/// Delay of each sync in milliseconds: the next write grows meanwhile.
const SYNC_MS: u64 = 80;

fn draw_torn(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    let all = context.order.len();
    let nodes = context.order[..if kind == "all" { all } else { all / 2 + 1 }].to_vec();
    let after_ms = context.rng.random_range(SYNC_MS..4 * SYNC_MS).min(context.hold_ms.saturating_sub(1));
    let slow = nodes.iter().map(|&node| FailDisk(DiskFault::Slow(SYNC_MS)).on(node).into());
    let mut acts: Vec<TimedAct> = slow.collect();
    for node in nodes {
        acts.push(TimedAct { after_ms, act: LosePower(context.seed()).on(node) });
    }
    acts
}

/// Cuts the power: SIGKILL, and unsynced data is lost, except what the seed lets survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LosePower(u64);

impl Verb for LosePower {
    const SPEC: VerbSpec = VerbSpec {
        stops_as: Some(NodeState::Down),
        missing_on: |disk| match disk {
            DiskKind::Plain => Some("a plain disk loses nothing: use --disk fuse or --disk ext4"),
            DiskKind::Fuse | DiskKind::FuseStrict | DiskKind::Ext4 => None,
        },
        ..VerbSpec::of("lose-power", Domain::Disk, Reversal::By(AnyVerb::Start(Start)))
    };

    fn read(arguments: &[&str]) -> Option<LosePower> {
        let [seed] = arguments else { return None };
        property(seed, "seed").map(LosePower)
    }

    fn arguments(self) -> String {
        format!("seed={}", self.0)
    }

    async fn apply<N: Nodes>(self, node: &mut LockedNode<N>) -> Result<Applied, String> {
        node.nodes.lose_power(node.id, self.0).await?;
        Ok(Applied::default())
    }
}
