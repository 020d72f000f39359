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

use anyhow::{Context, Result, bail, ensure};
use serde::de::IgnoredAny;
use tribunal_nemesis::{Drawn, Fault, FaultSelection, Grudge, NodeId, Plan, Schedule, Setting, Step};
use tribunal_records::TrialSpec;
use tribunal_records::quantity::duration_text;
use tribunal_reports::run_dir::load_info;

use crate::user_file::read_text;

/// The requested faults, and their plan.
pub(crate) struct Nemesis {
    names: Vec<String>,
    plan: Plan,
}

impl Nemesis {
    /// Makes the plan; also returns warnings for the user. If the default interval leaves no room for a fault, a
    /// shorter one is used, and stored in `spec`.
    ///
    /// # Errors
    /// What is wrong with the names, the grudge or the schedule; a fault that cannot be injected into a cluster
    /// like `setting`, or that there is no room for.
    pub(crate) fn of(
        spec: &mut TrialSpec,
        seed: u64,
        own: &[&'static Fault],
        setting: &Setting,
    ) -> Result<(Self, Vec<String>)> {
        let nodes = setting.nodes;
        let mut warnings = Vec::new();
        if let Some(path) = &spec.schedule {
            let plan = read(path, seed, setting, &mut warnings)?;
            warnings.extend(late_steps(path, &plan, spec.time_limit)?);
            let names: BTreeSet<String> = plan.possible_steps().map(|step| step.fault).collect();
            return Ok((Nemesis { names: names.into_iter().collect(), plan }, warnings));
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
            ensure!(
                !plan.is_empty(),
                "--nemesis-interval {}: no room for a partition within --time-limit {}",
                duration_text(spec.nemesis_interval),
                duration_text(spec.time_limit)
            );
            return Ok((Nemesis { names: vec!["partition".into()], plan }, warnings));
        }
        let mut plan = drawn(schedule, None);
        let impossible = plan.remove_impossible(setting);
        match &impossible[..] {
            [] => {}
            _ if spec.nemesis.trim() == "all" => warnings.push(left_out(&impossible)),
            [(fault, why), ..] => bail!("--nemesis: {fault} cannot be injected: {why}"),
        }
        let schedule = &mut plan.drawn[0].schedule;
        warnings.extend(make_room(schedule, spec)?);
        let names = schedule.wanted.names().into_iter().map(str::to_string).collect();
        Ok((Nemesis { names, plan }, warnings))
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

    /// The plan with times that count from the start of the run instead of the start of the clients.
    pub(crate) fn plan_from(&self, begin_ms: u64) -> Plan {
        let mut plan = self.plan.clone();
        let times = plan.steps.iter_mut().map(|step| &mut step.at_ms);
        let times = times.chain(plan.drawn.iter_mut().map(|drawn| &mut drawn.begin_ms));
        times.for_each(|at_ms| *at_ms = at_ms.saturating_add(begin_ms));
        plan
    }
}

/// Which faults `--nemesis all` leaves out: the faults with the same reason together.
fn left_out(impossible: &[(String, String)]) -> String {
    let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    for (fault, why) in impossible {
        match by_reason.iter_mut().find(|(known, _)| known == why) {
            Some((_, faults)) => faults.push(fault),
            None => by_reason.push((why, vec![fault])),
        }
    }
    let each = by_reason.iter().map(|(why, faults)| format!("{} ({why})", faults.join(", ")));
    format!("--nemesis all: left out {}", each.collect::<Vec<_>>().join("; "))
}

/// Makes room for every requested fault, by a shorter interval if that was not given; returns a warning.
///
/// # Errors
/// When there is no room.
fn make_room(schedule: &mut Schedule, spec: &mut TrialSpec) -> Result<Option<String>> {
    let without_room = schedule.without_room();
    if without_room.is_empty() {
        return Ok(None);
    }
    let why = format!(
        "no room for {} within --time-limit {}",
        without_room.join(", "),
        duration_text(spec.time_limit)
    );
    let (given, with_room) = (spec.nemesis_interval, schedule.interval_with_room());
    match with_room {
        Some(ms) if given == TrialSpec::default().nemesis_interval => {
            schedule.interval_ms = ms;
            spec.nemesis_interval = Duration::from_millis(ms);
            Ok(Some(format!("--nemesis-interval {ms}ms instead of {}: {why}", duration_text(given))))
        }
        Some(ms) => bail!(
            "--nemesis-interval {}: {why}: try --nemesis-interval {ms}ms, or a longer --time-limit",
            duration_text(given)
        ),
        None => bail!("--nemesis-interval {}: {why}: use a longer --time-limit", duration_text(given)),
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
        bail!("expected links to cut, such as n1>n2 (n2 receives nothing from n1) or n1,n2|n3");
    }
    Ok(grudge)
}

/// Reads a schedule, or the record of a run.
fn read(path: &Path, seed: u64, setting: &Setting, warnings: &mut Vec<String>) -> Result<Plan> {
    let shown = path.display();
    let text = read_text(path).with_context(|| format!("cannot read {shown}"))?;
    if text.is_empty() && is_complete_and_empty(path) {
        return Ok(Plan::default());
    }
    if !Plan::is_record(&text) {
        return Plan::parse(&text, seed, setting).map_err(|error| anyhow::anyhow!("{shown}:{error}"));
    }
    let mut plan =
        Plan::replay(&text, setting.nodes).with_context(|| format!("{shown} cannot be replayed"))?;
    let obstacle = |step: Step| setting.obstacle(&step).map(|why| (step.fault, why));
    if let Some((fault, why)) = plan.possible_steps().find_map(obstacle) {
        bail!("{shown} cannot be replayed: {fault} cannot be injected: {why}");
    }
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
            "warning: {shown}: {why}: its times are assumed to count from the start of the clients"
        ));
        Ok(0)
    };
    let info = match load_info(record.parent().unwrap_or(Path::new(""))) {
        Ok(info) => info,
        Err(error) if error.is_missing() => return unknown("there is no run.json next to it"),
        Err(error) => return Err(error).with_context(|| format!("{shown} cannot be replayed")),
    };
    if let Some(ending) = &info.ending
        && ending.fault_lines != lines as u64
    {
        let counted = ending.fault_lines;
        bail!("{shown}:{lines}: incomplete: it has {lines} lines, but run.json next to it counts {counted}");
    }
    match info.phases.iter().find(|phase| phase.name == "running") {
        Some(running) => Ok(running.start_ns / 1_000_000),
        None => unknown("run.json next to it does not contain the start of its clients"),
    }
}

/// How many steps are checked for being too late: a schedule may generate millions.
const CHECKED_STEPS_MAX: usize = 10_000;

/// A warning about steps after the end of the run.
///
/// # Errors
/// When no step of some fault is before the end of the run.
fn late_steps(path: &Path, plan: &Plan, time_limit: Duration) -> Result<Option<String>> {
    let (limit_ms, limit) = (time_limit.as_millis() as u64, duration_text(time_limit));
    let steps: Vec<Step> = plan.in_order().take(CHECKED_STEPS_MAX).collect();
    let is_late = |step: &&Step| step.at_ms >= limit_ms;
    let comes = |fault: &str| {
        let in_time = steps.iter().any(|step| step.fault == fault && !is_late(&step));
        in_time || plan.triggers.iter().any(|trigger| trigger.step.fault == fault)
    };
    if let Some(step) = steps.iter().find(|step| !comes(&step.fault)) {
        let at = duration_text(Duration::from_millis(step.at_ms));
        bail!("{}: {} is first due at {at}, after --time-limit {limit}", path.display(), step.fault);
    }
    let late = steps.iter().filter(is_late).count();
    Ok((late > 0)
        .then(|| format!("warning: {late} of {} faults are after --time-limit {limit}", steps.len())))
}
