//! One finished operation per line, with the times of its invocation and its return, as many other tools
//! record.
//!
//! ```text
//! {"client":3,"f":"cas","key":"k1","in":[1,2],"out":true,"call":120,"ret":180}
//! {"client":4,"f":"write","key":"k1","in":7,"call":125,"ret":null}
//! {"ClientId":4,"Input":{"Op":"put","Key":"x","Value":"1"},"Call":1000,"Output":{"Value":""},"Return":2000}
//! ```
//!
//! `ret` is `null` if the outcome of the operation is unknown. `key`, `in` and `out` may be left out. So may
//! `fail` (true for an operation that certainly did not happen), and the texts `node` and `error`. Any other
//! field is an error, because a misspelt `out` would be read as nil and cause a false violation. Other usual
//! names are known ([`names`](super::names)). A `value` is the output of an operation that only reads, and
//! otherwise the input. The input may be a map with the name of the operation, its key and its value, as in
//! Porcupine's operations, and the output a map with a value. In that notation times are nanoseconds unless
//! they say otherwise ([`times`](super::times)), and a return of 2^63 - 1 means none.
//!
//! The lines may come in any order, or the operations in one JSON array. A process does one thing at a time.
//! So a client that continues while its operation is pending, or after one of unknown outcome, counts as
//! another process from then on. For models that ask for the actor it remains the same client.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, Write};
use std::sync::Arc;

use serde::Serialize;

use super::clients::Clients;
use super::entries::{Entries, nested};
use super::fields::Cursor;
use super::forms::{Form, Forms, Notation};
use super::lines::Lines;
use super::names::Field;
use super::strings::Strings;
use super::times::{TimeUnit, Times};
use super::{Format, OpPlace, Options, ParseError, PassedOver, Place, Reading, SECONDS, events, read_whole};
use crate::history::History;
use crate::op::{F, Kind, Nanos, Op, Outcome, Value};

/// One line as Tribunal writes it.
#[derive(Serialize)]
struct Finished {
    client: u64,
    f: F,
    #[serde(skip_serializing_if = "Value::is_nil")]
    key: Value,
    #[serde(rename = "in", skip_serializing_if = "Value::is_nil")]
    input: Value,
    #[serde(rename = "out", skip_serializing_if = "Value::is_nil")]
    output: Value,
    call: Nanos,
    ret: Option<Nanos>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fail: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Arc<str>>,
}

/// The expected operation, for error texts.
const EXAMPLE: &str = r#"an operation such as {"client":3,"f":"write","in":7,"call":120,"ret":180}"#;

/// Reads a history, either line by line or as one array.
pub(super) fn read(mut input: impl BufRead, options: &Options) -> Result<Reading, ParseError> {
    let mut reader = Reader::new(options);
    let mut passed_over = PassedOver::default();
    let mut take = |reader: &mut Reader, place: Place, form: &Form| match reader.operation(place, form) {
        Ok(None) => {
            passed_over.line(place.line);
            Ok(())
        }
        taken => taken.map(drop),
    };
    let first = input.fill_buf().map_err(|error| ParseError::unreadable(1, &error))?;
    if is_one_form(first) {
        let bytes = read_whole(&mut input)?;
        let mut forms = Forms::new(&bytes, Notation::Json)?;
        forms.enter()?;
        loop {
            let place = forms.place()?;
            let Some(form) = forms.next()? else { break };
            take(&mut reader, place, &form)?;
        }
    } else {
        let mut lines = Lines::new(input);
        while let Some(line) = lines.next()? {
            if reader.fast(line.bytes, line.number)? {
                continue;
            }
            let at_line = |error: ParseError| ParseError { line: line.number, ..error };
            let mut forms = Forms::new(line.bytes, Notation::Json).map_err(at_line)?;
            let place = Place { line: line.number, column: forms.place().map_err(at_line)?.column };
            let form = forms.next().map_err(at_line)?.expect("the line is not blank");
            take(&mut reader, place, &form)?;
            let rest = Place { line: line.number, column: forms.place().map_err(at_line)?.column };
            if let Some(more) = forms.next().map_err(at_line)? {
                return Err(wrong(rest, "one operation per line", more.shown()));
            }
        }
    }
    let mut reading = reader.finish();
    reading.notes.extend(passed_over.note());
    Ok(reading)
}

