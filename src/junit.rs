//! `junit.xml` from the first moment of a run on: in its directory, and where `--junit` names.
//!
//! Until the run has been judged the file says, as an error, that the run did not end. So a CI job whose run was killed
//! finds valid XML, and a red one.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tribunal_reports::files::{Durable, Output};
use tribunal_reports::junit::{Suite, render_suites};
use tribunal_reports::run_info::RunInfo;

use crate::run::Plan;

/// The files of one run.
pub(crate) struct Junit {
    info: RunInfo,
    files: Vec<PathBuf>,
}

impl Junit {
    /// Opens what `--junit` names, if it names anything, before anything is done.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(crate) fn open(plan: &Plan) -> Result<Self> {
        let info = RunInfo {
            args: plan.args.typed.clone(),
            workload: plan.workload.name.into(),
            system: plan.system.name.into(),
            model: plan.model.name().into(),
            seed: plan.seed,
            ..RunInfo::default()
        };
        let junit = Junit { info, files: plan.args.junit.iter().cloned().collect() };
        for file in &junit.files {
            write(file, &junit.unfinished("before anything was started"))?;
        }
        Ok(junit)
    }

    /// From here on there is one in the run directory, too.
    pub(crate) fn keep_in(&mut self, dir: &Path) {
        self.files.push(dir.join("junit.xml"));
    }

    /// The run has come to that phase: if nothing more is heard of it, it ended there.
    pub(crate) fn phase(&self, phase: &str) {
        self.write_all(&self.unfinished(&format!("in the phase \"{phase}\"")));
    }

    /// The run has broken for that reason.
    pub(crate) fn broke(&self, why: &anyhow::Error) {
        self.write_all(&render_suites(&[Suite::unfinished(
            &self.info,
            &format!("harness failure: {why:#}"),
        )]));
    }

    fn unfinished(&self, when: &str) -> String {
        let why = format!("the run did not end: it was cut off {when}");
        render_suites(&[Suite::unfinished(&self.info, &why)])
    }

    /// One that cannot be written any more changes nothing about the run; it is missed in the end.
    fn write_all(&self, text: &str) {
        self.files.iter().for_each(|file| drop(write(file, text)));
    }
}

/// Writes what `--junit` asked for.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    let written = Output::named(file).and_then(|mut output| {
        output.write_all(text.as_bytes())?;
        output.finish(Durable::No)
    });
    written.with_context(|| format!("--junit: cannot write {}", file.display()))
}
