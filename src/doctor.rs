//! `tribunal doctor`: says what works on this machine; or tries a described system out, and says which key to
//! change.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use tribunal::TrialError;
use tribunal::doctor::{Diagnosis, Found, Step, Trouble, doctor};
use tribunal::machine::{Capability, capabilities};
use tribunal_records::quantity::parse_duration;

use crate::exit;

/// `tribunal doctor`
#[derive(clap::Args)]
pub(crate) struct DoctorArgs {
    /// The description of a system, the name of a system, or `box` [default: try this machine]
    #[arg(value_name = "FILE")]
    system: Option<String>,

    #[command(flatten)]
    trial: NodesArgs,
}

/// What `lint-client` starts.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The description of a system, or the name of a system
    #[arg(value_name = "FILE")]
    pub(crate) system: String,

    #[command(flatten)]
    pub(crate) trial: NodesArgs,
}

/// The nodes that are started, and their client.
#[derive(clap::Args)]
pub(crate) struct NodesArgs {
    /// Number of nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=25))]
    pub(crate) nodes: u8,

    /// Timeout of the client's operations
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub(crate) op_timeout: Duration,
}

/// Prints each step. Exits with 1 if one does not work, and with 2 if it is unclear whether one does.
pub(crate) fn run(args: &DoctorArgs) -> ExitCode {
    let told = |step: &Step| exit::print_text(&text(step));
    let Some(system) = &args.system else {
        capabilities().iter().for_each(|it| exit::print_text(&capability(it)));
        return ExitCode::SUCCESS;
    };
    if system == "box" {
        let found = tribunal::machine::boxes();
        exit::print_text(&capability(&found));
        return ExitCode::from(u8::from(found.lacks.is_some()));
    }
    let NodesArgs { nodes, op_timeout } = &args.trial;
    match doctor(system, usize::from(*nodes), *op_timeout, told) {
        Ok(Diagnosis::Works) => ExitCode::SUCCESS,
        Ok(Diagnosis::Broken) => ExitCode::from(1),
        Ok(Diagnosis::Unclear) => ExitCode::from(2),
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

fn capability(it: &Capability) -> String {
    let Capability { name, needed_for, lacks, get } = it;
    match lacks {
        None => format!("✓ {name}: {needed_for}\n"),
        Some(why) => {
            format!(
                "– {name}: {}\n    needed for {needed_for}\n    to get it: {get}\n",
                why.replace('\n', "\n    ")
            )
        }
    }
}

fn text(step: &Step) -> String {
    let with_change = |mark: &str, unclear: &str, Trouble { why, change }: &Trouble| {
        format!("{mark} {}: {unclear}{}\n    change {change}\n", step.tried, why.replace('\n', "\n    "))
    };
    match &step.found {
        Found::Works(seen) => format!("✓ {}: {seen}\n", step.tried),
        Found::Unclear(trouble) => with_change("?", "inconclusive: ", trouble),
        Found::Broken(trouble) => with_change("✗", "", trouble),
    }
}
