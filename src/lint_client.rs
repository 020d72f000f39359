//! `tribunal lint-client`: checks that a client never says what it cannot know.

use std::process::ExitCode;

use tribunal::lint::{Linted, lint};

pub(crate) use crate::doctor::Args;
use crate::doctor::not_started;
use crate::exit;

/// Prints each operation, and what is wrong with the client's answers. Exits with 1 if anything is.
pub(crate) fn run(args: &Args) -> ExitCode {
    let mut wrong = 0;
    let told = |linted: &Linted| {
        wrong += linted.findings.len();
        exit::print_text(&text(linted));
    };
    match lint(&args.system, usize::from(args.trial.nodes), args.trial.op_timeout, told) {
        Ok(()) if wrong == 0 => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(1),
        Err(error) => not_started(error),
    }
}

fn text(linted: &Linted) -> String {
    let outcome = match linted.findings.len() {
        0 => "no wrong answer".into(),
        1 => "1 wrong answer".into(),
        wrong => format!("{wrong} wrong answers"),
    };
    let cases = if linted.cases == 1 { "1 case".into() } else { format!("{} cases", linted.cases) };
    let mut text = format!("{}: {outcome} in {cases}\n", linted.operation);
    for finding in &linted.findings {
        text += &format!("  {}: {}\n    {}\n", finding.situation, finding.did, finding.rule);
    }
    text
}
