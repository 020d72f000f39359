//! `tribunal lint-client`: checks that a client never says what it cannot know.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use tribunal::TrialError;
use tribunal::lint::{Linted, lint};
use tribunal_records::quantity::parse_duration;

use crate::exit;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The description of a system, or the name of a system
    #[arg(value_name = "FILE")]
    system: String,

    /// Number of nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=25))]
    nodes: u8,

    /// Timeout of the client's operations
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    op_timeout: Duration,
}

/// Prints each operation, and what is wrong with the client's answers. Exits with 1 if anything is.
pub(crate) fn run(args: &Args) -> ExitCode {
    let mut wrong = 0;
    let told = |linted: &Linted| {
        wrong += linted.findings.len();
        exit::print_text(&text(linted));
    };
    match lint(&args.system, usize::from(args.nodes), args.op_timeout, told) {
        Ok(()) if wrong == 0 => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(1),
        Err(TrialError::Spec(why)) => exit::usage(anyhow!(why)),
        Err(error) => exit::harness(anyhow!(error.to_string())),
    }
}

fn text(linted: &Linted) -> String {
    let outcome = match linted.findings.len() {
        0 => "no wrong answer".into(),
        1 => "1 wrong answer".into(),
        wrong => format!("{wrong} wrong answers"),
    };
    let mut text = format!("{}: {outcome} in {} cases\n", linted.operation, linted.cases);
    for finding in &linted.findings {
        text += &format!("  {}: {}\n    {}\n", finding.situation, finding.did, finding.rule);
    }
    text
}
