//! Exit codes, in one place. `tribunal --help` lists them.

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
