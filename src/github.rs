//! Output for GitHub Actions: the report in the summary of the step, and one annotation.
//!
//! The runner sets the environment variables `GITHUB_STEP_SUMMARY` (a file to append to) and `GITHUB_ACTIONS`
//! ("Workflow commands for GitHub Actions").

use std::env;
use std::fs::File;
use std::io::Write;

use tribunal::{Observer, RunDir, TrialEvent};
use tribunal_checker::op::Nanos;
use tribunal_reports::markdown;

use crate::exit::{self, github};

/// Reports the outcome of a run to GitHub, which reads both standard output and standard error. The exit code
/// does not change.
pub(crate) struct GitHub {
    /// Standard output contains the verdict only.
    pub(crate) json: bool,
}

impl Observer for GitHub {
    fn on_event(&self, _: Nanos, event: &TrialEvent<'_>) {
        if let TrialEvent::Judged(run) = event {
            announce(run, self.json);
        }
    }
}

fn announce(run: &RunDir, json: bool) {
    if let Some(summary) = env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
        let appended = File::options()
            .create(true)
            .append(true)
            .open(&summary)
            .and_then(|mut file| file.write_all(markdown::render(run).as_bytes()));
        if let Err(error) = appended {
            exit::eprint_line(&format!("warning: no step summary in {}: {error}", summary.display()));
        }
    }
    if github::is_runner() {
        // The only line that is meant to be a command.
        let command = format!("{}\n", markdown::annotation(run));
        if json { exit::eprint(&command) } else { exit::print(&command) }
    }
}
