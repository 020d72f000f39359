//! Registers stored at a majority, without a leader (Attiya, Bar-Noy and Dolev, "Sharing Memory Robustly in
//! Message-Passing Systems", J. ACM 42(1), 1995; with several writers: Lynch and Shvartsman, FTCS 1997).
//!
//! Every value carries a tag: a number and the name of its writer. Both operations first read the tags at a
//! majority and take the largest.
//!
//! ```text
//!   write(v)   query a majority ─▶ tag one larger ─▶ store (tag, v) at a majority ─▶ done
//!   read       query a majority ─▶ largest tag    ─▶ store it at a majority       ─▶ return its value
//! ```
//!
//! Two majorities share a node, so a query after a completed store finds the stored value. The second phase
//! of a read is needed because the value that it found may be at a minority only, from an incomplete write,
//! and the next reader may query other nodes. If the whole majority returns the same tag, there is nothing to
//! store.
//!
//! Reads and writes are linearizable under message loss, delay and crashes, and available while a majority
//! is. Compare-and-set cannot be built this way: it needs consensus (Herlihy, "Wait-Free Synchronization",
//! TOPLAS 1991).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::machine::{Command, Verb};
use crate::rpc::{self, Peers, Service};
use crate::value::Value;
use crate::wal::{Found, Magic, Wal};
use crate::wire::Outcome;

/// A seeded bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Bug {
    /// A read returns the largest it found without storing it at a majority, so that the next read may find
    /// less: "quorum reads and writes" without read repair (Attiya, Bar-Noy and Dolev, section 3: the
    /// reader's second phase).
    NoWriteBack,
}

impl rpc::NodeArgs<Bug> {
    pub(crate) fn run(self) -> u8 {
        let writes_back = !self.bugs.contains(&Bug::NoWriteBack);
        rpc::run(self.place, move |peers, data| Abd::open(peers, data, writes_back))
    }
}

/// The order of writes: by number, then by writer and the writer's own counter.
type Tag = (u64, String, u64);

/// A value with its tag.
type Tagged = (Tag, Value);

/// Marks the files of this protocol.
const MAGIC: Magic = *b"ABD1";

/// A node that does not answer in this time is skipped.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(150);

/// A request from one node to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PeerRequest {
    Query(Value),
    Store(Value, Tagged),
}

/// One node.
pub(crate) struct Abd {
    peers: Peers<PeerRequest, Tagged>,
    replica: Mutex<Replica>,
    writes_back: bool,
}

/// The values of one node, in memory and on disk.
struct Replica {
    values: BTreeMap<Value, Tagged>,
    wal: Wal,
}

impl Replica {
    fn open(data: &Path) -> io::Result<Self> {
        let Found { wal, batches, .. } =
            Wal::open::<(), (Value, Tagged)>(data, MAGIC).map_err(io::Error::other)?;
        // The batches are in the order of their tags.
        Ok(Replica { values: batches.into_iter().collect(), wal })
    }

    fn get(&self, key: &Value) -> Tagged {
        self.values.get(key).cloned().unwrap_or_default()
    }

    /// Keeps a value if its tag is newer. The value is on disk before any reply.
    fn store(&mut self, key: Value, tagged: Tagged) -> io::Result<()> {
        if self.values.get(&key).is_none_or(|(tag, _)| *tag < tagged.0) {
            self.wal.store(&(&key, &tagged))?;
            self.values.insert(key, tagged);
        }
        Ok(())
    }
}

impl Abd {
    fn open(peers: Peers<PeerRequest, Tagged>, data: &Path, writes_back: bool) -> io::Result<Self> {
        Ok(Abd { peers, replica: Mutex::new(Replica::open(data)?), writes_back })
    }

    fn execute(&self, request: &PeerRequest) -> Tagged {
        let mut replica = self.replica.lock().expect("nobody panics while holding it");
        match request {
            PeerRequest::Query(key) => replica.get(key),
            PeerRequest::Store(key, tagged) => {
                if let Err(error) = replica.store(key.clone(), tagged.clone()) {
                    crate::logging::log(format_args!("error: cannot write: {error}"));
                    std::process::exit(3);
                }
                tagged.clone()
            }
        }
    }

    /// Queries one node after another, this one first, until a majority has answered.
    async fn majority(&self, request: PeerRequest) -> Option<Vec<Tagged>> {
        let mut answers = vec![self.execute(&request)];
        for peer in self.peers.in_turn() {
            if answers.len() == self.peers.majority() {
                break;
            }
            answers.extend(self.peers.call(peer, request.clone(), RESPONSE_TIMEOUT).await);
        }
        (answers.len() == self.peers.majority()).then_some(answers)
    }

