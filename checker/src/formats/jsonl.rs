//! Tribunal's own format: one [`Event`] per line, as the recorder writes it (`history.jsonl`).
//!
//! ```text
//! {"i":0,"t":1200,"p":0,"type":"invoke","f":"write","key":"x","value":1,"node":"n1"}
//! {"i":1,"t":3400,"p":0,"type":"ok","f":"write","key":"x","node":"n1"}
//! ```
//!
//! A killed recorder leaves two traces, and neither is an error: invocations without a completion, which are
//! indeterminate, and a truncated last line, which is dropped and noted. Anything else malformed is an error,
//! including a number with a fraction or beyond 64 bits.
//!
//! Reading is streamed: it holds one line and one copy of each short text. A line with exactly the shape that
//! [`write_event`] gives it takes a fast path (`fields`); any other goes through `serde_json`. Tests compare
//! the two.

use std::cell::Cell;
use std::io::{self, BufRead, Write};

use serde::Deserialize;

use super::fields::Cursor;
use super::forms::{Form, Forms, Notation};
use super::lines::Lines;
use super::strings::Strings;
use super::{Format, ParseError, Place, Reading, collect, names, placed};
use crate::history::History;
use crate::op::{Event, Kind};

/// An iterator over the events of an input, one per line.
pub struct Events<R> {
    lines: Lines<R>,
    strings: Strings,
    line: usize,
    torn: bool,
}

impl<R: BufRead> Events<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Events { lines: Lines::new(input), strings: Strings::default(), line: 0, torn: false }
    }

    /// The line of the latest event, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether the input ended in the middle of an event, as a killed recorder leaves it.
    pub fn torn(&self) -> bool {
        self.torn
    }

    fn read(&mut self) -> Result<Option<Event>, ParseError> {
        let Some(line) = self.lines.next()? else { return Ok(None) };
        self.line = line.number;
        if let Some(event) = fast(line.bytes, &mut self.strings) {
            return Ok(Some(event));
        }
        if let Some(found) = newer(line.bytes) {
            return Err(ParseError {
                line: line.number,
                column: 1,
                expected: format!("schema_version {SCHEMA_VERSION} or none"),
                found: format!("{found}: a newer tribunal wrote it"),
            });
        }
        match serde_json::from_slice(line.bytes) {
            Ok(event) => Ok(Some(event)),
            Err(error) if error.is_eof() && !line.ended => {
                self.torn = true;
                Ok(None)
            }
            Err(_) => Err(misshapen(line.bytes, line.number)),
        }
    }
}

/// The error of a line that is not an event, in Tribunal's own words.
fn misshapen(line: &[u8], number: usize) -> ParseError {
    let parsed = Forms::new(line, Notation::Json).and_then(|mut forms| {
        let form = forms.next()?;
        let rest = forms.place()?;
        Ok((form, rest.column, forms.next()?.is_some()))
    });
    let wrong =
        |column: usize, found: String| ParseError { line: number, column, expected: EXPECTED.into(), found };
    let map = match parsed {
        Err(error) => return ParseError { line: number, ..error },
        Ok((Some(Form::Map(_)), column, true)) => return wrong(column, "more behind it".into()),
        Ok((Some(Form::Map(map)), ..)) => map,
        Ok((form, ..)) => return wrong(1, form.map_or("nothing".into(), |form| form.shown())),
    };
    let entry = |name: &str| map.iter().find(|(key, _)| key.name() == Some(name)).map(|(_, form)| form);
    fn is_value(form: &Form) -> bool {
        match form {
            Form::Sequence(items) => items.iter().all(is_value),
            Form::Nil | Form::Bool(_) | Form::Int(_) | Form::Text(_) => true,
            _ => false,
        }
    }
    let is_text = |form: &Form| matches!(form, Form::Text(_) | Form::Nil);
    let number_of = |form: &Form| form.unsigned().is_some();
    let is_type = |form: &Form| form.name().is_some_and(|name| names::kind(name).is_some());
    /// Name, whether it is required, its description, its test.
    type Expected<'a> = (&'a str, bool, &'a str, &'a dyn Fn(&Form) -> bool);
    let fields: [Expected; 10] = [
        ("i", true, "a whole number", &number_of),
        ("t", true, "a whole number of nanoseconds", &number_of),
        ("p", true, "a whole number", &number_of),
        ("type", true, "invoke, ok, fail or info", &is_type),
        ("f", true, "a text", &|form| matches!(form, Form::Text(_))),
        (
            "key",
            false,
            "null, a truth value, a whole number of 64 bits, a text or a list of these",
            &is_value,
        ),
        (
            "value",
            false,
            "null, a truth value, a whole number of 64 bits, a text or a list of these",
            &is_value,
        ),
        ("node", false, "a text", &is_text),
        ("error", false, "a text", &is_text),
        ("c", false, "a whole number", &number_of),
    ];
    for (name, is_needed, what, fits) in fields {
        match entry(name) {
            None if is_needed => return wrong(1, format!("no field `{name}`, which is {what}")),
            Some(form) if !fits(form) => {
                return wrong(1, format!("{} as `{name}`, which is {what}", form.shown()));
            }
            _ => {}
        }
    }
    wrong(1, "an object in another shape".into())
}

