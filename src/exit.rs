//! How the program leaves: its exit codes, in one place (`tribunal --help` lists them), and its last words.

use std::io::Write;
use std::process::ExitCode;

use anstyle::AnsiColor;
use tribunal_reports::judgement::RunOutcome;

/// Bad arguments or malformed input.
pub(crate) const USAGE: u8 = 64;

/// The trial itself broke.
pub(crate) const HARNESS: u8 = 3;

/// What the user did wrong: one clear line.
pub(crate) fn usage(error: anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(USAGE)
}

/// What went wrong on our side, or on this machine: one clear line.
pub(crate) fn harness(error: anyhow::Error) -> ExitCode {
    eprintln!("harness failure: {error:#}");
    ExitCode::from(HARNESS)
}

/// An outcome to standard output, its first line in the colour of the outcome where colours are wanted: on a terminal,
/// unless `NO_COLOR` is set, or anywhere with `CLICOLOR_FORCE`. The words say the same.
pub(crate) fn say_outcome(text: &str, outcome: RunOutcome) {
    let colour = match outcome {
        RunOutcome::Linearizable => AnsiColor::Green,
        RunOutcome::Violation => AnsiColor::Red,
        RunOutcome::Unknown => AnsiColor::Yellow,
        RunOutcome::HarnessFailure => AnsiColor::Magenta,
    };
    let style = colour.on_default().bold();
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let _ = write!(anstream::stdout(), "{style}{first}{style:#}\n{rest}"); // as below
}

/// To standard output. A reader that has gone away (a closed pipe) changes nothing.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
