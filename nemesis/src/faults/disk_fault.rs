//! Disk faults: full, failing, slow. The process keeps running, if it can. Some systems rightly stop when
//! their disk fails; they are restarted at the undo.

use rand::RngExt;
use tribunal_records::DiskKind;

use crate::{
    DiskFault, Nodes, TimedAct,
    act::verb::{Applied, Domain, Reversal, Verb, VerbSpec, simple_verb},
    faults::{
        AnyVerb, DrawContext, Fault, Kind,
        kill::{Kill, Start},
    },
    processes::LockedNode,
};

/// Additional milliseconds of a slow sync: from a spinning disk to a disk about to fail.
const SLOW_MS: std::ops::Range<u64> = 10..500;

/// When a killed node is restarted, in milliseconds.
const RESTART_MS: std::ops::Range<u64> = 50..300;

pub(crate) const FULL: Fault = Fault {
    name: "disk-full",
    about: "fills the disk: requests that need more space fail with ENOSPC",
    usual: false,
    alone: false,
    kinds: KINDS,
    draw: |kind, context| on(kind, context, DiskFault::Full),
};

pub(crate) const SLOW: Fault = Fault {
    name: "slow-disk",
    about: "makes every fsync take 10 to 500 ms longer",
    usual: false,
    alone: false,
    kinds: KINDS,
    draw: |kind, context| {
        let ms = context.rng.random_range(SLOW_MS);
        on(kind, context, DiskFault::Slow(ms))
    },
};

pub(crate) const ERROR: Fault = Fault {
    name: "disk-error",
    about: "makes the reads, the writes or the fsyncs of a node fail with EIO",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("leader-write", "writes of the leader"),
        Kind::leader("leader-sync", "fsyncs of the leader; no later fsync stores the data"),
        Kind::any_node("write", "writes of a random node"),
        Kind::any_node("sync", "fsyncs of a random node"),
        Kind::any_node("read", "reads of a random node, restarted so that it has to read"),
    ],
    draw: |kind, context| {
        let fault = match kind {
            "read" => DiskFault::Read,
            "sync" | "leader-sync" => DiskFault::Sync,
            _ => DiskFault::Write,
        };
        let mut acts = on("one", context, fault);
        // If the hold is too short for that, the node restarts in the middle of it.
        let restart_ms = context.moment_ms(RESTART_MS).min(context.hold_ms / 2);
        if let (DiskFault::Read, &[node, ..]) = (fault, &context.order[..]) {
            acts.insert(0, Kill.on(node).into());
            acts.push(TimedAct { after_ms: restart_ms, act: Start.on(node) });
        }
        acts
    },
};

const KINDS: &[Kind] = &[
    Kind::leader("leader", "the leader"),
    Kind::any_node("one", "a random node"),
    Kind::any_node("minority", "fewer than half of the nodes"),
];

fn on(kind: &str, context: &mut DrawContext, fault: DiskFault) -> Vec<TimedAct> {
    let count = if kind == "minority" { (context.order.len() - 1) / 2 } else { 1 };
    context.order.iter().take(count.max(1)).map(|&node| FailDisk(fault).on(node).into()).collect()
}

/// Sets the fault of a node's disk, in place of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailDisk(pub(crate) DiskFault);

impl Verb for FailDisk {
    const SPEC: VerbSpec = VerbSpec {
        missing_on: |disk| match disk {
            DiskKind::Fuse | DiskKind::FuseStrict => None,
            DiskKind::Plain | DiskKind::Ext4 => Some("only a fuse disk fails on demand: use --disk fuse"),
        },
        ..VerbSpec::of("fail-disk", Domain::Disk, Reversal::By(AnyVerb::MendDisk(MendDisk)))
    };

    fn read(arguments: &[&str]) -> Option<FailDisk> {
        let [fault] = arguments else { return None };
        fault.parse().ok().map(FailDisk)
    }

    fn arguments(self) -> String {
        self.0.to_string()
    }

    async fn apply<N: Nodes>(self, node: &mut LockedNode<N>) -> Result<Applied, String> {
        node.nodes.set_disk_fault(node.id, Some(self.0)).await?;
        Ok(Applied::default())
    }
}

simple_verb! {
    /// Clears the fault of a node's disk.
    MendDisk = VerbSpec::of("mend-disk", Domain::Disk, Reversal::IsUndo);
    |node| node.nodes.set_disk_fault(node.id, None).await
}
