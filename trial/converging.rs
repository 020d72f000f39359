//! Waits until the nodes of an eventually consistent system have settled, since such a system is judged by
//! its final state. The nodes have settled when they all show the same, or when their answers have not
//! changed for `--settle`.
//!
//! Time in which a node, or Tribunal itself, waits for a CPU does not count: on an overloaded machine
//! everything is slow. Nodes that still change after [`SETTLE_MAX`] have no final state to judge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tribunal_checker::op::Value;

use crate::controller::Controller;
use crate::waits::Waits;

/// Pause between two samples of the nodes' state.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum time to wait for the nodes to settle, in addition to `--settle`.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// Returns `Ok(Ok(()))` when the nodes have settled or `stop` is cancelled; `Ok(Err(elapsed))` if they have
/// not settled by [`SETTLE_MAX`].
///
/// # Errors
/// When the history cannot be written.
pub(crate) async fn await_settled(
    controller: &Arc<Controller>,
    settle: Duration,
    stop: &CancellationToken,
) -> Result<Result<(), Duration>> {
    let began = Instant::now();
    let pause = async |time| tokio::select! { () = sleep(time) => {}, () = stop.cancelled() => {} };
    pause(settle).await;
    let (keys, mut samplers) = (controller.final_read_keys(), controller.samplers());
    let (mut settling, mut last, mut waits) =
        (Settling::new(settle), Instant::now(), Waits::of_run(&controller.cluster));
    while !stop.is_cancelled() {
        let shown = controller.sample(&mut samplers, stop).await?;
        let (now, waits_now) = (Instant::now(), Waits::of_run(&controller.cluster));
        let runnable_time = (now - last).saturating_sub(waits_now.longest_since(&waits));
        (last, waits) = (now, waits_now);
        if settling.sample(keys, shown, runnable_time) {
            break;
        }
        if began.elapsed() >= settle + SETTLE_MAX {
            return Ok(Err(began.elapsed()));
        }
        pause(PAUSE).await;
    }
    Ok(Ok(()))
}

/// What one node shows, by key. A key whose read was not answered is missing.
pub(crate) type Shown = BTreeMap<Value, Value>;

/// Progress of the nodes towards a settled state. Pure.
struct Settling {
    settle: Duration,
    before: Vec<Shown>,
    quiet: Duration,
}

impl Settling {
    /// `settle`: how long nothing may change before the nodes count as settled.
    fn new(settle: Duration) -> Settling {
        Settling { settle, before: Vec::new(), quiet: Duration::ZERO }
    }

    /// Takes a sample of what the nodes show, and returns whether they have settled. `keys`: number of keys
    /// that were read. `runnable_time`: time since the last sample, without the time spent waiting for a CPU.
    fn sample(&mut self, keys: usize, shown: Vec<Shown>, runnable_time: Duration) -> bool {
        let shown: Vec<Shown> = shown.into_iter().map(sorted).collect();
        if shown.iter().all(|node| node.len() == keys && *node == shown[0]) {
            return true;
        }
        self.quiet = if shown == self.before { self.quiet + runnable_time } else { Duration::ZERO };
        self.before = shown;
        self.quiet >= self.settle
    }
}

/// Sorts the elements: two nodes may show the same ones in a different order.
fn sorted(shown: Shown) -> Shown {
    let sort = |value| match value {
        Value::List(items) => {
            Value::List(items.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect())
        }
        other => other,
    };
    shown.into_iter().map(|(key, value)| (key, sort(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Nodes that show these elements of one key; `-`: no answer.
    fn nodes(text: &str) -> Vec<Shown> {
        let elements = |node: &str| Value::List(node.split(',').map(Value::str).collect());
        let shown = |node: &str| match node {
            "-" => Shown::new(),
            _ => Shown::from([(Value::str("k"), elements(node))]),
        };
        text.split(' ').map(shown).collect()
    }

    /// Takes one sample a second until the nodes have settled; returns the number of samples.
    fn samples(settle: u32, runnable_time: Duration, samples: &[&str]) -> Option<usize> {
        let mut settling = Settling::new(SECOND * settle);
        samples.iter().position(|sample| settling.sample(1, nodes(sample), runnable_time)).map(|at| at + 1)
    }

    #[test]
    fn nodes_have_settled_when_they_show_the_same() {
        assert_eq!(samples(3, SECOND, &["a a,b", "a,b b,a"]), Some(2), "in whatever order");
        assert_eq!(
            samples(3, SECOND, &["- -", "- -", "- -", "- -"]),
            Some(4),
            "no answer is nothing to agree on"
        );
    }

    #[test]
    fn nodes_that_still_change_have_not_settled() {
        let learning =
            ["a,b,c,d,e x", "a,b,c,d,e a", "a,b,c,d,e a,b", "a,b,c,d,e a,b,c", "a,b,c,d,e a,b,c,d"];
        assert_eq!(samples(2, SECOND, &learning), None);
        assert_eq!(
            samples(2, SECOND, &["a b", "a b", "a b", "a a"]),
            Some(3),
            "nothing has changed for long enough"
        );
        assert_eq!(
            samples(2, SECOND / 4, &["a b"; 20]),
            Some(9),
            "on a machine that is too busy that takes longer"
        );
        assert_eq!(samples(2, Duration::ZERO, &["a b"; 20]), None);
    }
}
