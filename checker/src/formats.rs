//! Histories as text: readers and writers.
//!
//! Every reader turns bytes into a [`History`] or a [`ParseError`] that names the line, the column, what was expected
//! there and what was found. No bytes make a reader panic. There is no file I/O here: readers take any [`BufRead`],
//! writers any [`Write`], and whoever opened the file adds its name.
//!
//! | [`Format`] | what | read as |
//! |---|---|---|
//! | `jsonl` | our own: one event per line | a stream |
//! | `finished` | one finished operation per line or in one array, with call and return times, such as Porcupine's | a stream |
//! | `edn` | Jepsen's `history.edn`, Knossos' data, Porcupine's key-value logs; maps or vectors | a whole |
//! | `json` | events as JSON, per line or in one array, as elle-cli and many others have them | a whole |
//! | `txt` | Jepsen's `history.txt` | a stream |
//! | `log` | the same lines within a log | a stream |
//!
//! Fields are found by their usual names, and by those that [`Options::names`] adds.
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
    /// Names of fields, types and operations besides the usual ones.
    pub names: Names,
    /// The unit of times that do not name theirs; `None`: nanoseconds, and seconds where they have a fraction.
    pub time_unit: Option<TimeUnit>,
    /// The process of events and operations that do not name one; `None` makes that an error.
    pub process: Option<u64>,
}

/// An event of a process that is no client, mostly `:nemesis`: a fault that somebody else recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NemesisEvent {
    /// Its index in the recording; without one, how many events of clients come before it.
    pub index: u64,
    /// When, on the clock of the history.
    pub time: Nanos,
    /// How many events of clients come before it.
    position: u64,
    /// The process, such as `nemesis`.
    pub name: Arc<str>,
    /// What kind of event; Jepsen's nemesis has `info` at both ends.
    pub kind: Kind,
    /// What was done, such as `start-partition`.
    pub f: Arc<str>,
    /// To what, or what came of it.
    pub value: Value,
    /// The same in EDN, where keywords are not texts.
    edn: Arc<str>,
    /// What went wrong.
    pub error: Option<Arc<str>>,
}

/// Where the events of an operation stand in the text that they were read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpPlace {
    /// The line of the invocation, or of the whole operation, counted from 1.
    pub line: usize,
    /// The column where it begins, in bytes, counted from 1.
    pub column: usize,
    /// The line of the completion, if there is one.
    pub end: Option<usize>,
    /// Which of the files that were merged, counted from 0.
    pub file: usize,
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
    /// Where each operation stands, in the order of the operations.
    pub places: Vec<OpPlace>,
    /// What processes recorded that are no clients, in the order of the recording.
    pub nemesis: Vec<NemesisEvent>,
}

/// What is said where fractions were taken for seconds.
const SECONDS: &str = "times with a fraction are taken for seconds (option `time-unit` names another unit)";

/// Lines that are no event and say nothing of one, such as a header.
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

/// All that there is to read, up to a size.
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

/// Writes a history. Reading it again gives the same one, but for what the format has no room for: times, nodes and
/// indices in [`Format::Txt`] and [`Format::Log`], indices in [`Format::Finished`].
///
/// # Errors
/// Whatever `out` fails with.
pub fn write(out: impl Write, history: &History, format: Format) -> io::Result<()> {
    write_with(out, history, &[], format)
}

/// The same with the events of the nemesis in their places. [`Format::Jsonl`] and [`Format::Finished`] have no room for
/// them.
///
/// # Errors
/// Whatever `out` fails with.
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

/// Numbers the events from 0 without gaps, in their order.
pub fn renumber(history: &mut History) {
    events::number(&mut history.ops);
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

/// The same with the place of every operation.
fn placed(
    events: impl Iterator<Item = Result<Event, ParseError>>,
    place: &Cell<Place>,
) -> Result<(History, Vec<OpPlace>), ParseError> {
    // While the history is made, the index of an event is its position here.
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
}
