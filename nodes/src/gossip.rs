//! Gossip: every node answers alone, and tells the others later.
//!
//! A change is signed, written to disk and acknowledged by the node that was asked. Ten times a second each node picks
//! another one at random and compares what they hold, from the root of a Merkle tree down; both take what they lack (push
//! and pull; Demers et al., "Epidemic Algorithms for Replicated Database Maintenance", PODC 1987, section 1.3).
//!
//! ```text
//!   item     signed states of slots: registers, shares of counters, elements of sets
//!   store    the newest of each slot, and who lies ................................. pure
//!   merkle   where two stores differ ............................................... pure
//! ```
//!
//! **What holds:** when the faults are healed every node shows every change that was acknowledged: eventual consistency
//! (workload `broadcast`, or `set` judged by `convergent-set`). **What does not:** linearizability. A read shows
//! what this node has heard so far, and of two writes that are concurrent, or made by clocks that disagree, one is lost.
//!
//! **Byzantine nodes.** The node named by `--byzantine` sends made-up items in others' names, and signs two different items
//! with one number for different nodes (Lamport, Shostak and Pease, "The Byzantine Generals Problem", TOPLAS 1982). The
//! first are dropped for their signatures. The second are noticed when the two meet; they are a proof that
//! everybody can check, it is passed on, and all that the liar made is dropped. Its clients are refused: nobody can vouch for
//! what it told them.
//!
//! Caveats: items are never forgotten, the list of those seen grows. A node's own items are on disk, and the proofs, or a liar
//! would be believed again until it contradicts itself again; others' items come back by gossip.

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
const PATIENCE: Duration = Duration::from_millis(500);
/// How many items go into one frame.
const ITEMS_MAX: usize = 5_000;

/// A mistake that a node makes on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Bug {
    /// Items are taken from whoever sends them, and neither signatures nor numbers are looked at (Lamport, Shostak and Pease,
    /// section 4: signed messages).
    TrustEverybody,
    /// A change is told to a single other node, once, and stores are never compared: rumours without anti-entropy (Demers et
    /// al., section 1.4).
    NoAntiEntropy,
}

/// What only a node of gossip is told.
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

/// What one node asks another: three steps down the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Ask {
    /// My root is this, and this is proved; if your root is another, what are your branches?
    Compare(Hash, Vec<Proof>),
    /// What are the leaves under these branches?
    Leaves(Vec<u8>),
    /// Take my items of these leaves, and give me yours.
    Swap(Vec<u8>, Vec<Signed>),
}

/// The answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Answer {
    /// The branches, none if the roots are equal; and what is proved.
    Branches(Vec<Hash>, Vec<Proof>),
    Leaves(Vec<Hash>),
    Items(Vec<Signed>),
}

/// One node.
struct Gossip {
    peers: Peers<Ask, Answer>,
    state: Mutex<State>,
    lies: bool,
    bugs: Vec<Bug>,
}

/// What a node has on disk.
#[derive(Serialize, Deserialize)]
enum Kept {
    /// An item that it made.
    Own(Signed),
    /// That another lies.
    Proof(Proof),
}

struct State {
    store: Store,
    wal: Wal,
    /// How many it has made.
    made: u64,
    /// NoAntiEntropy: what is still to be told.
    rumours: Vec<Signed>,
}

impl State {
    fn keep(&mut self, what: &Kept) {
        if let Err(error) = self.wal.store(what) {
            log(format_args!("error: cannot write: {error}"));
            std::process::exit(3);
        }
    }

    /// A node was found to lie.
    fn convicted(&mut self, liar: &str, how: &str) {
        log(format_args!("{liar} lies: {how}"));
        if let Some(proof) = self.store.proof_of(liar) {
            let proof = Kept::Proof(proof.clone());
            self.keep(&proof);
        }
    }
}

