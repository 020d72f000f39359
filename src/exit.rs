//! How the program leaves: its exit codes, in one place (`tribunal --help` lists them), and its last words.

use std::io::Write;
use std::process::ExitCode;

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

/// To standard output. A reader that has gone away (a closed pipe) changes nothing.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