/// Whether the input is one array, or a map with one, instead of one operation per line.
fn is_one_form(head: &[u8]) -> bool {
    let valid = std::str::from_utf8(head).map_or_else(|error| &head[..error.valid_up_to()], |_| head);
    Forms::new(valid, Notation::Json).is_ok_and(|mut forms| forms.enter().is_ok() && forms.entered())
}

/// Converts lines to operations.
struct Reader<'o> {
    options: &'o Options,
    strings: Strings,
    times: Times,
    clients: Clients,
    ops: Vec<Op>,
    places: Vec<OpPlace>,
}

impl<'o> Reader<'o> {
    fn new(options: &'o Options) -> Self {
        Reader {
            options,
            strings: Strings::default(),
            times: Times::new(options.time_unit),
            clients: Clients::default(),
            ops: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Reads a line that has exactly the shape that Tribunal writes, without unusual content.
    fn fast(&mut self, line: &[u8], number: usize) -> Result<bool, ParseError> {
        if !self.options.names.is_empty() {
            return Ok(false);
        }
        let Some(mut finished) = Finished::fast(line, &mut self.strings) else { return Ok(false) };
        let place = Place { line: number, column: 1 };
        let mut in_nanos = |time: u64| {
            self.times
                .whole(time)
                .ok_or_else(|| wrong(place, "a time of at most 64 bits in nanoseconds", time.to_string()))
        };
        finished.call = in_nanos(finished.call)?;
        finished.ret = finished.ret.filter(|ret| *ret != NEVER).map(in_nanos).transpose()?;
        self.push(place, finished, false)?;
        Ok(true)
    }

    /// Reads a form as an operation; `None` if it is none.
    fn operation(&mut self, place: Place, form: &Form) -> Result<Option<()>, ParseError> {
        let Form::Map(map) = form else { return Err(wrong(place, EXAMPLE, form.shown())) };
        let names = &self.options.names;
        let entries = Entries::of(map, names);
        if !entries.is_record() {
            return Ok(None);
        }
        let missing = |what: &str, field: &str| {
            let found = match &entries.others[..] {
                [] => "none".to_owned(),
                others => {
                    format!(
                        "none, but `{}` (option `map {field}=NAME` says which it is)",
                        others.join("`, `")
                    )
                }
            };
            wrong(place, what, found)
        };
        let client = match (entries.get(Field::Process), self.options.process) {
            (Some(process), _) => match (process.unsigned(), process.name()) {
                (Some(number), _) => number,
                (None, Some(name)) => self.clients.number_of(name),
                _ => return Err(wrong(place, "the number or the name of a client", process.shown())),
            },
            (None, Some(process)) => process,
            (None, None) => return Err(missing("a client", "process")),
        };
        let inner = nested(entries.get(Field::Input), names);
        let f = entries.get(Field::F).or_else(|| inner.as_ref()?.get(Field::F));
        let Some(f) = f else { return Err(missing("an f", "f")) };
        let f = match f {
            Form::Int(_) | Form::Bool(_) => {
                let word = f.value(&mut self.strings).to_string();
                let named = names.f(&word);
                if matches!(named, F::Other(_)) {
                    let expected =
                        format!("the name of an operation (option `map read={word}` says what `{word}` is)");
                    return Err(wrong(place, &expected, f.shown()));
                }
                named
            }
            _ => names.f(f.name().ok_or_else(|| wrong(place, "the name of an operation", f.shown()))?),
        };
        let outcome = Outcomes::of(&entries, names, &f, place)?;
        let lone = entries.get(Field::Value);
        let only_reads = matches!(f, F::Read | F::Get | F::Dequeue | F::Pop | F::Contains | F::Generate);
        if lone.is_some() && matches!(f, F::Other(_)) {
            return Err(wrong(
                place,
                &format!("an in or an out of `{f}`"),
                "a value, which can be either".into(),
            ));
        }
        let (as_input, as_output) = if only_reads { (None, lone) } else { (lone, None) };
        let input = match &inner {
            Some(inner) => inner.get(Field::Value),
            None => entries.get(Field::Input).or(as_input),
        };
        let key = entries.get(Field::Key).or_else(|| inner.as_ref()?.get(Field::Key));
        let Some((call, call_unit)) = entries.time(Field::Call) else {
            return Err(missing("a call", "call"));
        };
        let Some((ret, ret_unit)) = entries.time(Field::Return) else {
            return Err(missing("a ret (null where the outcome is unknown)", "return"));
        };
        if let Some(other) = entries.others.first() {
            let expected = "one of the fields client, f, key, in, out, call, ret, fail, node, error (option `map \
                            OURS=THEIRS` names one, option `map ignore=NAME` leaves one out)";
            return Err(wrong(place, expected, format!("the field `{other}`")));
        }
        if let Some(doubled) = entries.doubled {
            return Err(wrong(place, "every field once", format!("`{doubled}` twice")));
        }
        let mut time = |form: &Form, unit: Option<TimeUnit>, field: &str| {
            let time = self
                .times
                .read(form, unit)
                .map_err(|expected| wrong(place, &format!("{expected}, as {field}"), form.shown()))?;
            time.ok_or_else(|| wrong(place, &format!("{field} at 0 or later"), form.shown()))
        };
        let is_never = matches!(ret, Form::Nil) || ret.unsigned() == Some(NEVER);
        let call = time(call, call_unit, "the call")?;
        let ret = if is_never { None } else { Some(time(ret, ret_unit, "the return")?) };
        let mut value = |form: Option<&Form>| match form {
            Some(Form::Opaque(number)) => {
                Err(wrong(place, "a whole number of 64 bits, or text in quotes", format!("`{number}`")))
            }
            Some(form) => Ok(form.value(&mut self.strings)),
            None => Ok(Value::Nil),
        };
        let mut output = value(outcome.output.or(as_output))?;
        // Porcupine's operations always have the output field of a read.
        if inner.is_some() && needs_no_output(&f) && output == Value::str("") {
            output = Value::Nil;
        }
        let (key, mut input) = (value(key)?, value(input)?);
        // They also always have the input field of a write.
        if inner.is_some() && only_reads && input == Value::str("") {
            input = Value::Nil;
        }
        let text = |value: Value| match value {
            Value::Nil => None,
            Value::Str(text) => Some(text),
            other => Some(other.to_string().into()),
        };
        let node = text(value(entries.get(Field::Node))?);
        let error = text(value(outcome.error.or(entries.get(Field::Error)))?);
        let ret = if outcome.kind == Kind::Info { None } else { ret };
        let fail = outcome.kind == Kind::Fail;
        let finished = Finished { client, f, key, input, output, call, ret, fail, node, error };
        self.push(place, finished, outcome.kind == Kind::Info).map(Some)
    }

    fn push(&mut self, place: Place, finished: Finished, is_unknown: bool) -> Result<(), ParseError> {
        match finished.ret {
            Some(ret) if ret < finished.call => {
                let expected = format!("a return at {} or later", finished.call);
                return Err(wrong(place, &expected, format!("one at {ret}")));
            }
            None if finished.fail && !is_unknown => {
                return Err(wrong(place, "a return of what is known to have failed", "none".into()));
            }
            _ => {}
        }
        let end = finished.ret.map(|_| place.line);
        self.ops.push(finished.into_op());
        self.places.push(OpPlace { line: place.line, column: place.column, end, file: 0 });
        Ok(())
    }

    fn finish(self) -> Reading {
        let (mut ops, mut places) = (self.ops, self.places);
        sort(&mut ops, &mut places);
        let mut notes: Vec<String> = self.clients.number(&mut ops).into_iter().collect();
        let renamed = separate_processes(&mut ops);
        events::number(&mut ops);
        if renamed > 0 {
            notes.push(format!(
                "{renamed} operations were called while their client had another pending or indeterminate: counted as \
                 further processes of the same clients"
            ));
        }
        if self.times.guessed_seconds() {
            notes.push(SECONDS.into());
        }
        let history = History { ops };
        Reading { history, format: Format::Finished, timed: true, notes, places, nemesis: Vec::new() }
    }
}

/// Sorts operations by invocation, and their positions with them; in place, since there may be many.
fn sort(ops: &mut [Op], places: &mut [OpPlace]) {
    let key = |op: &Op| (op.call, op.completed.unwrap_or(Nanos::MAX));
    if ops.is_sorted_by_key(key) {
        return;
    }
    let mut sorted: Vec<usize> = (0..ops.len()).collect();
    sorted.sort_by_key(|&at| key(&ops[at]));
    let mut goes_to = vec![0; ops.len()];
    sorted.into_iter().enumerate().for_each(|(to, from)| goes_to[from] = to);
    for at in 0..ops.len() {
        while goes_to[at] != at {
            let to = goes_to[at];
            ops.swap(at, to);
            places.swap(at, to);
            goes_to.swap(at, to);
        }
    }
}

/// A return time that means none: the largest integer of Go and Java.
const NEVER: u64 = i64::MAX as u64;

fn needs_no_output(f: &F) -> bool {
    matches!(f, F::Write | F::Put | F::Append | F::Enqueue | F::Push | F::Add | F::Delete)
}

/// The outcome of an operation, as far as its fields state it.
struct Outcomes<'a> {
    kind: Kind,
    output: Option<&'a Form<'a>>,
    error: Option<&'a Form<'a>>,
}

impl<'a> Outcomes<'a> {
    fn of(entries: &Entries<'a>, names: &super::Names, f: &F, place: Place) -> Result<Self, ParseError> {
        let mut outcome = Outcomes { kind: Kind::Ok, output: entries.get(Field::Output), error: None };
        match entries.get(Field::Failed) {
            Some(Form::Bool(true)) => outcome.kind = Kind::Fail,
            None | Some(Form::Bool(false) | Form::Nil) => {}
            Some(other) => return Err(wrong(place, "fail to be true or false", other.shown())),
        }
        if let Some(said) = entries.get(Field::Kind) {
            match said.name().and_then(|word| names.kind(word)) {
                Some(kind @ (Kind::Ok | Kind::Fail | Kind::Info)) => outcome.kind = kind,
                _ => return Err(wrong(place, "a type of ok, fail or info", said.shown())),
            }
        }
        if let Some(Form::Bool(true)) = entries.get(Field::Unknown) {
            outcome.kind = Kind::Info;
        }
        let Some(Form::Map(map)) = outcome.output else { return Ok(outcome) };
        let inner: Vec<(&str, &Form)> =
            map.iter().filter_map(|(key, form)| Some((key.name()?, form))).collect();
        outcome.output = None;
        for (name, form) in inner {
            let is_empty = matches!(form, Form::Nil) || form.name() == Some("");
            match names.field(name).map(|(field, ..)| field) {
                Some(Field::Value | Field::Output) => outcome.output = Some(form),
                Some(Field::Unknown) if *form == Form::Bool(true) => outcome.kind = Kind::Info,
                Some(Field::Unknown | Field::Ignored | Field::F | Field::Key | Field::Index) => {}
                Some(Field::Error) if is_empty => {}
                // Only the client knows whether the operation happened despite the error.
                Some(Field::Error) => (outcome.kind, outcome.error) = (Kind::Info, Some(form)),
                // Whether a compare-and-set took place.
                None if *f == F::Cas && matches!(form, Form::Bool(_)) => outcome.output = Some(form),
                _ => {
                    let expected = "a value, an error or unknown in the output (option `map value=NAME` names one, option `map \
                                    ignore=NAME` leaves one out)";
                    return Err(wrong(place, expected, format!("the field `{name}`")));
                }
            }
        }
        Ok(outcome)
    }
}

fn wrong(place: Place, expected: &str, found: String) -> ParseError {
    ParseError { line: place.line, column: place.column, expected: expected.into(), found }
}

impl Finished {
    /// Parses a line that has exactly the shape that Tribunal writes, without unusual content.
    fn fast(line: &[u8], strings: &mut Strings) -> Option<Self> {
        let mut at = Cursor { rest: line };
        at.literal(b"{\"client\":")?;
        let client = at.unsigned()?;
        at.literal(b",\"f\":")?;
        let f = at.f(strings)?;
        let key = at.field(b",\"key\":", |at| at.value(strings))?.unwrap_or_default();
        let input = at.field(b",\"in\":", |at| at.value(strings))?.unwrap_or_default();
        let output = at.field(b",\"out\":", |at| at.value(strings))?.unwrap_or_default();
        at.literal(b",\"call\":")?;
        let call = at.unsigned()?;
        at.literal(b",\"ret\":")?;
        let ret = if at.literal(b"null").is_some() { None } else { Some(at.unsigned()?) };
        let node = at.field(b",\"node\":", |at| at.shared(strings))?;
        let error = at.field(b",\"error\":", |at| at.shared(strings))?;
        (at.rest == b"}").then_some(Finished {
            client,
            f,
            key,
            input,
            output,
            call,
            ret,
            fail: false,
            node,
            error,
        })
    }

