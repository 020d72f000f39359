//! From a description to a plan: the faults that are asked for, and when each of them comes.
//!
//! There are three ways to ask: `--nemesis` names faults and the seed draws when and where they come; `--grudge` gives one
//! partition, and the seed draws when; `--schedule` gives a file that leaves nothing, or only what it says, to the seed. All
//! times of a plan count from when the clients begin. Those of a record count from the start of its run, so that the
//! moment when the clients of that run began, which its run.json tells, is taken off.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::IgnoredAny;
use tribunal_nemesis::{Drawn, Grudge, NodeId, Plan, Schedule, Undrawn, Wanted};
use tribunal_records::TrialSpec;
use tribunal_reports::run_dir::load_info;

use crate::user_file::read_text;

/// The faults that were asked for, and the plan that is made of them.
pub(crate) struct Nemesis {
    names: Vec<String>,
    /// What a phase of a schedule asks for and has no room for, though it comes elsewhere.
    undrawn: Vec<String>,
    plan: Plan,
}

impl Nemesis {
    /// The nemesis that is asked for, and what the user should know of it before the start.
    ///
    /// # Errors
    /// What is wrong with the names, the grudge or the schedule.
    pub(crate) fn of(spec: &TrialSpec, seed: u64) -> Result<(Self, Vec<String>)> {
        let nodes = usize::from(spec.nodes);
        let mut warnings = Vec::new();
        if let Some(path) = &spec.schedule {
            let (plan, shown) = (read(path, seed, nodes, &mut warnings)?, path.display());
            warnings.extend(late_steps(&plan, spec.time_limit));
            for Undrawn { phase, fault } in &plan.undrawn {
                warnings.push(format!(
                    "warning: {shown}: phase {phase} is too short for {fault}: the run will be unknown"
                ));
            }
            // A fault that never comes is missed by its name; one that comes elsewhere is missed in this phase.
            let elsewhere = plan.undrawn.iter().filter(|it| plan.comes(&it.fault));
            let too_short = |it: &Undrawn| format!("phase {} was too short for {}", it.phase, it.fault);
            let undrawn = elsewhere.map(too_short).collect();
            let names: BTreeSet<String> = plan.possible().map(|step| step.fault).collect();
            return Ok((Nemesis { names: names.into_iter().collect(), undrawn, plan }, warnings));
        }
        let wanted: Wanted = spec.nemesis.parse().context("--nemesis")?;
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

    /// Whether some fault does something that only a disk of the run's own can do.
    pub(crate) fn needs_disks(&self) -> bool {
        let mut acts = self.plan.possible().flat_map(|step| step.acts);
        acts.any(|timed| timed.act.needs_own_disk())
    }

    /// Whether some fault parts nodes and clients.
    pub(crate) fn parts_clients(&self) -> bool {
        self.plan.names_clients()
    }

    /// The names of the faults.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// What phases of a schedule ask for and have no room for, though it comes elsewhere; a clause each.
    pub(crate) fn undrawn(&self) -> Vec<String> {
        self.undrawn.clone()
    }

    /// The plan, with its times counted from the start of the run instead of from when the clients begin.
    pub(crate) fn plan_from(&self, begin_ms: u64) -> Plan {
        let mut plan = self.plan.clone();
        let times = plan.steps.iter_mut().map(|step| &mut step.at_ms);
        let times = times.chain(plan.drawn.iter_mut().map(|drawn| &mut drawn.begin_ms));
        times.for_each(|at_ms| *at_ms = at_ms.saturating_add(begin_ms));
        plan
    }
}

/// A plan that is drawn as it comes.
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

/// The plan of a schedule or of a record.
fn read(path: &Path, seed: u64, nodes: usize, warnings: &mut Vec<String>) -> Result<Plan> {
    let shown = path.display();
    let text = read_text(path).with_context(|| format!("cannot read {shown}"))?;
    if text.is_empty() && was_without_faults(path) {
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

/// Whether an empty file is the whole record of a run that had no faults.
fn was_without_faults(record: &Path) -> bool {
    let info = load_info(record.parent().unwrap_or(Path::new("")));
    info.is_ok_and(|info| info.ending.is_some_and(|ending| ending.fault_lines == 0))
}

/// When the clients began in the run whose record this is, in milliseconds since its start; 0, with a warning, if nothing tells.
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

/// How many steps are looked at for some that the run is too short for: a schedule may draw millions.
const STEPS_LOOKED_AT: usize = 10_000;

/// Steps that the run is too short for are no error, as triggers and leaders decide much of a schedule; but they are said.
fn late_steps(plan: &Plan, time_limit: Duration) -> Option<String> {
    let limit_ms = time_limit.as_millis() as u64;
    let times: Vec<u64> = plan.in_order().take(STEPS_LOOKED_AT).map(|step| step.at_ms).collect();
    let late = times.iter().filter(|at_ms| **at_ms >= limit_ms).count();
    let limit = humantime::format_duration(time_limit);
    (late > 0)
        .then(|| format!("warning: {late} of {} faults would come after --time-limit {limit}", times.len()))
}
