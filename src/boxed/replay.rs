//! `tribunal replay`: shows a violation again, bit for bit.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tribunal::boxed::{Replayed, Watching, replay};
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

    /// Record the system calls of a node with strace, beside its log: nodes/NODE.strace
    #[arg(long, value_name = "NODE")]
    trace: Option<String>,

    /// Additional argument for every node, such as one that makes it log more; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    node_arg: Vec<String>,

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
    let watching = Watching { trace: args.trace.clone(), node_arg: args.node_arg.clone() };
    let registry = Registry::built_in();
    let replayed = replay(&args.file, &watching, args.store.clone(), &registry, &observer, &stop);
    live.end();
    let replayed = match replayed {
        Ok(replayed) => replayed,
        Err(error) => return not_started(error),
    };
    print_report(&replayed.run);
    if !replayed.other_box.is_empty() {
        let parts = replayed.other_box.join(", ");
        exit::print_text(&format!("this box is not the recorded one: it differs in {parts}\n"));
    }
    match watching.is_nothing() {
        true => told(&replayed),
        false => watched(&replayed),
    }
}

fn told(replayed: &Replayed) -> ExitCode {
    let Replayed { failure, different, .. } = replayed;
    if different.is_empty() {
        let files = failure.evidence.len();
        exit::print_text(&format!("identical: the verdict and {files} files, byte for byte\n"));
        return ExitCode::SUCCESS;
    }
    exit::print_text(&format!("different: {}\nrecorded: {}\n", different.join(", "), failure.sentence));
    ExitCode::from(1)
}

/// What being watched has changed: the logs of the nodes may say more, and everything else should be the same.
fn watched(replayed: &Replayed) -> ExitCode {
    let Replayed { run, failure, different, .. } = replayed;
    let of_run: Vec<&str> =
        different.iter().map(String::as_str).filter(|name| !name.starts_with("nodes/")).collect();
    if of_run.is_empty() {
        exit::print_text("the same run, seen closer: history, faults and verdict are identical\n");
        return ExitCode::SUCCESS;
    }
    let same =
        if run.judgement.sentence == failure.sentence { "the same verdict" } else { "another verdict" };
    exit::print_text(&format!(
        "not the same run: being watched, it took another course ({}), to {same}\nrecorded: {}\n",
        of_run.join(", "),
        failure.sentence
    ));
    ExitCode::from(1)
}
