//! Three acceptors, and every order in which the messages of two proposers and a reader can arrive or be
//! lost; then whole nodes.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use super::acceptor::{Acceptor, Ballot, Proposal, Vote};
use super::proposer::choose;
use super::*;
use crate::rpc::test_cluster::TestCluster;

const ACCEPTORS: usize = 3;
const MAJORITY: usize = 2;

/// A proposer in its only ballot.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Proposer {
    ballot: Ballot,
    own: Option<Proposal>,
    /// Phase 1: the response of each acceptor that has promised.
    votes: [Option<Option<Vote>>; ACCEPTORS],
    /// Phase 2: the proposal, and the acceptors that have accepted it.
    vote: Option<Vote>,
    accepted: [bool; ACCEPTORS],
    /// Whether something was chosen when it began.
    late: bool,
}

impl Proposer {
    /// Phase 1 ends when a majority has promised; a reader that finds no accepted value then has its answer.
    fn promised(
        &mut self,
        who: usize,
        accepted: Option<Vote>,
        late: bool,
        bugs: &[Bug],
    ) -> Result<(), &'static str> {
        self.late |= late && self.votes.iter().all(Option::is_none);
        self.votes[who] = Some(accepted);
        let votes: Vec<_> = self.votes.iter().flatten().cloned().collect();
        if votes.len() < MAJORITY {
            return Ok(());
        }
        match choose(self.own.clone(), votes, bugs) {
            Some(proposal) => self.vote = Some(Vote { ballot: self.ballot.clone(), proposal }),
            None if self.late => return Err("a read missed what was chosen before"),
            None => {}
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    acceptors: [Acceptor; ACCEPTORS],
    proposers: Vec<Proposer>,
    crashes_left: usize,
}

impl World {
    /// Two proposers and then a reader, in ballots 1, 2 and 3.
    fn new(crashes_left: usize) -> Self {
        let proposal = |who: &str| Some(Proposal { client: who.into(), seq: 1, value: who.into() });
        let proposer = |(own, number)| Proposer {
            ballot: Ballot { number, by: format!("n{number}") },
            own,
            votes: Default::default(),
            vote: None,
            accepted: [false; ACCEPTORS],
            late: false,
        };
        let own = [proposal("a"), proposal("b"), None];
        World {
            acceptors: Default::default(),
            proposers: own.into_iter().zip(1..).map(proposer).collect(),
            crashes_left,
        }
    }

    fn chosen(&self) -> HashSet<&Proposal> {
        let won = |proposer: &&Proposer| proposer.accepted.iter().filter(|yes| **yes).count() >= MAJORITY;
        self.proposers.iter().filter(won).map(|it| &it.vote.as_ref().unwrap().proposal).collect()
    }

    /// All possible next states; the error is a violation.
    fn next(&self, bugs: &[Bug]) -> Result<Vec<World>, &'static str> {
        let mut worlds = Vec::new();
        for (at, proposer) in self.proposers.iter().enumerate() {
            match &proposer.vote {
                None => {
                    for who in (0..ACCEPTORS).filter(|who| proposer.votes[*who].is_none()) {
                        let mut world = self.clone();
                        let late = !self.chosen().is_empty();
                        if let Ok(accepted) = world.acceptors[who].prepare(proposer.ballot.clone()) {
                            world.proposers[at].promised(who, accepted, late, bugs)?;
                            worlds.push(world);
                        }
                    }
                }
                Some(vote) => {
                    for who in (0..ACCEPTORS).filter(|who| !proposer.accepted[*who]) {
                        let mut world = self.clone();
                        if world.acceptors[who].accept(vote.clone(), bugs).is_ok() {
                            world.proposers[at].accepted[who] = true;
                            worlds.push(world);
                        }
                    }
                }
            }
        }
        if self.crashes_left > 0 && bugs.contains(&Bug::NothingPersisted) {
            for who in 0..ACCEPTORS {
                let mut world = self.clone();
                world.acceptors[who] = Acceptor::default();
                world.crashes_left -= 1;
                worlds.push(world);
            }
        }
        Ok(worlds)
    }
}

/// Visits every reachable state; returns their number, or the violation found.
fn explore(bugs: &[Bug]) -> Result<usize, &'static str> {
    let first = World::new(1);
    let (mut seen, mut open) = (HashSet::from([first.clone()]), vec![first]);
    while let Some(world) = open.pop() {
        if world.chosen().len() > 1 {
            return Err("two proposals were chosen");
        }
        for next in world.next(bugs)? {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn whatever_the_order_of_messages_one_proposal_is_chosen_and_no_read_misses_it() {
    let worlds = explore(&[]).unwrap();
    assert!(worlds > 10_000, "only {worlds} worlds were looked at");
}

#[test]
fn every_mistake_has_an_order_of_messages_that_shows_it() {
    for bug in Bug::value_variants() {
        assert!(explore(&[*bug]).is_err(), "{bug:?}");
    }
}

fn cluster(bugs: &'static [Bug]) -> TestCluster<Synod> {
    TestCluster::new(move |peers, data| Synod::open(peers, data, bugs.to_vec()))
}

#[tokio::test(start_paused = true)]
async fn of_all_who_propose_one_wins_and_everybody_is_told_so() {
    let cluster = cluster(&[]);
    assert_eq!(cluster.reads().await, [Json::Null, Json::Null, Json::Null]);
    let propose = |node, value| cluster.ok(node, "cas", json!([null, value]));
    let (n1, n2, n3) = tokio::join!(propose("n1", 1), propose("n2", 2), propose("n3", 3));
    let won: Vec<i64> =
        (1..).zip([n1, n2, n3]).filter(|(_, won)| *won == true).map(|(value, _)| value).collect();
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(cluster.reads().await, [won[0], won[0], won[0]]);
    assert_eq!(cluster.ok("n1", "cas", json!([null, 4])).await, false);
    assert!(matches!(cluster.request("n1", "c", "write", 5).await, Outcome::Fail(_)));
    assert!(matches!(cluster.request("n1", "c", "cas", json!([won[0], 6])).await, Outcome::Fail(_)));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_needs_nobody_and_what_is_not_needs_a_majority() {
    let mut cluster = cluster(&[]);
    cluster.crash("n3");
    cluster.ok("n1", "cas", json!([null, 1])).await;
    cluster.start("n3");
    cluster.cut_off("n1");
    cluster.cut_off("n3");
    assert_eq!(cluster.ok("n1", "read", ()).await, 1);
    for (f, value) in [("read", Json::Null), ("cas", json!([null, 2]))] {
        let answer = cluster.request("n3", "c", f, value).await;
        assert!(matches!(answer, Outcome::Fail(_)), "nothing was proposed: {answer:?}");
    }
    cluster.heal();
    assert_eq!(cluster.reads().await, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_decision_outlives_everybody_who_knew_it_if_it_is_on_disk() {
    for (bugs, found) in [(&[][..], json!(1)), (&[Bug::NothingPersisted], Json::Null)] {
        let mut cluster = cluster(bugs);
        cluster.ok("n1", "cas", json!([null, 1])).await;
        for node in ["n1", "n2", "n3"] {
            cluster.crash(node);
            cluster.start(node);
        }
        assert_eq!(cluster.ok("n2", "read", ()).await, found, "{bugs:?}");
    }
}
