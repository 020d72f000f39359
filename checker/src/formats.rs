//! Histories as text: readers and writers.
//!
//! Every reader turns bytes into a [`History`] or a [`ParseError`], which names the line, the column, what
//! was expected and what was found. No input makes a reader panic. There is no file I/O here: readers take
//! any [`BufRead`], writers any [`Write`]; the caller knows the file and adds its name to errors.
//!
//! | [`Format`] | what | read as |
//! |---|---|---|
//! | `jsonl` | Tribunal's own: one event per line | a stream |
//! | `finished` | finished operations with call and return times, as Porcupine's; lines or one array | a stream |
//! | `edn` | Jepsen's `history.edn`, Knossos' data, Porcupine's key-value logs; maps or vectors | a whole |
//! | `json` | events as JSON, as elle-cli and many others write; lines or one array | a whole |
//! | `txt` | Jepsen's `history.txt` | a stream |
//! | `log` | lines of `history.txt` in a log | a stream |
//!
//! Fields are recognised by their usual names, and by the names that [`Options::names`] adds.
//!
//! ```text
//!            detect            jsonl, finished
//! bytes ───────────────► │ edn, json ─► forms ─┐
//!                        │ txt, log ───────────┴─► jepsen ─► History ─► print, finished, jsonl
//! ```
//!
//! In Tribunal's own formats a number must be an integer of 64 bits; any other number is an error. In the
//! formats of other programs such a number is kept as its text.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::str::FromStr;
use std::sync::Arc;

use crate::history::History;
use crate::op::{Event, F, Kind, Nanos, Outcome, Value};

mod clients;
mod detect;
mod entries;
mod events;
mod fields;
mod finished;
mod forms;
mod jepsen;
pub mod jsonl;
mod keyed;
mod lines;
mod merge;
mod names;
mod print;
mod results;
mod strings;
mod times;
mod txt;

pub(crate) use events::number;
pub use merge::{by_key, merge};
pub use names::Names;
pub use results::{Results, results};
pub use times::TimeUnit;

/// A notation for histories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Tribunal's own: one event per line.
    #[default]
    Jsonl,
    /// One finished operation per line, with the times of its invocation and its return.
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

    /// Detects the format from the beginning of the input; a few hundred bytes are enough. An empty input is
    /// an empty history.
    pub fn detect(head: &[u8]) -> Option<Format> {
        detect::format(head, &Names::default())
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

/// The meaning of a compare-and-set that is recorded as failed without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailedCas {
    /// The comparison failed: at some instant the value was different. Porcupine reads Jepsen's etcd logs
    /// this way, and so does [`Format::Log`] by default.
    Observe,
    /// The operation did not happen; nothing is known about the value. Knossos reads all histories this way;
    /// the default of the other formats.
    Ignore,
}

impl FailedCas {
    /// Turns every failed compare-and-set without an error into an observation, or leaves the history
    /// unchanged.
    pub fn apply(self, history: &mut History) {
        if self == FailedCas::Ignore {
            return;
        }
        for op in history.ops.iter_mut().filter(|op| op.f == F::Cas && op.is_fail() && op.error.is_none()) {
            op.outcome = Outcome::Ok(Value::Bool(false));
        }
    }
}

/// Settings for details that a format leaves open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether every value is a `[key value]` pair, as `jepsen.independent` writes them. For the formats of
    /// Jepsen. Without it pairs are split only if they can be nothing else.
    pub independent: bool,
    /// The meaning of a failed compare-and-set; `None`: the default of the format.
    pub failed_cas: Option<FailedCas>,
    /// Additional names of fields, types and operations.
    pub names: Names,
    /// The unit of times that do not name their unit; `None`: nanoseconds for integers, seconds for numbers
    /// with a fraction.
    pub time_unit: Option<TimeUnit>,
    /// The process of events and operations that do not name one; `None`: a missing process is an error.
    pub process: Option<u64>,
}

/// An event of a process that is not a client, usually `:nemesis`: a fault recorded by another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NemesisEvent {
    /// Its index in the recording; if it has none, the number of client events before it.
    pub index: u64,
    /// The time, on the clock of the history.
    pub time: Nanos,
    /// The number of client events before it.
    position: u64,
    /// The process, such as `nemesis`.
    pub name: Arc<str>,
    /// The kind of event; Jepsen's nemesis writes `info` at both the start and the end.
    pub kind: Kind,
    /// The action, such as `start-partition`.
    pub f: Arc<str>,
    /// The target or the result of the action.
    pub value: Value,
    /// The value in EDN, which distinguishes keywords from texts.
    edn: Arc<str>,
    /// What went wrong.
    pub error: Option<Arc<str>>,
}

/// The position of an operation's events in the text that they were read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpPlace {
    /// The line of the invocation or of the whole operation, counted from 1.
    pub line: usize,
    /// The column where it begins, in bytes, counted from 1.
    pub column: usize,
    /// The line of the completion, if there is one.
    pub end: Option<usize>,
    /// The index of the file in a merge, counted from 0.
    pub file: usize,
}

/// A history that was read, with its reader's notes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The history.
    pub history: History,
    /// The format of the input.
    pub format: Format,
    /// Whether the times come from a clock. If not, the order of the events defines the times: one nanosecond
    /// per event.
    pub timed: bool,
    /// Sentences for the user: what was left out, assumed, or seems to be missing.
    pub notes: Vec<String>,
    /// The position of each operation, in the order of the operations.
    pub places: Vec<OpPlace>,
    /// The events of processes that are not clients, in the order of the recording.
    pub nemesis: Vec<NemesisEvent>,
}

