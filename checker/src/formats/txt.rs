//! Jepsen's `history.txt` and its log lines: one event per line, separated by tabs (`→` here).
//!
//! ```text
//! 0 → :invoke → :cas → [1 4]
//! 0 → :info → :cas → [1 4] → :timeout
//! INFO  jepsen.util - 0 → :invoke → :read → nil
//! 2026-11-21 09:30:15,120{GMT} → INFO → [jepsen worker 2] jepsen.util: 2 → :ok → :read → 4
//! ```
//!
//! There are no times: the order of the lines is the time. In a log, an event may follow any prefix, and
//! other lines are skipped. In `history.txt` only the lines before the first event are skipped, with a note.
//! The value of an event that is `:fail` or `:info` may be the error instead, as a keyword. In some logs the
//! tabs were replaced by spaces, so any white space separates.

use std::io::BufRead;
use std::sync::Arc;

use super::forms::{Form, Forms, Notation};
use super::jepsen::{self, Record};
use super::lines::Lines;
use super::names::{self, Names};
use super::strings::Strings;
use super::{Format, Options, ParseError, PassedOver, Place, Reading};
use crate::op::{Event, F, Kind, Value};

/// Reads a history line by line.
pub(super) fn read(input: impl BufRead, format: Format, options: &Options) -> Result<Reading, ParseError> {
    let mut lines = Lines::new(input);
    let mut strings = Strings::default();
    let mut passed_over = PassedOver::default();
    let (mut has_begun, mut is_empty) = (false, true);
    let mut next = || -> Result<Option<Record>, ParseError> {
        loop {
            let Some(line) = lines.next()? else { return Ok(None) };
            is_empty = false;
            let whole = line.text()?;
            let event = within(whole);
            let text = match (format, event) {
                (Format::Log, None) => continue,
                (Format::Log, Some(event)) => event,
                // A line that names the columns or otherwise introduces the history.
                (_, None) if !has_begun && !is_begun(whole) => {
                    passed_over.line(line.number);
                    continue;
                }
                _ => whole,
            };
            has_begun = true;
            let place = Place { line: line.number, column: 1 + whole.len() - text.len() };
            let record = record(text, place, &mut strings, &options.names);
            return record.map(Some).map_err(|error| ParseError {
                line: place.line,
                column: place.column + error.column - 1,
                ..error
            });
        }
    };
    let mut reading = jepsen::history(&mut next, format, options)?;
    if format == Format::Log && !is_empty && reading.places.is_empty() && reading.nemesis.is_empty() {
        return Err(ParseError {
            line: 1,
            column: 1,
            expected: "a log with events, such as `INFO jepsen.util - 0 :invoke :read nil`".into(),
            found: "no event".into(),
        });
    }
    reading.notes.extend(passed_over.note());
    Ok(reading)
}

/// The event in a line, after any prefix: from the process on, which the type and f follow.
pub(super) fn within(line: &str) -> Option<&str> {
    let mut words =
        line.split_whitespace().map(|word| (word, word.as_ptr() as usize - line.as_ptr() as usize));
    let mut before: Option<(&str, usize)> = None;
    while let Some((word, at)) = words.next() {
        let is_type = word.strip_prefix(':').is_some_and(|word| names::kind(word).is_some());
        if let Some((process, begins)) = before.filter(|_| is_type)
            && (process.starts_with(':') || process.bytes().all(|byte| byte.is_ascii_digit()))
            && words.clone().next().is_none_or(|(f, _)| f.starts_with([':', '"']))
        {
            return Some(&line[begins..]);
        }
        before = Some((word, at));
    }
    None
}

/// Whether a line begins like an event, with a process or a type.
fn is_begun(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    first.starts_with(':')
        || first.bytes().all(|byte| byte.is_ascii_digit())
        || words.next().is_some_and(|it| it.starts_with(':'))
}

/// Process, kind, f, value, error: the first four are forms, the error is the rest of the line.
fn record(text: &str, place: Place, strings: &mut Strings, names: &Names) -> Result<Record, ParseError> {
    let mut forms = Forms::new(text.as_bytes(), Notation::Edn)?;
    let (process, name): (Option<u64>, Option<Arc<str>>) =
        field(&mut forms, "a process, such as 0 or :nemesis", |form| match form {
            Form::Keyword(_) | Form::Text(_) => form.name().map(|name| (None, Some(strings.share(name)))),
            _ => form.unsigned().map(|process| (Some(process), None)),
        })?;
    let kind = field(&mut forms, ":invoke, :ok, :fail or :info", |form| names.kind(form.name()?))?;
    let f = field(&mut forms, "what is asked, such as :read", |form| match form {
        Form::Keyword(_) | Form::Text(_) => form.name().map(|word| names.f(word)),
        _ => None,
    })?;
    let form = forms.next()?;
    let said = forms.rest().trim();
    let mut error = (!said.is_empty()).then(|| strings.share(said));
    let mut value = Value::Nil;
    let edn = name.is_some().then(|| super::jepsen::edn(form.as_ref()));
    match form {
        Some(Form::Keyword(why)) if process.is_some() && matches!(kind, Kind::Fail | Kind::Info) => {
            error = Some(strings.share(why))
        }
        Some(form) => value = form.value(strings),
        None => {}
    }
    let process = process.unwrap_or_default();
    let key = Value::Nil;
    let f: F = f;
    let event = Event { index: 0, time: 0, process, kind, f, key, value, node: None, error, client: None };
    Ok(Record { place, time: None, index: None, name, edn, event })
}

/// The next form, converted by `meaning`.
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
