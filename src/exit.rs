//! Exit codes, all in one place (`tribunal --help` lists them), and output to the terminal.

pub(crate) mod github;

use std::borrow::Cow;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "trial")]
use anstyle::AnsiColor;
use serde::Serialize;
#[cfg(feature = "trial")]
use tribunal_reports::judgement::RunOutcome;
use tribunal_reports::wording;

/// Invalid arguments or malformed input.
pub(crate) const USAGE: u8 = 64;

/// Harness failure.
pub(crate) const HARNESS: u8 = 3;

/// Interrupted by the user.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whether to print ASCII only (`--ascii`). Files are UTF-8 in any case.
pub(crate) static ASCII: AtomicBool = AtomicBool::new(false);

/// A text made safe to print. Control characters are replaced by visible symbols, and no line is a command to
/// the runner of GitHub Actions.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    let text = wording::harmless(text);
    let text = if github::is_runner() { github::without_commands(&text).into() } else { text };
    if ASCII.load(Ordering::Relaxed) { wording::ascii(&text).into() } else { text }
}

/// Reports an error of the user.
pub(crate) fn usage(error: anyhow::Error) -> ExitCode {
    eprint_lines(&format!("error: {error:#}"));
    ExitCode::from(USAGE)
}

/// Reports a failure of Tribunal or of this machine.
pub(crate) fn harness(error: anyhow::Error) -> ExitCode {
    eprint_lines(&format!("harness failure: {error:#}"));
    ExitCode::from(HARNESS)
}

/// Prints one line to standard error; line breaks in it are made visible. Unlike `eprintln!`, this never
/// panics: a closed pipe or a full device is ignored.
pub(crate) fn eprint_line(line: &str) {
    eprint_lines(&wording::one_line(line));
}

/// Prints one or more lines to standard error. Lines after the first are indented, so that none looks like a
/// separate message.
pub(crate) fn eprint_lines(text: &str) {
    let text = escaped(text.trim_end()).replace('\n', "\n  ") + "\n";
    let _ = std::io::stderr().write_all(text.as_bytes()); // errors are ignored, as in `eprint_line`
}

#[cfg(feature = "trial")]
/// Prints an outcome to standard output. The first line is coloured on a terminal unless `NO_COLOR` is set,
/// and anywhere with `CLICOLOR_FORCE`. The colour carries no extra information.
pub(crate) fn print_outcome(text: &str, outcome: RunOutcome) {
    let colour = match outcome {
        RunOutcome::Linearizable | RunOutcome::Convergent => AnsiColor::Green,
        RunOutcome::Violation | RunOutcome::TooSlow => AnsiColor::Red,
        RunOutcome::Unknown => AnsiColor::Yellow,
        RunOutcome::HarnessFailure => AnsiColor::Magenta,
    };
    let style = colour.on_default().bold();
    let text = escaped(text);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let mut out = anstream::stdout();
    let written = write!(out, "{style}{first}{style:#}\n{rest}").and_then(|()| out.flush());
    check_written(&text, written);
}

/// Prints a text for people to standard output.
pub(crate) fn print_text(text: &str) {
    print(&escaped(text));
}

/// Like [`print_text`], but to standard error, when standard output is machine-readable.
pub(crate) fn eprint_text(text: &str) {
    let _ = std::io::stderr().write_all(escaped(text).as_bytes()); // errors are ignored, as in `eprint_line`
}

/// Prints machine-readable text to standard output, unchanged.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout();
    check_written(text, out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Handles the result of writing to standard output; the exit code never changes. A closed pipe is ignored.
/// If the device is full, the text goes to standard error instead.
fn check_written(text: &str, written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        eprint_line(&format!("warning: cannot write to standard output: {error}"));
        eprint_text(text);
    }
}

#[cfg(feature = "trial")]
/// Prints machine-readable text to standard error, unchanged.
pub(crate) fn eprint(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes()); // errors are ignored, as in `eprint_line`
}

/// One line of JSON. Characters that could affect a terminal or GitHub's runner are written as `\u` escapes,
/// which JSON parsers read as the same text.
pub(crate) fn json_line(what: &impl Serialize) -> String {
    plain_json(&serde_json::to_string(what).expect("what is printed has no maps with odd keys")) + "\n"
}

/// The same JSON with invisible characters and `##[` escaped; both occur in strings only.
fn plain_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            c if wording::is_unseen(c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out += &format!("\\u{unit:04x}"));
            }
            '[' if out.ends_with("##") => out += "\\u005b",
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_json_means_the_same() {
        let what = ["a\u{9b}31m", "##[error]\u{202e}\n", "ü\u{1f600}"];
        let plain = plain_json(&serde_json::to_string(&what).unwrap());
        assert_eq!(plain, "[\"a\\u009b31m\",\"##\\u005berror]\\u202e\\n\",\"ü😀\"]");
        assert_eq!(serde_json::from_str::<[String; 3]>(&plain).unwrap(), what);
    }
}
