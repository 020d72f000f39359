//! Random schedules; see [`crate::replica::simulator`]. Properties beyond those of every protocol:
//!
//! - *One transaction per zxid*: a zxid identifies the same transaction on every node.
//! - *One leader per epoch*.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chacha20::ChaCha8Rng;

use super::bug::Bug;
use super::core::{Config, Core, Notice, Stored};
use super::message::{Epoch, Record, Snapshot, Txn, Zxid};
use crate::replica::journal::Write;
use crate::replica::simulated::Simulated;
use crate::replica::simulator::{Simulator, every_bug_names_its_rule, expect_safe, expect_unsafe, seeds};
use crate::replica::{Payload, Time};

#[derive(Default)]
pub(crate) struct Observations {
    txns: HashMap<Zxid, Payload>,
    leaders: BTreeMap<Epoch, usize>,
}

impl Simulated for Core {
    type Stored = Stored;
    type Observations = Observations;

    fn store(stored: &mut Stored, write: Write<Snapshot, Record>) {
        stored.snapshot = write.restart.or(stored.snapshot.take());
        stored.take(write.record);
    }

    fn snapshot(stored: &Stored) -> Option<Arc<[u8]>> {
        stored.snapshot.as_ref().map(|snapshot| snapshot.data.clone())
    }

    fn start(config: Config, mut stored: Stored, rng: ChaCha8Rng, now: Time) -> Self {
        stored.reconcile();
        Core::new(config, stored, rng, now)
    }

    fn check_invariants(
        &self,
        node: usize,
        notices: &[Notice],
        _: &[Txn],
        observations: &mut Observations,
    ) -> Result<(), String> {
        for notice in notices {
            if let Notice::Established { epoch, .. } = notice
                && *observations.leaders.entry(*epoch).or_insert(node) != node
            {
                return Err(format!("One Leader per Epoch: {epoch} has two"));
            }
        }
        for txn in self.history.after(Zxid::START) {
            let known = observations.txns.entry(txn.at).or_insert_with(|| txn.payload.clone());
            if *known != txn.payload {
                return Err(format!("One Transaction per Zxid: {txn:?}, not {known:?}"));
            }
        }
        Ok(())
    }
}

#[test]
fn every_schedule_is_safe_and_the_healed_cluster_agrees() {
    let mut epochs = 0;
    expect_safe(|simulator: &Simulator<Core>| epochs += simulator.observations.leaders.len() as u64);
    assert!(epochs > 2 * seeds(), "{epochs} leaders established");
}

#[test]
fn the_simulator_convicts_the_bugs() {
    expect_unsafe::<Core>(&[
        (Bug::SkipSync, &["State Machine Safety"]),
        (Bug::ElectWithoutHighestZxid, &["State Machine Safety"]),
        (Bug::AckBeforeLog, &["State Machine Safety"]),
    ]);
}

#[test]
fn every_bug_has_a_rule() {
    every_bug_names_its_rule::<Bug>("section");
}
