//! The events of a trial, reported to observers as they happen: a terminal, JUnit, a log.
//!
//! There is one stream of events and one method that receives them. An observer cannot change or stop a
//! trial.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tribunal_checker::op::{Event, Nanos};
use tribunal_nemesis::{FaultEvent, FaultRecord, NodeState};
use tribunal_reports::run_dir::RunDir;
use tribunal_reports::run_info::RunInfo;

pub use crate::controller::recorder::Tally;
use crate::faults::sentence;

/// An event of a trial.
#[derive(Debug)]
pub enum TrialEvent<'a> {
    /// Everything is set up, and no node has been started. Contents of `run.json`, and the final path of the
    /// run directory.
    Opened(&'a RunInfo, &'a Path),
    /// A phase begins: `starting`, `running`, `healing`, `final reads`, `stopping`, `checking`, `reporting`.
    Phase(&'a str),
    /// An operation was invoked or has completed.
    Operation(&'a Event),
    /// A fault begins, changes or ends.
    Fault(&'a FaultRecord),
    /// Progress of the trial; ten times a second while clients are running.
    Status(Status),
    /// Progress of the check of the whole history; once a second.
    Checking(CheckProgress),
    /// Other information for the user.
    Note(&'a str),
    /// A warning that is shown even in quiet mode.
    Warning(&'a str),
    /// The trial is over and its reports are written.
    Judged(&'a RunDir),
    /// The trial could not be run, or its verdict could not be stored: there will be no report.
    Failed(&'a str),
}

impl TrialEvent<'_> {
    /// The event as one line of a log; `None` for events that are too frequent to be logged.
    pub fn line(&self) -> Option<String> {
        match self {
            TrialEvent::Phase(name) => Some((*name).to_string()),
            TrialEvent::Fault(fault) => Some(sentence(fault)),
            TrialEvent::Note(text) | TrialEvent::Warning(text) => Some((*text).to_string()),
            TrialEvent::Failed(why) => Some(format!("harness failure: {why}")),
            _ => None,
        }
    }

    /// Whether this is one of very many events of its kind: a storm of kills shifts many times a second, and
    /// the states of the nodes show it anyway.
    pub fn is_minor(&self) -> bool {
        matches!(self, TrialEvent::Fault(fault) if fault.event == FaultEvent::Shift && fault.mode.is_none())
    }
}

/// Receives the events of a trial. Its threads call it concurrently, and wait for it.
pub trait Observer: Send + Sync {
    /// An event happened, `t` nanoseconds after the start of the run.
    fn on_event(&self, t: Nanos, event: &TrialEvent<'_>);
}

/// Ignores all events.
impl Observer for () {
    fn on_event(&self, _: Nanos, _: &TrialEvent<'_>) {}
}

/// Calls each observer in turn.
impl Observer for Vec<Arc<dyn Observer>> {
    fn on_event(&self, t: Nanos, event: &TrialEvent<'_>) {
        self.iter().for_each(|observer| observer.on_event(t, event));
    }
}

/// Progress of a trial.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Time since the clients started.
    pub elapsed: Duration,
    /// Duration of the load.
    pub limit: Duration,
    /// What has been recorded so far.
    pub tally: Tally,
    /// The nodes, in the order of their names.
    pub nodes: Vec<NodeStatus>,
    /// The active faults, each with the time since it was injected.
    pub faults: Vec<(String, Duration)>,
    /// Time until the next fault, if any.
    pub next_fault: Option<Duration>,
    /// State of the live check.
    pub check: CheckState,
}

/// A node and the state of its process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name, such as `n1`.
    pub name: String,
    /// State of its process.
    pub state: NodeState,
    /// How often it was restarted.
    pub restarts: usize,
    /// The term in which it leads, if it is the leader.
    pub leads: Option<u64>,
}

/// State of the live check.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub enum CheckState {
    /// There is no live check.
    #[default]
    Off,
    /// No violation so far.
    Running {
        /// Number of keys seen.
        keys: usize,
        /// How many of them it has left to the check after the run.
        skipped: usize,
        /// Age of the last event that it checked.
        lag: Duration,
    },
    /// It has given up; the whole history is checked after the run.
    GaveUp,
    /// It has proved a violation.
    Violation,
    /// The run is over and the whole history is being checked.
    Final(CheckProgress),
}

/// Progress of the check of a whole history.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct CheckProgress {
    /// Elapsed time.
    pub elapsed: Duration,
    /// Time limit.
    pub limit: Duration,
    /// Number of keys done, and of all keys.
    pub keys: (usize, usize),
    /// Configurations explored in the last second.
    pub states_per_second: u64,
    /// Resident memory of the program, in bytes.
    pub resident_bytes: u64,
    /// Whether a violation is proved and its counterexample is being shrunk.
    pub shrinking: bool,
}
