//! The oracle `recovery`: once all faults are healed, what has ever succeeded through a node succeeds through it
//! again.
//!
//! The clients go on with the workload, without faults, until each kind of operation has succeeded again
//! through each node through which it has before. So these operations are part of the history, and the closing state that
//! the final reads judge is that of a cluster that works.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;
use tribunal_records::oracles::Oracle;
use tribunal_records::quantity::duration_text;

use crate::cluster::Cluster;
use crate::controller::{Controller, Due};
use crate::oracles::Oracles;
use crate::waits::runnable_for;

/// Waits for a CPU do not count, up to this multiple of the limit.
const SLOWDOWN_MAX: u32 = 10;

/// Waits, at most for `limit`, until all nodes are ready, then until what has succeeded through each node has
/// succeeded again.
/// Returns at once when `stop` is cancelled.
///
/// # Errors
/// When the history cannot be written.
pub(crate) async fn await_recovery(
    controller: &Arc<Controller>,
    oracles: &Oracles,
    limit: Duration,
    stop: &CancellationToken,
) -> Result<()> {
    let cluster = &controller.cluster;
    let over = runnable_for(cluster, limit, limit * SLOWDOWN_MAX);
    tokio::pin!(over);
    let had_time = tokio::select! {
        _ = cluster.ready(limit * SLOWDOWN_MAX) => None,
        had_time = &mut over => Some(had_time),
        () = stop.cancelled() => return Ok(()),
    };
    if let Some(had_time) = had_time {
        let unready = cluster.unready().await;
        // They may be ready by now.
        if !unready.is_empty() {
            conclude(oracles, limit, had_time, "is not ready", unready);
            return Ok(());
        }
    }
    let end = stop.child_token();
    let probing = controller.probe(&end);
    tokio::pin!(probing);
    let had_time = tokio::select! {
        answered = &mut probing => {
            oracles.looked(Oracle::Recovery, answered?, "kinds of operation through a node");
            return Ok(());
        }
        had_time = &mut over, if had_time.is_none() => had_time,
    };
    let missing = controller.missing();
    end.cancel();
    let answered = probing.await?;
    if !stop.is_cancelled() && !missing.is_empty() {
        let silent = silent(cluster, &missing);
        conclude(oracles, limit, had_time, "does not serve", silent);
    }
    oracles.looked(Oracle::Recovery, answered, "kinds of operation through a node");
    Ok(())
}

/// For each node, or for the cluster, the kinds of operation that did not succeed through it.
fn silent(cluster: &Cluster, missing: &[Due]) -> Vec<(String, String)> {
    let names = cluster.nodes.iter().map(|node| node.place.name.clone()).enumerate();
    let all = names.map(|(at, name)| (Some(at), name)).chain([(None, "the cluster".to_string())]);
    let each = all.filter_map(|(at, name)| {
        let kinds: Vec<&str> =
            missing.iter().filter(|(node, _)| *node == at).map(|(_, f)| f.name()).collect();
        (!kinds.is_empty()).then(|| (name, kinds.join(", ")))
    });
    each.collect()
}

/// Reports the nodes that did not recover, each with what it lacks.
fn conclude(oracles: &Oracles, limit: Duration, had_time: bool, what: &str, nodes: Vec<(String, String)>) {
    if !had_time {
        return oracles.cannot_look(Oracle::Recovery, "the nodes got too little processor time to recover");
    }
    let names: Vec<&str> = nodes.iter().map(|(node, _)| node.as_str()).collect();
    let (first, lacks) = &nodes[0];
    let more = match nodes.len() {
        1 => String::new(),
        n => format!(", and so for {} more node{}", n - 1, if n == 2 { "" } else { "s" }),
    };
    let lacks = lacks.lines().next().unwrap_or_default();
    let sentence =
        format!("{first} {what} {} after all faults were healed: {lacks}{more}", duration_text(limit));
    let evidence =
        nodes.iter().flat_map(|(node, lacks)| lacks.lines().map(move |line| format!("{node}: {line}")));
    oracles.find(Oracle::Recovery, &names, sentence, evidence.collect(), None);
}
