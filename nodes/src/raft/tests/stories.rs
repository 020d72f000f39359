//! Short [scripts](super::script) with known outcomes, some from figures of the paper.

use super::super::bug::Bug;
use super::super::core::{NotLeader, Stored, Time};
use super::super::message::{Appended, Body, Entry, Message, Payload, Position};
use super::script::{FIVE, THREE, TestCluster};
use super::{command, disk_with};

#[test]
fn a_cluster_elects_a_leader_and_commits() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.propose("n1", "x");
    cluster.play(&THREE);
    cluster.shows(
        "n1* t1: 1 1 |
         n2 t1: 1 | 1
         n3 t1: 1 | 1",
    );
    // The followers learn of the commitment with the next message.
    cluster.heartbeat("n1", &THREE);
    cluster.shows(
        "n1* t1: 1 1 |
         n2 t1: 1 1 |
         n3 t1: 1 1 |",
    );
}

#[test]
fn a_node_alone_elects_itself_once_its_vote_is_on_disk() {
    let mut cluster = TestCluster::new(&["n1"]);
    cluster.time_out("n1");
    assert!(!cluster.actor("n1").core.as_ref().unwrap().is_leader(), "its vote could still be forgotten");
    cluster.sync("n1");
    cluster.play(&["n1"]);
    cluster.shows("n1* t1: 1 |");
}

/// Figure 7: followers with missing or extra entries end up with the leader's log.
#[test]
fn figure_7_every_follower_ends_with_the_leaders_log() {
    let names = ["leader", "a", "b", "c", "d", "e", "f"];
    let logs: [&[u64]; 7] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    let disks = logs.iter().map(|terms| disk_with(terms, 7)).collect();
    let mut cluster = TestCluster::with(&names, disks, &[]);
    // c and d have later logs and refuse; a, b, e and f are enough.
    cluster.elect("leader", &names);
    cluster.heartbeat("leader", &names);
    cluster.heartbeat("leader", &names);
    cluster.shows(
        "leader* t8: 1 1 1 4 4 5 5 6 6 6 8 |
         a t8: 1 1 1 4 4 5 5 6 6 6 8 |
         b t8: 1 1 1 4 4 5 5 6 6 6 8 |
         c t8: 1 1 1 4 4 5 5 6 6 6 8 |
         d t8: 1 1 1 4 4 5 5 6 6 6 8 |
         e t8: 1 1 1 4 4 5 5 6 6 6 8 |
         f t8: 1 1 1 4 4 5 5 6 6 6 8 |",
    );
}

/// The logs of Figure 8 (c): n1 led in terms 2 and 4, n5 in term 3; the entry of term 2 is on n1, n2 and n3.
fn figure_8_c(bugs: &[Bug]) -> TestCluster {
    let logs: [&[u64]; 5] = [&[1, 2], &[1, 2], &[1], &[1], &[1, 3]];
    let mut cluster = TestCluster::with(&FIVE, logs.iter().map(|terms| disk_with(terms, 3)).collect(), bugs);
    // n2 and n3 elect n1. It replicates the entry of term 2 to n3, and its own of term 4 to no node.
    cluster.time_out("n1");
    while !cluster.actor("n1").core.as_ref().unwrap().is_leader() {
        for name in ["n1", "n2", "n3"] {
            cluster.settle(name);
            cluster.sync(name);
        }
        let Some((from, to, message)) = cluster.sent.pop_front() else { panic!("n1 is not elected") };
        let now = cluster.now;
        if to == "n4".into() || to == "n5".into() {
            continue;
        }
        cluster
            .actors
            .iter_mut()
            .find(|actor| actor.id == to)
            .unwrap()
            .core
            .as_mut()
            .unwrap()
            .receive(now, &from, message);
    }
    cluster.sent.clear();
    let now = cluster.now;
    let two = cluster.actor("n1").core.as_ref().unwrap().log().get(2).unwrap().clone();
    let body =
        Body::AppendEntries { prev: Position { term: 1, index: 1 }, entries: vec![two], commit: 1, round: 0 };
    cluster.actor("n3").core.as_mut().unwrap().receive(now, &"n1".into(), Message { term: 4, body });
    cluster.settle("n3");
    cluster.sync("n3");
    for follower in ["n2", "n3"] {
        let body = Body::AppendReply { round: 0, result: Appended::Matched(2) };
        cluster.actor("n1").core.as_mut().unwrap().receive(now, &follower.into(), Message { term: 4, body });
    }
    cluster.sent.clear();
    cluster
}

