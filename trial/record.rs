//! run.json as it grows: the decisions made before the run, and the start and end of its phases.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use tribunal_checker::op::F;
use tribunal_records::Rate;
use tribunal_reports::run_dir::write_json;
use tribunal_reports::run_info::{Node, Phase, RunInfo, SCHEMA_VERSION};

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::plan::Plan;
use crate::tool::tool;

/// The contents of run.json, and the clock that its phases are timed with.
pub(crate) struct RunRecord {
    pub(crate) info: RunInfo,
    clock: Clock,
    dir: PathBuf,
}

impl RunRecord {
    /// The record of a run that starts now; `dir` is the run directory.
    pub(crate) fn new(plan: &Plan, cluster: &Cluster, started: SystemTime, clock: Clock, dir: &Path) -> Self {
        let spec = &plan.spec;
        let nodes = cluster.nodes.iter().map(|node| {
            let command = cluster.system.command(&node.place);
            let words = std::iter::once(&command.program).chain(&command.args);
            Node {
                name: node.place.name.clone(),
                command: words.map(|word| word.to_string_lossy().into_owned()).collect(),
            }
        });
        let info = RunInfo {
            schema_version: SCHEMA_VERSION,
            tool: tool(),
            args: spec.words().iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            spec: Some(spec.clone()),
            workload: plan.workload.name.into(),
            system: plan.system.name.into(),
            system_version: None,
            model: plan.model.name().into(),
            operations: sent(plan),
            nodes: nodes.collect(),
            concurrency: plan.workers,
            rate: spec.rate.per_second(),
            bursts: spec.rate == Rate::Bursts,
            time_limit_ms: spec.time_limit.as_millis() as u64,
            keys: spec.keys,
            ops_per_key: Some(spec.ops_per_key),
            nemesis: plan.nemesis.names(),
            nemesis_interval_ms: spec.nemesis_interval.as_millis() as u64,
            seed: plan.seed(),
            bugs: spec.bug.clone(),
            availability_target: spec.availability,
            started_utc: humantime::format_rfc3339_millis(started).to_string(),
            os: os(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load: load().into_iter().collect(),
            clock: "CLOCK_MONOTONIC".into(),
            phases: Vec::new(),
            ending: None,
            final_reads: None,
            led: Vec::new(),
            never: Vec::new(),
            unsettled_ms: None,
            strangers: None,
            seen_live: None,
            findings: Vec::new(),
            boxed: None,
            oracles: Vec::new(),
        };
        RunRecord { info, clock, dir: dir.to_path_buf() }
    }

    /// Writes the file atomically: if the controller is killed meanwhile, the old version remains.
    pub(crate) fn save(&self) -> Result<()> {
        write_json(&self.dir, "run.json", &self.info)
            .with_context(|| format!("cannot write {}", self.dir.join("run.json").display()))
    }

    /// Ends the current phase and begins the next. Returns the time, in nanoseconds since the start of the
    /// run.
    pub(crate) fn begin_phase(&mut self, name: &str) -> u64 {
        self.end_phase();
        let (name, start_ns) = (name.replace(' ', "-"), self.clock.now());
        self.info.phases.push(Phase { name, start_ns, end_ns: None });
        // Saved now, so that the record of a killed run contains the start of its clients. Errors are
        // reported at the end.
        let _ = self.save();
        start_ns
    }

    /// Ends the run and its last phase.
    pub(crate) fn end(&mut self) {
        self.end_phase();
        self.info.load.extend(load());
    }

    fn end_phase(&mut self) {
        let now = self.clock.now();
        if let Some(phase) = self.info.phases.last_mut() {
            phase.end_ns.get_or_insert(now);
        }
    }
}

/// The operations that the run sends before the final reads; without reads if their share is 0.
fn sent(plan: &Plan) -> Vec<String> {
    let unread = plan.workload.reads.is_some() && plan.reads == 0.0;
    let sends = plan.system.is_sent(&plan.workload).filter(|f| !(unread && **f == F::Read));
    sends.map(|f| f.name().to_owned()).collect()
}

/// Load average over the last minute.
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// Distribution and kernel.
fn os() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{}, {} {}", name.trim_matches('"'), std::env::consts::OS, kernel.trim())
}
