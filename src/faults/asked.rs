//! From flags to a plan: the faults that are asked for, and when each of them comes.
//!
//! There are three ways to ask: `--nemesis` names faults and the seed draws when and where they come; `--grudge` gives one
//! partition, and the seed draws when; `--schedule` gives a file that leaves nothing, or only what it says, to the seed. All
//! times of a plan count from when the clients begin. Those of a record count from the start of its run, so that the
//! moment when the clients of that run began, which its run.json tells, is taken off.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tribunal_nemesis::{Act, Drawn, Grudge, NodeId, Plan, Schedule, Wanted};
use tribunal_reports::files;
use tribunal_reports::run_info::RunInfo;

use crate::cli::RunArgs;
use crate::exit;
use crate::input;

/// The faults that were asked for, and the plan that is made of them.
pub(crate) struct Nemesis {
    names: Vec<String>,
    plan: Plan,
}

impl Nemesis {
    pub(crate) fn of(args: &RunArgs, seed: u64) -> Result<Self> {
        let nodes = usize::from(args.nodes);
        if let Some(path) = &args.schedule {
            let plan = read(path, seed, nodes)?;
            warn_of_late_steps(&plan, args);
            let names: BTreeSet<String> = plan.possible().map(|step| step.fault).collect();
            return Ok(Nemesis { names: names.into_iter().collect(), plan });
        }
        let wanted: Wanted = args.nemesis.parse().context("--nemesis")?;
        let schedule = Schedule {
            wanted,
            seed,
            nodes,
            interval_ms: args.nemesis_interval.as_millis() as u64,
            time_limit_ms: args.time_limit.as_millis() as u64,
        };
        if let Some(text) = &args.grudge {
            let grudge = grudge(text, nodes).context("--grudge")?;
            return Ok(Nemesis { names: vec!["partition".into()], plan: drawn(schedule, Some(grudge)) });
        }
        let names = schedule.wanted.names().into_iter().map(str::to_string).collect();
        Ok(Nemesis { names, plan: drawn(schedule, None) })
    }

    /// Whether some fault does something that only a disk of the run's own can do.
    pub(crate) fn needs_disks(&self) -> bool {
        let mut acts = self.plan.possible().flat_map(|step| step.acts);
        acts.any(|timed| matches!(timed.act, Act::LosePower(..) | Act::FailDisk(..)))
    }

    /// Whether some fault parts nodes and clients.
    pub(crate) fn parts_clients(&self) -> bool {
        self.plan.names_clients()
    }

    /// The names of the faults.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.clone()
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
fn read(path: &Path, seed: u64, nodes: usize) -> Result<Plan> {
    let shown = path.display();
    let text = input::read_text(path).with_context(|| format!("cannot read {shown}"))?;
    if !Plan::is_record(&text) {
        return Plan::parse(&text, seed, nodes).map_err(|error| anyhow::anyhow!("{shown}:{error}"));
    }
    let mut plan = Plan::replay(&text, nodes).with_context(|| format!("{shown} cannot be replayed"))?;
    let began_ms = clients_began_ms(path);
    plan.steps.iter_mut().for_each(|step| step.at_ms = step.at_ms.saturating_sub(began_ms));
    Ok(plan)
}

/// When the clients began in the run whose record this is, in milliseconds since its start; 0 if nothing tells.
fn clients_began_ms(record: &Path) -> u64 {
    let info = files::read(&record.with_file_name("run.json")).unwrap_or_default();
    let info: RunInfo = serde_json::from_slice(&info).unwrap_or_default();
    let running = info.phases.iter().find(|phase| phase.name == "running");
    running.map_or(0, |phase| phase.start_ns / 1_000_000)
}

/// How many steps are looked at for some that the run is too short for: a schedule may draw millions.
const STEPS_LOOKED_AT: usize = 10_000;

/// Steps that the run is too short for are no error, as triggers and leaders decide much of a schedule; but they are said.
fn warn_of_late_steps(plan: &Plan, args: &RunArgs) {
    let limit_ms = args.time_limit.as_millis() as u64;
    let times: Vec<u64> = plan.in_order().take(STEPS_LOOKED_AT).map(|step| step.at_ms).collect();
    let late = times.iter().filter(|at_ms| **at_ms >= limit_ms).count();
    if late > 0 {
        let limit = humantime::format_duration(args.time_limit);
        let all = times.len();
        exit::complain(&format!("warning: {late} of {all} faults would come after --time-limit {limit}"));
    }
}