/// Figure 8 (c): an entry of an earlier term is on a majority, but not committed (section 5.4.2).
#[test]
fn figure_8_c_an_earlier_terms_entry_is_not_committed_by_counting() {
    for (bugs, n1) in [(&[][..], "n1* t4: 1 2 4"), (&[Bug::CommitPriorTerm][..], "n1* t4: 1 2 |")] {
        figure_8_c(bugs).shows(&format!(
            "{n1}
             n2 t4: 1 2
             n3 t4: 1 | 2
             n4 t3: 1
             n5 t3: 1 3",
        ));
    }
}

/// Figure 8 (d): n5, with the later last term, may still be elected and erase that entry.
#[test]
fn figure_8_d_it_may_still_be_erased() {
    let mut cluster = figure_8_c(&[]);
    cluster.crash("n1");
    // At the first attempt n5 learns of term 4.
    cluster.elect("n5", &["n2", "n3", "n4", "n5"]);
    cluster.elect("n5", &["n2", "n3", "n4", "n5"]);
    cluster.heartbeat("n5", &["n2", "n3", "n4", "n5"]);
    cluster.shows(
        "n1 down
         n2 t5: 1 3 5 |
         n3 t5: 1 3 5 |
         n4 t5: 1 3 5 |
         n5* t5: 1 3 5 |",
    );
}

/// Figure 8 (e): once an entry of n1's own term is on a majority, all before it is committed, and n5 cannot
/// win.
#[test]
fn figure_8_e_the_own_terms_entry_commits_it() {
    let mut cluster = figure_8_c(&[]);
    cluster.play(&["n1", "n2", "n3"]);
    cluster.heartbeat("n1", &["n1", "n2", "n3"]);
    cluster.heartbeat("n1", &["n1", "n2", "n3"]);
    cluster.crash("n1");
    cluster.elect("n5", &["n2", "n3", "n4", "n5"]);
    cluster.elect("n5", &["n2", "n3", "n4", "n5"]);
    cluster.shows(
        "n1 down
         n2 t4: 1 2 4 |
         n3 t4: 1 2 4 |
         n4 t4: 1
         n5 t4: 1 3",
    );
}

/// Section 5.4.1: a node whose log lacks committed entries is not elected, even if it stands first.
#[test]
fn a_log_that_is_behind_gets_no_votes() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &["n1", "n2"]);
    cluster.crash("n1");
    cluster.elect("n3", &["n2", "n3"]);
    cluster.shows(
        "n1 down
         n2 t1: 1
         n3 t1:",
    );
    cluster.elect("n2", &["n2", "n3"]);
    cluster.heartbeat("n2", &["n2", "n3"]);
    cluster.shows(
        "n1 down
         n2* t2: 1 2 |
         n3 t2: 1 2 |",
    );
}

/// Thesis, section 9.6: the pre-vote of a node that was isolated is refused, and the leader stays.
#[test]
fn a_node_that_was_cut_off_does_not_depose_the_leader() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    for _ in 0..50 {
        cluster.heartbeat("n1", &["n1", "n2"]);
        cluster.tick("n3");
        cluster.sent.clear();
    }
    assert_eq!(cluster.actor("n3").core.as_ref().unwrap().role(), "candidate");
    // The link is back, and n3 sends its pre-vote before it hears anything.
    while cluster.sent.is_empty() {
        cluster.heartbeat("n1", &["n1", "n2"]);
        cluster.tick("n3");
    }
    cluster.play(&THREE);
    cluster.heartbeat("n1", &THREE);
    cluster.shows(
        "n1* t1: 1 |
         n2 t1: 1 |
         n3 t1: 1 |",
    );
}

/// Thesis, section 6.2.
#[test]
fn a_leader_without_a_quorum_steps_down() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.propose("n1", "x");
    cluster.time_out("n1");
    cluster.play(&["n1"]);
    cluster.shows(
        "n1 t1: 1 | 1
         n2 t1: 1
         n3 t1: 1",
    );
    assert_eq!(cluster.actor("n1").core.as_mut().unwrap().propose(command("y")), Err(NotLeader));
}

