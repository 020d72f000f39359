//! Random schedules of Raft, with the properties of Figure 3 in addition to those of every
//! [protocol](crate::replica::simulator).
//!
//! - *Election Safety*: at most one leader per term.
//! - *Leader Append-Only*: a leader never erases an entry of its log.
//! - *Log Matching*: entries with the same position have the same command and the same predecessor.
//! - *Leader Completeness*: every entry ever committed is in the log of every later leader.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::super::Options;
use super::super::bug::Bug;
use super::super::core::{Config, Core, Notice, Stored, Time, Write};
use super::super::log::Log;
use super::super::message::{Entry, Payload, Position, Term};
use crate::replica::simulated::Simulated;
use crate::replica::simulator::{
    Simulator, every_bug_names_its_rule, expect_all_safe, expect_all_unsafe, expect_safe, expect_unsafe,
    seeds,
};

#[derive(Default)]
pub(crate) struct Observations {
    leaders: BTreeMap<Term, usize>,
    entries: HashMap<Position, (Payload, Position)>,
}

impl Simulated for Core {
    type Stored = Stored;
    type Observations = Observations;

    fn store(stored: &mut Stored, write: Write) {
        let Stored { state, snapshot, log } = stored;
        if let Some(restart) = write.restart {
            *snapshot = Some(restart.snapshot);
            *log = Log::new(restart.base, Vec::new());
        }
        if let Some(new) = write.state {
            *state = new;
        }
        for entry in write.entries {
            log.truncate(entry.at.index);
            log.push(entry);
        }
    }

    fn snapshot(stored: &Stored) -> Option<Arc<[u8]>> {
        stored.snapshot.as_ref().map(|snapshot| snapshot.data.clone())
    }

    fn start(config: Config, stored: Stored, rng: ChaCha8Rng, now: Time) -> Self {
        Core::new(config, stored, rng, now)
    }

    fn check_invariants(
        &self,
        node: usize,
        notices: &[Notice],
        committed: &[Entry],
        observations: &mut Observations,
    ) -> Result<(), String> {
        for notice in notices {
            match notice {
                Notice::BecameLeader { term, .. } => {
                    self.check_leader(node, *term, committed, observations)?
                }
                Notice::Truncated { .. } if self.is_leader() => {
                    return Err(format!("Leader Append-Only: {} erases", self.id()));
                }
                _ => {}
            }
        }
        let mut previous = self.log().base();
        for entry in self.log().from(previous.index + 1) {
            let known =
                observations.entries.entry(entry.at).or_insert_with(|| (entry.payload.clone(), previous));
            if *known != (entry.payload.clone(), previous) {
                let id = self.id();
                return Err(format!("Log Matching: {id} has {entry:?} after {previous:?}, not {known:?}"));
            }
            previous = entry.at;
        }
        Ok(())
    }
}

impl Core {
    fn check_leader(
        &self,
        node: usize,
        term: Term,
        committed: &[Entry],
        observations: &mut Observations,
    ) -> Result<(), String> {
        let id = self.id();
        if let Some(other) = observations.leaders.insert(term, node)
            && other != node
        {
            return Err(format!("Election Safety: {id} and the node {other} lead in term {term}"));
        }
        for entry in committed.iter().filter(|entry| entry.at.index > self.log().base().index) {
            // Entries of this very term may have been committed already, by this leader.
            if entry.at.term < term && self.log().position(entry.at.index) != Some(entry.at) {
                let held = self.log().position(entry.at.index);
                return Err(format!("Leader Completeness: {id} has {held:?}, not {:?}", entry.at));
            }
        }
        Ok(())
    }
}

#[test]
fn every_schedule_is_safe_and_the_healed_cluster_agrees() {
    let mut terms = 0;
    expect_safe(|simulator: &Simulator<Core>| terms += simulator.observations.leaders.len() as u64);
    assert!(terms > 2 * seeds(), "{terms} leaders elected");
}

/// Reads under a lease are as fresh as reads with a round, under any pauses and within the allowed clock
/// drift.
#[test]
fn leases_are_safe_in_every_schedule() {
    let options = Options { lease: true, ..Options::default() };
    expect_all_safe::<Core>(|seed| Simulator::with(seed, &[], &options), |_| ());
}

#[test]
fn changes_of_members_and_leaders_are_safe_in_every_schedule() {
    let options = Options { lease: true, ..Options::default() };
    expect_all_safe::<Core>(|seed| Simulator::with(seed, &[], &options).operated(), |_| ());
    expect_all_unsafe::<Core>(
        |seed, bugs| Simulator::new(seed, bugs).operated(),
        &[(Bug::MembershipTwoAtOnce, &["Leader Completeness", "State Machine Safety", "stale read"])],
    );
}

/// Two bugs are too rare here and have scripts of their own: `forget-vote` and `commit-prior-term`.
#[test]
fn the_simulator_convicts_the_bugs() {
    expect_unsafe::<Core>(&[
        (Bug::StaleRead, &["stale read"]),
        (Bug::AckBeforeFsync, &["Leader Completeness"]),
        (Bug::ForgetTerm, &["Election Safety"]),
        (Bug::VoteWithoutLogCheck, &["Leader Completeness"]),
        (Bug::CommitWithoutMajority, &["Leader Completeness"]),
        (Bug::AckCreditedToWrongFollower, &["Leader Completeness"]),
        (Bug::TruncateUnconditionally, &["Leader Completeness"]),
        (Bug::SkipPreviousEntryCheck, &["Log Matching"]),
        (Bug::NoStepDown, &["stale read"]),
        (Bug::LeaseWithoutMargin, &["stale read"]),
        (Bug::SnapshotLosesTail, &["State Machine Safety"]),
        (Bug::ReuseIndexAfterRestart, &["Leader Completeness"]),
    ]);
}

#[test]
fn every_bug_has_a_rule() {
    every_bug_names_its_rule::<Bug>("section");
}
