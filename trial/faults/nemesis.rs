//! From a spec to a fault plan: the requested faults, and their times.
//!
//! There are three ways to request faults. `--nemesis` names faults; the seed decides their times and
//! targets. `--grudge` gives a single partition; the seed decides its times. `--schedule` names a file that
//! decides everything, or leaves parts to the seed. All times of a plan count from the start of the clients.
//! The times of a recorded run count from the start of that run, so the start of its clients, which is in its
//! run.json, is subtracted.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::IgnoredAny;
use tribunal_nemesis::{Drawn, Fault, FaultSelection, Grudge, NodeId, OmittedFault, Plan, Schedule};
use tribunal_records::TrialSpec;
use tribunal_reports::run_dir::load_info;

use crate::user_file::read_text;

/// The requested faults, and their plan.
pub(crate) struct Nemesis {
    names: Vec<String>,
    /// Faults for which a phase of a schedule is too short, although they occur in other phases.
    undrawn: Vec<String>,
    plan: Plan,
}

impl Nemesis {
    /// Makes the plan; also returns warnings for the user.
    ///
    /// # Errors
    /// What is wrong with the names, the grudge or the schedule.
    pub(crate) fn of(spec: &TrialSpec, seed: u64, own: &[&'static Fault]) -> Result<(Self, Vec<String>)> {
        let nodes = usize::from(spec.nodes);
        let mut warnings = Vec::new();
        if let Some(path) = &spec.schedule {
            let (plan, shown) = (read(path, seed, nodes, &mut warnings)?, path.display());
            warnings.extend(late_steps(&plan, spec.time_limit));
            for OmittedFault { phase, fault } in &plan.omitted {
                warnings.push(format!(
                    "warning: {shown}: phase {phase} is too short for {fault}: the run will be unknown"
                ));
            }
            // A fault that never occurs is reported missing by its name; one that occurs elsewhere is
            // reported for this phase.
            let elsewhere = plan.omitted.iter().filter(|it| plan.may_inject(&it.fault));
            let too_short = |it: &OmittedFault| format!("phase {} was too short for {}", it.phase, it.fault);
            let undrawn = elsewhere.map(too_short).collect();
            let names: BTreeSet<String> = plan.possible_steps().map(|step| step.fault).collect();
            return Ok((Nemesis { names: names.into_iter().collect(), undrawn, plan }, warnings));
        }
        let wanted: FaultSelection = FaultSelection::parse(&spec.nemesis, own).context("--nemesis")?;
        let schedule = Schedule {
            wanted,
            seed,
            nodes,
            interval_ms: spec.nemesis_interval.as_millis() as u64,
            time_limit_ms: spec.time_limit.as_millis() as u64,
        };
        if let Some(text) = &spec.grudge {
            let grudge = grudge(text, nodes).context("--grudge")?;
            let plan = drawn(schedule, Some(grudge));
            return Ok((Nemesis { names: vec!["partition".into()], undrawn: Vec::new(), plan }, warnings));
        }
        let names = schedule.wanted.names().into_iter().map(str::to_string).collect();
        Ok((Nemesis { names, undrawn: Vec::new(), plan: drawn(schedule, None) }, warnings))
    }

    /// Whether some fault needs a mounted disk.
    pub(crate) fn needs_disks(&self) -> bool {
        let mut acts = self.plan.possible_steps().flat_map(|step| step.acts);
        acts.any(|timed| timed.act.needs_own_disk())
    }

    /// Whether some fault cuts off clients from nodes.
    pub(crate) fn cuts_off_clients(&self) -> bool {
        self.plan.names_clients()
    }

    /// The names of the faults.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// Messages about faults for which a phase of a schedule is too short, although they occur in other
    /// phases.
    pub(crate) fn undrawn(&self) -> Vec<String> {
        self.undrawn.clone()
    }

    /// The plan with times that count from the start of the run instead of the start of the clients.
    pub(crate) fn plan_from(&self, begin_ms: u64) -> Plan {
        let mut plan = self.plan.clone();
        let times = plan.steps.iter_mut().map(|step| &mut step.at_ms);
        let times = times.chain(plan.drawn.iter_mut().map(|drawn| &mut drawn.begin_ms));
        times.for_each(|at_ms| *at_ms = at_ms.saturating_add(begin_ms));
        plan
    }
}

/// A plan that is generated lazily.
fn drawn(schedule: Schedule, grudge: Option<Grudge>) -> Plan {
    Plan { drawn: vec![Drawn { begin_ms: 0, schedule, grudge }], ..Plan::default() }
}

fn grudge(text: &str, nodes: usize) -> Result<Grudge> {
    let grudge: Grudge = text.parse()?;
    let is_missing = |end: &NodeId| end.0 >= nodes && *end != NodeId::CLIENTS;
    if let Some(node) = grudge.cuts().flat_map(|(from, to)| [from, to]).find(is_missing) {
        bail!("there is no {node} in a cluster of {nodes}");
    }
    if grudge.is_empty() {
        bail!("expected who does not hear whom, such as n1>n2,n3|n4");
    }
    Ok(grudge)
}

/// Reads a schedule, or the record of a run.
fn read(path: &Path, seed: u64, nodes: usize, warnings: &mut Vec<String>) -> Result<Plan> {
    let shown = path.display();
    let text = read_text(path).with_context(|| format!("cannot read {shown}"))?;
    if text.is_empty() && is_complete_and_empty(path) {
        return Ok(Plan::default());
    }
    if !Plan::is_record(&text) {
        return Plan::parse(&text, seed, nodes).map_err(|error| anyhow::anyhow!("{shown}:{error}"));
    }
    let mut plan = Plan::replay(&text, nodes).with_context(|| format!("{shown} cannot be replayed"))?;
    let is_whole = |line: &&str| serde_json::from_str::<IgnoredAny>(line).is_ok();
    let began_ms = clients_began_ms(path, text.lines().filter(is_whole).count(), warnings)?;
    plan.steps.iter_mut().for_each(|step| step.at_ms = step.at_ms.saturating_sub(began_ms));
    Ok(plan)
}

/// Whether an empty file is the complete record of a run without faults.
fn is_complete_and_empty(record: &Path) -> bool {
    let info = load_info(record.parent().unwrap_or(Path::new("")));
    info.is_ok_and(|info| info.ending.is_some_and(|ending| ending.fault_lines == 0))
}

/// When the clients started in the recorded run, in milliseconds since its start; 0, with a warning, if
/// unknown.
fn clients_began_ms(record: &Path, lines: usize, warnings: &mut Vec<String>) -> Result<u64> {
    let shown = record.display();
    let mut unknown = |why: &str| {
        warnings.push(format!(
            "warning: {shown}: {why}: its times are taken as if clients had begun with the run"
        ));
        Ok(0)
    };
    let info = match load_info(record.parent().unwrap_or(Path::new(""))) {
        Ok(info) => info,
        Err(error) if error.is_missing() => return unknown("there is no run.json beside it"),
        Err(error) => return Err(error).with_context(|| format!("{shown} cannot be replayed")),
    };
    if let Some(ending) = &info.ending
        && ending.fault_lines != lines as u64
    {
        let counted = ending.fault_lines;
        bail!(
            "{shown}:{lines}: it has {lines} lines, and run.json beside it counts {counted}: it is not whole"
        );
    }
    match info.phases.iter().find(|phase| phase.name == "running") {
        Some(running) => Ok(running.start_ns / 1_000_000),
        None => unknown("run.json beside it does not tell when its clients began"),
    }
}

/// How many steps are checked for being too late: a schedule may generate millions.
const CHECKED_STEPS_MAX: usize = 10_000;

/// A warning about steps after the end of the run. They are not an error, since triggers and leaders decide
/// much of a schedule.
fn late_steps(plan: &Plan, time_limit: Duration) -> Option<String> {
    let limit_ms = time_limit.as_millis() as u64;
    let times: Vec<u64> = plan.in_order().take(CHECKED_STEPS_MAX).map(|step| step.at_ms).collect();
    let late = times.iter().filter(|at_ms| **at_ms >= limit_ms).count();
    let limit = humantime::format_duration(time_limit);
    (late > 0)
        .then(|| format!("warning: {late} of {} faults would come after --time-limit {limit}", times.len()))
}