/// Figure 2: "updated on stable storage before responding". A vote that is not synced is not sent and may be
/// forgotten; a vote that was sent is kept.
#[test]
fn a_vote_is_told_only_when_it_cannot_be_forgotten() {
    for (bugs, second_vote) in [(&[][..], false), (&[Bug::ForgetVote][..], true)] {
        let mut cluster = TestCluster::with(&THREE, THREE.map(|_| Stored::default()).to_vec(), bugs);
        assert!(cluster.asks_for_vote("n1", "n2").is_none(), "not before the sync");
        cluster.crash("n2");
        cluster.start("n2");

        // No node has received that vote: n3 may have it.
        assert!(cluster.asks_for_vote("n3", "n2").is_none());
        cluster.sync("n2");
        let reply = cluster.sent.pop_front().map(|(_, _, message)| message.body);
        assert_eq!(reply, Some(Body::VoteReply { granted: true }));

        // The vote is on disk now: n1 cannot have it any more, even after a crash.
        cluster.crash("n2");
        cluster.start("n2");
        cluster.asks_for_vote("n1", "n2");
        cluster.sync("n2");
        let reply = cluster.sent.pop_front().map(|(_, _, message)| message.body);
        assert_eq!(reply, Some(Body::VoteReply { granted: second_vote }), "{bugs:?}");
    }
}

/// A follower acknowledges entries when they are on its disk; a leader counts its own only then.
#[test]
fn entries_count_once_they_are_on_disk() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.propose("n1", "x");
    let now = cluster.now;
    let (from, to, message) =
        cluster.sent.iter().find(|(_, to, _)| *to == "n2".into()).cloned().expect("sent before the own sync");
    cluster.sent.clear();
    cluster.actor("n2").core.as_mut().unwrap().receive(now, &from, message);
    cluster.settle(&to.to_string());
    assert!(cluster.sent.is_empty(), "n2 has not synced");

    cluster.sync("n2");
    let (n2, _, reply) = cluster.sent.pop_front().unwrap();
    cluster.actor("n1").core.as_mut().unwrap().receive(now, &n2, reply);
    cluster.settle("n1");
    assert_eq!(cluster.actor("n1").core.as_ref().unwrap().commit(), 1, "n2 has it, n1 itself has not");

    cluster.sync("n1");
    assert_eq!(cluster.actor("n1").core.as_ref().unwrap().commit(), 2);
}

/// A heartbeat is answered at once, because reads wait for it; the answer must not cover entries that are not
/// on disk.
#[test]
fn the_answer_to_a_heartbeat_speaks_of_what_is_on_disk() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    let append = |prev: u64, entries: Vec<Entry>, round: u64| {
        let prev = Position { term: 1, index: prev };
        Message { term: 1, body: Body::AppendEntries { prev, entries, commit: 1, round } }
    };
    let two = Entry { at: Position { term: 1, index: 2 }, payload: Payload::Command(command("x")) };
    for message in [append(1, vec![two], 8), append(2, Vec::new(), 9)] {
        let now = cluster.now;
        cluster.actor("n2").core.as_mut().unwrap().receive(now, &"n1".into(), message);
        cluster.settle("n2");
    }
    let matched = |round: u64, index: u64| Body::AppendReply { round, result: Appended::Matched(index) };
    assert_eq!(cluster.said(), [matched(9, 1)]);
    cluster.sync("n2");
    assert_eq!(cluster.said(), [matched(8, 2)]);
}

/// The same for a snapshot: its entries count for a majority once it is on disk.
#[test]
fn the_answer_to_a_heartbeat_speaks_of_no_snapshot_that_is_not_on_disk() {
    let mut cluster = TestCluster::with(&THREE, THREE.map(|_| disk_with(&[1, 1, 1], 1)).to_vec(), &[]);
    let last = Position { term: 2, index: 3 };
    let data = postcard::to_stdvec(&Vec::<Entry>::new()).unwrap();
    let prev = last;
    for body in [
        // Makes the term durable first.
        Body::AppendEntries { prev: Position::START, entries: Vec::new(), commit: 0, round: 1 },
        Body::InstallSnapshot {
            last,
            members: THREE.map(Into::into).to_vec(),
            offset: 0,
            data,
            done: true,
            round: 2,
        },
        Body::AppendEntries { prev, entries: Vec::new(), commit: 3, round: 3 },
    ] {
        let first = matches!(body, Body::AppendEntries { round: 1, .. });
        cluster.actor("n2").core.as_mut().unwrap().receive(
            Time::ZERO,
            &"n1".into(),
            Message { term: 2, body },
        );
        cluster.settle("n2");
        if first {
            cluster.sync("n2");
            cluster.said();
        }
    }
    let matched = |round: u64, index: u64| Body::AppendReply { round, result: Appended::Matched(index) };
    assert_eq!(cluster.said(), [matched(3, 0)]);
    cluster.sync("n2");
    assert_eq!(cluster.said(), [matched(2, 3)]);
}

