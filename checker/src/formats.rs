//! Histories as text: readers and writers.
//!
//! Every reader turns bytes into a [`History`] or a [`ParseError`] that names the line, the column, what was expected
//! there and what was found. No bytes make a reader panic. There is no file I/O here: readers take any [`BufRead`],
//! writers any [`Write`], and whoever opened the file adds its name.
//!
//! | [`Format`] | what | read as |
//! |---|---|---|
//! | `jsonl` | our own: one event per line | a stream |
//! | `finished` | one finished operation per line, with call and return times | a stream |
//! | `edn` | Jepsen's `history.edn`, Knossos' data, Porcupine's key-value logs | a whole |
//! | `json` | the same maps as JSON, as elle-cli has them | a whole |
//! | `txt` | Jepsen's `history.txt` | a stream |
//! | `log` | the same lines within a log | a stream |
//!
//! ```text
//!            detect            jsonl, finished
//! bytes ───────────────► │ edn, json ─► forms ─┐
//!                        │ txt, log ───────────┴─► jepsen ─► History ─► print, finished, jsonl
//! ```
//!
//! A number in our own formats is an integer of 64 bits, and anything else an error. In the others, which are what other
//! programs wrote, such a number is kept as the text it was written as.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::str::FromStr;

use crate::history::History;
use crate::op::{Event, F, Outcome, Value};

mod clients;
mod events;
mod fields;
mod finished;
mod forms;
mod jepsen;
pub mod jsonl;
mod lines;
mod print;
mod strings;
mod txt;

pub(crate) use events::number;

/// A way to write down a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Our own: one event per line.
    #[default]
    Jsonl,
    /// One finished operation per line, with the times of its call and its return.
    Finished,
    /// Maps in EDN, as Jepsen and Knossos write them.
    Edn,
    /// The same maps in JSON.
    Json,
    /// Jepsen's `history.txt`.
    Txt,
    /// The lines of `history.txt` within a log.
    Log,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 6] =
        [Format::Jsonl, Format::Finished, Format::Edn, Format::Json, Format::Txt, Format::Log];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::Finished => "finished",
            Format::Edn => "edn",
            Format::Json => "json",
            Format::Txt => "txt",
            Format::Log => "log",
        }
    }

    /// Recognises the format by how the input begins; a few hundred bytes are enough. Nothing at all is an
    /// empty history.
    pub fn detect(head: &[u8]) -> Option<Format> {
        let text = String::from_utf8_lossy(head);
        let mut text = text.trim_start_matches('\u{feff}').trim_start();
        while let Some(comment) = text.strip_prefix(';') {
            text = comment.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
        }
        let inner = text.trim_start_matches(['[', '(']).trim_start();
        if head.trim_ascii().is_empty() {
            Some(Format::Jsonl)
        } else if inner.starts_with('{') && inner[1..].trim_start().starts_with('"') {
            let has = |field: &str| inner.contains(field);
            if has("\"process\"") {
                Some(Format::Json)
            } else if has("\"client\"") {
                Some(Format::Finished)
            } else {
                Some(Format::Jsonl)
            }
        } else if text.starts_with(['{', '[', '(', '#', ';']) || text.is_empty() {
            Some(Format::Edn)
        } else if text.contains("jepsen.util") {
            Some(Format::Log)
        } else if text.split_whitespace().nth(1).is_some_and(|kind| kind.starts_with(':')) {
            Some(Format::Txt)
        } else {
            None
        }
    }

    fn failed_cas(self) -> FailedCas {
        if self == Format::Log { FailedCas::Observe } else { FailedCas::Ignore }
    }
}

/// The name, as on the command line.
impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Format::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| format!("expected one of {}", Format::ALL.map(Format::name).join(", ")))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What a compare-and-set that is recorded as failed says, if it carries no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailedCas {
    /// The comparison failed: at some instant the value was another. Porcupine takes Jepsen's etcd logs so, and so
    /// does [`Format::Log`] if nothing else is asked for.
    Observe,
    /// Nothing, only that it did not happen. Knossos takes all histories so; the default elsewhere.
    Ignore,
}

impl FailedCas {
    /// Makes an observation of every failed compare-and-set without an error, or leaves all as it is.
    pub fn apply(self, history: &mut History) {
        if self == FailedCas::Ignore {
            return;
        }
        for op in history.ops.iter_mut().filter(|op| op.f == F::Cas && op.is_fail() && op.error.is_none()) {
            op.outcome = Outcome::Ok(Value::Bool(false));
        }
    }
}

/// How to read what a format leaves open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Every value is a `[key value]` pair, as `jepsen.independent` writes them. For the formats of Jepsen; without
    /// it pairs are taken apart only where they can be nothing else.
    pub independent: bool,
    /// What a failed compare-and-set says; `None` leaves it to the format.
    pub failed_cas: Option<FailedCas>,
}

