//! The bug of omnipaxos 0.2.4 that `--snapshots` shows, without a network: a node that was behind for a moment receives
//! a snapshot of what it lacks, and loses the decided entries it had.
//!
//!     cargo run --example lost_entries
//!
//! `InternalStorage::sync_log` stores the new decided index before it makes a snapshot of the node's own decided log,
//! which the new entries are to be merged into: it then asks for entries that the node does not have, and gets none.

use omnipaxos::storage::{Entry, Snapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::*;
use omnipaxos_storage::memory_storage::MemoryStorage;

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct N(u64);
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct All(Vec<u64>);
impl Snapshot<N> for All {
    fn create(entries: &[N]) -> Self {
        All(entries.iter().map(|n| n.0).collect())
    }
    fn merge(&mut self, delta: Self) {
        self.0.extend(delta.0)
    }
    fn use_snapshots() -> bool {
        true
    }
}
impl Entry for N {
    type Snapshot = All;
}
type Node = OmniPaxos<N, MemoryStorage<N>>;

/// Delivers messages until nothing happens; those of the node `cut` are lost.
fn deliver(nodes: &mut [Node], cut: Option<u64>) {
    for _ in 0..200 {
        for i in 0..nodes.len() {
            nodes[i].tick();
            let mut out = vec![];
            nodes[i].take_outgoing_messages(&mut out);
            for m in out {
                if Some(m.get_sender()) != cut && Some(m.get_receiver()) != cut {
                    nodes[m.get_receiver() as usize - 1].handle_incoming(m);
                }
            }
        }
    }
}

fn decided(node: &Node) -> Vec<u64> {
    node.read_decided_suffix(0)
        .unwrap_or_default()
        .into_iter()
        .flat_map(|e| match e {
            LogEntry::Decided(n) => vec![n.0],
            LogEntry::Snapshotted(s) => s.snapshot.0,
            _ => vec![],
        })
        .collect()
}

fn main() {
    let mut nodes: Vec<Node> = (1..=3)
        .map(|pid| {
            ClusterConfig { configuration_id: 1, nodes: vec![1, 2, 3], flexible_quorum: None }
                .build_for_server(ServerConfig { pid, ..Default::default() }, MemoryStorage::default())
                .unwrap()
        })
        .collect();
    deliver(&mut nodes, None);
    let leader = nodes[0].get_current_leader().unwrap().0;
    let behind = if leader == 3 { 2 } else { 3 };
    for n in 1..=3 {
        nodes[leader as usize - 1].append(N(n)).unwrap();
    }
    deliver(&mut nodes, None);
    for n in 4..=6 {
        nodes[leader as usize - 1].append(N(n)).unwrap();
    }
    deliver(&mut nodes, Some(behind));
    for n in 7..=8 {
        nodes[leader as usize - 1].append(N(n)).unwrap();
    }
    deliver(&mut nodes, None);
    for (i, n) in nodes.iter().enumerate() {
        println!(
            "node {} (leader {leader}, was behind: {behind}): decided index {}, entries {:?}",
            i + 1,
            n.get_decided_idx(),
            decided(n)
        );
    }
}
