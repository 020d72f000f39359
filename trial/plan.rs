//! A spec with all names looked up and all choices made. Nothing has been started.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tribunal_nemesis::Setting;
use tribunal_records::places::at_line;
use tribunal_records::suggest::unknown;
use tribunal_records::{DiskKind, Net, TrialSpec};
use tribunal_systems::{Described, Switches, System, Wiring};

use crate::cluster::TRACER;
use crate::cluster::disks::fuse_available;
use crate::executable;
use crate::faults::Nemesis;
use crate::oracles;
use crate::registry::{Registry, RunModel};
use crate::user_file::read_text;

/// A trial that is ready to run.
pub(crate) struct Plan {
    /// Always with a seed.
    pub(crate) spec: TrialSpec,
    pub(crate) workers: usize,
    pub(crate) workload: tribunal_workloads::Entry,
    pub(crate) model: RunModel,
    pub(crate) system: tribunal_systems::Entry,
    /// Share of reads, if the workload has reads and writes.
    pub(crate) reads: f64,
    pub(crate) nemesis: Nemesis,
    pub(crate) wiring: Wiring,
    /// Shown to the user before the start.
    pub(crate) warnings: Vec<String>,
}

impl Plan {
    /// # Errors
    /// What is invalid, by the names of the flags.
    pub(crate) fn of(spec: &TrialSpec, registry: &Registry) -> Result<Self> {
        spec.validate().map_err(|why| anyhow!("--{why}"))?;
        oracles::enabled(spec)?;
        let mut spec = spec.clone();
        let seed = *spec.seed.get_or_insert_with(|| u64::from(rand::random::<u16>()));
        let workload = lookup("workload", &spec.workload, registry.workloads(), |entry| entry.name)?;
        let system = system(&spec.system, registry)?;
        let model = model(workload, spec.model.as_deref(), registry)?;
        system.fits(workload, model.name())?;
        let made = system.make(&switches(&spec, workload)?)?;
        let wiring = made.wiring();
        match (wiring, spec.net) {
            (Wiring::Transparent, Net::Proxy) => spec.net = Net::Transparent,
            (Wiring::Netns, Net::Proxy) => spec.net = Net::Netns,
            (Wiring::Netns, Net::Transparent) => {
                bail!("--net: the nodes of {} need netns: they would see the proxy's address", system.name)
            }
            _ => {}
        }
        if let Some(DiskKind::Fuse | DiskKind::FuseStrict) = spec.disk {
            fuse_available().map_err(|why| anyhow!("--disk: {why}"))?;
        }
        if spec.trace.is_some() {
            tracer()?;
        }
        let setting = setting(&spec, &*made);
        let (nemesis, warnings) = Nemesis::of(&mut spec, seed, registry.faults(), &setting)?;
        Ok(Plan {
            workers: spec.concurrency.workers(usize::from(spec.nodes)),
            workload: workload.clone(),
            model,
            system,
            reads: reads(workload, spec.reads)?,
            nemesis,
            wiring,
            warnings,
            spec,
        })
    }

    pub(crate) fn seed(&self) -> u64 {
        self.spec.seed.expect("the plan has one")
    }

    pub(crate) fn switches(&self) -> Result<Switches> {
        switches(&self.spec, &self.workload)
    }
}

/// What is known of the cluster that decides which faults are possible.
fn setting(spec: &TrialSpec, system: &dyn System) -> Setting {
    let operators = match system.has_operators() {
        true => Ok(()),
        false => Err(format!("Tribunal cannot change the members of {}", system.name())),
    };
    let disk = match spec.disk {
        Some(kind) => Ok(kind),
        None => fuse_available().map(|()| DiskKind::Fuse),
    };
    Setting { nodes: usize::from(spec.nodes), net: spec.net, disk, operators }
}

/// The program that records system calls.
pub(crate) fn tracer() -> Result<PathBuf> {
    tribunal_systems::program(TRACER, "strace").context("--trace")
}

pub(crate) fn switches(spec: &TrialSpec, workload: &tribunal_workloads::Entry) -> Result<Switches> {
    Ok(Switches {
        tribunal: executable::path()?.to_owned(),
        bugs: spec.bug.clone(),
        node_args: spec.node_arg.clone(),
        seed: spec.seed.unwrap_or_default(),
        object: workload.object,
    })
}

/// The system with that name, or the system that a file with that name describes, or a variant of either:
/// `NAME:VARIANT`, `FILE:VARIANT`.
pub(crate) fn system(name: &str, registry: &Registry) -> Result<tribunal_systems::Entry> {
    let (file, variant) = match name.rsplit_once(':') {
        Some((file, variant)) if !variant.contains('/') => (file, Some(variant)),
        _ => (name, None),
    };
    if !file.contains('/') && !file.ends_with(".toml") {
        // Variants are only named to those who ask for one.
        let is_near = |entry: &&tribunal_systems::Entry| variant.is_some() || !entry.name.contains(':');
        let near: Vec<_> = registry.systems().iter().filter(is_near).cloned().collect();
        return lookup("system", name, &near, |entry| entry.name).cloned();
    }
    let path = Path::new(file);
    let text = read_text(path).with_context(|| format!("cannot read {file}"))?;
    let all = Described::parse(&text, path).map_err(|wrong| anyhow!(at_line(path, wrong.line, wrong.why)))?;
    let Some(variant) = variant else { return Ok(all[0].clone()) };
    ensure!(all.len() > 1, "there is no variant `{variant}`: {file} has none");
    let variant_of = |entry: &tribunal_systems::Entry| entry.name.rsplit_once(':').map_or("", |(_, it)| it);
    lookup("variant", variant, &all[1..], variant_of).cloned()
}

/// The share of reads: the workload's default, or the requested one if the workload has reads.
fn reads(workload: &tribunal_workloads::Entry, wanted: Option<f64>) -> Result<f64> {
    if wanted.is_some() && workload.reads.is_none() {
        bail!("--reads: the workload {} only reads at the end of the run", workload.name);
    }
    Ok(wanted.or(workload.reads).unwrap_or_default())
}

/// The model: the workload's default, or the requested one if it fits the workload.
pub(crate) fn model(
    workload: &tribunal_workloads::Entry,
    wanted: Option<&str>,
    registry: &Registry,
) -> Result<RunModel> {
    let Some(wanted) = wanted else { return Ok(registry.model(workload.model)?) };
    let model = registry.model(wanted).context("--model")?;
    if workload.models().all(|model| model != wanted) {
        let fitting: Vec<_> = workload.models().collect();
        bail!(
            "--model: {wanted} does not fit the workload {}: expected {}",
            workload.name,
            fitting.join(" or ")
        );
    }
    Ok(model)
}

/// The entry with that name, or an error that suggests a similar name.
pub(crate) fn lookup<'a, T>(
    what: &str,
    name: &str,
    all: &'a [T],
    name_of: fn(&T) -> &'static str,
) -> Result<&'a T> {
    let found = all.iter().find(|entry| name_of(entry) == name);
    let names = || all.iter().map(name_of).collect::<Vec<_>>();
    found.with_context(|| unknown(what, name, &names()))
}
