//! How the program leaves: its exit codes, in one place (`tribunal --help` lists them), and its last words.

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

/// Bad arguments or malformed input.
pub(crate) const USAGE: u8 = 64;

/// The trial itself broke.
pub(crate) const HARNESS: u8 = 3;

/// Cut short by the user.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whether a terminal can show nothing but ASCII (`--ascii`). Files are UTF-8 in any case.
pub(crate) static ASCII: AtomicBool = AtomicBool::new(false);

/// A text for people as it can be shown. Whatever is in it, it acts on nothing: control characters are pictures of
/// themselves, and no line is a command to the runner of GitHub Actions.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    let text = wording::harmless(text);
    let text = if github::listens() { github::no_commands(&text).into() } else { text };
    if ASCII.load(Ordering::Relaxed) { wording::ascii(&text).into() } else { text }
}

/// What the user did wrong.
pub(crate) fn usage(error: anyhow::Error) -> ExitCode {
    complain_in_lines(&format!("error: {error:#}"));
    ExitCode::from(USAGE)
}

/// What went wrong on our side, or on this machine.
pub(crate) fn harness(error: anyhow::Error) -> ExitCode {
    complain_in_lines(&format!("harness failure: {error:#}"));
    ExitCode::from(HARNESS)
}

/// One line to standard error: a line break in it is shown, not made. A reader that has gone away, or a device
/// that is full, changes nothing: unlike `eprintln!`, this never panics.
pub(crate) fn complain(line: &str) {
    complain_in_lines(&wording::one_line(line));
}

/// One line or several to standard error. Those after the first are indented: none can pass for a message of its own.
pub(crate) fn complain_in_lines(text: &str) {
    let text = shown(text.trim_end()).replace('\n', "\n  ") + "\n";
    let _ = std::io::stderr().write_all(text.as_bytes()); // as said above
}

#[cfg(feature = "trial")]
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
    let mut out = anstream::stdout();
    let written = write!(out, "{style}{first}{style:#}\n{rest}").and_then(|()| out.flush());
    said(&text, written);
}

/// A text for people to standard output.
pub(crate) fn say(text: &str) {
    print(&shown(text));
}

/// The same as [`say`] on standard error, where standard output is for machines.
pub(crate) fn say_aside(text: &str) {
    let _ = std::io::stderr().write_all(shown(text).as_bytes()); // as said of complaints
}

/// For machines to standard output, as it is.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout();
    said(text, out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// What became of writing a text to standard output; it changes no exit code. A reader that has gone away (a closed pipe)
/// wants no more. A device that is full keeps nothing: the text goes to standard error instead.
fn said(text: &str, written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        complain(&format!("warning: cannot write to standard output: {error}"));
        say_aside(text);
    }
}

#[cfg(feature = "trial")]
/// For machines to standard error, as it is.
pub(crate) fn print_error(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes()); // as above
}

/// A line of JSON. What could act on a terminal or on GitHub's runner is written as its code: to a program that reads JSON
/// it is the same.
pub(crate) fn json_line(what: &impl Serialize) -> String {
    plain_json(&serde_json::to_string(what).expect("what is printed has no maps with odd keys")) + "\n"
}

/// The same JSON without characters that are not seen, and without `##[`: those occur in its texts only.
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