/// A history that was read, with what its reader has to say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The history.
    pub history: History,
    /// The format it was in.
    pub format: Format,
    /// Whether the times are those of a clock. Otherwise the order of the events is the time: one nanosecond each.
    pub timed: bool,
    /// Sentences for the user: what was left out or assumed, or looks as if it were missing.
    pub notes: Vec<String>,
}

/// How much is looked at to recognise a format: more than any line that begins a history.
const HEAD_BYTES: u64 = 64 * 1024;

/// The longest input of a format that is read as a whole.
const WHOLE_BYTES_MAX: u64 = 1 << 30;

/// Reads a history, in a format that is recognised by itself if none is given.
///
/// # Errors
/// What is malformed first, or that the format was not recognised.
pub fn read(
    mut input: impl BufRead,
    format: Option<Format>,
    options: &Options,
) -> Result<Reading, ParseError> {
    let mut head = Vec::new();
    input
        .by_ref()
        .take(HEAD_BYTES)
        .read_to_end(&mut head)
        .map_err(|error| ParseError::unreadable(1, &error))?;
    let format = format.or_else(|| Format::detect(&head)).ok_or_else(|| ParseError {
        line: 1,
        column: 1,
        expected: format!("a history in one of the formats {}", Format::ALL.map(Format::name).join(", ")),
        found: "something else".into(),
    })?;
    let mut input = head.as_slice().chain(input);
    let mut whole = |notation| {
        let mut bytes = Vec::new();
        let read = input.by_ref().take(WHOLE_BYTES_MAX + 1).read_to_end(&mut bytes);
        if read.map_err(|error| ParseError::unreadable(1, &error))? as u64 > WHOLE_BYTES_MAX {
            return Err(ParseError {
                line: 1,
                column: 1,
                expected: format!(
                    "at most {} MiB in this format, which is read as a whole",
                    WHOLE_BYTES_MAX >> 20
                ),
                found: "more (jsonl has no such limit)".into(),
            });
        }
        jepsen::read(&bytes, notation, options)
    };
    let mut reading = match format {
        Format::Edn => whole(forms::Notation::Edn)?,
        Format::Json => whole(forms::Notation::Json)?,
        Format::Jsonl => jsonl::read(input)?,
        Format::Finished => finished::read(input)?,
        Format::Txt | Format::Log => txt::read(input, format, options)?,
    };
    options.failed_cas.unwrap_or(format.failed_cas()).apply(&mut reading.history);
    Ok(reading)
}

/// Writes a history. Reading it again gives the same one, but for what the format has no room for: times, nodes and
/// indices in [`Format::Txt`] and [`Format::Log`], indices in [`Format::Finished`].
///
/// # Errors
/// Whatever `out` fails with.
pub fn write(mut out: impl Write, history: &History, format: Format) -> io::Result<()> {
    match format {
        Format::Jsonl => {
            events::events(history).try_for_each(|(event, _)| jsonl::write_event(&mut out, &event))
        }
        Format::Finished => finished::write(out, history),
        Format::Edn => print::edn(out, history),
        Format::Json => print::json(out, history),
        Format::Txt => print::txt(out, history, ""),
        Format::Log => print::txt(out, history, "INFO  jepsen.util - "),
    }
}

/// Where something stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

/// Makes a history of events; `place` is where the last one stood. Indices that do not ascend are raised until they do:
/// they tell apart the events of one instant when the history is written again.
fn collect(
    mut events: impl Iterator<Item = Result<Event, ParseError>>,
    place: &Cell<Place>,
) -> Result<History, ParseError> {
    let failed = Cell::new(None);
    let mut next_index = 0;
    let until_failed = std::iter::from_fn(|| {
        let mut event = events.next()?.map_err(|error| failed.set(Some(error))).ok()?;
        event.index = event.index.max(next_index);
        next_index = event.index.saturating_add(1);
        Some(event)
    });
    let history = History::from_events(until_failed);
    match (failed.into_inner(), history) {
        (Some(error), _) => Err(error),
        (None, Ok(history)) => Ok(history),
        (None, Err(malformed)) => Err(ParseError {
            line: place.get().line,
            column: place.get().column,
            expected: "an event that can follow those before it".into(),
            found: format!("that {}", malformed.why),
        }),
    }
}

/// Input that is not what it should be, and where: `17:4: expected an event, found 5`, ready for a file name in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: expected {expected}, found {found}")]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in bytes, counted from 1.
    pub column: usize,
    /// What should have stood there.
    pub expected: String,
    /// What stood there instead.
    pub found: String,
}

impl ParseError {
    /// An input that broke off.
    fn unreadable(line: usize, error: &io::Error) -> Self {
        ParseError { line, column: 1, expected: "readable input".into(), found: error.to_string() }
    }

    /// What `serde_json` says about a text that starts on `line`, as `expected`.
    fn json(line: usize, error: &serde_json::Error, expected: &str) -> Self {
        let said = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        ParseError {
            line: line + error.line().saturating_sub(1),
            column: error.column().max(1),
            expected: expected.into(),
            found: said.strip_suffix(&place).unwrap_or(&said).into(),
        }
    }
}
