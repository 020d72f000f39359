//! Boots many boxes, as many side by side as there are processors, until one shows what is looked for. All that have
//! the same beginning start from one snapshot.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use tribunal_box::{BoxError, Machine, Snapshot};
use tribunal_records::TrialSpec;
use tribunal_records::boxed::Branch;
use tribunal_reports::judgement::RunOutcome;
use tribunal_reports::run_dir::RunDir;

use crate::error::TrialError;
use crate::lock::locked;
use crate::observer::Observer;
use crate::registry::Registry;
use crate::stop::Stop;

use super::schedule::Faults;
use super::{boot, prepare};

/// How often the user's interrupts are looked for.
const POLL: Duration = Duration::from_millis(50);

/// A trial to boot.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The trial.
    pub spec: TrialSpec,
    /// Its faults, if they are not those of the spec.
    pub faults: Option<Faults>,
    /// The program that takes the place of the system's.
    pub instead: Option<PathBuf>,
}

impl From<TrialSpec> for Candidate {
    fn from(spec: TrialSpec) -> Self {
        Candidate { spec, faults: None, instead: None }
    }
}

/// Where and how boxes are booted.
pub struct Search<'a> {
    /// The names that trials use.
    pub registry: &'a Registry,
    /// Ends the search.
    pub stop: &'a Stop,
    /// How many boxes run side by side.
    pub jobs: usize,
    /// No boot begins later.
    pub deadline: Option<Instant>,
    /// Directory of the boots' runs; nothing stays in it.
    pub scratch: PathBuf,
    /// Is told of every boot.
    pub told: &'a (dyn Fn(&Booted<'_>) + Sync),
    /// What they begin from.
    pub snapshots: Snapshots,
}

/// The last snapshots, from which all boots begin that are the same up to them.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// Of a machine that is ready for a job.
    ready: Kept,
    /// Of a run at the moment of its branch.
    at_branch: Kept,
}

/// A snapshot, and the machine that it was made for.
type Kept = Mutex<Option<(Machine, Arc<Snapshot>)>>;

impl Snapshots {
    /// The snapshot from which a machine is continued.
    fn of(&self, machine: &Machine, cancel: &Stop) -> Result<Arc<Snapshot>, TrialError> {
        let gives_up = || cancel.count() > 0;
        let common = machine.without_job();
        let ready = kept(&self.ready, common, |common| common.ready(&gives_up))?;
        let Some(branch) = machine.branch else { return Ok(ready) };
        let common = Machine { branch: Some(Branch { seed: 0, ..branch }), ..machine.clone() };
        kept(&self.at_branch, common, |common| common.at_branch(&ready, &gives_up))
    }
}

/// The kept snapshot if it is of that machine, else a new one.
fn kept(
    last: &Kept,
    machine: Machine,
    make: impl FnOnce(&Machine) -> Result<Option<Snapshot>, BoxError>,
) -> Result<Arc<Snapshot>, TrialError> {
    let mut last = locked(last);
    if let Some((made_for, snapshot)) = &*last
        && *made_for == machine
    {
        return Ok(snapshot.clone());
    }
    let made = make(&machine).map_err(|why| TrialError::Harness(why.to_string()))?;
    let made = made.ok_or_else(|| TrialError::Harness("interrupted".into()))?;
    let snapshot = Arc::new(made);
    *last = Some((machine, snapshot.clone()));
    Ok(snapshot)
}

/// A boot that has ended.
#[derive(Debug)]
pub struct Booted<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// Its trial.
    pub candidate: &'a Candidate,
    /// Its run.
    pub run: &'a RunDir,
    /// Whether it shows what is looked for.
    pub shows: bool,
}

/// What a search came to.
#[derive(Debug)]
pub struct Outcome {
    /// The number of boots that ended.
    pub boots: usize,
    /// The number of those that were judged: an unknown outcome says nothing.
    pub judged: usize,
    /// Whether every candidate was booted, or one was found.
    pub is_complete: bool,
    /// The first that showed what was looked for, and its verdict in one sentence.
    pub found: Option<(Candidate, String)>,
}

impl Outcome {
    /// Whether every candidate was booted and judged, and none showed what was looked for.
    pub fn is_clean(&self) -> bool {
        self.is_complete && self.found.is_none() && self.judged == self.boots && self.boots > 0
    }
}

