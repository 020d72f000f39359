//! The closing phase: one node after the other leads, and all keys are read under each.
//!
//! Nodes that forward reads to their leader hide what the others hold. So the leader is cut off, without a
//! restart that would wipe what went wrong in memory, until another node leads; then the links are healed, and
//! the final reads are sent again.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tribunal_nemesis::{CutMode, Links, NodeId, Nodes};

use crate::cluster::Cluster;

/// How long the others may take to elect a leader.
const ELECTION_MAX: Duration = Duration::from_secs(5);

/// How many elections there may be for each node: a node that has led may win again.
const ELECTIONS_PER_NODE: usize = 2;

/// How often the nodes are asked who leads.
const POLL: Duration = Duration::from_millis(50);

/// What the phase works on, and when it ends.
pub(crate) struct Closing<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) links: &'a Links,
    pub(crate) until: Instant,
    pub(crate) stop: &'a CancellationToken,
}

impl Closing<'_> {
    /// Calls `read` under each leader that comes up, the present one excepted: the final reads have been sent
    /// under it. Returns the nodes that have led, that one included; all links are whole afterwards.
    ///
    /// # Errors
    /// That of `read`.
    pub(crate) async fn read_under_each_leader<E>(
        &self,
        mut read: impl AsyncFnMut() -> Result<(), E>,
    ) -> Result<BTreeSet<NodeId>, E> {
        let nodes = self.cluster.count();
        let Some(mut leader) = self.leader(None).await else { return Ok(BTreeSet::new()) };
        let mut led = BTreeSet::from([leader]);
        for _ in 0..nodes * ELECTIONS_PER_NODE {
            if led.len() == nodes || self.is_over() {
                break;
            }
            self.isolate(leader, true);
            let next = self.leader(Some(leader)).await;
            self.isolate(leader, false);
            let Some(next) = next else { break };
            leader = next;
            if led.insert(leader) {
                read().await?;
            }
        }
        Ok(led)
    }

    /// The node that leads, once another one than `before` does; `None` if none comes up in time.
    async fn leader(&self, before: Option<NodeId>) -> Option<NodeId> {
        let until = self.until.min(Instant::now() + ELECTION_MAX);
        loop {
            // The one with the highest term: a leader that was cut off does not know of its successor.
            let leader = self.cluster.leaders().await.first().map(|(leader, _)| *leader);
            if leader.is_some() && leader != before {
                return leader;
            }
            if Instant::now() >= until || self.stop.is_cancelled() {
                return None;
            }
            sleep(POLL).await;
        }
    }

    fn isolate(&self, node: NodeId, cut: bool) {
        for other in (0..self.cluster.count()).map(NodeId).filter(|other| *other != node) {
            for (from, to) in [(node, other), (other, node)] {
                match cut {
                    true => self.links.cut(from, to, CutMode::Stall),
                    false => self.links.heal(from, to),
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.stop.is_cancelled()
    }
}
