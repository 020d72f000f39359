//! Random schedules of Raft, with the properties of Figure 3 in addition to those of every
//! [protocol](crate::replica::simulator).
//!
//! - *Election Safety*: at most one leader per term.
//! - *Leader Append-Only*: a leader never erases an entry of its log.
//! - *Log Matching*: entries with the same position have the same command and the same predecessor.
//! - *Leader Completeness*: every entry committed in a term is in the logs of the leaders of all later terms.
//!   Not earlier ones: votes that were delayed may elect the leader of an earlier term after the commitment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chacha20::ChaCha8Rng;

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
    /// For each committed entry: the term of the node that applied it first.
    committed_in: Vec<Term>,
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
        observations.committed_in.resize(committed.len(), self.term());
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
        let committed = committed.iter().map(|entry| entry.at).zip(observations.committed_in.iter().copied());
        match missing(self.log(), term, committed) {
            None => Ok(()),
            Some(at) => {
                let held = self.log().position(at.index);
                Err(format!("Leader Completeness: {id} has {held:?}, not {at:?}"))
            }
        }
    }
}

/// The first entry that the log of the leader of `term` lacks, of those that were committed in earlier terms.
fn missing(log: &Log, term: Term, committed: impl Iterator<Item = (Position, Term)>) -> Option<Position> {
    let must_be_there =
        |(at, committed_in): &(Position, Term)| *committed_in < term && at.index > log.base().index;
    let mut must = committed.filter(must_be_there);
    must.find(|(at, _)| log.position(at.index) != Some(*at)).map(|(at, _)| at)
}

#[test]
fn a_leader_must_hold_what_was_committed_before_its_term_and_nothing_else() {
    let at = |term, index| Position { term, index };
    let log = Log::new(at(0, 0), vec![Entry { at: at(1, 1), payload: Payload::Noop }]);
    // An entry of term 3, committed in term 7 by a leader that found it in its log.
    let committed = [(at(1, 1), 1), (at(3, 2), 7)];
    assert_eq!(missing(&log, 5, committed.into_iter()), None);
    assert_eq!(missing(&log, 8, committed.into_iter()), Some(at(3, 2)));
    let other = Log::new(at(0, 0), vec![Entry { at: at(2, 1), payload: Payload::Noop }]);
    assert_eq!(missing(&other, 5, committed.into_iter()), Some(at(1, 1)));
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
