//! What GitHub's runners show of a run: its report in the summary of the step, and one annotation.
//!
//! They ask for it by environment variables, `GITHUB_STEP_SUMMARY` with a file to append to and `GITHUB_ACTIONS`
//! ("Workflow commands for GitHub Actions").

use std::env;
use std::fs::File;
use std::io::Write;

use tribunal_reports::markdown;
use tribunal_reports::run_dir::RunDir;

use crate::exit;

/// Tells GitHub what came of a run, where it listens: it reads both standard output and standard error, and `json` leaves the
/// first to the verdict alone. That changes no exit code.
pub(crate) fn announce(run: &RunDir, json: bool) {
    if let Some(summary) = env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
        let appended = File::options()
            .create(true)
            .append(true)
            .open(&summary)
            .and_then(|mut file| file.write_all(markdown::render(run).as_bytes()));
        if let Err(error) = appended {
            eprintln!("warning: no step summary in {}: {error}", summary.display());
        }
    }
    if env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        let command = format!("{}\n", markdown::annotation(run));
        if json { eprint!("{command}") } else { exit::say(&command) }
    }
}
