//! Operator requests to a cluster: membership changes and leadership transfers.
//!
//! A request is sent to the nodes that claim leadership, most credible first, until one accepts it. Whether
//! it took effect is then read from the nodes' status. A change may be refused because another one is in
//! progress, or be lost with its leader, so it is retried for a while.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tribunal_nemesis::{NodeId, Nodes as _};
use tribunal_systems::AdminRequest;

use super::Cluster;
use crate::lock::locked;

/// Timeout of a request during the faults: under another fault it may never succeed, and all later faults wait
/// for it.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout of adding a member after the faults: in the end, all nodes must be members again.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// State between requests.
#[derive(Debug, Default)]
pub(super) struct Operators {
    /// Nodes that may have been removed from the membership.
    removed: Mutex<BTreeSet<NodeId>>,
    /// Those of them that no leader agreed to add when their fault ended.
    owed: Mutex<BTreeSet<NodeId>>,
}

impl Operators {
    pub(super) async fn set_member(
        &self,
        cluster: &Cluster,
        node: NodeId,
        member: bool,
    ) -> Result<bool, String> {
        if member {
            let added = self.add(cluster, node, TIMEOUT).await;
            if added.is_err() {
                locked(&self.owed).insert(node);
            }
            return Ok(added == Ok(Outcome::Changed));
        }
        locked(&self.removed).insert(node);
        locked(&self.owed).remove(&node);
        let name = &cluster.nodes[node.0].place.name;
        Ok(request(cluster, AdminRequest::Remove(name), TIMEOUT).await? == Outcome::Changed)
    }

    async fn add(&self, cluster: &Cluster, node: NodeId, timeout: Duration) -> Result<Outcome, String> {
        let name = &cluster.nodes[node.0].place.name;
        match request(cluster, AdminRequest::Add(name), timeout).await? {
            Outcome::Refused => Err("not agreed upon".to_owned()),
            added => {
                locked(&self.removed).remove(&node);
                locked(&self.owed).remove(&node);
                Ok(added)
            }
        }
    }

    pub(super) async fn add_owed(&self, cluster: &Cluster) {
        let owed = locked(&self.owed).clone();
        for node in owed {
            // If it fails again, it is still owed.
            let _ = self.add(cluster, node, TIMEOUT).await;
        }
    }

    pub(super) async fn restore_members(&self, cluster: &Cluster) -> Result<(), String> {
        let removed = locked(&self.removed).clone();
        for node in removed {
            self.add(cluster, node, RESTORE_TIMEOUT).await?;
        }
        Ok(())
    }
}

pub(super) async fn transfer_leadership(cluster: &Cluster, to: NodeId) -> Result<bool, String> {
    let name = &cluster.nodes[to.0].place.name;
    Ok(request(cluster, AdminRequest::Transfer(name), TIMEOUT).await? == Outcome::Changed)
}

/// Result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The change took effect.
    Changed,
    /// The cluster was in the requested state before.
    Unchanged,
    /// The change did not happen within the timeout.
    Refused,
}

/// Whether a leader confirms the requested state.
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

/// Sends a request to the leaders until it takes effect, or until the timeout.
async fn request(
    cluster: &Cluster,
    operation: AdminRequest<'_>,
    timeout: Duration,
) -> Result<Outcome, String> {
    let deadline = Instant::now() + timeout;
    let mut last = Err("no leader is known".to_owned());
    // According to the first leader, before it got the request.
    let mut was_done = None;
    while Instant::now() < deadline {
        for leader in cluster.primaries().await {
            if was_done.is_none() {
                was_done = Some(is_done(cluster, leader, operation).await);
            }
            match cluster.system.operate(&cluster.nodes[leader.0].place, operation).await {
                Ok(()) if is_done(cluster, leader, operation).await => {
                    return Ok(if was_done == Some(true) { Outcome::Unchanged } else { Outcome::Changed });
                }
                // Accepted or refused: the request was answered.
                _ => last = Ok(Outcome::Refused),
            }
        }
        sleep(PAUSE).await;
    }
    last
}