impl Search<'_> {
    /// Boots the candidates in their order, until one shows what `wanted` looks for, the candidates are used up, time is
    /// up or the user interrupts.
    ///
    /// # Errors
    /// When a box fails.
    pub fn find(
        &self,
        candidates: impl Iterator<Item = Candidate> + Send,
        wanted: impl Fn(&RunDir) -> bool + Sync,
    ) -> Result<Outcome, TrialError> {
        let (queue, boots) = (Mutex::new(candidates), AtomicUsize::new(0));
        let (judged, used_up) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (found, failed) = (Mutex::new(None), Mutex::new(None));
        // Interrupted twice, a boot ends at once.
        let cancel = Stop::new();
        let is_over =
            || self.stop.count() > 0 || self.deadline.is_some_and(|deadline| Instant::now() > deadline);
        let work = |worker: usize| {
            let scratch = self.scratch.join(worker.to_string());
            while cancel.count() == 0 && !is_over() {
                let Some(candidate) = locked(&queue).next() else {
                    used_up.store(true, Ordering::Relaxed);
                    break;
                };
                let observer: Arc<dyn Observer> = Arc::new(());
                let spec =
                    candidate.spec.clone().with(|spec| (spec.boxed, spec.store) = (true, scratch.clone()));
                let booted = scheduled(spec, candidate.faults.as_ref(), &scratch).and_then(|spec| {
                    let (machine, model) = prepare(&spec, candidate.instead.as_deref(), self.registry)?;
                    let snapshot = self.snapshots.of(&machine, &cancel)?;
                    boot(&machine, Some(&snapshot), &spec, &model, &observer, &cancel, false)
                });
                match booted {
                    Ok(run) => {
                        let number = boots.fetch_add(1, Ordering::Relaxed) + 1;
                        let is_judged = shows_or_passes(&run);
                        judged.fetch_add(usize::from(is_judged), Ordering::Relaxed);
                        let shows = wanted(&run);
                        (self.told)(&Booted { number, candidate: &candidate, run: &run, shows });
                        if shows {
                            locked(&found).get_or_insert((candidate, run.judgement.sentence.clone()));
                            give_up(&cancel);
                        }
                    }
                    Err(_) if cancel.count() > 0 => {}
                    Err(error) => {
                        locked(&failed).get_or_insert(error);
                        give_up(&cancel);
                    }
                }
                let _ = std::fs::remove_dir_all(&scratch);
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.jobs.max(1))
                .map(|worker| {
                    let work = &work;
                    scope.spawn(move || work(worker))
                })
                .collect();
            while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
                if self.stop.count() > 0 && cancel.count() == 0 {
                    give_up(&cancel);
                }
                thread::sleep(POLL);
            }
        });
        remove_if_empty(&self.scratch);
        let found = found.into_inner().unwrap_or_default();
        match failed.into_inner().unwrap_or_default() {
            Some(error) if found.is_none() => Err(error),
            _ => Ok(Outcome {
                boots: boots.into_inner(),
                judged: judged.into_inner(),
                is_complete: found.is_some() || used_up.into_inner() && self.stop.count() == 0,
                found,
            }),
        }
    }
}

/// Whether a run was judged: an unknown outcome or a failure of the harness says nothing about the system.
fn shows_or_passes(run: &RunDir) -> bool {
    !matches!(run.judgement.outcome, RunOutcome::Unknown | RunOutcome::HarnessFailure)
}

/// The trial with these faults instead of its own; none of them: without faults.
fn scheduled(spec: TrialSpec, faults: Option<&Faults>, directory: &Path) -> Result<TrialSpec, TrialError> {
    let Some(faults) = faults else { return Ok(spec) };
    if faults.is_empty() {
        return Ok(spec.without_faults());
    }
    let file = directory.join("schedule.jsonl");
    let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&file, faults.to_text()));
    written.with_context(|| format!("cannot write {}", file.display())).map_err(TrialError::harness)?;
    Ok(spec.replaying(file))
}

fn give_up(cancel: &Stop) {
    cancel.interrupt();
    cancel.interrupt();
}

fn remove_if_empty(directory: &Path) {
    let _ = std::fs::remove_dir(directory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_that_were_not_made_or_not_judged_prove_nothing() {
        let outcome = |boots, judged, is_complete| Outcome { boots, judged, is_complete, found: None };
        assert!(outcome(4, 4, true).is_clean());
        assert!(!outcome(4, 3, true).is_clean(), "one was unknown");
        assert!(!outcome(2, 2, false).is_clean(), "time was up");
        assert!(!outcome(0, 0, true).is_clean());
    }
}
