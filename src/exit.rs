//! How the program leaves: its exit codes, in one place (`tribunal --help` lists them), and its last words.

use std::borrow::Cow;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::AnsiColor;
use tribunal_reports::judgement::RunOutcome;
use tribunal_reports::wording;

/// Bad arguments or malformed input.
pub(crate) const USAGE: u8 = 64;

/// The trial itself broke.
pub(crate) const HARNESS: u8 = 3;

/// Cut short by the user.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whether a terminal can show nothing but ASCII (`--ascii`). Files are UTF-8 in any case.
pub(crate) static ASCII: AtomicBool = AtomicBool::new(false);

/// A text for people as it can be shown.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if ASCII.load(Ordering::Relaxed) { wording::ascii(text).into() } else { text.into() }
}

/// What the user did wrong: one clear line.
pub(crate) fn usage(error: anyhow::Error) -> ExitCode {
    eprintln!("{}", shown(&format!("error: {error:#}")));
    ExitCode::from(USAGE)
}

/// What went wrong on our side, or on this machine: one clear line.
pub(crate) fn harness(error: anyhow::Error) -> ExitCode {
    eprintln!("{}", shown(&format!("harness failure: {error:#}")));
    ExitCode::from(HARNESS)
}

/// An outcome to standard output, its first line in the colour of the outcome where colours are wanted: on a terminal,
/// unless `NO_COLOR` is set, or anywhere with `CLICOLOR_FORCE`. The words say the same.
pub(crate) fn say_outcome(text: &str, outcome: RunOutcome) {
    let colour = match outcome {
        RunOutcome::Linearizable | RunOutcome::Convergent => AnsiColor::Green,
        RunOutcome::Violation => AnsiColor::Red,
        RunOutcome::Unknown => AnsiColor::Yellow,
        RunOutcome::HarnessFailure => AnsiColor::Magenta,
    };
    let style = colour.on_default().bold();
    let text = shown(text);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let _ = write!(anstream::stdout(), "{style}{first}{style:#}\n{rest}"); // as below
}

/// To standard output. A reader that has gone away (a closed pipe) changes nothing.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
