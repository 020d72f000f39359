//! The nemesis of one run: its plan, its record in faults.jsonl, and what is in force just now.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;
use tribunal_nemesis::{
    FaultEvent, FaultOutcome, FaultRecord, Links, Plan, Schedule, Wanted, drive, heal_everything,
};

use crate::cli::RunArgs;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::live::Live;

/// The faults that were asked for, and the plan that the seed makes of them.
pub(crate) struct Nemesis {
    wanted: Wanted,
    plan: Plan,
}

impl Nemesis {
    pub(crate) fn of(args: &RunArgs, seed: u64) -> Result<Self> {
        let wanted: Wanted = args.nemesis.parse().context("--nemesis")?;
        let schedule = Schedule {
            wanted: wanted.clone(),
            seed,
            nodes: usize::from(args.nodes),
            interval_ms: args.nemesis_interval.as_millis() as u64,
            time_limit_ms: args.time_limit.as_millis() as u64,
        };
        Ok(Nemesis { wanted, plan: schedule.draw() })
    }

    /// The names of the faults, in the order in which they were asked for.
    pub(crate) fn names(&self) -> Vec<String> {
        self.wanted.names().into_iter().map(str::to_string).collect()
    }

    /// The plan, with its times counted from the start of the run instead of from when the clients begin.
    fn plan_from(&self, begin_ms: u64) -> Plan {
        let mut plan = self.plan.clone();
        plan.steps.iter_mut().for_each(|step| step.at_ms += begin_ms);
        plan
    }
}

/// Writes faults.jsonl, a line per change, and tells the terminal.
pub(crate) struct Faults {
    clock: Clock,
    live: Arc<Live>,
    page: Mutex<Page>,
}

struct Page {
    file: File,
    /// Labels, each with when it was applied, in ns.
    in_force: BTreeMap<usize, (String, u64)>,
    /// When the steps of the plan are due, in ms, in order.
    due_ms: Vec<u64>,
    /// The first line that could not be written.
    broken: Option<std::io::Error>,
}

impl Faults {
    pub(crate) fn create(path: &Path, clock: Clock, live: Arc<Live>) -> Result<Self> {
        let file = File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Faults {
            clock,
            live,
            page: Mutex::new(Page { file, in_force: BTreeMap::new(), due_ms: Vec::new(), broken: None }),
        })
    }

    /// Carries out the plan; returns when all of it is undone.
    ///
    /// # Errors
    /// When something could not be healed, or faults.jsonl cannot be written.
    pub(crate) async fn drive(
        &self,
        nemesis: &Nemesis,
        cluster: &Arc<Cluster>,
        links: &Arc<Links>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let clock = self.clock;
        let plan = nemesis.plan_from(clock.now() / 1_000_000);
        self.lock().due_ms = plan.steps.iter().map(|step| step.at_ms).collect();
        let record = |fault: FaultRecord| self.record(&fault);
        drive(plan, cluster.clone(), links.clone(), move || clock.now(), stop.clone(), record).await?;
        match self.lock().broken.take() {
            Some(error) => Err(error).context("cannot write faults.jsonl"),
            None => Ok(()),
        }
    }

    /// Undoes everything, whatever happened before.
    ///
    /// # Errors
    /// When a node cannot be resumed or started.
    pub(crate) async fn heal_everything(&self, cluster: &Cluster, links: &Links) -> Result<()> {
        Ok(heal_everything(cluster, links).await?)
    }

    fn record(&self, fault: &FaultRecord) {
        let mut page = self.lock();
        let mut line = serde_json::to_vec(fault).expect("a record of texts and numbers has a JSON form");
        line.push(b'\n');
        if let Err(error) = page.file.write_all(&line) {
            page.broken.get_or_insert(error);
        }
        match (fault.event, fault.outcome) {
            (_, FaultOutcome::Skipped) => {}
            (FaultEvent::Apply, _) => {
                drop(page.in_force.insert(fault.i, (fault.label.clone(), self.clock.now())))
            }
            (FaultEvent::Heal, _) => drop(page.in_force.remove(&fault.i)),
        }
        drop(page);
        self.live.event(&sentence(fault));
    }

    /// What is in force now, each with how long it has been so.
    pub(crate) fn in_force(&self) -> Vec<(String, Duration)> {
        let now = self.clock.now();
        let age = |since: u64| Duration::from_nanos(now.saturating_sub(since));
        self.lock().in_force.values().map(|(label, since)| (label.clone(), age(*since))).collect()
    }

    /// When the next fault is due, if one is.
    pub(crate) fn next(&self) -> Option<Duration> {
        let now_ms = self.clock.now() / 1_000_000;
        let due = self.lock().due_ms.iter().copied().find(|due| *due > now_ms)?;
        Some(Duration::from_millis(due - now_ms))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Page> {
        self.page.lock().expect("nobody panics while holding it")
    }
}

/// The change in words: `partition {n2 | n1,n3}`, `healed partition {n2 | n1,n3}`, `kill n1: skipped, nobody leads`.
fn sentence(fault: &FaultRecord) -> String {
    let healed = if fault.event == FaultEvent::Heal { "healed " } else { "" };
    let outcome = match fault.outcome {
        FaultOutcome::Installed if fault.effective == Some(false) => ": it had no effect",
        FaultOutcome::Installed => "",
        FaultOutcome::Skipped => ": skipped",
        FaultOutcome::Indeterminate => ": indeterminate",
    };
    let why = fault.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{healed}{}{outcome}{why}", fault.label)
}
