//! What the nemesis really did, and when: the lines of `faults.jsonl`.
//!
//! ```json
//! {"n":0,"i":0,"t":5000000000,"event":"apply","fault":"partition","kind":"isolate-leader","nodes":["n2"],
//!  "cuts":["n2>n1","n1>n2"],"mode":"stall","planned_ms":5000,"hold_ms":3000,"outcome":"installed",
//!  "label":"partition {n2 | n1,n3,n4,n5}","acts":["cut n2>n1 stall","cut n1>n2 stall"]}
//! {"n":1,"i":0,"t":6200000000,"event":"shift","nodes":["n1","n2"],"cuts":["n1>n3"],"label":"partition {n1,n2 | n3,n4,n5}"}
//! {"n":2,"i":0,"t":8000000000,"event":"heal","outcome":"installed","effect":{"bytes_withheld":8120},"effective":true}
//! ```
//!
//! A line when the first acts of a fault are done and one when all of it is undone; a fault that was skipped has only the
//! first. Between the two stands a line for every later moment at which the fault does something else: where a majority
//! shifts, each shift. The times of the first and the last enclose everything that the fault did; what is in force from
//! the time of one line to that of the next is what the first of them says.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the shape of a line.
pub const SCHEMA_VERSION: u64 = 1;

/// One line of `faults.jsonl`.
///
/// `Node`, `Act` and `Effect` are how the nemesis, which writes it, or a report, which reads it, holds a node (`n1`), an act
/// (`@500 kill n1`) and what was measured. A reader passes over fields that it does not know, and takes those that are
/// missing for empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord<Node = String, Act = String, Effect = Map<String, Value>> {
    /// The number of the line, from 0: by it a line that is lost is noticed. `None` before it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// The version of the shape of the line. Lines do not carry it: a run directory says it once, in run.json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u64>,
    /// Which fault of the run, from 0; joins the two lines of one fault.
    pub i: usize,
    /// Nanoseconds since the start of the run: on `apply` and `shift` just before the first act of that moment, on `heal`
    /// just after the last undo.
    pub t: u64,
    /// How long the acts of that moment took, in milliseconds: on `apply` and `shift` those after `t`, on `heal` the undoing
    /// before it.
    #[serde(default, skip_serializing_if = "nothing")]
    pub took_ms: u64,
    /// Which of the lines.
    pub event: FaultEvent,
    /// The fault's name: `partition`.
    #[serde(default)]
    pub fault: String,
    /// Which kind of it: `isolate-leader`.
    #[serde(default)]
    pub kind: String,
    /// The nodes it is about from now on: those stopped, or else the smaller side of what is cut.
    #[serde(default = "Vec::new")]
    pub nodes: Vec<Node>,
    /// The directed links it cuts from now on, as `n1>n2`.
    #[serde(default)]
    pub cuts: Vec<String>,
    /// Whether nothing of it is in force for now: between two kills of a storm, say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idle: bool,
    /// How it cuts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CutMode>,
    /// When it was to begin, in milliseconds since the start of the run.
    #[serde(default)]
    pub planned_ms: Option<u64>,
    /// How long it was to be held, in milliseconds.
    #[serde(default)]
    pub hold_ms: u64,
    /// Whether it was done.
    #[serde(default)]
    pub outcome: FaultOutcome,
    /// Why it was not done, may not have been done, or was done otherwise than planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The fault for people, as it is from now on: `partition {n2 | n1,n3}`.
    #[serde(default)]
    pub label: String,
    /// On `apply`: everything it is to do, with the nodes really taken. On `shift`: what is done at that moment. On `heal`: what
    /// of it was done before it ended. This is what a replay does again.
    #[serde(default = "Vec::new")]
    pub acts: Vec<Act>,
    /// On `heal`: the files it damaged, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touched: Vec<String>,
    /// On `heal`: what it did to the cluster.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultOutcome {
    /// Every act was done.
    Installed,
    /// Nothing was done.
    Skipped,
    /// Some act said that it could not be done: it may be in force, wholly, in part or not at all. It is undone all the same.
    #[default]
    Indeterminate,
}

impl FaultOutcome {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            FaultOutcome::Installed => "installed",
            FaultOutcome::Skipped => "skipped",
            FaultOutcome::Indeterminate => "indeterminate",
        }
    }
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
    #[serde(skip_serializing_if = "nothing")]
    pub bytes_degraded: u64,
    /// Bits that it flipped in what went over them.
    #[serde(skip_serializing_if = "nothing")]
    pub bits_flipped: u64,
    /// Packets that were dropped on the links it cut or degraded, where it is packets that are withheld.
    #[serde(skip_serializing_if = "nothing")]
    pub packets_dropped: u64,
    /// Nodes that it stopped and that were seen to be stopped just before it let them go.
    pub nodes_stopped: u64,
    /// New connections that could not be made: those that came to the links it cut, or that nobody accepted at the nodes
    /// it stopped.
    #[serde(skip_serializing_if = "nothing")]
    pub connections_refused: u64,
    /// Operations that were under way when it was applied. Told by the controller; no sign that it bit.
    #[serde(skip_serializing_if = "nothing")]
    pub operations_in_flight: u64,
    /// How often another node came to lead while it was in force. Told by the controller; no sign that it bit, as leaders
    /// also change by themselves.
    #[serde(skip_serializing_if = "nothing")]
    pub leader_changes: u64,
    /// How far a clock that it made wrong was seen to be from the truth, at most, in milliseconds.
    #[serde(skip_serializing_if = "nothing")]
    pub clock_off_ms: u64,
    /// Processor time that it withheld, in milliseconds.
    #[serde(skip_serializing_if = "nothing")]
    pub cpu_withheld_ms: u64,
    /// Connections that nodes which may open no file had left waiting.
    #[serde(skip_serializing_if = "nothing")]
    pub connections_unaccepted: u64,
    /// Nodes that died of it by themselves.
    #[serde(skip_serializing_if = "nothing")]
    pub nodes_died: u64,
    /// Requests that the disks it troubled refused or delayed.
    #[serde(skip_serializing_if = "nothing")]
    pub requests_troubled: u64,
    /// Bytes of unsynced writes that the power failure took.
    #[serde(skip_serializing_if = "nothing")]
    pub bytes_lost: u64,
    /// Unsynced creations, renames and removals that the power failure took.
    #[serde(skip_serializing_if = "nothing")]
    pub entries_lost: u64,
    /// Files that it damaged.
    #[serde(skip_serializing_if = "nothing")]
    pub files_damaged: u64,
    /// Other members, and other leaders, that the nodes agreed upon as they were asked to.
    #[serde(skip_serializing_if = "nothing")]
    pub requests_granted: u64,
}

fn none<T>() -> Option<T> {
    None
}

fn nothing(count: &u64) -> bool {
    *count == 0
}

/// How a cut link treats what it should carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CutMode {
    /// Like `iptables -j DROP`: bytes wait and nothing is lost or invented; they flow on heal. The sender sees silence.
    ///
    /// Unlike DROP the proxy still accepts connections and acknowledges what it reads, so timeouts of the kernel (connect,
    /// TCP user timeout, keepalive) never fire; timeouts of the program do.
    Stall,
    /// Like `iptables -j REJECT`: connections that use the link are reset, new ones are reset at once.
    Reset,
}

impl CutMode {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            CutMode::Stall => "stall",
            CutMode::Reset => "reset",
        }
    }
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
    /// Whether it did anything to the cluster.
    pub fn any(&self) -> bool {
        FaultEffect { operations_in_flight: 0, leader_changes: 0, ..*self } != FaultEffect::default()
    }
}