const EXPECTED: &str = r#"an event such as {"i":0,"t":1200,"p":3,"type":"invoke","f":"read"}"#;

impl<R: BufRead> Iterator for Events<R> {
    type Item = Result<Event, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The version of the shape of an event. Lines do not carry it: a run directory states it once, in run.json.
const SCHEMA_VERSION: u64 = 1;

/// The version that a line states, if it is newer than this program's.
fn newer(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Versioned {
        schema_version: u64,
    }
    let said = serde_json::from_slice::<Versioned>(line).ok()?.schema_version;
    (said > SCHEMA_VERSION).then_some(said)
}

/// Parses a line that has exactly the shape that Tribunal writes.
fn fast(line: &[u8], strings: &mut Strings) -> Option<Event> {
    let mut at = Cursor { rest: line };
    at.literal(b"{\"i\":")?;
    let index = at.unsigned()?;
    at.literal(b",\"t\":")?;
    let time = at.unsigned()?;
    at.literal(b",\"p\":")?;
    let process = at.unsigned()?;
    at.literal(b",\"type\":")?;
    let kind = match at.text()? {
        "invoke" => Kind::Invoke,
        "ok" => Kind::Ok,
        "fail" => Kind::Fail,
        "info" => Kind::Info,
        _ => return None,
    };
    at.literal(b",\"f\":")?;
    let f = at.f(strings)?;
    let key = at.field(b",\"key\":", |at| at.value(strings))?.unwrap_or_default();
    let value = at.field(b",\"value\":", |at| at.value(strings))?.unwrap_or_default();
    let node = at.field(b",\"node\":", |at| at.shared(strings))?;
    let error = at.field(b",\"error\":", |at| at.shared(strings))?;
    let client = at.field(b",\"c\":", Cursor::unsigned)?;
    (at.rest == b"}").then_some(Event { index, time, process, kind, f, key, value, node, error, client })
}

/// Reads a whole history.
///
/// # Errors
/// The first line that is not an event, or an event that cannot follow the previous ones.
pub fn read(input: impl BufRead) -> Result<Reading, ParseError> {
    let mut events = Events::new(input);
    let place = Cell::new(Place::default());
    let gap = Cell::new(None);
    let mut next = None;
    let numbered = std::iter::from_fn(|| {
        let event = events.next();
        place.set(Place { line: events.line(), column: 1 });
        if let Some(Ok(event)) = &event {
            if let Some(next) = next.filter(|next| gap.get().is_none() && event.index > *next) {
                gap.set(Some((events.line(), next, event.index)));
            }
            next = Some(event.index.saturating_add(1));
        }
        event
    });
    let (history, places) = placed(numbered, &place)?;
    let mut notes = Vec::new();
    if let Some((line, expected, found)) = gap.get() {
        notes.push(format!(
            "line {line} has event {found} after event {}: if lines were lost, this verdict is worth nothing",
            expected - 1
        ));
    }
    if events.torn() {
        notes.push(format!("line {} breaks off in the middle and was left out", events.line()));
    }
    Ok(Reading { history, format: Format::Jsonl, timed: true, notes, places, nemesis: Vec::new() })
}

/// The numbering of the events of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// From 0 without gaps, as the recorder numbers them.
    Consecutive,
    /// In ascending order.
    Ascending,
}

