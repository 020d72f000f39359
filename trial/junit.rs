//! A `junit.xml` that is valid from the start of a trial.
//!
//! Until the run has been judged, the file reports an error: the run did not end. A CI job whose run was
//! killed thus finds valid XML with a failed test.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tribunal_checker::op::Nanos;
use tribunal_records::TrialSpec;
use tribunal_reports::junit::{Suite, render, render_suites};
use tribunal_reports::run_info::RunInfo;

use crate::catch_panic::catch_panic;
use crate::observer::{Observer, TrialEvent};
use crate::user_file::write;

/// The file of one trial.
pub struct Junit {
    info: RunInfo,
    file: PathBuf,
}

impl Junit {
    /// Writes the initial file, before anything is started.
    pub fn open(file: &Path, spec: &TrialSpec) -> Result<Self> {
        let info = RunInfo {
            args: spec.words().iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            workload: spec.workload.clone(),
            system: spec.system.clone(),
            model: spec.model.clone().unwrap_or_default(),
            seed: spec.seed.unwrap_or_default(),
            ..RunInfo::default()
        };
        let junit = Junit { info, file: file.to_path_buf() };
        let begun = junit.unfinished("the run did not end: it was cut off before anything was started");
        write(file, &begun).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(junit)
    }

    fn unfinished(&self, why: &str) -> String {
        render_suites(&[Suite::unfinished(&self.info, why)])
    }
}

impl Observer for Junit {
    fn on_event(&self, _: Nanos, event: &TrialEvent<'_>) {
        let text = match event {
            // If no further event arrives, the run ended in this phase.
            TrialEvent::Phase(phase) => {
                self.unfinished(&format!("the run did not end: it was cut off in the phase \"{phase}\""))
            }
            TrialEvent::Failed(why) => self.unfinished(&format!("harness failure: {why}")),
            TrialEvent::Judged(run) => match catch_panic(|| render(run)) {
                Ok(text) => text,
                Err(_) => return, // keep the error "the run did not end"
            },
            _ => return,
        };
        // A write error must not change the run; the missing result is noticed when the run ends.
        let _ = write(&self.file, &text);
    }
}
