//! Gossip: every node answers on its own and propagates changes later.
//!
//! The node that receives a change signs it, writes it to disk and acknowledges it. Ten times a second each
//! node picks another one at random and compares the two stores, from the root of a Merkle tree down; both
//! take what they lack (push and pull; Demers et al., "Epidemic Algorithms for Replicated Database
//! Maintenance", PODC 1987, section 1.3).
//!
//! ```text
//!   item     signed states of slots: registers, shares of counters, elements of sets
//!   store    the newest item of each slot, and the nodes known to lie .............. pure
//!   merkle   where two stores differ ............................................... pure
//! ```
//!
//! **What it guarantees:** once the faults are healed, every node shows every acknowledged change: eventual
//! consistency (workload `broadcast`, or `set` judged by `convergent-set`). **What it does not:**
//! linearizability. A read shows what this node has received so far. Of two writes that are concurrent, or
//! whose clocks disagree, one is lost.
//!
//! **Byzantine nodes.** The node named by `--byzantine` sends forged items in other nodes' names, and signs
//! two different items with one number for different nodes (Lamport, Shostak and Pease, "The Byzantine
//! Generals Problem", TOPLAS 1982). Forged items are dropped for their signatures. A node that receives both
//! items with one number has a proof that every node can check: it passes the proof on, and all nodes drop
//! everything the liar made. A liar's clients are refused, because nothing that it told them can be
//! confirmed.
//!
//! Caveats: items are never forgotten; the list of seen items grows. A node keeps its own items and all
//! proofs on disk, or after a restart it would believe a liar until the next contradiction. Other nodes'
//! items come back by gossip.

mod item;
mod merkle;
mod store;

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use rand::seq::IteratorRandom as _;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use self::item::{Hash, Item, Part, Signed, Slot, key_of};
use self::store::{Proof, Store, Taken};
use crate::logging::log;
use crate::machine::{Command, Verb};
use crate::rpc::{self, Peers, Service};
use crate::value::Value;
use crate::wal::{Found, Magic, Wal};
use crate::wire::Outcome;

/// Marks the files of this protocol.
const MAGIC: Magic = *b"GSSP";
const GOSSIP_EVERY: Duration = Duration::from_millis(100);
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Items in one frame, at most.
const ITEMS_MAX: usize = 5_000;

/// A seeded bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Bug {
    /// Items are taken from whoever sends them, and neither signatures nor numbers are looked at (Lamport,
    /// Shostak and Pease, section 4: signed messages).
    TrustEverybody,
    /// A change is told to a single other node, once, and stores are never compared: rumours without
    /// anti-entropy (Demers et al., section 1.4).
    NoAntiEntropy,
}

/// Options of gossip nodes only.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The node of this name lies to the others.
    #[arg(long, value_name = "NAME")]
    byzantine: Option<String>,
}

impl rpc::NodeArgs<Bug, Options> {
    pub(crate) fn run(self) -> u8 {
        rpc::run(self.place, |peers, data| Gossip::open(peers, data, self.options.byzantine, self.bugs))
    }
}

/// A request from one node to another: three steps down the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum PeerRequest {
    /// The sender's root and its proofs; if the receiver's root differs, it returns its branches.
    Compare(Hash, Vec<Proof>),
    /// Requests the leaves under these branches.
    Leaves(Vec<u8>),
    /// The sender's items of these leaves; the receiver returns its own.
    Swap(Vec<u8>, Vec<Signed>),
}

/// The responses.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum PeerResponse {
    /// The branches, or none if the roots are equal; and the proofs.
    Branches(Vec<Hash>, Vec<Proof>),
    Leaves(Vec<Hash>),
    Items(Vec<Signed>),
}

/// One node.
struct Gossip {
    peers: Peers<PeerRequest, PeerResponse>,
    state: Mutex<State>,
    lies: bool,
    bugs: Vec<Bug>,
}

/// A record on disk.
#[derive(Serialize, Deserialize)]
enum DiskRecord {
    /// An item made by this node.
    Own(Signed),
    /// A proof that another node lies.
    Proof(Proof),
}

struct State {
    store: Store,
    wal: Wal,
    /// The number of items that this node has made.
    made: u64,
    /// NoAntiEntropy: the items still to be sent.
    rumours: Vec<Signed>,
}

impl State {
    fn keep(&mut self, what: &DiskRecord) {
        if let Err(error) = self.wal.store(what) {
            log(format_args!("error: cannot write: {error}"));
            std::process::exit(3);
        }
    }

    /// Records that a node was found to lie.
    fn record_liar(&mut self, liar: &str, how: &str) {
        log(format_args!("{liar} lies: {how}"));
        if let Some(proof) = self.store.proof_of(liar) {
            let proof = DiskRecord::Proof(proof.clone());
            self.keep(&proof);
        }
    }
}

