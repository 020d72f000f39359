//! A lock with a time to live, and no fencing token.
//!
//! One node, the first by name, stores the holder and the expiry of every lock; the other nodes forward
//! requests to it. A lock that is not released expires after [`TTL`], so that a crashed client does not hold
//! it for ever.
//!
//! **The rule that is broken:** the holder must not act on an expired lease, but it does not learn of the
//! expiry: it may be paused, or its work may take longer. The protected resource must refuse late requests,
//! which needs a token that grows with every acquire (Kleppmann, "How to do distributed locking", 2016; Gray
//! and Cheriton, "Leases", SOSP 1989).
//!
//! **How it shows:** a client acquires a lock that its holder has not released, without any fault. Workload
//! `lock`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::machine::{Command, Verb};
use crate::rpc::{Peers, Service};
use crate::value::Value;
use crate::wire::Outcome;

/// The time until a lock expires.
const TTL: Duration = Duration::from_millis(500);

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// One node.
pub(crate) struct TtlLock {
    peers: Peers<Command, Option<bool>>,
    /// Holder and expiry of each lock. Only the first node uses it, and loses it in a crash.
    held: Mutex<BTreeMap<Value, (Arc<str>, Instant)>>,
}

impl TtlLock {
    pub(crate) fn open(peers: Peers<Command, Option<bool>>, _: &Path) -> io::Result<Self> {
        Ok(TtlLock { peers, held: Mutex::default() })
    }

    /// Whether the lock was acquired, or released; `None` for an operation that is not of a lock.
    fn execute(&self, Command { client, op, .. }: Command) -> Option<bool> {
        let mut held = self.held.lock().expect("nobody panics while holding it");
        let now = Instant::now();
        // The bug: the lock expires, and its holder does not learn of it.
        held.retain(|_, (_, until)| now < *until);
        match op.verb {
            Verb::Acquire if held.contains_key(&op.key) => Some(false),
            Verb::Acquire => {
                held.insert(op.key, (client, now + TTL));
                Some(true)
            }
            Verb::Release => {
                let holds = held.get(&op.key).is_some_and(|(owner, _)| *owner == client);
                if holds {
                    held.remove(&op.key);
                }
                Some(holds)
            }
            _ => None,
        }
    }
}

impl Service for TtlLock {
    type PeerRequest = Command;
    type PeerResponse = Option<bool>;

    async fn request(&self, command: Command) -> Outcome {
        let done = match self.peers.first() {
            server if server == self.peers.me => Some(self.execute(command)),
            server => self.peers.call(server, command, RESPONSE_TIMEOUT).await,
        };
        match done {
            Some(Some(done)) => Outcome::Ok(done.into()),
            Some(None) => Outcome::Fail("this system only locks".into()),
            None => Outcome::Info("the lock server did not answer".into()),
        }
    }

    async fn answer(&self, _: &str, command: Command) -> Option<bool> {
        self.execute(command)
    }

    fn leader(&self) -> Option<(String, u64)> {
        Some((self.peers.first().to_owned(), 1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rpc::test_cluster::TestCluster;

    #[tokio::test(start_paused = true)]
    async fn a_lock_excludes_others_until_it_expires() {
        let cluster = TestCluster::new(TtlLock::open);
        for (node, client, f, done) in [
            ("n1", "a", "acquire", true),
            ("n2", "b", "acquire", false),
            ("n3", "b", "release", false),
            ("n2", "a", "release", true),
            ("n3", "b", "acquire", true),
        ] {
            assert_eq!(cluster.request(node, client, f, ()).await, Outcome::Ok(json!(done)), "{client}: {f}");
        }
        tokio::time::sleep(TTL).await;
        // The holder does not know that its lock expired.
        assert_eq!(cluster.request("n1", "a", "acquire", ()).await, Outcome::Ok(json!(true)));
        assert_eq!(cluster.request("n3", "b", "release", ()).await, Outcome::Ok(json!(false)));
    }
}