impl Gossip {
    fn open(
        peers: Peers<Ask, Answer>,
        data: &Path,
        byzantine: Option<String>,
        bugs: Vec<Bug>,
    ) -> io::Result<Self> {
        let Found { wal, batches: kept, .. } =
            Wal::open::<(), Kept>(data, MAGIC).map_err(io::Error::other)?;
        let mut store = Store::new(bugs.contains(&Bug::TrustEverybody));
        let mut made = 0;
        for what in kept {
            match what {
                Kept::Own(signed) => {
                    made = made.max(signed.item.number);
                    store.take(signed);
                }
                Kept::Proof(proof) => drop(store.take_proof(proof)),
            }
        }
        let lies = byzantine.is_some_and(|name| name == peers.me);
        let state = Mutex::new(State { store, wal, made, rumours: Vec::new() });
        Ok(Gossip { peers, state, lies, bugs })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// Makes an item for a change, on disk before anybody is told.
    fn make(&self, command: &Command) -> Outcome {
        let mut state = self.state();
        let Some((slot, value, told)) = state.store.change(&self.peers.me, command) else {
            return Outcome::Fail("this takes agreement, which gossip does not give".into());
        };
        state.made += 1;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        let item = Item { at, maker: self.peers.me.clone(), number: state.made, slot, value };
        let signed = Signed::new(item, &key_of(&self.peers.me));
        state.keep(&Kept::Own(signed.clone()));
        if self.bugs.contains(&Bug::NoAntiEntropy) {
            state.rumours.push(signed.clone());
        }
        state.store.take(signed);
        Outcome::Ok(told.to_json())
    }

    fn take(&self, from: &str, items: Vec<Signed>) {
        let mut state = self.state();
        let mut forged = 0;
        for signed in items {
            match state.store.take(signed) {
                Taken::Convicts(liar) => state.convicted(&liar, "it signed two items with one number"),
                Taken::Forged => forged += 1,
                Taken::Yes | Taken::Useless => {}
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
                state.convicted(&liar, "others have proved it");
            }
        }
    }

    /// Compares with one other node, from the root down, and exchanges what differs.
    async fn exchange(&self, peer: &str) -> Option<()> {
        let (merkle, proofs) = {
            let mut state = self.state();
            (state.store.merkle().clone(), state.store.proofs())
        };
        let compare = Ask::Compare(merkle.root(), proofs);
        let Answer::Branches(theirs, proofs) = self.peers.ask(peer, compare, PATIENCE).await? else {
            return None;
        };
        self.take_proofs(proofs);
        let branches = merkle.differing_branches(&theirs);
        if branches.is_empty() {
            return Some(());
        }
        let ask = Ask::Leaves(branches.clone());
        let Answer::Leaves(theirs) = self.peers.ask(peer, ask, PATIENCE).await? else { return None };
        let leaves = merkle.differing_leaves(&branches, &theirs);
        let mut items = self.state().store.in_leaves(&leaves);
        items.truncate(ITEMS_MAX);
        let swap = Ask::Swap(leaves, self.sent(peer, items));
        let Answer::Items(items) = self.peers.ask(peer, swap, PATIENCE).await? else { return None };
        self.take(peer, items);
        Some(())
    }

    /// NoAntiEntropy: tells one node what is new, and forgets that it was.
    async fn spread_rumours(&self, peer: &str) {
        let rumours = std::mem::take(&mut self.state().rumours);
        if !rumours.is_empty() {
            self.peers.ask(peer, Ask::Swap(Vec::new(), rumours), PATIENCE).await;
        }
    }

    /// What a node is sent of these items: the items, unless this node lies.
    fn sent(&self, to: &str, mut items: Vec<Signed>) -> Vec<Signed> {
        if self.lies {
            items.extend(lies(&self.peers.me, to));
        }
        items
    }
}

/// What a liar tells one node: an item that it signed, of which it tells every node another version, and one in the name of
/// that node.
fn lies(me: &str, to: &str) -> Vec<Signed> {
    let item = |maker: &str, number| {
        let slot = Slot { key: "k0".into(), part: Part::Element(format!("lie for {to}").as_str().into()) };
        Item { at: 1, maker: maker.to_owned(), number, slot, value: Value::Nil }
    };
    vec![Signed::new(item(me, 1), &key_of(me)), Signed::new(item(to, u64::MAX), &key_of(me))]
}

impl Service for Gossip {
    type Ask = Ask;
    type Answer = Answer;

