//! What happens in a trial, told to whoever looks on as it happens: a terminal, JUnit, a log.
//!
//! One stream of events, and one method that sees them. An observer changes nothing: it cannot stop a trial, and what it does
//! with an event is its own business.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tribunal_checker::op::{Event, Nanos};
use tribunal_nemesis::{FaultEvent, FaultRecord, NodeState};
use tribunal_reports::run_dir::RunDir;
use tribunal_reports::run_info::RunInfo;

pub use crate::controller::recorder::Tally;
use crate::faults::sentence;

/// Something that happens in a trial.
#[derive(Debug)]
pub enum TrialEvent<'a> {
    /// All is decided and nothing has been started. What `run.json` says, and where the run directory will be when it is complete.
    Opened(&'a RunInfo, &'a Path),
    /// A phase begins: `starting`, `running`, `healing`, `final reads`, `stopping`, `checking`, `reporting`.
    Phase(&'a str),
    /// A client has invoked an operation, or one has ended.
    Operation(&'a Event),
    /// A fault begins, changes or ends.
    Fault(&'a FaultRecord),
    /// How the trial is doing; ten times a second while clients are driven.
    Status(Status),
    /// How far the check of the whole history is; once a second.
    Checking(CheckProgress),
    /// Something else worth knowing.
    Note(&'a str),
    /// Something that the user should know even if nothing else is shown.
    Warning(&'a str),
    /// The trial is over and its reports are written.
    Judged(&'a RunDir),
    /// The trial could not be held, or its verdict could not be kept: there will be no report.
    Broke(&'a str),
}

impl TrialEvent<'_> {
    /// The event in one line for a log; `None` for those that come too often to be kept.
    pub fn line(&self) -> Option<String> {
        match self {
            TrialEvent::Phase(name) => Some((*name).to_string()),
            TrialEvent::Fault(fault) => Some(sentence(fault)),
            TrialEvent::Note(text) | TrialEvent::Warning(text) => Some((*text).to_string()),
            TrialEvent::Broke(why) => Some(format!("harness failure: {why}")),
            _ => None,
        }
    }

    /// Whether it is one of many of its kind: a storm of kills shifts many times a second, and the states of the nodes tell it.
    pub fn is_minor(&self) -> bool {
        matches!(self, TrialEvent::Fault(fault) if fault.event == FaultEvent::Shift && fault.mode.is_none())
    }
}

/// Looks on at a trial. Its threads call it, several at a time, and wait for it.
pub trait Observer: Send + Sync {
    /// Something happened, `t` nanoseconds after the start of the run.
    fn see(&self, t: Nanos, event: &TrialEvent<'_>);
}

/// Nobody looks on.
impl Observer for () {
    fn see(&self, _: Nanos, _: &TrialEvent<'_>) {}
}

/// Each in turn.
impl Observer for Vec<Arc<dyn Observer>> {
    fn see(&self, t: Nanos, event: &TrialEvent<'_>) {
        self.iter().for_each(|observer| observer.see(t, event));
    }
}

/// How a trial is doing.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Since the clients began.
    pub elapsed: Duration,
    /// How long they are to go on.
    pub limit: Duration,
    /// What has been recorded so far.
    pub tally: Tally,
    /// The nodes, in the order of their names.
    pub nodes: Vec<NodeNow>,
    /// The faults in force, each with how long it has been so.
    pub faults: Vec<(String, Duration)>,
    /// When the next fault is due, if one is.
    pub next_fault: Option<Duration>,
    /// The check beside the run.
    pub check: CheckState,
}

/// A node and what its process does.
#[derive(Clone, Debug)]
pub struct NodeNow {
    /// Its name, such as `n1`.
    pub name: String,
    /// Whether its process runs.
    pub state: NodeState,
    /// How often it was started again.
    pub restarts: usize,
}

/// How far the check beside the run is.
#[derive(Clone, Copy, Debug, Default)]
pub enum CheckState {
    /// There is none.
    #[default]
    Off,
    /// Nothing wrong so far.
    SoFar {
        /// How many keys it has seen.
        keys: usize,
        /// How many of them it has left to the check of the whole.
        left: usize,
        /// How old the last event is that it judged.
        behind: Duration,
    },
    /// It has given up: all is checked in the end.
    GaveUp,
    /// It has proved a violation.
    Violation,
    /// The run is over and the whole history is being checked.
    Whole(CheckProgress),
}

/// How far the check of a whole history is.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckProgress {
    /// For how long it has gone on.
    pub took: Duration,
    /// For how long it may go on.
    pub limit: Duration,
    /// Keys that are done with, and all of them.
    pub keys: (usize, usize),
    /// Configurations explored in the last second.
    pub states_per_second: u64,
    /// Bytes of memory that the program holds.
    pub held: u64,
    /// Whether a violation is proved and being made smaller.
    pub shrinking: bool,
}
