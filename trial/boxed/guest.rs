//! Inside the box: process 1, and the trial that it starts.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tribunal_box::{Entry, Tape, guest};
use tribunal_checker::op::Nanos;
use tribunal_records::TrialSpec;

use super::{GuestEvent, TRIAL};
use crate::error::TrialError;
use crate::lock::locked;
use crate::observer::{Observer, TrialEvent};
use crate::registry::Registry;
use crate::stop::Stop;
use crate::trial::run_trial;

/// How often the guest looks for an interrupt of the user, in its own time.
const POLL: Duration = Duration::from_millis(100);

/// Serves as process 1 of a box, or as the trial that process 1 has started. Outside a box, it does nothing.
pub fn serve_guest() {
    if guest::is_init() {
        guest::serve();
    }
    let Ok(tape) = Tape::find() else { return };
    let tape = Arc::new(OnTape(Mutex::new(tape)));
    let held = record(&tape);
    tape.event(0, &GuestEvent::Ended(held));
}

/// Runs the trial; its run directory is complete, but has no verdict.
fn record(tape: &Arc<OnTape>) -> Result<(), (String, bool)> {
    let harness = |why: String| (why, false);
    let text = std::fs::read(Path::new(TRIAL)).map_err(|why| harness(format!("{TRIAL}: {why}")))?;
    let spec: TrialSpec = serde_json::from_slice(&text).map_err(|why| harness(format!("{TRIAL}: {why}")))?;
    let (stop, observer) = (Stop::new(), tape.clone() as Arc<dyn Observer>);
    watch_interrupts(tape, &stop).map_err(|why| harness(why.to_string()))?;
    let held = run_trial(&spec, &Registry::built_in(), &observer, &stop, |recorded, _, _| {
        recorded.store.drop_data().map_err(TrialError::harness)
    });
    held.map_err(|error| (error.to_string(), matches!(error, TrialError::Spec(_))))
}

fn watch_interrupts(tape: &Arc<OnTape>, stop: &Stop) -> std::io::Result<()> {
    let (tape, stop) = (tape.clone(), stop.clone());
    let watch = move || {
        while !locked(&tape.0).is_interrupted() {
            thread::sleep(POLL);
        }
        stop.interrupt();
    };
    thread::Builder::new().name("interrupts".into()).spawn(watch).map(drop)
}

/// Puts events onto the tape.
struct OnTape(Mutex<Tape>);

impl OnTape {
    fn event(&self, t: Nanos, event: &GuestEvent) {
        let bytes = serde_json::to_vec(&(t, event)).expect("it is plain data");
        // A full tape ends the run where its files are kept.
        let _ = locked(&self.0).append(&Entry::Event(bytes));
    }
}

impl Observer for OnTape {
    fn on_event(&self, t: Nanos, event: &TrialEvent<'_>) {
        let event = match event {
            TrialEvent::Opened(info, _) => {
                locked(&self.0).set_clock(Duration::from_nanos(t));
                GuestEvent::Opened(Box::new((*info).clone()))
            }
            TrialEvent::Phase(name) => GuestEvent::Phase((*name).into()),
            TrialEvent::Fault(fault) => GuestEvent::Fault(Box::new((*fault).clone())),
            TrialEvent::Status(status) => GuestEvent::Status(status.clone()),
            TrialEvent::Note(text) => GuestEvent::Note((*text).into()),
            TrialEvent::Warning(text) => GuestEvent::Warning((*text).into()),
            TrialEvent::Operation(_)
            | TrialEvent::Checking(_)
            | TrialEvent::Judged(_)
            | TrialEvent::Failed(_) => {
                return;
            }
        };
        self.event(t, &event);
    }
}
