//! Order numbers as `last_id + 1`.
//!
//! One node, the first by name, is the database: it keeps the last number under each key. Every node is an
//! application server: for an order number it reads the last one, adds one, and writes it back.
//!
//! **The rule that is broken:** a read-modify-write must be atomic. Between the read and the write another
//! client can read the same number: a lost update (Berenson et al., "A Critique of ANSI SQL Isolation
//! Levels", SIGMOD 1995, P4).
//!
//! **How it shows:** two clients get the same number, within milliseconds and without any fault; sometimes a
//! later client gets a smaller number. Workloads `order-ids` and `unique-ids`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine::{Command, Verb};
use crate::rpc::{Peers, Service};
use crate::value::Value;
use crate::wire::Outcome;

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A request to the database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Query {
    Select(Value),
    Update(Value, i64),
}

/// One node.
pub(crate) struct LastId {
    peers: Peers<Query, i64>,
    /// The last number under each key; only the database uses it.
    last: Mutex<BTreeMap<Value, i64>>,
}

impl LastId {
    pub(crate) fn open(peers: Peers<Query, i64>, _: &Path) -> io::Result<Self> {
        Ok(LastId { peers, last: Mutex::default() })
    }

    fn execute(&self, query: Query) -> i64 {
        let mut last = self.last.lock().expect("nobody panics while holding it");
        match query {
            Query::Select(key) => last.get(&key).copied().unwrap_or(0),
            Query::Update(key, number) => {
                last.insert(key, number);
                number
            }
        }
    }

    async fn query(&self, query: Query) -> Option<i64> {
        match self.peers.first() {
            database if database == self.peers.me => Some(self.execute(query)),
            database => self.peers.call(database, query, RESPONSE_TIMEOUT).await,
        }
    }
}

impl Service for LastId {
    type PeerRequest = Query;
    type PeerResponse = i64;

    async fn request(&self, Command { op, .. }: Command) -> Outcome {
        if op.verb != Verb::Generate {
            return Outcome::Fail("this system only generates numbers".into());
        }
        let Some(last) = self.query(Query::Select(op.key.clone())).await else {
            return Outcome::Fail("the database does not answer".into());
        };
        // The bug: another node can do the same between the read and the write.
        match self.query(Query::Update(op.key, last + 1)).await {
            Some(number) => Outcome::Ok(number.into()),
            None => Outcome::Info("the database did not confirm".into()),
        }
    }

    async fn answer(&self, _: &str, query: Query) -> i64 {
        self.execute(query)
    }

    fn leader(&self) -> Option<(String, u64)> {
        Some((self.peers.first().to_owned(), 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::test_cluster::TestCluster;

    #[tokio::test(start_paused = true)]
    async fn numbers_grow_one_after_another_and_two_who_ask_at_once_get_the_same() {
        let cluster = TestCluster::new(LastId::open);
        for (node, number) in [("n1", 1), ("n2", 2), ("n3", 3)] {
            assert_eq!(cluster.ok(node, "generate", ()).await, number);
        }
        let both = tokio::join!(cluster.ok("n2", "generate", ()), cluster.ok("n3", "generate", ()));
        assert_eq!(both, (4.into(), 4.into()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_database_nothing_happens() {
        let mut cluster = TestCluster::new(LastId::open);
        cluster.crash("n1");
        assert!(!matches!(cluster.request("n2", "c", "generate", ()).await, Outcome::Ok(_)));
        assert!(matches!(cluster.request("n2", "c", "read", ()).await, Outcome::Fail(_)));
    }
}
