//! The nemesis of one run: its plan, its record in faults.jsonl, and the active faults.

mod nemesis;
mod run_watcher;

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;
use tribunal_nemesis::{FaultEvent, FaultOutcome, FaultRecord, Links, Plan, drive, heal_everything};

use crate::announcer::Announcer;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::controller::recorder::Recorder;
use crate::lines::LineFile;
use crate::lock::locked;
use crate::observer::TrialEvent;
use crate::oracles::Oracles;
pub(crate) use nemesis::Nemesis;
use run_watcher::{RunWatcher, Situation};

/// Writes faults.jsonl, one line per change, and notifies the observers.
pub(crate) struct Faults {
    clock: Clock,
    announcer: Arc<Announcer>,
    oracles: Arc<Oracles>,
    state: Mutex<State>,
}

struct State {
    file: LineFile,
    /// Label of each active fault, and when it was injected, in ns.
    active: BTreeMap<usize, (String, u64)>,
    /// Due times of the remaining steps of the plan, in ms, ascending.
    due_ms: Peekable<Box<dyn Iterator<Item = u64> + Send>>,
    /// Error of the first line that could not be written.
    write_error: Option<std::io::Error>,
    /// The situation when each active fault was injected.
    at_injection: BTreeMap<usize, Situation>,
}

impl Faults {
    pub(crate) fn create(
        path: &Path,
        clock: Clock,
        announcer: Arc<Announcer>,
        oracles: Arc<Oracles>,
    ) -> Result<Self> {
        let file = LineFile::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        let due_ms = due(std::iter::empty());
        let state =
            State { file, active: BTreeMap::new(), due_ms, write_error: None, at_injection: BTreeMap::new() };
        Ok(Faults { clock, announcer, oracles, state: Mutex::new(state) })
    }

    /// Executes a plan, whose times count from the start of the run; returns when all faults are undone.
    ///
    /// # Errors
    /// When a fault could not be healed, or faults.jsonl cannot be written.
    pub(crate) async fn drive(
        &self,
        plan: Plan,
        cluster: &Arc<Cluster>,
        links: &Arc<Links>,
        recorder: &Arc<Recorder>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let clock = self.clock;
        self.lock().due_ms = due(plan.in_order().map(|step| step.at_ms));
        let (watcher, run_events) = RunWatcher::open(&plan, cluster.clone(), recorder.clone());
        let record = |fault: FaultRecord| self.record(fault, &watcher);
        let nodes = cluster.clone();
        let now = move || clock.now();
        drive(plan, nodes, links.clone(), now, stop.clone(), run_events, record).await?;
        match self.lock().write_error.take() {
            Some(error) => Err(error).context("cannot write faults.jsonl"),
            None => Ok(()),
        }
    }

    /// Undoes every fault, whatever happened before.
    ///
    /// # Errors
    /// When a node cannot be resumed or started.
    pub(crate) async fn heal_everything(&self, cluster: &Cluster, links: &Links) -> Result<()> {
        Ok(heal_everything(cluster, links).await?)
    }

    fn record(&self, mut fault: FaultRecord, watcher: &RunWatcher) {
        let mut state = self.lock();
        match fault.event {
            FaultEvent::Apply => drop(state.at_injection.insert(fault.i, watcher.situation())),
            FaultEvent::Shift => {}
            FaultEvent::Heal => {
                let (now, applied) = (watcher.situation(), state.at_injection.remove(&fault.i));
                if let (Some(effect), Some(applied)) = (&mut fault.effect, applied) {
                    effect.operations_in_flight = applied.operations_in_flight;
                    effect.leader_changes = now.leader_changes - applied.leader_changes;
                }
            }
        }
        fault.n = Some(state.file.lines());
        let mut line = serde_json::to_vec(&fault).expect("a record of texts and numbers has a JSON form");
        line.push(b'\n');
        if let Err(error) = state.file.append(&line) {
            state.write_error.get_or_insert(error);
        }
        match (fault.event, fault.outcome) {
            (_, FaultOutcome::Skipped) => {}
            (FaultEvent::Heal, _) => drop(state.active.remove(&fault.i)),
            _ if fault.idle => drop(state.active.remove(&fault.i)),
            _ => drop(state.active.insert(fault.i, (fault.label.clone(), fault.t))),
        }
        drop(state);
        self.oracles.note_fault(&fault);
        self.announcer.emit_at(fault.t, &TrialEvent::Fault(&fault));
    }

    /// The active faults, each with the time since it was injected.
    pub(crate) fn active(&self) -> Vec<(String, Duration)> {
        let now = self.clock.now();
        let age = |since: u64| Duration::from_nanos(now.saturating_sub(since));
        self.lock().active.values().map(|(label, since)| (label.clone(), age(*since))).collect()
    }

    /// Time until the next fault, if any.
    pub(crate) fn next(&self) -> Option<Duration> {
        let now_ms = self.clock.now() / 1_000_000;
        let due_ms = &mut self.lock().due_ms;
        while due_ms.next_if(|due| *due <= now_ms).is_some() {}
        Some(Duration::from_millis(due_ms.peek()? - now_ms))
    }

    /// Number of lines in faults.jsonl.
    pub(crate) fn lines(&self) -> u64 {
        self.lock().file.lines()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        locked(&self.state)
    }
}

fn due(
    times_ms: impl Iterator<Item = u64> + Send + 'static,
) -> Peekable<Box<dyn Iterator<Item = u64> + Send>> {
    let times_ms: Box<dyn Iterator<Item = u64> + Send> = Box::new(times_ms);
    times_ms.peekable()
}

/// A change that takes longer, in ms, is shown with its duration: its time is the begin of a fault, or the
/// end of a heal.
const TOOK_MS_MIN: u64 = 20;

/// A change as text: `partition {n2 | n1,n3}`, `healed partition {n2 | n1,n3}`, `kill n1: skipped, nobody
/// leads`, `power n1,n2 [took 342 ms]`.
pub(crate) fn sentence(fault: &FaultRecord) -> String {
    let healed = if fault.event == FaultEvent::Heal { "healed " } else { "" };
    let outcome = match fault.outcome {
        FaultOutcome::Installed if fault.idle => ": inactive for now",
        FaultOutcome::Installed if fault.effective == Some(false) => ": it had no effect",
        FaultOutcome::Installed => "",
        FaultOutcome::Skipped => ": skipped",
        FaultOutcome::Indeterminate => ": indeterminate",
    };
    let why = fault.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let touched = match fault.touched.is_empty() {
        true => String::new(),
        false => format!(": {}", fault.touched.join(", ")),
    };
    let took = match fault.took_ms {
        ms if ms >= TOOK_MS_MIN => format!(" [took {ms} ms]"),
        _ => String::new(),
    };
    format!("{healed}{}{touched}{outcome}{why}{took}", fault.label)
}
