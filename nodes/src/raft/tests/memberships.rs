//! Membership changes and leadership transfers.

use super::super::bug::Bug;
use super::super::core::Stored;
use super::script::{FIVE, THREE, TestCluster};
use crate::replica::Operation;

fn remove(name: &str) -> Operation {
    Operation::Remove(name.into())
}

fn add(name: &str) -> Operation {
    Operation::Add(name.into())
}

impl TestCluster {
    /// Sends an operator's request to a node and carries out the effects.
    fn operate(&mut self, name: &str, operation: &Operation) -> Result<(), String> {
        let begun = self.actor(name).core.as_mut().unwrap().operate(operation);
        self.settle(name);
        begun
    }

    fn agreed(&mut self, name: &str) -> Vec<String> {
        let core = self.actor(name).core.as_ref().unwrap();
        core.agreed_members().iter().map(ToString::to_string).collect()
    }

    fn leads(&mut self, name: &str) -> bool {
        self.actor(name).core.as_ref().unwrap().is_leader()
    }
}

fn five(bugs: &[Bug]) -> TestCluster {
    TestCluster::with(&FIVE, FIVE.map(|_| Stored::default()).to_vec(), bugs)
}

#[test]
fn a_cluster_shrinks_and_grows_one_node_at_a_time() {
    let mut cluster = five(&[]);
    cluster.elect("n1", &FIVE);
    for (gone, left) in [("n5", &FIVE[..4]), ("n4", &FIVE[..3]), ("n3", &FIVE[..2])] {
        cluster.operate("n1", &remove(gone)).unwrap();
        cluster.play(&FIVE);
        assert_eq!(cluster.agreed("n1"), left);
    }
    // Two nodes are a majority now, and both are needed.
    cluster.propose("n1", "x");
    cluster.play(&["n1", "n2"]);
    let commit = cluster.actor("n1").core.as_ref().unwrap().commit();
    assert_eq!(commit, 5);
    cluster.operate("n1", &add("n5")).unwrap();
    cluster.play(&FIVE);
    cluster.heartbeat("n1", &FIVE);
    assert_eq!(cluster.agreed("n5"), ["n1", "n2", "n5"]);
    assert_eq!(cluster.actor("n5").core.as_ref().unwrap().commit(), 6, "and it has all that it missed");
    // A change without effect needs no entry.
    cluster.operate("n1", &add("n5")).unwrap();
    assert_eq!(cluster.actor("n1").core.as_ref().unwrap().log().last().index, 6);
}

/// The members outlive a crash, in the log and in a snapshot, and reach a node by a snapshot.
#[test]
fn members_are_remembered() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &["n1", "n2"]);
    cluster.operate("n1", &remove("n3")).unwrap();
    cluster.play(&["n1", "n2"]);
    for compacted in [false, true] {
        if compacted {
            cluster.actor("n2").compact(0);
            cluster.play(&["n2"]);
        }
        cluster.crash("n2");
        cluster.start("n2");
        cluster.heartbeat("n1", &["n1", "n2"]);
        assert_eq!(cluster.agreed("n2"), ["n1", "n2"], "compacted: {compacted}");
    }
    cluster.actor("n1").compact(0);
    cluster.play(&["n1"]);
    cluster.operate("n1", &add("n3")).unwrap();
    cluster.play(&THREE);
    cluster.heartbeat("n1", &THREE);
    cluster.heartbeat("n1", &THREE);
    assert!(cluster.actor("n3").core.as_ref().unwrap().snapshot_index() > 0);
    assert_eq!(cluster.agreed("n3"), THREE);
}

#[test]
fn a_leader_that_removes_itself_goes_when_that_is_agreed() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.operate("n1", &remove("n1")).unwrap();
    assert!(cluster.leads("n1"));
    // n1 does not count itself, and n2 alone is no majority of n2 and n3.
    cluster.play(&["n1", "n2"]);
    assert!(cluster.leads("n1"));
    cluster.heartbeat("n1", &THREE);
    assert!(!cluster.leads("n1"));
    cluster.said();
    cluster.time_out("n1");
    assert!(cluster.said().is_empty(), "and it stands for no election");
    cluster.elect("n2", &["n2", "n3"]);
    assert_eq!(cluster.agreed("n2"), ["n2", "n3"]);
}

#[test]
fn one_change_at_a_time_and_none_before_an_entry_of_the_own_term() {
    let mut cluster = five(&[]);
    assert!(cluster.operate("n1", &remove("n5")).unwrap_err().contains("not lead"));
    cluster.elect("n1", &FIVE);
    assert!(cluster.operate("n1", &remove("n9")).unwrap_err().contains("no n9"));
    cluster.operate("n1", &remove("n5")).unwrap();
    assert!(cluster.operate("n1", &remove("n4")).unwrap_err().contains("under way"));
    cluster.play(&FIVE);
    cluster.operate("n1", &remove("n4")).unwrap();

    let mut cluster = TestCluster::new(&["n1"]);
    cluster.time_out("n1");
    cluster.sync("n1");
    assert!(cluster.leads("n1") && cluster.actor("n1").core.as_ref().unwrap().commit() == 0);
    assert!(cluster.operate("n1", &remove("n1")).unwrap_err().contains("somebody"));
}

/// n1 and n2 are isolated while n1 removes n4 and n5 at once: two majorities without a common node.
#[test]
fn two_changes_at_once_split_the_cluster() {
    for (bugs, both) in [(&[][..], false), (&[Bug::MembershipTwoAtOnce][..], true)] {
        let mut cluster = five(bugs);
        cluster.elect("n1", &FIVE);
        cluster.heartbeat("n1", &FIVE);
        let _ = cluster.operate("n1", &remove("n4"));
        let _ = cluster.operate("n1", &remove("n5"));
        let before = cluster.actor("n1").core.as_ref().unwrap().commit();
        cluster.propose("n1", "here");
        cluster.play(&["n1", "n2"]);
        let here = cluster.actor("n1").core.as_ref().unwrap().commit() > before;
        cluster.elect("n3", &["n3", "n4", "n5"]);
        assert!(cluster.leads("n3"));
        assert_eq!(here, both, "{bugs:?}");
    }
}

/// Thesis, section 3.10: the target gets the missing entries, then stands at once although it hears a leader.
#[test]
fn leadership_is_handed_over() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.propose("n1", "x");
    cluster.operate("n1", &Operation::Transfer("n3".into())).unwrap();
    assert!(
        cluster.actor("n1").core.as_mut().unwrap().propose(super::command("y")).is_err(),
        "no more of these"
    );
    cluster.play(&THREE);
    assert!(cluster.leads("n3") && !cluster.leads("n1"));
    cluster.shows(
        "n1 t2: 1 1 | 2
         n2 t2: 1 | 1 2
         n3* t2: 1 1 2 |",
    );
}

#[test]
fn a_leader_whose_target_does_not_answer_goes_on() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.operate("n1", &Operation::Transfer("n3".into())).unwrap();
    let mut refused = 0;
    while cluster.actor("n1").core.as_mut().unwrap().propose(super::command("y")).is_err() {
        cluster.heartbeat("n1", &["n1", "n2"]);
        refused += 1;
        assert!(refused < 20);
    }
    assert!(refused > 2 && cluster.leads("n1"));
}
