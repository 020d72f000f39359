//! Random schedules; see [`crate::replica::simulator`]. A property beyond those of every protocol:
//!
//! - *One proposal per number*: in a slot, no two acceptors have accepted different values in one ballot.

use std::collections::HashMap;
use std::sync::Arc;

use chacha20::ChaCha8Rng;

use super::bug::Bug;
use super::core::{Config, Core, Notice, Stored};
use super::message::{Ballot, Record, Slot, Snapshot};
use crate::replica::journal::Write;
use crate::replica::simulated::Simulated;
use crate::replica::simulator::{Simulator, every_bug_names_its_rule, expect_safe, expect_unsafe, seeds};
use crate::replica::{Entry, Payload, Time};

#[derive(Default)]
pub(crate) struct Observations {
    proposals: HashMap<(Slot, Ballot), Payload>,
    led: u64,
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

    fn start(config: Config, stored: Stored, rng: ChaCha8Rng, now: Time) -> Self {
        Core::new(config, stored, rng, now)
    }

    fn check_invariants(
        &self,
        _: usize,
        notices: &[Notice],
        _: &[Entry<Slot>],
        observations: &mut Observations,
    ) -> Result<(), String> {
        observations.led +=
            notices.iter().filter(|notice| matches!(notice, Notice::Leads { .. })).count() as u64;
        // A value that was learned from others was chosen, in a ballot that the learner does not know.
        for (slot, accepted) in self.accepted.iter().filter(|(_, accepted)| accepted.ballot.round > 0) {
            let number = (*slot, accepted.ballot.clone());
            let known = observations.proposals.entry(number).or_insert_with(|| accepted.payload.clone());
            if *known != accepted.payload {
                return Err(format!("One Proposal per Number: {accepted:?} in {slot}, not {known:?}"));
            }
        }
        Ok(())
    }
}

#[test]
fn every_schedule_is_safe_and_the_healed_cluster_agrees() {
    let mut led = 0;
    expect_safe(|simulator: &Simulator<Core>| led += simulator.observations.led);
    assert!(led > 2 * seeds(), "{led} ballots led");
}

#[test]
fn the_simulator_convicts_the_bugs() {
    const SAFETY: &[&str] = &["State Machine Safety", "One Proposal per Number"];
    expect_unsafe::<Core>(&[
        (Bug::PromiseNotPersisted, SAFETY),
        (Bug::AcceptBelowPromise, SAFETY),
        (Bug::OwnValueOverAccepted, SAFETY),
        (Bug::CountAcrossBallots, SAFETY),
        (Bug::EqualBallots, SAFETY),
    ]);
}

#[test]
fn every_bug_has_a_rule() {
    every_bug_names_its_rule::<Bug>("PMS section");
}
