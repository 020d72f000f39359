//! What was really done: the lines of `faults.jsonl`.
//!
//! A line when the first acts of a fault are done and one when all of it is undone; a fault that was skipped has only the
//! first. Between the two stands a line for every later moment at which the fault does something else: where a majority
//! shifts, each shift. The times of the first and the last enclose everything that the fault did; what is in force from
//! the time of one line to that of the next is what the first of them says.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::{CutMode, NodeId, TimedAct};

/// One line of `faults.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// Which fault of the run, from 0; joins the two lines of one fault.
    pub i: usize,
    /// Nanoseconds since the start of the run: on `apply` and `shift` just before the first act of that moment, on `heal`
    /// just after the last undo.
    pub t: u64,
    /// How long the acts of that moment took, in milliseconds: on `apply` and `shift` those after `t`, on `heal` the undoing
    /// before it.
    #[serde(default, skip_serializing_if = "none")]
    pub took_ms: u64,
    /// Which of the lines.
    pub event: FaultEvent,
    /// The fault's name: `partition`.
    pub fault: String,
    /// Which kind of it: `isolate-leader`.
    pub kind: String,
    /// The nodes it is about from now on: those stopped, or else the smaller side of what is cut.
    pub nodes: Vec<NodeId>,
    /// The directed links it cuts from now on, as `n1>n2`.
    pub cuts: Vec<String>,
    /// Whether nothing of it is in force for now: between two kills of a storm, say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idle: bool,
    /// How it cuts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CutMode>,
    /// When it was to begin, in milliseconds since the start of the run.
    pub planned_ms: u64,
    /// How long it was to be held, in milliseconds.
    pub hold_ms: u64,
    /// Whether it was done.
    pub outcome: FaultOutcome,
    /// Why it was not done, may not have been done, or was done otherwise than planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The fault for people, as it is from now on: `partition {n2 | n1,n3}`.
    pub label: String,
    /// On `apply`: everything it is to do, with the nodes really taken. On `shift`: what is done at that moment. On `heal`: what
    /// of it was done before it ended. This is what a replay does again.
    pub acts: Vec<TimedAct>,
    /// On `heal`: the files it damaged, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touched: Vec<String>,
    /// On `heal`: what it did to the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<FaultEffect>,
    /// On `heal`: whether the effect shows that the fault did something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<bool>,
}

/// The moments of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultEvent {
    /// It is in force.
    Apply,
    /// Something else of it is in force from now on, or nothing for a while.
    Shift,
    /// It is undone.
    Heal,
}

/// What came of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultOutcome {
    /// Every act was done.
    Installed,
    /// Nothing was done.
    Skipped,
    /// Some act said that it could not be done: it may be in force, wholly, in part or not at all. It is undone all the same.
    Indeterminate,
}

/// Did it bite?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FaultEffect {
    /// Bytes that the links it cut withheld while it held them.
    pub bytes_withheld: u64,
    /// Connections that those links made wait, or reset.
    pub connections_withheld: u64,
    /// Bytes that the links it degraded made late by a millisecond or more, or tore apart.
    #[serde(skip_serializing_if = "none")]
    pub bytes_degraded: u64,
    /// Bits that it flipped in what went over them.
    #[serde(skip_serializing_if = "none")]
    pub bits_flipped: u64,
    /// Packets that were dropped on the links it cut or degraded, where it is packets that are withheld.
    #[serde(skip_serializing_if = "none")]
    pub packets_dropped: u64,
    /// Nodes that it stopped and that were seen to be stopped just before it let them go.
    pub nodes_stopped: u64,
    /// New connections that could not be made: those that came to the links it cut, or that nobody accepted at the nodes
    /// it stopped.
    #[serde(skip_serializing_if = "none")]
    pub connections_refused: u64,
    /// Operations that were under way when it was applied. Told by the controller; no sign that it bit.
    #[serde(skip_serializing_if = "none")]
    pub operations_in_flight: u64,
    /// How often another node came to lead while it was in force. Told by the controller; no sign that it bit, as leaders
    /// also change by themselves.
    #[serde(skip_serializing_if = "none")]
    pub leader_changes: u64,
    /// How far a clock that it made wrong was seen to be from the truth, at most, in milliseconds.
    #[serde(skip_serializing_if = "none")]
    pub clock_off_ms: u64,
    /// Processor time that it withheld, in milliseconds.
    #[serde(skip_serializing_if = "none")]
    pub cpu_withheld_ms: u64,
    /// Connections that nodes which may open no file had left waiting.
    #[serde(skip_serializing_if = "none")]
    pub connections_unaccepted: u64,
    /// Nodes that died of it by themselves.
    #[serde(skip_serializing_if = "none")]
    pub nodes_died: u64,
    /// Requests that the disks it troubled refused or delayed.
    #[serde(skip_serializing_if = "none")]
    pub requests_troubled: u64,
    /// Bytes of unsynced writes that the power failure took.
    #[serde(skip_serializing_if = "none")]
    pub bytes_lost: u64,
    /// Unsynced creations, renames and removals that the power failure took.
    #[serde(skip_serializing_if = "none")]
    pub entries_lost: u64,
    /// Files that it damaged.
    #[serde(skip_serializing_if = "none")]
    pub files_damaged: u64,
    /// Other members, and other leaders, that the nodes agreed upon as they were asked to.
    #[serde(skip_serializing_if = "none")]
    pub requests_granted: u64,
}