/// Figure 2, AppendEntries, step 3: only a conflict erases. A late, short message must not.
#[test]
fn a_late_message_erases_nothing() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.propose("n1", "x");
    let late = cluster.sent.iter().find(|(_, to, _)| *to == "n2".into()).cloned().unwrap();
    cluster.play(&THREE);
    cluster.propose("n1", "y");
    cluster.play(&THREE);
    let now = cluster.now;
    cluster.actor("n2").core.as_mut().unwrap().receive(now, &late.0, late.2);
    cluster.play(&THREE);
    cluster.heartbeat("n1", &THREE);
    cluster.shows(
        "n1* t1: 1 1 1 |
         n2 t1: 1 1 1 |
         n3 t1: 1 1 1 |",
    );
}

/// A gap in the pipeline (a message was lost) shows at the next message, and is filled.
#[test]
fn a_lost_message_is_sent_again() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.propose("n1", "lost");
    cluster.sent.retain(|(_, to, _)| *to != "n3".into());
    cluster.play(&THREE);
    cluster.heartbeat("n1", &THREE);
    cluster.heartbeat("n1", &THREE);
    cluster.shows(
        "n1* t1: 1 1 |
         n2 t1: 1 1 |
         n3 t1: 1 1 |",
    );
}

/// Thesis, section 6.4: a read is answered after a majority has confirmed the leader, in a round begun after
/// the read arrived.
#[test]
fn a_read_waits_for_a_majority() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.actor("n1").core.as_mut().unwrap().read(7).unwrap();
    cluster.settle("n1");
    assert_eq!(cluster.answered, []);
    // A read that arrives during the round waits for the next one.
    cluster.actor("n1").core.as_mut().unwrap().read(8).unwrap();
    let now = cluster.now;
    let (_, n2, message) = cluster.sent.pop_front().unwrap();
    cluster.sent.clear();
    cluster.actor("n2").core.as_mut().unwrap().receive(now, &"n1".into(), message);
    cluster.settle("n2");
    let (_, _, reply) = cluster.sent.pop_front().unwrap();
    cluster.actor("n1").core.as_mut().unwrap().receive(now, &n2, reply);
    cluster.settle("n1");
    assert_eq!(cluster.answered, [("n1".into(), 7)]);
    cluster.play(&THREE);
    assert_eq!(cluster.answered, [("n1".into(), 7), ("n1".into(), 8)]);
}

/// A deposed leader that does not know it yet cannot answer; with the bug it can.
#[test]
fn a_deposed_leader_answers_no_reads() {
    for (bugs, answers) in [(&[][..], 0), (&[Bug::StaleRead][..], 1)] {
        let mut cluster = TestCluster::with(&THREE, THREE.map(|_| Stored::default()).to_vec(), bugs);
        cluster.elect("n1", &THREE);
        cluster.elect("n2", &["n2", "n3"]);
        cluster.propose("n2", "new");
        cluster.play(&["n2", "n3"]);
        cluster.actor("n1").core.as_mut().unwrap().read(7).unwrap();
        cluster.play(&["n1"]);
        assert_eq!(cluster.answered.len(), answers, "{bugs:?}");
    }
}

/// Round numbers begin again with every term: a node that refuses a late message of an earlier term, with a
/// higher round number, has not confirmed the current round.
#[test]
fn a_refusal_of_an_earlier_term_confirms_no_round_of_this_one() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.elect("n2", &THREE);
    cluster.elect("n1", &THREE);
    assert!(cluster.actor("n1").core.as_ref().unwrap().is_leader());
    cluster.actor("n1").core.as_mut().unwrap().read(7).unwrap();
    cluster.settle("n1");
    cluster.sent.clear();
    let now = cluster.now;
    let late = Body::AppendEntries { prev: Position::START, entries: Vec::new(), commit: 0, round: 99 };
    cluster.actor("n2").core.as_mut().unwrap().receive(now, &"n1".into(), Message { term: 1, body: late });
    cluster.settle("n2");
    cluster.sync("n2");
    let (_, _, refusal) = cluster.sent.pop_front().unwrap();
    assert!(matches!(refusal.body, Body::AppendReply { round: 99, result: Appended::Stale }), "{refusal:?}");
    cluster.actor("n1").core.as_mut().unwrap().receive(now, &"n2".into(), refusal);
    cluster.settle("n1");
    assert_eq!(cluster.answered, []);
    cluster.heartbeat("n1", &THREE);
    assert_eq!(cluster.answered, [("n1".into(), 7)]);
}