impl Gossip {
    fn open(
        peers: Peers<PeerRequest, PeerResponse>,
        data: &Path,
        byzantine: Option<String>,
        bugs: Vec<Bug>,
    ) -> io::Result<Self> {
        let Found { wal, batches: kept, .. } =
            Wal::open::<(), DiskRecord>(data, MAGIC).map_err(io::Error::other)?;
        let mut store = Store::new(bugs.contains(&Bug::TrustEverybody));
        let mut made = 0;
        for what in kept {
            match what {
                DiskRecord::Own(signed) => {
                    made = made.max(signed.item.number);
                    store.take(signed);
                }
                DiskRecord::Proof(proof) => drop(store.take_proof(proof)),
            }
        }
        let lies = byzantine.is_some_and(|name| name == peers.me);
        let state = Mutex::new(State { store, wal, made, rumours: Vec::new() });
        Ok(Gossip { peers, state, lies, bugs })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// Makes an item for a change; it is on disk before any reply.
    fn make(&self, command: &Command) -> Outcome {
        let mut state = self.state();
        let Some((slot, value, output)) = state.store.change(&self.peers.me, command) else {
            return Outcome::Fail("this takes agreement, which gossip does not give".into());
        };
        state.made += 1;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        let item = Item { at, maker: self.peers.me.clone(), number: state.made, slot, value };
        let signed = Signed::new(item, &key_of(&self.peers.me));
        state.keep(&DiskRecord::Own(signed.clone()));
        if self.bugs.contains(&Bug::NoAntiEntropy) {
            state.rumours.push(signed.clone());
        }
        state.store.take(signed);
        Outcome::Ok(output.to_json())
    }

    fn take(&self, from: &str, items: Vec<Signed>) {
        let mut state = self.state();
        let mut forged = 0;
        for signed in items {
            match state.store.take(signed) {
                Taken::ProvesLiar(liar) => state.record_liar(&liar, "it signed two items with one number"),
                Taken::Forged => forged += 1,
                Taken::Yes | Taken::Ignored => {}
            }
        }
        if forged > 0 {
            log(format_args!("dropped {forged} items from {from} that are not signed by whom they name"));
        }
    }

    fn take_proofs(&self, proofs: Vec<Proof>) {
        let mut state = self.state();
        for proof in proofs {
            if let Some(liar) = state.store.take_proof(proof) {
                state.record_liar(&liar, "others have proved it");
            }
        }
    }

    /// Compares the stores with one other node, from the root down, and exchanges the differences.
    async fn exchange(&self, peer: &str) -> Option<()> {
        let (merkle, proofs) = {
            let mut state = self.state();
            (state.store.merkle().clone(), state.store.proofs())
        };
        let compare = PeerRequest::Compare(merkle.root(), proofs);
        let PeerResponse::Branches(theirs, proofs) = self.peers.call(peer, compare, RESPONSE_TIMEOUT).await?
        else {
            return None;
        };
        self.take_proofs(proofs);
        let branches = merkle.differing_branches(&theirs);
        if branches.is_empty() {
            return Some(());
        }
        let request = PeerRequest::Leaves(branches.clone());
        let PeerResponse::Leaves(theirs) = self.peers.call(peer, request, RESPONSE_TIMEOUT).await? else {
            return None;
        };
        let leaves = merkle.differing_leaves(&branches, &theirs);
        let mut items = self.state().store.in_leaves(&leaves);
        items.truncate(ITEMS_MAX);
        let swap = PeerRequest::Swap(leaves, self.sent(peer, items));
        let PeerResponse::Items(items) = self.peers.call(peer, swap, RESPONSE_TIMEOUT).await? else {
            return None;
        };
        self.take(peer, items);
        Some(())
    }

    /// NoAntiEntropy: sends new items to one node, once.
    async fn spread_rumours(&self, peer: &str) {
        let rumours = std::mem::take(&mut self.state().rumours);
        if !rumours.is_empty() {
            self.peers.call(peer, PeerRequest::Swap(Vec::new(), rumours), RESPONSE_TIMEOUT).await;
        }
    }

    /// The items to send to a node: unchanged, unless this node lies.
    fn sent(&self, to: &str, mut items: Vec<Signed>) -> Vec<Signed> {
        if self.lies {
            items.extend(lies(&self.peers.me, to));
        }
        items
    }
}

/// A liar's items for one node: an item of its own with a different content for every node, and one forged in
/// the receiver's name.
fn lies(me: &str, to: &str) -> Vec<Signed> {
    let item = |maker: &str, number| {
        let slot = Slot { key: "k0".into(), part: Part::Element(format!("lie for {to}").as_str().into()) };
        Item { at: 1, maker: maker.to_owned(), number, slot, value: Value::Nil }
    };
    vec![Signed::new(item(me, 1), &key_of(me)), Signed::new(item(to, u64::MAX), &key_of(me))]
}

impl Service for Gossip {
    type PeerRequest = PeerRequest;
    type PeerResponse = PeerResponse;

