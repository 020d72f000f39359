//! Scripts: each line decides which node times out and which messages arrive.
//!
//! The cluster prints one line per node: its name, `*` if it leads, its term, and the terms of its log, with
//! `|` after the last entry that it knows to be committed.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::Options;
use super::super::bug::Bug;
use super::super::core::{Stored, Time};
use super::super::message::{Body, Message, NodeId, Position};
use super::{Actor, ELECTION_TIMEOUT, HEARTBEAT, command};

pub(super) struct TestCluster {
    pub(super) actors: Vec<Actor>,
    pub(super) now: Time,
    /// Messages in flight.
    pub(super) sent: VecDeque<(NodeId, NodeId, Message)>,
    /// Answered reads: node, read.
    pub(super) answered: Vec<(NodeId, u64)>,
}

pub(super) const FIVE: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];
pub(super) const THREE: [&str; 3] = ["n1", "n2", "n3"];

impl TestCluster {
    /// Nodes that start with these disks.
    pub(super) fn with(names: &[&str], disks: Vec<Stored>, bugs: &[Bug]) -> Self {
        Self::with_options(names, disks, bugs, &Options::default())
    }

    pub(super) fn with_options(names: &[&str], disks: Vec<Stored>, bugs: &[Bug], options: &Options) -> Self {
        let actors = names
            .iter()
            .zip(disks)
            .map(|(name, disk)| Actor::new(name, names, bugs, options.clone(), disk))
            .collect();
        let mut cluster =
            TestCluster { actors, now: Time::ZERO, sent: VecDeque::new(), answered: Vec::new() };
        for name in names {
            cluster.start(name);
        }
        cluster
    }

    /// Nodes that start for the first time.
    pub(super) fn new(names: &[&str]) -> Self {
        Self::with(names, names.iter().map(|_| Stored::default()).collect(), &[])
    }

    pub(super) fn actor(&mut self, name: &str) -> &mut Actor {
        self.actors.iter_mut().find(|actor| actor.id == name.into()).unwrap()
    }

    pub(super) fn start(&mut self, name: &str) {
        let now = self.now;
        self.actor(name).start(1, now);
    }

    pub(super) fn crash(&mut self, name: &str) {
        self.actor(name).crash();
        self.sent.retain(|(from, to, _)| *from != name.into() && *to != name.into());
    }

    /// Sends a node's pending messages; its disk is not synced.
    pub(super) fn settle(&mut self, name: &str) {
        let actor = self.actor(name);
        let ready = actor.settle();
        let id = actor.id.clone();
        self.sent.extend(ready.messages.into_iter().map(|(to, message)| (id.clone(), to, message)));
        let reads = ready.reads.into_iter().chain(ready.leased);
        self.answered.extend(reads.map(|read| (id.clone(), read)));
    }

    /// Syncs a node's disk.
    pub(super) fn sync(&mut self, name: &str) {
        let actor = self.actor(name);
        while let Some(number) = actor.disk.sync_one() {
            if let Some(core) = &mut actor.core {
                core.persisted(number);
            }
        }
        self.settle(name);
    }

    /// Advances the time so that this node's election timer fires, and no other's.
    pub(super) fn time_out(&mut self, name: &str) {
        self.now += ELECTION_TIMEOUT.1 + Duration::from_millis(1);
        self.tick(name);
    }

    pub(super) fn tick(&mut self, name: &str) {
        let now = self.now;
        self.actor(name).core.as_mut().unwrap().tick(now);
        self.settle(name);
    }

    pub(super) fn propose(&mut self, name: &str, text: &str) {
        self.actor(name).core.as_mut().unwrap().propose(command(text)).expect("it leads");
        self.settle(name);
    }

    /// Delivers and syncs everything among these nodes until they are idle. Messages to other nodes are lost.
    pub(super) fn play(&mut self, among: &[&str]) {
        loop {
            for name in among {
                self.settle(name);
                self.sync(name);
            }
            self.sent.retain(|(_, to, _)| among.iter().any(|name| *to == (*name).into()));
            let Some((from, to, message)) = self.sent.pop_front() else { return };
            let now = self.now;
            let receiver = self.actors.iter_mut().find(|actor| actor.id == to).unwrap();
            if let Some(core) = &mut receiver.core {
                core.receive(now, &from, message);
            }
        }
    }

    /// Sends the leader's heartbeat and delivers everything among these nodes.
    pub(super) fn heartbeat(&mut self, leader: &str, among: &[&str]) {
        self.now += HEARTBEAT;
        self.tick(leader);
        self.play(among);
    }

    /// Elects a node with the votes of these nodes, and lets them replicate.
    pub(super) fn elect(&mut self, name: &str, among: &[&str]) {
        self.time_out(name);
        self.play(among);
    }

    /// A candidate of term 1 with an empty log requests a vote; returns the answer, if it is immediate.
    pub(super) fn asks_for_vote(&mut self, candidate: &str, voter: &str) -> Option<Message> {
        let request = Message { term: 1, body: Body::RequestVote { last: Position::START, transfer: false } };
        let now = self.now;
        self.actor(voter).core.as_mut().unwrap().receive(now, &candidate.into(), request);
        self.settle(voter);
        self.sent.front().map(|(_, _, message)| message.clone())
    }

    /// Takes the messages in flight; all of them are lost.
    pub(super) fn said(&mut self) -> Vec<Body> {
        self.sent.drain(..).map(|(_, _, message)| message.body).collect()
    }

    pub(super) fn show(&self) -> String {
        let mut lines = String::new();
        for actor in &self.actors {
            let Some(core) = &actor.core else {
                lines += &format!("{} down\n", actor.id);
                continue;
            };
            let star = if core.is_leader() { "*" } else { "" };
            lines += &format!("{}{star} t{}:", actor.id, core.term());
            for entry in core.log().from(1) {
                let bar = if entry.at.index == core.commit() { " |" } else { "" };
                lines += &format!(" {}{bar}", entry.at.term);
            }
            lines += "\n";
        }
        lines
    }

    #[track_caller]
    pub(super) fn shows(&self, expected: &str) {
        let expected: String = expected.trim().lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(self.show(), expected);
    }
}
