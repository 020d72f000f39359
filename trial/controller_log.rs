//! controller.log: the events of a trial, one per line, whatever the terminal shows. It does not affect the
//! verdict.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use tribunal_checker::op::Nanos;
use tribunal_reports::wording::one_line;

use crate::lock::locked;
use crate::observer::{Observer, TrialEvent};

/// The file; `None` if it cannot be written.
pub(crate) struct ControllerLog(Option<Mutex<File>>);

impl ControllerLog {
    pub(crate) fn create(path: &Path) -> Self {
        ControllerLog(File::create(path).ok().map(Mutex::new))
    }
}

impl Observer for ControllerLog {
    fn on_event(&self, t: Nanos, event: &TrialEvent<'_>) {
        if let (Some(log), Some(line)) = (&self.0, event.line()) {
            let line = format!("{:.6} {}\n", t as f64 / 1e9, one_line(&line));
            // A full disk ends the run elsewhere (a history that cannot be written).
            let _ = locked(log).write_all(line.as_bytes());
        }
    }
}