    fn into_op(self) -> Op {
        Op {
            process: self.client,
            f: self.f,
            key: self.key,
            input: self.input,
            outcome: match self.ret {
                _ if self.fail => Outcome::Fail,
                Some(_) => Outcome::Ok(self.output),
                None => Outcome::Info,
            },
            call: self.call,
            completed: self.ret,
            node: self.node,
            error: self.error,
            invoke_index: 0,
            complete_index: None,
            client: None,
        }
    }
}

/// Assigns new processes where a client does several things at once. Returns the number of operations
/// changed.
fn separate_processes(ops: &mut [Op]) -> usize {
    let clients: HashSet<u64> = ops.iter().map(|op| op.process).collect();
    let mut fresh = (0..).filter(|process| !clients.contains(process));
    // The current process of each client, and when it is free again.
    let mut now: HashMap<u64, (u64, Option<Nanos>)> = HashMap::new();
    let mut renamed = 0;
    for op in ops {
        let client = op.process;
        let (process, free) = now.entry(client).or_insert((client, Some(0)));
        if free.is_none_or(|free| free > op.call) {
            *process = fresh.next().expect("there are more numbers than operations");
        }
        *free = op.completed;
        op.process = *process;
        op.client = (*process != client).then_some(client);
        renamed += usize::from(*process != client);
    }
    renamed
}

/// Writes one operation per line, by time of invocation.
pub(super) fn write(mut out: impl Write, history: &History) -> io::Result<()> {
    for op in &history.ops {
        let line = Finished {
            client: op.actor(),
            f: op.f.clone(),
            key: op.key.clone(),
            input: op.input.clone(),
            output: op.output().cloned().unwrap_or_default(),
            call: op.call,
            ret: op.completed.filter(|_| !op.is_info()),
            fail: op.is_fail(),
            node: op.node.clone(),
            error: op.error.clone(),
        };
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops(text: &str) -> Result<Vec<String>, ParseError> {
        let show = |op: &Op| format!("p{} {op} {}-{:?}", op.process, op.invoke_index, op.complete_index);
        Ok(read(text.as_bytes(), &Options::default())?.history.ops.iter().map(show).collect())
    }

    #[test]
    fn a_line_is_an_operation() {
        let text = r#"{"client":4,"f":"write","key":"k1","in":7,"call":125,"ret":null}
                      {"client":3,"f":"cas","key":"k1","in":[1,2],"out":true,"call":120,"ret":180}
                      {"client":5,"f":"read","out":7,"call":180,"ret":180}"#;
        assert_eq!(
            ops(text).unwrap(),
            ["p3 cas 1→2 0-Some(2)", "p4 write 7 1-None", "p5 read → 7 3-Some(4)"]
        );
    }

    #[test]
    fn a_process_does_one_thing_at_a_time() {
        let text = r#"{"client":0,"f":"read","call":1,"ret":2}
                      {"client":0,"f":"write","in":1,"call":2,"ret":null}
                      {"client":0,"f":"write","in":2,"call":4,"ret":9}
                      {"client":0,"f":"write","in":3,"call":5,"ret":6}
                      {"client":1,"f":"read","out":3,"call":7,"ret":8}"#;
        let processes: Vec<_> = ops(text).unwrap().iter().map(|op| op[..2].to_string()).collect();
        assert_eq!(processes, ["p0", "p0", "p2", "p3", "p1"]);
        let history = read(text.as_bytes(), &Options::default()).unwrap().history;
        let actors: Vec<u64> = history.ops.iter().map(Op::actor).collect();
        assert_eq!(actors, [0, 0, 0, 0, 1]);
        let mut written = Vec::new();
        write(&mut written, &history).unwrap();
        assert_eq!(read(&written[..], &Options::default()).unwrap().history, history);
    }

    #[test]
    fn porcupines_operations_are_read() {
        let text = r#"[{"ClientId":4,"Input":{"Op":"put","Key":"x","Value":"1"},"Call":10,"Output":{"Value":""},"Return":20},
            {"ClientId":"b","Input":{"Op":"get","Key":"x"},"Call":30,"Output":{"Value":"1"},"Return":40},
            {"ClientId":4,"Input":{"Op":"get","Key":"x"},"Call":50,"Output":{"Err":"timeout"},"Return":60}]"#;
        assert_eq!(
            ops(text).unwrap(),
            ["p4 put \"1\" 0-Some(1)", "p0 get → \"1\" 2-Some(3)", "p4 get 4-None"]
        );
        let places = read(text.as_bytes(), &Options::default()).unwrap().places;
        assert_eq!(places.iter().map(|place| place.line).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, complaint) in [
            (
                r#"{"client":1,"f":"read","call":5}"#,
                "1:1: expected a ret (null where the outcome is unknown), found none",
            ),
            (
                r#"{"client":1,"f":"read","outt":5,"call":5,"ret":6}"#,
                "option `map ignore=NAME` leaves one out), found the field `outt`",
            ),
            (r#"{"client":1,"f":"swap","value":5,"call":5,"ret":6}"#, "expected an in or an out of `swap`"),
            (r#"{"client":1,"f":"read","out":1.5,"call":5,"ret":6}"#, "a whole number of 64 bits, or text"),
            (r#"{"client":1,"f":0,"call":5,"ret":6}"#, "option `map read=0` says what `0` is"),
            (r#"{"client":1,"f":"read","call":5,"ret":6} {}"#, "1:42: expected one operation per line"),
            (
                r#"{"client":1,"f":"read","call":5,"ret":4}"#,
                "1:1: expected a return at 5 or later, found one at 4",
            ),
            (
                r#"{"client":1,"f":"cas","call":5,"ret":null,"fail":true}"#,
                "expected a return of what is known",
            ),
            (r#"{"client":1,"f":"cas","call":"noon","ret":null}"#, "expected a time: a number, or a date"),
        ] {
            let said = ops(&format!("{text}\n")).unwrap_err().to_string();
            assert!(said.contains(complaint), "{said}");
        }
    }
}
