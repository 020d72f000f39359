//! A trial in a box: the same trial, recorded by the guest and judged here.
//!
//! ```text
//!   host                                        guest
//!   pack       the trial, the programs ───────▶ run_trial: nodes, clients, nemesis
//!   recording  terminal, JUnit ◀─────────────── every event, as it happens
//!              run directory ◀───────────────── its files, in the end
//!   judge      verdict, reports
//!   failure    a violation as one file
//! ```
//!
//! The guest does everything that must repeat. The check and the reports follow from its files, and are made outside,
//! where they are faster.
//!
//! Because a box repeats, questions about a violation have exact answers: `search` boots many boxes until one shows it,
//! `schedule` leaves faults out of a recorded schedule and moves them.

mod failure;
mod guest;
mod pack;
mod recording;
pub mod schedule;
pub mod search;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use tribunal_box::{Machine, Parts, Snapshot};
use tribunal_nemesis::FaultRecord;
use tribunal_records::TrialSpec;
use tribunal_records::boxed::BoxIdentity;
use tribunal_reports::judgement::{Circumstances, RunOutcome};
use tribunal_reports::run_dir::{RunDir, load_info, write_json};
use tribunal_reports::run_info::RunInfo;

use self::pack::pack;
use self::recording::Recording;
use crate::announcer::Announcer;
use crate::clock::Clock;
use crate::error::TrialError;
use crate::judge::{self, Checking};
use crate::junit::Junit;
use crate::limits::CheckLimits;
use crate::observer::{Observer, Status};
use crate::registry::{Registry, RunModel};
use crate::stop::Stop;
use crate::store::Store;

pub use failure::{Failure, FailureError, NAME as FAILURE, Replayed, Watching, replay};
pub use guest::serve_guest;

/// Where the trial lies in the image.
const TRIAL: &str = "/box/trial.json";
/// Where its schedule lies, if it has one: always there, so that the host's path changes nothing in the guest.
const SCHEDULE: &str = "/box/schedule";
/// The guest's own store.
const STORE: &str = "/box/store";

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
    let mut spec = spec.clone();
    spec.seed.get_or_insert_with(|| u64::from(rand::random::<u16>()));
    let (machine, model) = prepare(&spec, None, registry)?;
    let run = boot(&machine, None, &spec, &model, observer, stop, true)?;
    if run.judgement.outcome == RunOutcome::Violation {
        let file = Path::new(&run.name).join(FAILURE);
        failure::save(&file, &machine, &run).map_err(TrialError::harness)?;
    }
    Ok(run)
}

/// The machine of a trial, and the model that judges it. `instead` is a program that takes the place of the system's.
fn prepare(
    spec: &TrialSpec,
    instead: Option<&Path>,
    registry: &Registry,
) -> Result<(Machine, RunModel), TrialError> {
    let parts = Parts::find().map_err(|why| TrialError::spec(anyhow!("--box: {why}")))?;
    pack(spec, registry, parts, instead).map_err(TrialError::spec)
}

/// Boots a machine once, or continues it from a snapshot, and judges what its trial recorded.
fn boot(
    machine: &Machine,
    snapshot: Option<&Snapshot>,
    spec: &TrialSpec,
    model: &RunModel,
    observer: &Arc<dyn Observer>,
    stop: &Stop,
    reports: bool,
) -> Result<RunDir, TrialError> {
    let started = SystemTime::now();
    let store = Store::create(&spec.store, &spec.workload, spec.seed.unwrap_or_default(), started);
    let store = store.map_err(TrialError::harness)?;
    let mut observers = vec![observer.clone()];
    let junit = Junit::open(&store.path().join("junit.xml"), spec);
    observers.extend(junit.ok().map(|junit| Arc::new(junit) as _));
    let mut recording = Recording::new(store, observers.clone());
    let boot = match snapshot {
        Some(snapshot) => machine.resume(snapshot).map(Some),
        None => machine.boot(&|| stop.count() > 1),
    };
    let boot = boot.map_err(|why| TrialError::Harness(why.to_string()))?;
    let boot = boot.ok_or_else(|| TrialError::Harness("interrupted before the run began".into()))?;
    recording.receive(boot, spec, stop)?;

    let mut store = recording.store;
    let identity = machine.identity().map_err(|why| TrialError::Harness(why.to_string()))?;
    let info = adopt(&store, spec, identity, started).map_err(TrialError::harness)?;
    let circumstances = Circumstances::recorded(&info, None);
    let before = stop.count();
    let check =
        Checking { model, limits: CheckLimits::from(spec), gives_up: &|| stop.gives_up(before), reports };
    judge::judge(&mut store, &check, info, circumstances, &Announcer::new(Clock::start(), observers))
}

/// Completes the guest's run.json with what only the host knows.
fn adopt(store: &Store, spec: &TrialSpec, identity: BoxIdentity, started: SystemTime) -> Result<RunInfo> {
    let mut info = load_info(store.path())?;
    info.args = spec.words().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    info.spec = Some(spec.clone());
    info.started_utc = humantime::format_rfc3339_millis(started).to_string();
    info.boxed = Some(identity);
    write_json(store.path(), "run.json", &info).context("cannot write run.json")?;
    Ok(info)
}