/// The note if fractions were read as seconds.
const SECONDS: &str = "times with a fraction are taken for seconds (option `time-unit` names another unit)";

/// Lines that are no events and are skipped, such as a header.
#[derive(Default)]
struct PassedOver {
    first: usize,
    count: usize,
}

impl PassedOver {
    fn line(&mut self, line: usize) {
        if self.count == 0 {
            self.first = line;
        }
        self.count += 1;
    }

    fn note(&self) -> Option<String> {
        match self.count {
            0 => None,
            1 => Some(format!("line {} is no event and was passed over", self.first)),
            n => Some(format!("line {} and {} more are no events and were passed over", self.first, n - 1)),
        }
    }
}

/// The number of bytes that format detection examines: more than any line that begins a history.
const HEAD_BYTES: u64 = 64 * 1024;

/// The maximum size in bytes of an input that is read as a whole.
const WHOLE_BYTES_MAX: u64 = 1 << 30;

/// Reads a history. If no format is given, the format is detected.
///
/// # Errors
/// The first malformed item, or that the format was not recognised.
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
    let format = match format {
        Some(format) => format,
        None => match detect::nearly(&head) {
            Some(found) => return Err(unrecognised(found)),
            None => detect::format(&head, &options.names)
                .ok_or_else(|| unrecognised(detect::shown(&head, &options.names)))?,
        },
    };
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    let mut input = head.chain(input);
    let mut reading = match format {
        Format::Edn => jepsen::read(&read_whole(&mut input)?, forms::Notation::Edn, options)?,
        Format::Json => jepsen::read(&read_whole(&mut input)?, forms::Notation::Json, options)?,
        Format::Jsonl => jsonl::read(input)?,
        Format::Finished => finished::read(input, options)?,
        Format::Txt | Format::Log => txt::read(input, format, options)?,
    };
    options.failed_cas.unwrap_or(format.failed_cas()).apply(&mut reading.history);
    Ok(reading)
}

fn unrecognised(found: String) -> ParseError {
    let formats = Format::ALL.map(Format::name).join(", ");
    ParseError { line: 1, column: 1, expected: format!("a history in one of the formats {formats}"), found }
}

/// Reads the whole input, up to a maximum size.
fn read_whole(input: &mut dyn BufRead) -> Result<Vec<u8>, ParseError> {
    let mut bytes = Vec::new();
    let read = input.take(WHOLE_BYTES_MAX + 1).read_to_end(&mut bytes);
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
    Ok(bytes)
}

/// Writes a history. Reading the result gives the same history, except for what the format cannot store:
/// times, nodes and indices in [`Format::Txt`] and [`Format::Log`], indices in [`Format::Finished`].
///
/// # Errors
/// Any error of `out`.
pub fn write(out: impl Write, history: &History, format: Format) -> io::Result<()> {
    write_with(out, history, &[], format)
}

/// As [`write()`], with the events of the nemesis at their positions. [`Format::Jsonl`] and
/// [`Format::Finished`] cannot store these.
///
/// # Errors
/// Any error of `out`.
pub fn write_with(
    mut out: impl Write,
    history: &History,
    nemesis: &[NemesisEvent],
    format: Format,
) -> io::Result<()> {
    match format {
        Format::Jsonl => {
            events::events(history).try_for_each(|(event, _)| jsonl::write_event(&mut out, &event))
        }
        Format::Finished => finished::write(out, history),
        Format::Edn => print::edn(out, history, nemesis),
        Format::Json => print::json(out, history, nemesis),
        Format::Txt => print::txt(out, history, nemesis, ""),
        Format::Log => print::txt(out, history, nemesis, "INFO  jepsen.util - "),
    }
}

/// Numbers the events consecutively from 0, in their order.
pub fn renumber(history: &mut History) {
    events::number(&mut history.ops);
}

/// A position in the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

/// Builds a history from events; `place` is the position of the last event. Indices that do not ascend are
/// increased until they do: they order the events of one instant when the history is written again.
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

/// As [`collect`], with the position of every operation.
fn placed(
    events: impl Iterator<Item = Result<Event, ParseError>>,
    place: &Cell<Place>,
) -> Result<(History, Vec<OpPlace>), ParseError> {
    // While the history is built, the index of an event is its position here.
    let mut seen: Vec<(u64, u32, u32)> = Vec::new();
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let numbered = events.map(|event| {
        let mut event = event?;
        let next = seen.last().map_or(0, |(last, ..)| last.saturating_add(1));
        let Place { line, column } = place.get();
        let position = seen.len() as u64;
        seen.push((event.index.max(next), narrow(line), narrow(column)));
        event.index = position;
        Ok(event)
    });
    let mut history = collect(numbered, place)?;
    let places = history.ops.iter_mut().map(|op| {
        let (index, line, column) = seen[op.invoke_index as usize];
        op.invoke_index = index;
        let end = op.complete_index.map(|at| seen[at as usize]);
        op.complete_index = end.map(|(index, ..)| index);
        let end = end.map(|(_, line, _)| line as usize);
        OpPlace { line: line as usize, column: column as usize, end, file: 0 }
    });
    let places = places.collect();
    Ok((history, places))
}

/// Malformed input and its position: `17:4: expected an event, found 5`, ready for a file name in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: expected {expected}, found {found}")]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in bytes, counted from 1.
    pub column: usize,
    /// What was expected there.
    pub expected: String,
    /// What was found there.
    pub found: String,
}

impl ParseError {
    /// The error of an input that could not be read to its end.
    fn unreadable(line: usize, error: &io::Error) -> Self {
        ParseError { line, column: 1, expected: "readable input".into(), found: error.to_string() }
    }
}