    async fn read(&self, key: Value) -> Option<Value> {
        let found = self.majority(PeerRequest::Query(key.clone())).await?;
        let newest = found.iter().max()?.clone();
        if self.writes_back && found.iter().any(|tagged| *tagged != newest) {
            self.majority(PeerRequest::Store(key, newest.clone())).await?;
        }
        Some(newest.1)
    }
}

impl Service for Abd {
    type PeerRequest = PeerRequest;
    type PeerResponse = Tagged;

    async fn request(&self, Command { client, seq, op }: Command) -> Outcome {
        match op.verb {
            Verb::Read => match self.read(op.key).await {
                Some(value) => Outcome::Ok(value.to_json()),
                None => Outcome::Fail("no majority answered".into()),
            },
            Verb::Write => {
                let Some(found) = self.majority(PeerRequest::Query(op.key.clone())).await else {
                    return Outcome::Fail("no majority answered".into());
                };
                let newest = found.into_iter().map(|((number, ..), _)| number).max().unwrap_or(0);
                let tagged = ((newest + 1, client.to_string(), seq), op.value);
                match self.majority(PeerRequest::Store(op.key, tagged)).await {
                    Some(_) => Outcome::Ok(serde_json::Value::Null),
                    None => Outcome::Info("no majority confirmed".into()),
                }
            }
            _ => Outcome::Fail("this system reads and writes, no more".into()),
        }
    }

    async fn answer(&self, _: &str, request: PeerRequest) -> Tagged {
        self.execute(&request)
    }

    /// There is no leader: all nodes are equal.
    fn leader(&self) -> Option<(String, u64)> {
        Some((self.peers.me.clone(), 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(number: u64, value: i64) -> Tagged {
        ((number, "c1".into(), 1), value.into())
    }

    #[test]
    fn the_newest_value_is_kept_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("values");
        let mut replica = Replica::open(&path).unwrap();
        assert_eq!(replica.get(&"k".into()), Tagged::default());
        replica.store("k".into(), tagged(2, 20)).unwrap();
        replica.store("k".into(), tagged(1, 10)).unwrap();
        assert_eq!(replica.get(&"k".into()), tagged(2, 20));
        let mut replica = Replica::open(&path).unwrap();
        assert_eq!(replica.get(&"k".into()), tagged(2, 20));
        replica.store("k".into(), tagged(3, 30)).unwrap();
        assert_eq!(Replica::open(&path).unwrap().get(&"k".into()), tagged(3, 30));
    }

    use crate::rpc::test_cluster::{LATENCY, TestCluster};

    fn cluster(writes_back: bool) -> TestCluster<Abd> {
        TestCluster::new(move |peers, data| Abd::open(peers, data, writes_back))
    }

    #[tokio::test(start_paused = true)]
    async fn a_majority_is_enough_and_less_is_not() {
        let mut cluster = cluster(true);
        cluster.ok("n1", "write", 1).await;
        cluster.crash("n1");
        cluster.ok("n2", "write", 2).await;
        assert_eq!(cluster.ok("n3", "read", ()).await, 2);
        cluster.start("n1");
        assert_eq!(cluster.reads().await, [2, 2, 2]);
        cluster.cut_off("n3");
        for (f, value) in [("read", None), ("write", Some(3))] {
            assert!(matches!(cluster.request("n3", "c", f, value).await, Outcome::Fail(_)), "{f}");
        }
    }

    /// A write that reached only one node is seen by one read and missed by the next, unless the first reader
    /// stores what it has seen.
    #[tokio::test(start_paused = true)]
    async fn without_the_second_phase_reads_go_from_new_to_old() {
        for (writes_back, second) in [(true, 2), (false, 1)] {
            let cluster = cluster(writes_back);
            cluster.ok("n3", "write", 1).await;
            cluster.ok("n2", "read", ()).await;
            let cut = async {
                // By now the node knows its tag and has stored the value locally.
                tokio::time::sleep(LATENCY * 5 / 2).await;
                cluster.cut_off("n1");
            };
            let written = tokio::join!(cluster.request("n1", "c", "write", 2), cut).0;
            assert!(matches!(written, Outcome::Info(_)), "{written:?}");
            cluster.heal();
            assert_eq!(cluster.ok("n1", "read", ()).await, 2);
            assert_eq!(cluster.ok("n2", "read", ()).await, second, "writes back: {writes_back}");
        }
    }
}
