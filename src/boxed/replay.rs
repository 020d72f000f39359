//! `tribunal replay`: shows a violation again, bit for bit.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tribunal::boxed::{Replayed, replay};
use tribunal::{Observer, Registry};

use super::{interruptible, print_report};
use crate::cli::ShowArgs;
use crate::doctor::not_started;
use crate::exit;
use crate::live::Live;

/// `tribunal replay`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file that a violation in a box has left
    #[arg(value_name = "FAILURE.TRIBUNAL")]
    file: PathBuf,

    /// Directory in which the run directory is created
    #[arg(long, default_value = "store", value_name = "DIR")]
    store: PathBuf,
}

/// Exits with 0 if everything repeated, and with 1 if something differs.
pub(crate) fn run(args: &Args) -> ExitCode {
    let stop = match interruptible() {
        Ok(stop) => stop,
        Err(error) => return exit::harness(error),
    };
    let live = Arc::new(Live::new(&ShowArgs::default()));
    let observer: Arc<dyn Observer> = live.clone();
    let replayed = replay(&args.file, args.store.clone(), &Registry::built_in(), &observer, &stop);
    live.end();
    match replayed {
        Ok(replayed) => told(&replayed),
        Err(error) => not_started(error),
    }
}

fn told(replayed: &Replayed) -> ExitCode {
    let Replayed { run, failure, other_box, different } = replayed;
    print_report(run);
    if !other_box.is_empty() {
        exit::print_text(&format!(
            "this box is not the recorded one: it differs in {}\n",
            other_box.join(", ")
        ));
    }
    if different.is_empty() {
        let files = failure.evidence.len();
        exit::print_text(&format!("identical: the verdict and {files} files, byte for byte\n"));
        return ExitCode::SUCCESS;
    }
    exit::print_text(&format!("different: {}\nrecorded: {}\n", different.join(", "), failure.sentence));
    ExitCode::from(1)
}
