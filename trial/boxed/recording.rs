//! What leaves the guest: events as they happen, and the files of its run directory in the end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tribunal_box::{Boot, Entry, NoEntry};
use tribunal_checker::op::Nanos;
use tribunal_records::TrialSpec;

use super::{GuestEvent, SCHEDULE};
use crate::error::TrialError;
use crate::observer::{Observer, TrialEvent};
use crate::stop::Stop;
use crate::store::Store;

/// How often the host looks for an interrupt.
const POLL: Duration = Duration::from_millis(50);

/// What arrives from a guest.
pub(super) struct Recording {
    pub(super) store: Store,
    ended: Option<Result<(), (String, bool)>>,
    observers: Vec<Arc<dyn Observer>>,
}

impl Recording {
    /// For a run directory, and observers of the guest's events.
    pub(super) fn new(store: Store, observers: Vec<Arc<dyn Observer>>) -> Self {
        Recording { store, ended: None, observers }
    }

    /// Receives everything until the machine is off.
    ///
    /// # Errors
    /// When the box fails, or the trial in it could not be run.
    pub(super) fn receive(
        &mut self,
        mut boot: Boot,
        spec: &TrialSpec,
        stop: &Stop,
    ) -> Result<(), TrialError> {
        let harness = |why: &dyn std::fmt::Display| TrialError::Harness(why.to_string());
        let mut interrupts = 0;
        let mut how = String::new();
        loop {
            if stop.count() > interrupts {
                interrupts = stop.count();
                boot.interrupt();
                if interrupts > 1 {
                    return Err(harness(
                        &"interrupted twice: the box is stopped, and nothing of its run is kept",
                    ));
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
                Err(NoEntry::Yet) => {}
                Err(NoEntry::Off) => break,
            }
        }
        match self.ended.take() {
            // Otherwise its files are not all here.
            Some(Ok(())) if how == "exit code 0" => Ok(()),
            Some(Err((why, true))) => {
                let _ = std::fs::remove_dir_all(self.store.path());
                // The user knows the schedule by its path here.
                let schedule = spec.schedule.as_ref().map(|path| path.display().to_string());
                Err(TrialError::Spec(why.replace(SCHEDULE, &schedule.unwrap_or_default())))
            }
            Some(Err((why, false))) => Err(TrialError::Harness(why)),
            Some(Ok(())) | None => {
                Err(harness(&format!("in the box, {} on {} ended early: {how}", spec.workload, spec.system)))
            }
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
