//! A `junit.xml` from the first moment of a trial on.
//!
//! Until the run has been judged the file says, as an error, that the run did not end. So a CI job whose run was killed
//! finds valid XML, and a red one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tribunal_checker::op::Nanos;
use tribunal_records::TrialSpec;
use tribunal_reports::junit::{Suite, render, render_suites};
use tribunal_reports::run_info::RunInfo;

use crate::caught::caught;
use crate::observer::{Observer, TrialEvent};
use crate::user_file::write;

/// The file of one trial.
pub struct Junit {
    info: RunInfo,
    file: PathBuf,
}

impl Junit {
    /// Opens the file, before anything is done.
    ///
    /// # Errors
    /// When it cannot be written.
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
    fn see(&self, _: Nanos, event: &TrialEvent<'_>) {
        let text = match event {
            // If nothing more is heard of the run, it ended there.
            TrialEvent::Phase(phase) => {
                self.unfinished(&format!("the run did not end: it was cut off in the phase \"{phase}\""))
            }
            TrialEvent::Broke(why) => self.unfinished(&format!("harness failure: {why}")),
            TrialEvent::Judged(run) => match caught(|| render(run)) {
                Ok(text) => text,
                Err(_) => return, // that the run did not end stays there
            },
            _ => return,
        };
        // One that cannot be written any more changes nothing about the run; it is missed in the end.
        let _ = write(&self.file, &text);
    }
}