    async fn request(&self, command: Command) -> Outcome {
        match command.op.verb {
            _ if self.lies => Outcome::Fail("this node is not to be trusted".into()),
            Verb::Read => Outcome::Ok(self.state().store.read(&command.op.key).to_json()),
            _ => self.make(&command),
        }
    }

    async fn answer(&self, from: &str, request: PeerRequest) -> PeerResponse {
        match request {
            PeerRequest::Compare(root, proofs) => {
                self.take_proofs(proofs);
                let mut state = self.state();
                let merkle = state.store.merkle();
                let same = merkle.root() == root;
                let branches = if same { Vec::new() } else { merkle.branches() };
                PeerResponse::Branches(branches, state.store.proofs())
            }
            PeerRequest::Leaves(branches) => {
                PeerResponse::Leaves(self.state().store.merkle().leaves_under(&branches))
            }
            PeerRequest::Swap(leaves, items) => {
                let mut ours = self.state().store.in_leaves(&leaves);
                ours.truncate(ITEMS_MAX);
                self.take(from, items);
                PeerResponse::Items(self.sent(from, ours))
            }
        }
    }

    /// There is no leader: all nodes are equal.
    fn leader(&self) -> Option<(String, u64)> {
        Some((self.peers.me.clone(), 1))
    }

    async fn background(&self) {
        loop {
            sleep(GOSSIP_EVERY).await;
            let Some(peer) = self.peers.names().choose(&mut rand::rng()).cloned() else { continue };
            if self.bugs.contains(&Bug::NoAntiEntropy) {
                self.spread_rumours(&peer).await;
            } else {
                self.exchange(&peer).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rpc::test_cluster::TestCluster;

    fn cluster(byzantine: Option<&'static str>, bugs: &'static [Bug]) -> TestCluster<Gossip> {
        TestCluster::new(move |peers, data| {
            Gossip::open(peers, data, byzantine.map(Into::into), bugs.to_vec())
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_is_stale_at_first_and_all_nodes_agree_in_the_end() {
        for (bugs, last) in [(&[][..], json!(["e1"])), (&[Bug::NoAntiEntropy], json!(null))] {
            let mut cluster = cluster(None, bugs);
            cluster.cut_off("n1");
            cluster.ok("n1", "add", "e1").await;
            assert_eq!(cluster.reads().await, [json!(["e1"]), json!(null), json!(null)]);
            // Changes during the partition are lost.
            sleep(20 * GOSSIP_EVERY).await;
            cluster.heal();
            sleep(100 * GOSSIP_EVERY).await;
            assert_eq!(cluster.reads().await, [json!(["e1"]), last.clone(), last], "{bugs:?}");
            cluster.crash("n1");
            cluster.start("n1");
            assert_eq!(cluster.ok("n1", "read", ()).await, json!(["e1"]), "its own elements are on disk");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_liar_is_believed_only_by_who_trusts_everybody() {
        for (bugs, believed) in [(&[][..], false), (&[Bug::TrustEverybody], true)] {
            let cluster = cluster(Some("n3"), bugs);
            // While there are new items every node exchanges with every other, the liar included.
            for number in 0..50 {
                cluster.ok(["n1", "n2"][number % 2], "add", format!("e{number}")).await;
                sleep(5 * GOSSIP_EVERY).await;
            }
            sleep(50 * GOSSIP_EVERY).await;
            for node in ["n1", "n2"] {
                let shown = cluster.ok(node, "read", ()).await.to_string();
                assert!(shown.contains("e49"), "{shown}");
                assert_eq!(shown.contains("lie for"), believed, "{bugs:?}: {shown}");
            }
            assert!(matches!(cluster.request("n3", "c", "read", ()).await, Outcome::Fail(_)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_liar_that_was_found_out_is_not_believed_after_a_restart() {
        let mut cluster = cluster(Some("n3"), &[]);
        for number in 0..50 {
            cluster.ok(["n1", "n2"][number % 2], "add", format!("e{number}")).await;
            sleep(5 * GOSSIP_EVERY).await;
        }
        for node in ["n1", "n2"] {
            cluster.crash(node);
            cluster.start(node);
        }
        for _ in 0..50 {
            for node in ["n1", "n2"] {
                let shown = cluster.ok(node, "read", ()).await.to_string();
                assert!(!shown.contains("lie for"), "{shown}");
            }
            sleep(GOSSIP_EVERY).await;
        }
    }
}