/// The history of a run, as the recorder left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The history.
    pub history: History,
    /// The number of events.
    pub events: u64,
    /// The last line read, counted from 1; 0 if there is none.
    pub last_line: usize,
    /// Whether the last line is truncated.
    pub torn: bool,
}

/// Reads the history of a run, in which no event may be missing, duplicated or out of order, because a lost
/// event can look like a violation, or hide one. A truncated last line, as a killed recorder leaves it, is
/// dropped.
///
/// # Errors
/// As [`read`], and an event whose number cannot follow the previous one.
pub fn read_record(input: impl BufRead, numbering: Numbering) -> Result<Record, ParseError> {
    let mut events = Events::new(input);
    let place = Cell::new(Place::default());
    let mut count = 0;
    let mut next = 0;
    let numbered = std::iter::from_fn(|| {
        let event = events.next()?;
        place.set(Place { line: events.line(), column: 1 });
        Some(event.and_then(|event| {
            if event.index < next || numbering == Numbering::Consecutive && event.index > next {
                return Err(misnumbered(events.line(), next, event.index));
            }
            next = event.index.saturating_add(1);
            count += 1;
            Ok(event)
        }))
    });
    let history = collect(numbered, &place)?;
    Ok(Record { history, events: count, last_line: events.line(), torn: events.torn() })
}

fn misnumbered(line: usize, expected: u64, found: u64) -> ParseError {
    let why = match found > expected {
        true => "lines before it are missing",
        false => "a line is there twice, or not in its place",
    };
    ParseError {
        line,
        column: 1,
        expected: format!("event {expected} (\"i\":{expected})"),
        found: format!("event {found}: {why}"),
    }
}

