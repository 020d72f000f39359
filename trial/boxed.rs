//! A trial in a box: the same trial, recorded by the guest and judged here.
//!
//! ```text
//!   host                                   guest
//!   pack    the trial, the programs ─────▶ run_trial: nodes, clients, nemesis
//!   events  terminal, JUnit ◀───────────── every event, as it happens
//!   store   run directory ◀─────────────── its files, in the end
//!   judge   verdict, reports
//! ```
//!
//! The guest does everything that must repeat; the check and the reports follow from its files, and are made outside,
//! where they are faster.

mod guest;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use tribunal_box::guest::Job;
use tribunal_box::{Boot, Entry, Image, Machine, Parts, Stopped};
use tribunal_checker::op::Nanos;
use tribunal_nemesis::FaultRecord;
use tribunal_records::{Net, TrialSpec};
use tribunal_reports::judgement::Circumstances;
use tribunal_reports::run_dir::{RunDir, load_info, write_json};
use tribunal_reports::run_info::RunInfo;

use crate::announcer::Announcer;
use crate::clock::Clock;
use crate::error::TrialError;
use crate::executable;
use crate::judge::{self, Checking};
use crate::junit::Junit;
use crate::limits::CheckLimits;
use crate::observer::{Observer, Status, TrialEvent};
use crate::plan::{lookup, model, switches, system};
use crate::registry::{Registry, RunModel};
use crate::stop::Stop;
use crate::store::Store;

pub use guest::serve_guest;

/// Where the trial lies in the image.
const TRIAL: &str = "/box/trial.json";
/// The guest's own store.
const STORE: &str = "/box/store";
/// How often the host looks for an interrupt.
const POLL: Duration = Duration::from_millis(50);

/// An event of the guest's trial.
#[derive(Serialize, Deserialize)]
enum GuestEvent {
    Opened(Box<RunInfo>),
    Phase(String),
    Fault(Box<FaultRecord>),
    Status(Status),
    Note(String),
    Warning(String),
    /// The trial ended; the message of its error, and whether the spec is to blame.
    Ended(Result<(), (String, bool)>),
}

/// Runs a trial in a box. Its verdict is given outside.
pub(crate) fn run(
    spec: &TrialSpec,
    registry: &Registry,
    observer: &Arc<dyn Observer>,
    stop: &Stop,
) -> Result<RunDir, TrialError> {
    let started = SystemTime::now();
    let mut spec = spec.clone();
    let seed = *spec.seed.get_or_insert_with(|| u64::from(rand::random::<u16>()));
    let model = looked_up(&spec, registry).map_err(TrialError::spec)?;
    let parts = Parts::find().map_err(|why| TrialError::spec(anyhow!("--box: {why}")))?;
    let machine = pack(&spec, registry, parts).map_err(TrialError::spec)?;
    let store = Store::create(&spec.store, &spec.workload, seed, started).map_err(TrialError::harness)?;
    let mut observers = vec![observer.clone()];
    let junit = Junit::open(&store.path().join("junit.xml"), &spec);
    observers.extend(junit.ok().map(|junit| Arc::new(junit) as _));
    let mut record = Recording { store, ended: None, observers };
    let boot = machine.boot().map_err(|why| TrialError::Harness(why.to_string()))?;
    record.receive(boot, &spec, stop)?;

    let Recording { mut store, observers, .. } = record;
    let info = adopt(&store, &spec, &machine, started).map_err(TrialError::harness)?;
    let ending = info.ending.clone().unwrap_or_default();
    let circumstances = Circumstances {
        harness_failure: ending.harness_failure,
        interrupted: ending.interrupted,
        ..Circumstances::default()
    };
    let before = stop.count();
    let check = Checking {
        model: &model,
        limits: CheckLimits::from(&spec),
        gives_up: &|| stop.gives_up(before),
    };
    judge::judge(&mut store, &check, info, circumstances, &Announcer::new(Clock::start(), observers))
}

/// The model, and a check of all names. What the guest's machine makes possible, only the guest knows.
fn looked_up(spec: &TrialSpec, registry: &Registry) -> Result<RunModel> {
    spec.validate().map_err(|why| anyhow!("--{why}"))?;
    let workload = lookup("workload", &spec.workload, registry.workloads(), |entry| entry.name)?;
    let model = model(workload, spec.model.as_deref(), registry)?;
    system(&spec.system, registry)?.fits(workload, model.name())?;
    Ok(model)
}

