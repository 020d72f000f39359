//! Damaged files: one node is killed, its files are damaged while it is down, and it is restarted on them.
//!
//! There is no undo. If the node refuses to start, it stays down. If it does not notice, the others have to
//! compensate. A `wipe` or a `restore` may break the guarantees of systems that rely on their disks (Raft on
//! a stored vote and acknowledged entries); the verdict says whether it did. At most a minority of the nodes
//! is damaged in one run. No other fault runs at the same time: if it started the node on files that are
//! being damaged, the node could die for an unclear reason.

use crate::{
    Damage, Nodes, TimedAct,
    act::verb::{Applied, Domain, Reversal, Verb, VerbSpec, property, simple_verb},
    faults::{
        DrawContext, Fault, Kind,
        kill::{Kill, Start},
    },
    processes::LockedNode,
};

pub(crate) const BITFLIP: Fault = Fault {
    name: "bitflip",
    about: "flips one bit in one file of a node while it is down",
    usual: false,
    alone: true,
    kinds: KINDS,
    draw: |_, context| at_rest(context, Damage::BitFlip),
};

pub(crate) const TRUNCATE: Fault = Fault {
    name: "truncate",
    about: "cuts the end off one file of a node while it is down",
    usual: false,
    alone: true,
    kinds: KINDS,
    draw: |_, context| at_rest(context, Damage::Truncate),
};

pub(crate) const WIPE: Fault = Fault {
    name: "wipe",
    about: "removes all files of a node while it is down",
    usual: false,
    alone: true,
    kinds: KINDS,
    draw: |_, context| at_rest(context, Damage::Wipe),
};

pub(crate) const RESTORE: Fault = Fault {
    name: "restore",
    about: "copies the files of a node, and puts the copy back later",
    usual: false,
    alone: true,
    kinds: KINDS,
    draw: |_, context| {
        let Some(&node) = context.order.first() else { return Vec::new() };
        let (up_ms, again_ms) = (context.hold_ms / 10, context.hold_ms * 7 / 10);
        let mut acts: Vec<TimedAct> = vec![Kill.on(node).into(), Backup.on(node).into()];
        acts.push(TimedAct { after_ms: up_ms, act: Start.on(node) });
        acts.push(TimedAct { after_ms: again_ms, act: Kill.on(node) });
        acts.push(TimedAct {
            after_ms: again_ms,
            act: DamageFiles(Damage::Restore, context.seed()).on(node),
        });
        acts
    },
};

const KINDS: &[Kind] = &[Kind::leader("leader", "the leader"), Kind::any_node("one", "a random node")];

fn at_rest(context: &mut DrawContext, damage: Damage) -> Vec<TimedAct> {
    let Some(&node) = context.order.first() else { return Vec::new() };
    vec![Kill.on(node).into(), DamageFiles(damage, context.seed()).on(node).into()]
}

simple_verb! {
    /// Copies the files of a node that is down.
    Backup = VerbSpec::of("backup", Domain::Disk, Reversal::Never);
    |node| node.nodes.backup(node.id).await
}

/// Damages the files of a node that is down; the seed decides where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DamageFiles(Damage, u64);

impl Verb for DamageFiles {
    const SPEC: VerbSpec = VerbSpec {
        damages: true,
        evidence: Some(|effect| effect.files_damaged > 0),
        ..VerbSpec::of("damage", Domain::Disk, Reversal::Never)
    };

    fn read(arguments: &[&str]) -> Option<DamageFiles> {
        let [name, seed] = arguments else { return None };
        let damage = Damage::ALL.into_iter().find(|damage| damage.name() == *name)?;
        property(seed, "seed").map(|seed| DamageFiles(damage, seed))
    }

    fn arguments(self) -> String {
        format!("{} seed={}", self.0.name(), self.1)
    }

    async fn apply<N: Nodes>(self, node: &mut LockedNode<N>) -> Result<Applied, String> {
        let touched = node.nodes.damage(node.id, self.0, self.1).await?;
        Ok(Applied { touched: Some(touched), ..Applied::default() })
    }
}
