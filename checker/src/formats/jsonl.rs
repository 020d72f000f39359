//! Our own format: one [`Event`] per line, as the recorder writes it (`history.jsonl`).
//!
//! ```text
//! {"i":0,"t":1200,"p":0,"type":"invoke","f":"write","key":"x","value":1,"node":"n1"}
//! {"i":1,"t":3400,"p":0,"type":"ok","f":"write","key":"x","node":"n1"}
//! ```
//!
//! A recorder that is killed leaves two traces, and neither is an error: invocations without a completion, which are
//! indeterminate, and a last line that breaks off in the middle, which is cut and noted. Anything else
//! malformed is an error, a number with a fraction or beyond 64 bits among it.
//!
//! Reading streams: memory is one line and one copy of each short text. A line in exactly the shape that
//! [`write_event`] gives it takes a fast path (`fields`); any other goes through `serde_json`, which is also what
//! the fast path is tested against.

use std::cell::Cell;
use std::io::{self, BufRead, Write};

use super::fields::Cursor;
use super::lines::Lines;
use super::strings::Strings;
use super::{Format, ParseError, Place, Reading, collect};
use crate::op::{Event, Kind};

/// The events of an input, one per line, as they are read.
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

    /// The line of the event that was read last, counted from 1.
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
        match serde_json::from_slice(line.bytes) {
            Ok(event) => Ok(Some(event)),
            Err(error) if error.is_eof() && !line.ended => {
                self.torn = true;
                Ok(None)
            }
            Err(error) => Err(ParseError::json(line.number, &error, EXPECTED)),
        }
    }
}

const EXPECTED: &str = r#"an event such as {"i":0,"t":1200,"p":3,"type":"invoke","f":"read"}"#;

impl<R: BufRead> Iterator for Events<R> {
    type Item = Result<Event, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The event on this line, if the line is in exactly the shape that we write.
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
/// The first line that is not an event, or an event that cannot follow those before it.
pub fn read(input: impl BufRead) -> Result<Reading, ParseError> {
    let mut events = Events::new(input);
    let place = Cell::new(Place::default());
    let placed = std::iter::from_fn(|| {
        let event = events.next();
        place.set(Place { line: events.line(), column: 1 });
        event
    });
    let history = collect(placed, &place)?;
    let mut notes = Vec::new();
    if events.torn() {
        notes.push(format!("line {} breaks off in the middle and was left out", events.line()));
    }
    Ok(Reading { history, format: Format::Jsonl, timed: true, notes })
}

/// Writes one event and ends its line.
///
/// # Errors
/// Whatever `out` fails with.
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
        assert!(complaint.starts_with("1:30: expected an event such as"), "{complaint}");
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, place, found) in [
            ("hello", "1:1:", "expected value"),
            ("{\"i\":0}\n", "1:7:", "missing field `t`"),
            (&format!("{INVOKE}\n\n{}", OK.replace("\"ok\"", "\"done\"")), "3:33:", "unknown variant `done`"),
            (&INVOKE.replace("\"value\":1", "\"value\":1.5"), "1:70:", "did not match any variant"),
            (&INVOKE.replace("\"t\":10", "\"t\":-1"), "1:13:", "invalid value: integer `-1`"),
            (OK, "1:1:", "process 3 completes `write` without having invoked it"),
        ] {
            let complaint = complaint(text);
            assert!(complaint.starts_with(place) && complaint.contains(found), "{complaint}");
        }
    }

    #[test]
    fn what_json_forbids_is_no_event_however_near() {
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
