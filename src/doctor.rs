//! `tribunal doctor`: tries a described system out, and says which key to change.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use tribunal::TrialError;
use tribunal::doctor::{Step, doctor};
use tribunal_records::quantity::parse_duration;

use crate::exit;

/// What `doctor` and `lint-client` start.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The description of a system, or the name of a system
    #[arg(value_name = "FILE")]
    pub(crate) system: String,

    /// Number of nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=25))]
    pub(crate) nodes: u8,

    /// Timeout of the client's operations
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub(crate) op_timeout: Duration,
}

/// Prints each step. Exits with 1 if one does not work.
pub(crate) fn run(args: &Args) -> ExitCode {
    let told = |step: &Step| exit::print_text(&text(step));
    match doctor(&args.system, usize::from(args.nodes), args.op_timeout, told) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => not_started(error),
    }
}

/// The nodes could not be tried: the arguments are wrong, or the machine is.
pub(crate) fn not_started(error: TrialError) -> ExitCode {
    match error {
        TrialError::Spec(why) => exit::usage(anyhow!(why)),
        error => exit::harness(anyhow!(error.to_string())),
    }
}

fn text(step: &Step) -> String {
    match &step.found {
        Ok(seen) => format!("✓ {}: {}\n", step.tried, seen),
        Err(trouble) => {
            let why = trouble.why.replace('\n', "\n    ");
            format!("✗ {}: {why}\n    change {}\n", step.tried, trouble.change)
        }
    }
}
