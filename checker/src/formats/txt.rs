//! Jepsen's `history.txt` and its log lines: one event per line, separated by tabs (`→` here).
//!
//! ```text
//! 0 → :invoke → :cas → [1 4]
//! 0 → :info → :cas → [1 4] → :timeout
//! INFO  jepsen.util - 0 → :invoke → :read → nil
//! 2026-11-21 09:30:15,120{GMT} → INFO → [jepsen worker 2] jepsen.util: 2 → :ok → :read → 4
//! ```
//!
//! There are no times: the order of the lines is the time. In a log, lines about anything else are passed over. The
//! value of an event that is `:fail` or `:info` may be the error instead, as a keyword. Some logs have had their tabs
//! replaced by spaces; any white space separates.

use std::io::BufRead;

use super::clients::Clients;
use super::forms::{Form, Forms, Notation};
use super::jepsen::{self, Record};
use super::lines::Lines;
use super::strings::Strings;
use super::{Format, Options, ParseError, Place, Reading};
use crate::op::{Event, F, Kind, Value};

/// What stands before an event in a log.
const MARKS: [&str; 2] = ["jepsen.util - ", "jepsen.util: "];

/// Reads a history line by line.
pub(super) fn read(input: impl BufRead, format: Format, options: &Options) -> Result<Reading, ParseError> {
    let mut lines = Lines::new(input);
    let mut strings = Strings::default();
    let mut next = |clients: &mut Clients| -> Result<Option<Record>, ParseError> {
        loop {
            let Some(line) = lines.next()? else { return Ok(None) };
            let whole = line.text()?;
            let text = if format == Format::Log { in_log(whole) } else { Some(whole) };
            let Some(text) = text else { continue };
            let place = Place { line: line.number, column: 1 + whole.len() - text.len() };
            match record(text, place, &mut strings, clients)? {
                Some(record) => return Ok(Some(record)),
                None => continue,
            }
        }
    };
    jepsen::history(&mut next, format, options)
}

/// The event in a line of a log, if it holds one.
fn in_log(line: &str) -> Option<&str> {
    let text = MARKS.iter().find_map(|mark| Some(line.split_once(mark)?.1))?;
    let kind = text.split_whitespace().nth(1)?.strip_prefix(':')?;
    jepsen::kind(kind).is_some().then_some(text)
}

/// The event in `text`, which begins at `place`; `None` when it is not a client's.
fn record(
    text: &str,
    place: Place,
    strings: &mut Strings,
    clients: &mut Clients,
) -> Result<Option<Record>, ParseError> {
    match event(text, strings, clients) {
        Ok(event) => Ok(event.map(|event| Record { place, time: None, index: None, event })),
        Err(error) => Err(ParseError { line: place.line, column: place.column + error.column - 1, ..error }),
    }
}

/// Process, kind, f, value, error: the first four are forms, the last is what is left.
fn event(text: &str, strings: &mut Strings, clients: &mut Clients) -> Result<Option<Event>, ParseError> {
    let mut forms = Forms::new(text.as_bytes(), Notation::Edn)?;
    let process = field(&mut forms, "a process, such as 0 or :nemesis", |form| match form {
        Form::Keyword(_) | Form::Text(_) => form.name().map(|name| (None, name.to_owned())),
        _ => form.unsigned().map(|process| (Some(process), String::new())),
    })?;
    let kind = field(&mut forms, ":invoke, :ok, :fail or :info", |form| jepsen::kind(form.name()?))?;
    let f = field(&mut forms, "what is asked, such as :read", |form| match form {
        Form::Keyword(_) | Form::Text(_) => form.name().map(F::from),
        _ => None,
    })?;
    let (process, name) = process;
    if process.is_none() && clients.knows_nothing_of(&name, kind) {
        return Ok(None);
    }
    let form = forms.next()?;
    let said = forms.rest().trim();
    let mut error = (!said.is_empty()).then(|| strings.share(said));
    let mut value = Value::Nil;
    match form {
        Some(Form::Keyword(why)) if matches!(kind, Kind::Fail | Kind::Info) => {
            error = Some(strings.share(why))
        }
        Some(form) => value = form.value(strings),
        None => {}
    }
    let key = Value::Nil;
    let event = Event { index: 0, time: 0, process: 0, kind, f, key, value, node: None, error, client: None };
    Ok(clients.of(process, &name, event))
}

/// The next form as what it means.
fn field<T>(
    forms: &mut Forms,
    expected: &str,
    meaning: impl FnOnce(&Form) -> Option<T>,
) -> Result<T, ParseError> {
    let Place { line, column } = forms.place()?;
    let form = forms.next()?;
    form.as_ref().and_then(meaning).ok_or_else(|| ParseError {
        line,
        column,
        expected: expected.into(),
        found: form.map_or("the end of the line".into(), |form| form.shown()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops(text: &str, format: Format) -> Result<Vec<String>, ParseError> {
        let ops = read(text.as_bytes(), format, &Options::default())?.history.ops;
        let show = |op: &crate::op::Op| match &op.error {
            Some(error) => format!("p{} {op} ({error})", op.process),
            None => format!("p{} {op}", op.process),
        };
        Ok(ops.iter().map(show).collect())
    }

    #[test]
    fn a_text_reads_as_its_operations() {
        let text = "0\t:invoke\t:cas\t[1 4]\n\
                    :nemesis\t:info\t:start\tnil\n\
                    1\t:invoke\t:read\tnil\n\
                    1\t:ok\t:read\t\"a\\tb\"\n\
                    0\t:info\t:cas\t[1 4]\t[:timeout 5 s]\n";
        assert_eq!(ops(text, Format::Txt).unwrap(), ["p0 cas 1→4 ([:timeout 5 s])", "p1 read → a\tb"]);
    }

    #[test]
    fn a_log_holds_more_than_events() {
        let text = "Starting\nINFO  jepsen.util - 0\t:invoke\t:write\t3\nINFO  jepsen.util - hello world\n\
                    INFO  jepsen.util - 1   :invoke :read   nil\r\n\
                    2026-11-21 GMT\tINFO\t[worker 0] jepsen.util: 0\t:info\t:write\t:timed-out\n";
        assert_eq!(ops(text, Format::Log).unwrap(), ["p0 write 3 (timed-out)", "p1 read"]);
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, complaint) in [
            ("0 :invoke :read nil\nx", "2:1: expected a process, such as 0 or :nemesis, found `x`"),
            ("0\t:done", "1:3: expected :invoke, :ok, :fail or :info, found `done`"),
            ("0\t:ok", "1:6: expected what is asked, such as :read, found the end of the line"),
            ("0 :ok :read [1", "1:15: expected `]`, found the end of the input"),
            (
                "0 :ok :read 1",
                "1:1: expected an event that can follow those before it, found that process 0 completes",
            ),
        ] {
            let said = ops(text, Format::Txt).unwrap_err().to_string();
            assert!(said.starts_with(complaint), "{said}");
        }
        let invalid = read(&b"0 :ok \xff"[..], Format::Txt, &Options::default()).unwrap_err();
        assert_eq!(invalid.to_string(), "1:7: expected UTF-8, found byte 0xff");
    }
}
