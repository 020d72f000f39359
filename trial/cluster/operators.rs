//! What operators ask of a cluster: other members, another leader.
//!
//! A request goes to whoever believes to lead, the most credible first, until one has begun it; whether it came to anything
//! is then seen in what the nodes say of themselves. A change may well be refused because another is under way, or lost with
//! its leader: it is asked for again, for a while.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tribunal_nemesis::{NodeId, Nodes as _};
use tribunal_systems::AdminRequest;

use super::Cluster;
use crate::lock::locked;

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
        let removed = || locked(&self.removed);
        if !member {
            removed().insert(node);
        }
        let (operation, patience) = match member {
            true => (AdminRequest::Add(name), PATIENCE_TO_ADD),
            false => (AdminRequest::Remove(name), PATIENCE),
        };
        let end = ask(cluster, operation, patience).await?;
        match end {
            End::Refused if member => return Err("not agreed upon".to_owned()),
            End::Changed | End::WasSo if member => drop(removed().remove(&node)),
            _ => {}
        }
        Ok(end == End::Changed)
    }

    pub(super) async fn complete(&self, cluster: &Cluster) -> Result<(), String> {
        let removed = locked(&self.removed).clone();
        for node in removed {
            self.set_member(cluster, node, true).await?;
        }
        Ok(())
    }
}

pub(super) async fn transfer(cluster: &Cluster, to: NodeId) -> Result<bool, String> {
    let name = &cluster.nodes[to.0].place.name;
    Ok(ask(cluster, AdminRequest::Transfer(name), PATIENCE).await? == End::Changed)
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is done, and was not before.
    Changed,
    /// It was so before it was asked for.
    WasSo,
    /// It was not done in time.
    Refused,
}

/// Whether a leader knows that it is done.
async fn is_done(cluster: &Cluster, leader: NodeId, operation: AdminRequest<'_>) -> bool {
    let place = &cluster.nodes[leader.0].place;
    let members = || cluster.system.members(place);
    match operation {
        AdminRequest::Add(name) => members().await.is_some_and(|all| all.iter().any(|member| member == name)),
        AdminRequest::Remove(name) => {
            members().await.is_some_and(|all| all.iter().all(|member| member != name))
        }
        AdminRequest::Transfer(name) => place.name == name && cluster.system.leads(place).await.is_some(),
    }
}

/// Asks those that lead until it is done, or for as long as one is patient.
async fn ask(cluster: &Cluster, operation: AdminRequest<'_>, patience: Duration) -> Result<End, String> {
    let deadline = Instant::now() + patience;
    let mut last = Err("no leader is known".to_owned());
    // As the first of them knew before it was asked.
    let mut was_so = None;
    while Instant::now() < deadline {
        for leader in cluster.primaries().await {
            if was_so.is_none() {
                was_so = Some(is_done(cluster, leader, operation).await);
            }
            match cluster.system.operate(&cluster.nodes[leader.0].place, operation).await {
                Ok(()) if is_done(cluster, leader, operation).await => {
                    return Ok(if was_so == Some(true) { End::WasSo } else { End::Changed });
                }
                // Begun, or refused for now: an answer.
                _ => last = Ok(End::Refused),
            }
        }
        sleep(PAUSE).await;
    }
    last
}