/// Writes one event and ends its line.
///
/// # Errors
/// Any error of `out`.
pub fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *out, event)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Outcome;

    const INVOKE: &str = r#"{"i":0,"t":10,"p":3,"type":"invoke","f":"write","key":"x","value":1}"#;
    const OK: &str = r#"{"i":1,"t":20,"p":3,"type":"ok","f":"write","key":"x"}"#;

    fn complaint(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn reads_what_it_writes() {
        let mut written = Vec::new();
        for event in Events::new(format!("{INVOKE}\n{OK}\n").as_bytes()) {
            write_event(&mut written, &event.unwrap()).unwrap();
        }
        assert_eq!(String::from_utf8(written).unwrap(), format!("{INVOKE}\n{OK}\n"));
    }

    #[test]
    fn a_torn_last_line_is_cut_and_noted() {
        for cut in 1..OK.len() {
            let reading = read(format!("{INVOKE}\n{}", &OK[..cut]).as_bytes()).unwrap();
            assert_eq!(reading.history.ops.len(), 1);
            assert_eq!(reading.history.ops[0].outcome, Outcome::Info);
            assert_eq!(reading.notes, ["line 2 breaks off in the middle and was left out"], "cut at {cut}");
        }
    }

    #[test]
    fn a_whole_last_line_needs_no_line_break() {
        let reading = read(format!("{INVOKE}\n{OK}").as_bytes()).unwrap();
        assert!(reading.history.ops[0].is_ok() && reading.notes.is_empty());
    }

    #[test]
    fn a_torn_line_elsewhere_is_an_error() {
        let complaint = complaint(&format!("{}\n{OK}\n", &INVOKE[..30]));
        assert!(complaint.starts_with("1:31: expected `\"`, found the end of the input"), "{complaint}");
    }

    #[test]
    fn a_missing_duplicate_or_misplaced_event_is_an_error() {
        let [first, last] = [format!("{INVOKE}\n"), format!("{OK}\n")];
        let next = first.replace("\"i\":0", "\"i\":2").replace("\"t\":10", "\"t\":30");
        let said = |lines: &[&String], numbering| {
            let text: String = lines.iter().map(|line| line.as_str()).collect();
            read_record(text.as_bytes(), numbering).map(|record| record.events).map_err(|why| why.to_string())
        };
        let consecutive = |lines: &[&String]| said(lines, Numbering::Consecutive);
        assert_eq!(consecutive(&[&first, &last, &next]), Ok(3));
        for (lines, place, why) in [
            (&[&first, &next][..], "2:1: expected event 1", "found event 2: lines before it are missing"),
            (&[&last, &next], "1:1: expected event 0", "found event 1: lines before it are missing"),
            (&[&first, &first, &last], "2:1: expected event 1", "found event 0: a line is there twice"),
            (&[&first, &next, &last], "2:1: expected event 1", "found event 2"),
        ] {
            let said = consecutive(lines).unwrap_err();
            assert!(said.starts_with(place) && said.contains(why), "{said}");
        }
        assert_eq!(said(&[&first, &last, &next.replace("\"i\":2", "\"i\":9")], Numbering::Ascending), Ok(3));
        assert!(said(&[&first, &last, &last], Numbering::Ascending).is_err());
    }

    #[test]
    fn a_gap_in_the_numbers_of_a_file_is_noted() {
        let later = OK.replace("\"i\":1", "\"i\":7");
        let reading = read(format!("{INVOKE}\n{later}\n").as_bytes()).unwrap();
        assert!(reading.notes[0].starts_with("line 2 has event 7 after event 0: "), "{:?}", reading.notes);
        let reading = read(format!("{INVOKE}\n{OK}\n").as_bytes()).unwrap();
        assert_eq!(reading.notes, [""; 0]);
    }

    #[test]
    fn an_event_of_a_newer_version_is_refused() {
        let said = complaint(&INVOKE.replace("{\"i\"", "{\"schema_version\":2,\"i\""));
        assert_eq!(said, "1:1: expected schema_version 1 or none, found 2: a newer tribunal wrote it");
        assert!(read(INVOKE.replace("{\"i\"", "{\"schema_version\":1,\"i\"").as_bytes()).is_ok());
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, place, found) in [
            ("hello\n", "1:1:", "expected a value, found `h`"),
            ("{\"i\":0}\n", "1:1:", "no field `t`"),
            (
                &format!("{INVOKE}\n\n{}", OK.replace("\"ok\"", "\"done\"")),
                "3:1:",
                "`done` as `type`, which is invoke",
            ),
            (&INVOKE.replace("\"value\":1", "\"value\":1.5"), "1:1:", "`1.5` as `value`, which is null"),
            (&INVOKE.replace("\"t\":10", "\"t\":-1"), "1:1:", "`-1` as `t`, which is a whole number"),
            (OK, "1:1:", "process 3 completes `write` without having invoked it"),
        ] {
            let complaint = complaint(text);
            assert!(complaint.starts_with(place) && complaint.contains(found), "{complaint}");
        }
    }

    #[test]
    fn invalid_json_is_no_event() {
        for (right, wrong) in [
            ("\"t\":10", "\"t\":010"),
            ("\"t\":10", "\"t\":18446744073709551616"),
            ("\"value\":1", "\"value\":-0"),
            ("\"value\":1", "\"value\":[1,]"),
            ("\"x\"", "\"x\u{1}\""),
            ("}", "}}"),
        ] {
            let line = INVOKE.replace(right, wrong);
            assert!(read(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn invalid_utf8_is_an_error_with_its_column() {
        let mut bytes = INVOKE.as_bytes().to_vec();
        bytes[60] = 0xff;
        assert_eq!(read(&bytes[..]).unwrap_err().line, 1);
    }

    #[test]
    fn an_indeterminate_tail_is_a_history() {
        let reading = read(INVOKE.as_bytes()).unwrap();
        assert_eq!(reading.history.ops[0].outcome, Outcome::Info);
        assert_eq!(Events::new(INVOKE.as_bytes()).next().unwrap().unwrap().kind, Kind::Invoke);
    }
}
