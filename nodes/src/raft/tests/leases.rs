//! Reads under a leader lease, and the promises behind it.

use std::time::Duration;

use super::super::Options;
use super::super::bug::Bug;
use super::super::core::Stored;
use super::super::message::{Body, Message, Position};
use super::script::{THREE, TestCluster};
use super::{ELECTION_TIMEOUT, HEARTBEAT};

/// The leader n1, just confirmed by n2 and n3.
fn led(bugs: &[Bug]) -> TestCluster {
    let options = Options { lease: true, ..Options::default() };
    let disks = THREE.map(|_| Stored::default()).to_vec();
    let mut cluster = TestCluster::with_options(&THREE, disks, bugs, &options);
    cluster.elect("n1", &THREE);
    cluster.heartbeat("n1", &THREE);
    cluster
}

/// Sends a read to n1; returns the number of answers that n1 gives without the other nodes.
fn answers(cluster: &mut TestCluster) -> usize {
    cluster.actor("n1").core.as_mut().unwrap().read(7).unwrap();
    cluster.settle("n1");
    cluster.answered.len()
}

#[test]
fn under_a_lease_a_read_is_answered_without_a_message() {
    let mut cluster = led(&[]);
    assert_eq!(answers(&mut cluster), 1);
    assert_eq!(cluster.said(), []);
}

/// The lease lasts for the shortest election timeout less the margin, from the start of the last confirmed
/// round.
#[test]
fn the_lease_is_over_before_anybody_can_be_elected() {
    let promised = ELECTION_TIMEOUT.0;
    let length = Options::default().lease_for(promised);
    assert!(length > HEARTBEAT && length < promised);
    for (wait, answered) in [(length - Duration::from_millis(1), 1), (length, 0)] {
        let mut cluster = led(&[]);
        cluster.now += wait;
        cluster.tick("n1");
        cluster.said();
        assert_eq!(answers(&mut cluster), answered, "after {wait:?}");
        cluster.heartbeat("n1", &THREE);
        assert_eq!(cluster.answered.len(), 1, "by a round, as without leases");
    }
}

/// The process is paused after the state was read: the answer must not be sent.
#[test]
fn a_lease_that_ran_out_after_the_read_does_not_hold() {
    let mut cluster = led(&[]);
    assert_eq!(answers(&mut cluster), 1);
    let later = cluster.now + ELECTION_TIMEOUT.0;
    assert!(!cluster.actor("n1").core.as_ref().unwrap().lease_holds(later));
}

/// n1 is paused and n2 is elected. When n1 continues, it first sees the answers to an old round, and a read.
#[test]
fn a_paused_leader_answers_no_reads() {
    for (bugs, answered) in [(&[][..], 0), (&[Bug::LeaseWithoutMargin][..], 1)] {
        let mut cluster = led(bugs);
        // n1 reads the clock, then pauses.
        cluster.now += HEARTBEAT;
        cluster.tick("n1");
        cluster.said();
        cluster.elect("n2", &["n2", "n3"]);
        cluster.propose("n2", "new");
        cluster.play(&["n2", "n3"]);
        cluster.answered.clear();
        let now = cluster.now;
        let core = cluster.actor("n1").core.as_mut().unwrap();
        core.read(7).unwrap();
        core.tick(now);
        cluster.settle("n1");
        assert_eq!(cluster.answered.len(), answered, "{bugs:?}");
    }
}

fn asks(cluster: &mut TestCluster, voter: &str, body: Body) -> Option<Message> {
    let now = cluster.now;
    cluster.said();
    cluster.actor(voter).core.as_mut().unwrap().receive(now, &"n3".into(), Message { term: 9, body });
    cluster.settle(voter);
    cluster.sync(voter);
    cluster.sent.pop_front().map(|(_, _, message)| message)
}

#[test]
fn whoever_hears_a_leader_votes_for_nobody_and_keeps_its_term() {
    let last = Position { term: 8, index: 99 };
    let mut cluster = led(&[]);
    assert_eq!(asks(&mut cluster, "n2", Body::RequestVote { last, transfer: false }), None);
    assert_eq!(cluster.actor("n2").core.as_ref().unwrap().term(), 1);
    // A later term does not get the vote either.
    let reply = asks(&mut cluster, "n2", Body::PreVote { last });
    assert_eq!(reply, Some(Message { term: 9, body: Body::PreVoteReply { granted: false } }));
    assert_eq!(asks(&mut cluster, "n2", Body::RequestVote { last, transfer: false }), None);
    cluster.now += ELECTION_TIMEOUT.0;
    let vote = asks(&mut cluster, "n2", Body::RequestVote { last, transfer: false });
    assert_eq!(vote, Some(Message { term: 9, body: Body::VoteReply { granted: true } }));
}

/// A restarted node may have promised and forgotten.
#[test]
fn whoever_starts_votes_for_nobody_for_a_while() {
    let mut cluster = led(&[]);
    cluster.crash("n2");
    cluster.start("n2");
    let last = Position { term: 8, index: 99 };
    assert_eq!(asks(&mut cluster, "n2", Body::RequestVote { last, transfer: false }), None);
    cluster.now += ELECTION_TIMEOUT.0;
    assert!(asks(&mut cluster, "n2", Body::RequestVote { last, transfer: false }).is_some());
}