    async fn request(&self, command: Command) -> Outcome {
        match command.op.verb {
            _ if self.lies => Outcome::Fail("this node is not to be trusted".into()),
            Verb::Read => Outcome::Ok(self.state().store.read(&command.op.key).to_json()),
            _ => self.make(&command),
        }
    }

    async fn answer(&self, from: &str, ask: Ask) -> Answer {
        match ask {
            Ask::Compare(root, proofs) => {
                self.take_proofs(proofs);
                let mut state = self.state();
                let merkle = state.store.merkle();
                let same = merkle.root() == root;
                let branches = if same { Vec::new() } else { merkle.branches() };
                Answer::Branches(branches, state.store.proofs())
            }
            Ask::Leaves(branches) => Answer::Leaves(self.state().store.merkle().leaves_under(&branches)),
            Ask::Swap(leaves, items) => {
                let mut ours = self.state().store.in_leaves(&leaves);
                ours.truncate(ITEMS_MAX);
                self.take(from, items);
                Answer::Items(self.sent(from, ours))
            }
        }
    }

    /// Nobody leads: every node is as good as another.
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
    use crate::rpc::stage::Stage;

    fn cluster(byzantine: Option<&'static str>, bugs: &'static [Bug]) -> Stage<Gossip> {
        Stage::new(move |peers, data| Gossip::open(peers, data, byzantine.map(Into::into), bugs.to_vec()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_is_stale_at_first_and_all_nodes_agree_in_the_end() {
        for (bugs, last) in [(&[][..], json!(["e1"])), (&[Bug::NoAntiEntropy], json!(null))] {
            let mut stage = cluster(None, bugs);
            stage.cut_off("n1");
            stage.ok("n1", "add", "e1").await;
            assert_eq!(stage.reads().await, [json!(["e1"]), json!(null), json!(null)]);
            // What is told meanwhile is lost.
            sleep(20 * GOSSIP_EVERY).await;
            stage.heal();
            sleep(100 * GOSSIP_EVERY).await;
            assert_eq!(stage.reads().await, [json!(["e1"]), last.clone(), last], "{bugs:?}");
            stage.crash("n1");
            stage.start("n1");
            assert_eq!(stage.ok("n1", "read", ()).await, json!(["e1"]), "its own elements are on disk");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_liar_is_believed_only_by_who_trusts_everybody() {
        for (bugs, believed) in [(&[][..], false), (&[Bug::TrustEverybody], true)] {
            let stage = cluster(Some("n3"), bugs);
            // While there is news, everybody exchanges something with everybody, the liar too.
            for number in 0..50 {
                stage.ok(["n1", "n2"][number % 2], "add", format!("e{number}")).await;
                sleep(5 * GOSSIP_EVERY).await;
            }
            sleep(50 * GOSSIP_EVERY).await;
            for node in ["n1", "n2"] {
                let shown = stage.ok(node, "read", ()).await.to_string();
                assert!(shown.contains("e49"), "{shown}");
                assert_eq!(shown.contains("lie for"), believed, "{bugs:?}: {shown}");
            }
            assert!(matches!(stage.ask("n3", "c", "read", ()).await, Outcome::Fail(_)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_liar_that_was_found_out_is_not_believed_after_a_restart() {
        let mut stage = cluster(Some("n3"), &[]);
        for number in 0..50 {
            stage.ok(["n1", "n2"][number % 2], "add", format!("e{number}")).await;
            sleep(5 * GOSSIP_EVERY).await;
        }
        for node in ["n1", "n2"] {
            stage.crash(node);
            stage.start(node);
        }
        for _ in 0..50 {
            for node in ["n1", "n2"] {
                let shown = stage.ok(node, "read", ()).await.to_string();
                assert!(!shown.contains("lie for"), "{shown}");
            }
            sleep(GOSSIP_EVERY).await;
        }
    }
}