/// The guest: this program, the system's programs, and the trial.
fn pack(spec: &TrialSpec, registry: &Registry, parts: Parts) -> Result<Machine> {
    let workload = lookup("workload", &spec.workload, registry.workloads(), |entry| entry.name)?;
    let system = system(&spec.system, registry)?;
    let made = system.make(&switches(spec, workload)?)?;
    let mut image = Image::default();
    image.add_program(executable::path()?, Path::new("/init"))?;
    let named = [spec.schedule.clone(), spec.system.contains('/').then(|| spec.system.clone().into())];
    let named = named.into_iter().flatten().chain(spec.box_path.iter().map(PathBuf::from));
    for path in made.files().into_iter().chain(named) {
        image.add(&path).with_context(|| format!("--box: cannot pack {}", path.display()))?;
    }
    if spec.net != Net::Proxy {
        let ip = ["/sbin/ip", "/usr/sbin/ip", "/bin/ip", "/usr/bin/ip"].map(Path::new);
        let ip = ip.into_iter().find(|path| path.exists()).context("--box: `ip` is not installed")?;
        image.add(ip)?;
    }
    for (path, text) in ACCOUNTS {
        image.write(Path::new(path), text.into(), 0o644);
    }
    let modules = Machine::modules(&parts)?;
    let modules = modules.iter().enumerate().map(|(number, module)| {
        let place = PathBuf::from(format!("/box/modules/{number:02}.ko"));
        image.write(&place, std::fs::read(module).with_context(|| module.display().to_string())?, 0o644);
        Ok(place)
    });
    let modules = modules.collect::<Result<_>>()?;
    let inside = TrialSpec { boxed: false, store: STORE.into(), ..spec.clone() };
    image.write(Path::new(TRIAL), serde_json::to_vec(&inside)?, 0o644);
    let start = executable::command(["guest"])?;
    let words = start.get_args().map(|word| word.to_string_lossy().into_owned());
    let env = start.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let env: Vec<(OsString, OsString)> = env.collect();
    let path = std::env::var_os("PATH").map(|path| ("PATH".into(), path));
    let job = Job {
        args: start.get_args().map(Into::into).collect(),
        env: env.iter().cloned().chain(path).chain([("HOME".into(), "/root".into())]).collect(),
        directory: std::env::current_dir().context("there is no working directory")?,
        results: STORE.into(),
        modules,
        seed: spec.box_seed,
    };
    job.put_into(&mut image);
    image.make_directory(Path::new("/root"));
    let env = env.iter().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().trim_end().to_owned())
    });
    Ok(Machine {
        parts,
        image: image.to_bytes()?,
        memory_mib: (spec.box_memory.0 >> 20) as u64,
        init: words.collect(),
        env: env.collect(),
    })
}

/// Enough for programs that look up users and hosts.
const ACCOUNTS: [(&str, &str); 4] = [
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"),
    ("/etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
];

/// What arrives from a guest.
struct Recording {
    store: Store,
    ended: Option<Result<(), (String, bool)>>,
    observers: Vec<Arc<dyn Observer>>,
}

impl Recording {
    /// Receives everything until the machine is off.
    fn receive(&mut self, mut boot: Boot, spec: &TrialSpec, stop: &Stop) -> Result<(), TrialError> {
        let harness = |why: &dyn std::fmt::Display| TrialError::Harness(why.to_string());
        let mut interrupts = 0;
        let mut how = String::new();
        loop {
            if stop.count() > interrupts {
                interrupts = stop.count();
                boot.interrupt();
                if interrupts > 1 {
                    return Err(harness(&"interrupted twice: the box is stopped, and nothing of its run is kept"));
                }
            }
            match boot.next(POLL).map_err(|why| harness(&why))? {
                Ok(Entry::Event(bytes)) => {
                    let event = serde_json::from_slice(&bytes).map_err(|why| harness(&why))?;
                    self.on_event(event);
                }
                Ok(Entry::File(path, bytes)) => self.keep(&path, &bytes).map_err(TrialError::harness)?,
                // The guest's links lead to its runs: there is one.
                Ok(Entry::Link(..)) => {}
                Ok(Entry::End(text)) => how = text,
                Err(Stopped::Waiting) => {}
                Err(Stopped::Off) => break,
            }
        }
        match self.ended.take() {
            Some(Ok(())) => Ok(()),
            Some(Err((why, true))) => {
                let _ = std::fs::remove_dir_all(self.store.path());
                Err(TrialError::Spec(why))
            }
            Some(Err((why, false))) => Err(TrialError::Harness(why)),
            None => Err(harness(&format!("in the box, {} on {} ended early: {how}", spec.workload, spec.system))),
        }
    }

    fn on_event(&mut self, (t, event): (Nanos, GuestEvent)) {
        let path = self.store.typed_path().with_extension("");
        let event = match &event {
            GuestEvent::Opened(info) => TrialEvent::Opened(info, &path),
            GuestEvent::Phase(name) => TrialEvent::Phase(name),
            GuestEvent::Fault(fault) => TrialEvent::Fault(fault),
            GuestEvent::Status(status) => TrialEvent::Status(status.clone()),
            GuestEvent::Note(text) => TrialEvent::Note(text),
            GuestEvent::Warning(text) => TrialEvent::Warning(text),
            GuestEvent::Ended(how) => return self.ended = Some(how.clone()),
        };
        self.observers.iter().for_each(|observer| observer.on_event(t, &event));
    }

    /// Writes a file of the guest's run directory, whose path begins with the workload and the name of the run.
    fn keep(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let names: Vec<&str> = path.split('/').skip(2).collect();
        if names.is_empty() || names == ["junit.xml"] || names[0] == "data" || names.contains(&"..") {
            return Ok(());
        }
        let path = names.iter().fold(self.store.path().to_owned(), |path, name| path.join(name));
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Completes the guest's run.json with what only the host knows.
fn adopt(store: &Store, spec: &TrialSpec, machine: &Machine, started: SystemTime) -> Result<RunInfo> {
    let mut info = load_info(store.path())?;
    info.args = spec.words().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    info.spec = Some(spec.clone());
    info.started_utc = humantime::format_rfc3339_millis(started).to_string();
    info.boxed = Some(machine.identity()?);
    write_json(store.path(), "run.json", &info).context("cannot write run.json")?;
    Ok(info)
}