fn none(count: &u64) -> bool {
    *count == 0
}

impl AddAssign for FaultEffect {
    fn add_assign(&mut self, other: FaultEffect) {
        self.bytes_withheld += other.bytes_withheld;
        self.connections_withheld += other.connections_withheld;
        self.bytes_degraded += other.bytes_degraded;
        self.bits_flipped += other.bits_flipped;
        self.packets_dropped += other.packets_dropped;
        self.connections_refused += other.connections_refused;
        self.operations_in_flight += other.operations_in_flight;
        self.leader_changes += other.leader_changes;
        self.nodes_stopped += other.nodes_stopped;
        self.clock_off_ms = self.clock_off_ms.max(other.clock_off_ms);
        self.cpu_withheld_ms += other.cpu_withheld_ms;
        self.connections_unaccepted += other.connections_unaccepted;
        self.nodes_died += other.nodes_died;
        self.requests_troubled += other.requests_troubled;
        self.bytes_lost += other.bytes_lost;
        self.entries_lost += other.entries_lost;
        self.files_damaged += other.files_damaged;
        self.requests_granted += other.requests_granted;
    }
}

impl FaultEffect {
    /// Whether it shows that a fault of these acts did what it is for. What only serves another act is no sign of that: a node is
    /// killed in order to damage its files, and connections are reset so that a node without descriptors has to open some.
    pub fn shows(&self, acts: &[TimedAct]) -> bool {
        let proof = acts.iter().find_map(|timed| timed.act.nature().proof);
        proof.map_or_else(|| self.any(), |proof| proof(self))
    }

    /// Whether it did anything to the cluster.
    pub fn any(&self) -> bool {
        FaultEffect { operations_in_flight: 0, leader_changes: 0, ..*self } != FaultEffect::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_serves_another_act_is_no_sign_of_it() {
        let shows = |acts: &[&str], effect: FaultEffect| {
            let acts: Vec<TimedAct> = acts.iter().map(|act| act.parse().expect(act)).collect();
            effect.shows(&acts)
        };
        let stopped = FaultEffect { nodes_stopped: 1, ..FaultEffect::default() };
        assert!(shows(&["kill n1"], stopped));
        assert!(!shows(&["kill n1"], FaultEffect { operations_in_flight: 9, ..FaultEffect::default() }));
        let wipe = ["kill n1", "@5 damage n1 wipe seed=1"];
        assert!(!shows(&wipe, stopped));
        assert!(shows(&wipe, FaultEffect { files_damaged: 1, ..stopped }));
        let limit = ["limit n1 files=9", "cut n2>n1 reset", "heal n2>n1"];
        let reset = FaultEffect { connections_withheld: 4, ..FaultEffect::default() };
        assert!(!shows(&limit, reset));
        assert!(shows(&limit, FaultEffect { connections_unaccepted: 1, ..reset }));
    }
}