/// Section 8: a new leader does not know what is committed until its own first entry is.
#[test]
fn a_new_leaders_reads_wait_for_its_first_entry() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    cluster.propose("n1", "x");
    cluster.play(&THREE);
    cluster.crash("n1");
    cluster.time_out("n2");
    while !cluster.actor("n2").core.as_ref().unwrap().is_leader() {
        let (from, to, message) = cluster.sent.pop_front().expect("n2 is elected");
        let now = cluster.now;
        if to != "n1".into() {
            cluster
                .actors
                .iter_mut()
                .find(|actor| actor.id == to)
                .unwrap()
                .core
                .as_mut()
                .unwrap()
                .receive(now, &from, message);
        }
        for name in ["n2", "n3"] {
            cluster.settle(name);
            cluster.sync(name);
        }
    }
    let core = cluster.actor("n2").core.as_mut().unwrap();
    assert_eq!(core.commit(), 1, "it does not know that x is committed");
    core.read(7).unwrap();
    cluster.play(&["n2", "n3"]);
    assert_eq!(cluster.answered, [("n2".into(), 7)]);
    assert_eq!(cluster.actor("n2").core.as_ref().unwrap().applied(), 3, "x was applied before the answer");
}

/// Section 7: a follower that needs compacted entries gets the snapshot, then the rest of the log.
#[test]
fn a_follower_far_behind_gets_the_snapshot() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &["n1", "n2"]);
    for text in ["a", "b", "c", "d"] {
        cluster.propose("n1", text);
        cluster.play(&["n1", "n2"]);
    }
    cluster.actor("n1").compact(4);
    cluster.propose("n1", "e");
    cluster.play(&["n1", "n2"]);
    assert_eq!(cluster.actor("n1").core.as_ref().unwrap().log().base().index, 4);

    cluster.heartbeat("n1", &THREE);
    cluster.heartbeat("n1", &THREE);
    let n1 = cluster.actor("n1").machine.clone();
    let n3 = cluster.actor("n3");
    assert_eq!(n3.core.as_ref().unwrap().snapshot_index(), 5);
    assert_eq!(n3.machine, n1);

    // The snapshot is on n3's disk, too.
    cluster.crash("n3");
    cluster.start("n3");
    assert_eq!(cluster.actor("n3").machine, n1[..5]);
    assert_eq!(cluster.actor("n3").core.as_ref().unwrap().log().last().index, 6);
}

/// All messages in flight are lost, and the log before them is compacted: heartbeats can no longer reveal the
/// gap.
#[test]
fn a_lost_pipeline_does_not_hide_behind_a_compaction() {
    let mut cluster = TestCluster::new(&THREE);
    cluster.elect("n1", &THREE);
    // More messages than the pipeline allows in flight, so the following ones are not even sent.
    for number in 0..40 {
        cluster.propose("n1", &format!("{number}"));
        cluster.sent.retain(|(_, to, _)| *to != "n3".into());
        cluster.play(&["n1", "n2"]);
    }
    cluster.actor("n1").compact(0);
    cluster.play(&["n1", "n2"]);
    cluster.heartbeat("n1", &THREE);
    cluster.heartbeat("n1", &THREE);
    let n1 = cluster.actor("n1").machine.clone();
    assert_eq!(cluster.actor("n3").machine, n1);
}

/// Figure 13, step 7: a log that contradicts the snapshot is discarded as a whole.
#[test]
fn a_snapshot_replaces_a_contradicting_log() {
    let disks = vec![disk_with(&[1, 1, 1], 2), disk_with(&[1, 1, 1], 2), disk_with(&[1, 2, 2, 2, 2, 2], 2)];
    let mut cluster = TestCluster::with(&THREE, disks, &[]);
    cluster.elect("n1", &["n1", "n2"]);
    cluster.actor("n1").compact(0);
    cluster.play(&["n1", "n2"]);
    cluster.heartbeat("n1", &THREE);
    cluster.propose("n1", "x");
    cluster.play(&THREE);
    cluster.heartbeat("n1", &THREE);
    cluster.shows(
        "n1* t3: 3 |
         n2 t3: 1 1 1 3 3 |
         n3 t3: 3 |",
    );
    let n1 = cluster.actor("n1").machine.clone();
    assert_eq!(cluster.actor("n3").machine, n1);
}
