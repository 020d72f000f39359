//! What operators ask of a cluster: other members, another leader.
//!
//! A request goes to whoever believes to lead, the most credible first, until one has begun it; whether it came to anything
//! is then seen in what the nodes say of themselves. A change may well be refused because another is under way, or lost with
//! its leader: it is asked for again, for a while.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tribunal_nemesis::{NodeId, Nodes as _};
use tribunal_systems::Operation;

use super::Cluster;

/// How long a member may take to go, or a leader to change: under a fault it may never.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long one may take to come back: all must, in the end.
const PATIENCE_TO_ADD: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// What operators have to remember.
#[derive(Debug, Default)]
pub(super) struct Operators {
    /// The nodes that may be no members.
    removed: Mutex<BTreeSet<NodeId>>,
}

impl Operators {
    pub(super) async fn set_member(
        &self,
        cluster: &Cluster,
        node: NodeId,
        member: bool,
    ) -> Result<bool, String> {
        let name = &cluster.nodes[node.0].place.name;
        let removed = || self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        if !member {
            removed().insert(node);
        }
        let (operation, patience) = match member {
            true => (Operation::Add(name), PATIENCE_TO_ADD),
            false => (Operation::Remove(name), PATIENCE),
        };
        let done = ask(cluster, operation, patience).await;
        match done {
            Ok(false) if member => Err("not agreed upon".to_owned()),
            Ok(true) if member => {
                removed().remove(&node);
                Ok(true)
            }
            done => done,
        }
    }

    pub(super) async fn complete(&self, cluster: &Cluster) -> Result<(), String> {
        let removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for node in removed {
            self.set_member(cluster, node, true).await?;
        }
        Ok(())
    }
}

pub(super) async fn transfer(cluster: &Cluster, to: NodeId) -> Result<bool, String> {
    let name = &cluster.nodes[to.0].place.name;
    ask(cluster, Operation::Transfer(name), PATIENCE).await
}

/// Whether a leader knows that it is done.
async fn is_done(cluster: &Cluster, leader: NodeId, operation: Operation<'_>) -> bool {
    let place = &cluster.nodes[leader.0].place;
    let members = || cluster.system.members(place);
    match operation {
        Operation::Add(name) => members().await.is_some_and(|all| all.iter().any(|member| member == name)),
        Operation::Remove(name) => members().await.is_some_and(|all| all.iter().all(|member| member != name)),
        Operation::Transfer(name) => place.name == name && cluster.system.leads(place).await.is_some(),
    }
}

/// Asks those that lead until it is done; false if that takes too long.
async fn ask(cluster: &Cluster, operation: Operation<'_>, patience: Duration) -> Result<bool, String> {
    let deadline = Instant::now() + patience;
    let mut last = Err("no leader is known".to_owned());
    while Instant::now() < deadline {
        for leader in cluster.primaries().await {
            match cluster.system.operate(&cluster.nodes[leader.0].place, operation).await {
                Ok(()) if is_done(cluster, leader, operation).await => return Ok(true),
                // Begun, or refused for now: an answer.
                _ => last = Ok(false),
            }
        }
        sleep(PAUSE).await;
    }
    last
}
