//! Histories in Jepsen's terms: EDN (`history.edn`, Knossos' data, Porcupine's key-value logs), the same maps
//! as JSON (elle-cli), and their translation into a history.
//!
//! ```text
//! {:type :invoke, :f :cas, :value [1 4], :process 101, :time 99286665244, :index 7}
//! {"type":"ok","f":"read","value":4,"process":3,"time":99286665301,"index":8}
//! [3 :ok :read 4]
//! ```
//!
//! The maps may be one per line or in one vector, bare or as records (`#jepsen.history.Op{...}`). These
//! entries are read: `:type`, `:process`, `:f`, `:value`, `:time`, `:index`, `:error`, and also `:key`,
//! `:node`, `:client`, `:input` and `:output`, under these names or other usual ones
//! ([`names`](super::names)). An event may also be a vector of process, type, f and value. A map with neither
//! a process nor an f is not an event; it is skipped with a note.
//!
//! A process that never invokes, such as `:nemesis`, is not a client: its events are stored separately, as
//! [`NemesisEvent`]s.
//!
//! Jepsen's conventions differ from Tribunal's and are translated:
//!
//! - *Outputs.* Jepsen completes an operation by changing the map that invoked it, so an `:ok` repeats the
//!   input if there is nothing to return. An output equal to the input is therefore no output, and an `:ok`
//!   compare-and-set returned true. Knossos fills the invocation of a read with its result; that is not an
//!   input.
//! - *Inputs.* The written value may be known only at the completion: an input missing in the invocation is
//!   taken from its `:ok` or `:info`.
//! - *Failed compare-and-set.* Whether `:fail` means that the comparison failed, or nothing at all, depends
//!   on the test that recorded it: see [`FailedCas`](super::FailedCas). With an `:error` the operation never
//!   happened and proves nothing.
//! - *Keys.* `jepsen.independent` writes `[key value]` in place of every value ([`keyed`]).
//! - *Times.* If an event has no time, or the times are out of order, the order of the events defines the
//!   times.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::clients::Clients;
use super::entries::{Entries, nested};
use super::forms::{Form, Forms, Notation};
use super::keyed;
use super::names::Field;
use super::strings::Strings;
use super::times::Times;
use super::{Format, NemesisEvent, Options, ParseError, PassedOver, Place, Reading, placed};
use crate::op::{Event, F, Kind, Nanos, Op, Outcome, Value};

/// Reads EDN or JSON from memory.
pub(super) fn read(bytes: &[u8], notation: Notation, options: &Options) -> Result<Reading, ParseError> {
    let format = if notation == Notation::Edn { Format::Edn } else { Format::Json };
    let mut forms = Forms::new(bytes, notation)?;
    if !begins_with_a_vector_event(bytes, notation, options) {
        forms.enter()?;
    }
    let mut reader = Reader::new(options);
    let mut passed_over = PassedOver::default();
    let mut next = || -> Result<Option<Record>, ParseError> {
        loop {
            let place = forms.place()?;
            let Some(form) = forms.next()? else { return Ok(None) };
            match reader.record(place, &form)? {
                Some(record) => return Ok(Some(record)),
                None => passed_over.line(place.line),
            }
        }
    };
    let mut reading = history(&mut next, format, options)?;
    reading.notes.extend(passed_over.note());
    reading.notes.extend(reader.seconds());
    Ok(reading)
}

/// Whether the text begins with an event such as `[3 :invoke :read nil]`, not with a vector of events.
fn begins_with_a_vector_event(bytes: &[u8], notation: Notation, options: &Options) -> bool {
    let start = &bytes[..bytes.len().min(4096)];
    let valid = std::str::from_utf8(start).map_or_else(|error| &start[..error.valid_up_to()], |_| start);
    let second = || {
        let mut forms = Forms::new(valid, notation).ok()?;
        forms.enter().ok()?;
        forms.next().ok()?;
        let second = forms.next().ok()??;
        second.name().and_then(|name| options.names.kind(name))
    };
    second().is_some()
}

/// One recorded event.
pub(super) struct Record {
    /// Its position in the input.
    pub(super) place: Place,
    /// Its time, if recorded.
    pub(super) time: Option<Nanos>,
    /// Its index, if recorded.
    pub(super) index: Option<u64>,
    /// The name of the process, if it has no number.
    pub(super) name: Option<Arc<str>>,
    /// The value in EDN, if the process has a name.
    pub(super) edn: Option<Arc<str>>,
    /// The event; its time and index, and the number of a named process, are set later.
    pub(super) event: Event,
}

/// Converts forms to records.
struct Reader<'o> {
    options: &'o Options,
    strings: Strings,
    times: Times,
}

impl<'o> Reader<'o> {
    fn new(options: &'o Options) -> Self {
        Reader { options, strings: Strings::default(), times: Times::new(options.time_unit) }
    }

    /// A note about the unit of the times.
    fn seconds(&self) -> Option<String> {
        self.times.guessed_seconds().then(|| super::SECONDS.into())
    }

    /// The event of a form; `None` if the form is not an event.
    fn record(&mut self, place: Place, form: &Form) -> Result<Option<Record>, ParseError> {
        let form = if let Form::Tagged(_, record) = form { record } else { form };
        match form {
            Form::Map(map) => self.of_map(place, map),
            Form::Sequence(items) => self.of_vector(place, items).map(Some),
            _ => Err(wrong(
                place,
                "an operation such as {:process 0, :type :invoke, :f :read}",
                found(Some(form)),
            )),
        }
    }

    fn of_map(&mut self, place: Place, map: &[(Form, Form)]) -> Result<Option<Record>, ParseError> {
        let names = &self.options.names;
        let entries = Entries::of(map, names);
        let kind = entries.get(Field::Kind).and_then(Form::name).and_then(|word| names.kind(word));
        if !entries.is_record() && !matches!(kind, Some(Kind::Invoke | Kind::Ok | Kind::Fail)) {
            return Ok(None);
        }
        let named = match (entries.get(Field::Process), self.options.process) {
            (Some(process), _) => Some(process),
            (None, Some(_)) => None,
            (None, None) => return Err(wrong(place, "a :process", absent(&entries, "process"))),
        };
        let process = named.map_or(self.options.process, Form::unsigned);
        let name = named.filter(|_| process.is_none()).map(|form| form.name());
        if name == Some(None) {
            return Ok(None);
        }
        let Some(kind) = kind else {
            let expected = "a :type of :invoke, :ok, :fail or :info";
            return Err(wrong(
                place,
                expected,
                entries.get(Field::Kind).map_or_else(|| absent(&entries, "type"), |form| found(Some(form))),
            ));
        };
        let input = entries.get(Field::Input);
        let inner = nested(input, names);
        let f = entries.get(Field::F).or_else(|| inner.as_ref()?.get(Field::F));
        let f = match f.and_then(Form::name) {
            Some(f) => names.f(f),
            None if name.is_some() && kind != Kind::Invoke => F::from(""),
            None => return Err(wrong(place, "a name for :f", found(f))),
        };
        let value = match kind {
            Kind::Invoke => {
                inner.as_ref().map_or(input, |inner| inner.get(Field::Value)).or(entries.get(Field::Value))
            }
            _ => entries.get(Field::Output).or(entries.get(Field::Value)),
        };
        let key = entries.get(Field::Key).or_else(|| inner.as_ref()?.get(Field::Key));
        let strings = &mut self.strings;
        let mut value_of = |form: Option<&Form>| form.map_or(Value::Nil, |form| form.value(strings));
        let edn = name.is_some().then(|| edn(value));
        let (key, value) = (value_of(key), value_of(value));
        let (node, error) = (value_of(entries.get(Field::Node)), value_of(entries.get(Field::Error)));
        let text = |value: Value| match value {
            Value::Nil => None,
            Value::Str(text) => Some(text),
            other => Some(other.to_string().into()),
        };
        let number = |field| entries.get(field).and_then(Form::unsigned);
        let time = match entries.time(Field::Time) {
            Some((Form::Nil, _)) | None => None,
            Some((form, unit)) => {
                self.times.read(form, unit).map_err(|expected| wrong(place, &expected, found(Some(form))))?
            }
        };
        let event = Event {
            index: 0,
            time: 0,
            process: process.unwrap_or_default(),
            kind,
            f,
            key,
            value,
            node: text(node),
            error: text(error),
            client: number(Field::Client),
        };
        let name = name.flatten().map(|name| self.strings.share(name));
        if kind == Kind::Invoke
            && event.value.is_nil()
            && needs_input(&event.f)
            && !entries.others.is_empty()
            && !entries.has(Field::Value)
            && !entries.has(Field::Input)
        {
            let expected = format!("a value for `{}`", event.f);
            return Err(wrong(place, &expected, absent(&entries, "value")));
        }
        Ok(Some(Record { place, time, index: number(Field::Index), name, edn, event }))
    }

    /// A record from a vector of process, type, f and value.
    fn of_vector(&mut self, place: Place, items: &[Form]) -> Result<Record, ParseError> {
        const EXPECTED: &str = "an event such as [0 :invoke :read nil]";
        let shape = |at: usize| wrong(place, EXPECTED, found(items.get(at)));
        if !(3..=5).contains(&items.len()) {
            return Err(wrong(place, EXPECTED, format!("a vector of {}", items.len())));
        }
        let process = items[0].unsigned();
        let name = items[0].name().filter(|_| process.is_none()).map(|name| self.strings.share(name));
        if process.is_none() && name.is_none() {
            return Err(shape(0));
        }
        let names = &self.options.names;
        let kind = items[1].name().and_then(|word| names.kind(word)).ok_or_else(|| shape(1))?;
        let f = items[2].name().map(|word| names.f(word)).ok_or_else(|| shape(2))?;
        let value = items.get(3).map_or(Value::Nil, |form| form.value(&mut self.strings));
        if items.len() == 5 && matches!(kind, Kind::Invoke | Kind::Ok) {
            return Err(shape(4));
        }
        let error = items.get(4).map(|form| form.value(&mut self.strings).to_string().into());
        let event = Event {
            index: 0,
            time: 0,
            process: process.unwrap_or_default(),
            kind,
            f,
            key: Value::Nil,
            value,
            node: None,
            error,
            client: None,
        };
        let edn = name.is_some().then(|| edn(items.get(3)));
        Ok(Record { place, time: None, index: None, name, edn, event })
    }
}

/// A value in EDN.
pub(super) fn edn(value: Option<&Form>) -> Arc<str> {
    value.map_or("nil".into(), |form| form.edn().into())
}

/// Whether an operation is meaningless without an input.
fn needs_input(f: &F) -> bool {
    matches!(f, F::Write | F::Put | F::Cas | F::Append | F::Enqueue | F::Push | F::Add)
}

fn wrong(place: Place, expected: &str, found: String) -> ParseError {
    ParseError { line: place.line, column: place.column, expected: expected.into(), found }
}

fn found(form: Option<&Form>) -> String {
    form.map_or("none".into(), Form::shown)
}

/// The error for a missing field, with fields that may have been meant.
fn absent(entries: &Entries, field: &str) -> String {
    match &entries.others[..] {
        [] => "none".into(),
        others => format!("none, but `{}` (option `map {field}=NAME` says which it is)", others.join("`, `")),
    }
}

/// Converts records into a history, and Jepsen's conventions into Tribunal's. `next` reads one record.
pub(super) fn history(
    next: &mut dyn FnMut() -> Result<Option<Record>, ParseError>,
    format: Format,
    options: &Options,
) -> Result<Reading, ParseError> {
    let clients = RefCell::new(Clients::default());
    let nemesis: RefCell<Vec<NemesisEvent>> = RefCell::default();
    let keys = RefCell::new(keyed::Keys::default());
    let place = Cell::new(Place::default());
    let mut times = Clock::new();
    let mut position = 0;
    let mut next_client = || -> Result<Option<Event>, ParseError> {
        loop {
            let Some(Record { place: at, time, index, name, edn, event }) = next()? else { return Ok(None) };
            place.set(at);
            let kind = event.kind;
            let index = index.unwrap_or(position);
            let mut event = match name {
                Some(name) if !clients.borrow().is_client(&name, kind) => {
                    let (f, value, error) = (event.f.name().into(), event.value, event.error);
                    let time = time.unwrap_or(position);
                    let edn = edn.unwrap_or_default();
                    let done = NemesisEvent { index, time, position, name, kind, f, value, edn, error };
                    nemesis.borrow_mut().push(done);
                    continue;
                }
                Some(name) => clients.borrow_mut().event(&name, event),
                None => event,
            };
            times.push(time);
            event.time = position;
            event.index = index;
            position += 1;
            if options.independent
                && matches!(kind, Kind::Invoke | Kind::Ok)
                && keyed::split(&event.f, &event.value).is_none()
            {
                let expected = match event.f {
                    F::Cas => "[key [from to]] or [key from to] as :value",
                    _ => "a [key value] pair as :value",
                };
                return Err(wrong(at, expected, format!("`{}`", event.value)));
            }
            keys.borrow_mut().see(&event, at);
            return Ok(Some(event));
        }
    };
    let events = std::iter::from_fn(|| next_client().transpose());
    let collected = placed(events, &place);
    let clients = clients.into_inner();
    let (mut history, places) =
        collected.map_err(|error| ParseError { found: clients.named(error.found), ..error })?;
    let mut notes: Vec<String> = clients.number(&mut history.ops).into_iter().collect();
    let mut nemesis = nemesis.into_inner();
    if times.usable {
        for op in &mut history.ops {
            op.call = times.all[op.call as usize];
            op.completed = op.completed.map(|at| times.all[at as usize]);
        }
    } else {
        nemesis.iter_mut().for_each(|event| event.time = event.position);
    }
    if !times.usable && times.some {
        notes.push("times are missing or out of order: the order of the events is taken for the time".into());
    }
    let keyed = if options.independent { keyed::Guess::Sure } else { keyed::guess(&history.ops) };
    match keyed {
        keyed::Guess::Sure => {
            if !options.independent {
                let gets = history.ops.iter().any(|op| op.f == F::Get && keyed::is_asked_by_key(op));
                notes.push(match gets {
                    true => "the value of each `get` is taken for its key, that of other operations for a [key value] pair".into(),
                    false => "every value is a [key value] pair: taken apart, as with option `independent`".into(),
                });
            }
            keys.into_inner().agree()?;
            history.ops.iter_mut().for_each(keyed::take_apart);
        }
        keyed::Guess::Perhaps => notes.push(
            "every value is a pair, taken as a whole: if it is a [key value] pair, option `independent` takes it apart".into(),
        ),
        keyed::Guess::No => {
            let says_more = |op: &Op| {
                op.f == F::Get && !op.input.is_nil() && op.output().is_none_or(|output| *output != op.input)
            };
            if history.ops.iter().any(says_more) {
                notes.push(
                    "what a `get` was invoked with is left out: its key is a :key, or a [key value] pair in place of every \
                     value"
                        .into(),
                );
            }
        }
    }
    history.ops.iter_mut().for_each(translate);
    Ok(Reading { history, format, timed: times.usable, notes, places, nemesis })
}

/// The recorded times, by position. Until all are known, the position of an event serves as its time.
struct Clock {
    all: Vec<Nanos>,
    /// Whether every event has a time and the times are in order.
    usable: bool,
    /// Whether any event has a time.
    some: bool,
}

impl Clock {
    fn new() -> Self {
        Clock { all: Vec::new(), usable: true, some: false }
    }

    fn push(&mut self, time: Option<Nanos>) {
        self.some |= time.is_some();
        match time {
            Some(time) if self.usable && self.all.last().is_none_or(|last| *last <= time) => {
                self.all.push(time)
            }
            _ => {
                self.usable = false;
                self.all = Vec::new();
            }
        }
    }
}

/// Whether an operation that was invoked without an input can only have its input in the output.
fn carries_its_input(op: &Op) -> bool {
    match (&op.f, op.output()) {
        (_, None | Some(Value::Nil)) => false,
        (F::Cas, Some(output)) => output.as_pair().is_some(),
        (F::Write | F::Put | F::Append | F::Enqueue | F::Push | F::Add, Some(_)) => true,
        _ => false,
    }
}

/// Removes the parts of Jepsen's values that are not really input or output.
fn translate(op: &mut Op) {
    if op.input.is_nil() && carries_its_input(op) {
        op.input = op.output().cloned().unwrap_or_default();
    }
    match (&op.f, &mut op.outcome) {
        (F::Read | F::Get, _) => op.input = Value::Nil,
        (F::Cas, Outcome::Ok(output)) => *output = Value::Bool(*output != Value::Bool(false)),
        (F::Other(_), _) => {}
        (_, Outcome::Ok(output)) if *output == op.input => *output = Value::Nil,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(independent: bool) -> Options {
        Options { independent, ..Options::default() }
    }

    /// The operations as people read them, with their keys and times.
    fn ops(text: &str, notation: Notation, options: &Options) -> Result<String, ParseError> {
        let reading = read(text.as_bytes(), notation, options)?;
        let shown = reading.history.ops.iter().map(|op| {
            let key = if op.key.is_nil() { String::new() } else { format!("{}: ", op.key) };
            let end = op.completed.map_or("..".into(), |at| at.to_string());
            let outcome = match op.outcome {
                Outcome::Ok(_) => "",
                Outcome::Fail => " failed",
                Outcome::Info => " unknown",
            };
            format!("p{} {key}{op}{outcome} @{}-{end}", op.process, op.call)
        });
        Ok(shown.chain(reading.notes.clone()).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_history_reads_as_its_operations() {
        let text = r#"
            {:type :invoke, :f :write, :value 3, :process 0, :time 10, :index 0}
            {:process :nemesis, :type :info, :f :start, :value nil, :time 11, :index 1}
            #jepsen.history.Op{:index 2, :time 12, :type :invoke, :process 1, :f :cas, :value [3 4]}
            {:type :ok :f :write :value 3 :process 0 :time 20 :index 3} ; no commas
            {:type :invoke, :process 2, :f :read, :value 4, :time 21}
            {:type :info, :f :cas, :value [3 4], :process 1, :time 30, :error [:timeout "5 s"]}
            {:type :ok, :process 2, :f :read, :value 4, :time 31}
            {:type :invoke, :f :acquire, :process 2, :time 32}"#;
        let expected =
            "p0 write 3 @10-20\np1 cas 3→4 unknown @12-30\np2 read → 4 @21-31\np2 acquire unknown @32-..";
        assert_eq!(ops(text, Notation::Edn, &options(false)).unwrap(), expected);
        assert_eq!(ops(&format!("[{text}]"), Notation::Edn, &options(false)).unwrap(), expected);
    }

    #[test]
    fn json_is_the_same_with_other_marks() {
        let text = r#"[{"type":"invoke","f":"add","value":1,"op-index":1,"process":0,"time":10,"index":0},
                       {"type":"info","f":"kill","value":null,"process":"nemesis","time":11,"index":1},
                       {"type":"ok","f":"add","value":1,"op-index":1,"process":0,"time":12,"index":2}]"#;
        assert_eq!(ops(text, Notation::Json, &options(false)).unwrap(), "p0 add 1 @10-12");
    }

    #[test]
    fn without_usable_times_the_order_is_the_time() {
        let at = |time: &str| {
            let text = format!(
                "{{:type :invoke :f :read :process 0{time}}} {{:type :ok :f :read :process 0 :time 5}}"
            );
            ops(&text, Notation::Edn, &options(false)).unwrap()
        };
        assert_eq!(at(" :time 4"), "p0 read → nil @4-5");
        for unusable in ["", " :time -1", " :time 6"] {
            assert!(
                at(unusable).starts_with("p0 read → nil @0-1\ntimes are missing or out of order"),
                "{unusable}"
            );
        }
    }

    #[test]
    fn keys_are_split_from_values_on_request_or_when_certain() {
        let keyed =
            "{:type :invoke :f :write :value [x 1] :process 0} {:type :ok :f :write :value [x 1] :process 0}";
        let read =
            "{:type :invoke :f :read :value [x nil] :process 0} {:type :ok :f :read :value [x 1] :process 0}";
        let both = format!("{keyed}{read}");
        let apart = "p0 x: write 1 @0-1\np0 x: read → 1 @2-3";
        assert_eq!(ops(&both, Notation::Edn, &options(true)).unwrap(), apart);
        assert!(ops(&both, Notation::Edn, &options(false)).unwrap().starts_with(apart));
        // Pairs may be plain values unless a read shows otherwise.
        let whole = ops(keyed, Notation::Edn, &options(false)).unwrap();
        assert!(whole.starts_with("p0 write [x 1] @0-1\nevery value is a pair, taken as a whole"), "{whole}");
        assert_eq!(ops(keyed, Notation::Edn, &options(true)).unwrap(), "p0 x: write 1 @0-1");
        let other_key = both.replace(":ok :f :read :value [x", ":ok :f :read :value [y");
        for independent in [false, true] {
            let said = ops(&other_key, Notation::Edn, &options(independent)).unwrap_err().to_string();
            assert!(
                said.ends_with("expected the key of its invocation, x, in the value of `read`, found key y"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_compare_and_set_with_its_key_shows_that_values_have_keys() {
        for cas in ["[x [1 2]]", "[x 1 2]"] {
            let text = format!(
                "[0 :invoke :write [x 1]] [0 :ok :write [x 1]] [1 :invoke :cas {cas}] [1 :ok :cas {cas}]"
            );
            let read = ops(&text, Notation::Edn, &options(false)).unwrap();
            assert!(
                read.starts_with("p0 x: write 1 @0-1\np1 x: cas 1→2 @2-3\nevery value is a [key"),
                "{read}"
            );
        }
    }

    #[test]
    fn events_of_the_nemesis_are_stored_separately() {
        let text =
            "[:nemesis :info :start nil] [0 :invoke :read nil] [0 :ok :read nil] [:nemesis :info :stop nil]";
        let reading = read(text.as_bytes(), Notation::Edn, &options(false)).unwrap();
        let nemesis: Vec<_> = reading.nemesis.iter().map(|it| (&*it.name, &*it.f, it.index)).collect();
        assert_eq!(nemesis, [("nemesis", "start", 0), ("nemesis", "stop", 2)]);
        let mut written = Vec::new();
        super::super::write_with(&mut written, &reading.history, &reading.nemesis, Format::Edn).unwrap();
        let again = read(&written, Notation::Edn, &options(false)).unwrap();
        let nemesis: Vec<_> = again.nemesis.iter().map(|it| (&*it.name, &*it.f, it.time)).collect();
        assert_eq!(nemesis, [("nemesis", "start", 0), ("nemesis", "stop", 2)]);
    }

    #[test]
    fn a_process_with_a_name_is_a_client_if_it_invokes() {
        let text = r#"[{"type":"invoke","f":"write","value":7,"process":0,"time":1},
                       {"type":"info","f":"start","value":null,"process":"nemesis","time":1},
                       {"type":"ok","f":"write","value":7,"process":0,"time":2},
                       {"type":"invoke","f":"read","value":null,"process":"reader","time":3},
                       {"type":"info","f":"read","value":null,"process":"reader","time":4},
                       {"type":"invoke","f":"read","value":null,"process":"reader","time":5},
                       {"type":"ok","f":"read","value":9,"process":"reader","time":6}]"#;
        let expected = "p0 write 7 @1-2\np1 read unknown @3-4\np2 read → 9 @5-6\n\
                        clients with names: `reader` is process 1, `reader` is process 2";
        assert_eq!(ops(text, Notation::Json, &options(false)).unwrap(), expected);
        let history = read(text.as_bytes(), Notation::Json, &options(false)).unwrap().history;
        let actors: Vec<u64> = history.ops.iter().map(Op::actor).collect();
        assert_eq!(actors, [0, 1, 1]);
        let alone = r#"{"type":"ok","f":"read","value":9,"process":"reader"}"#;
        assert_eq!(ops(alone, Notation::Json, &options(false)).unwrap(), "");
        let twice =
            r#"{"type":"invoke","f":"read","process":"a"} {"type":"invoke","f":"read","process":"a"}"#;
        let said = ops(twice, Notation::Json, &options(false)).unwrap_err().to_string();
        assert!(said.contains("that process a invokes `read` while its `read` is pending"), "{said}");
    }

    #[test]
    fn a_written_value_may_be_recorded_only_at_the_completion() {
        let text = "{:type :invoke, :f :write, :value nil, :process 1} {:type :ok, :f :write, :value 5, :process 1}
                    {:type :invoke, :f :write, :value nil, :process 1} {:type :info, :f :write, :value 6, :process 1}
                    {:type :invoke, :f :cas, :value nil, :process 2} {:type :ok, :f :cas, :value [5 6], :process 2}";
        assert_eq!(
            ops(text, Notation::Edn, &options(false)).unwrap(),
            "p1 write 5 @0-1\np1 write 6 unknown @2-3\np2 cas 5→6 @4-5"
        );
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, independent, complaint) in [
            (
                "\n 7",
                false,
                "2:2: expected an operation such as {:process 0, :type :invoke, :f :read}, found `7`",
            ),
            ("{:type :ok}", false, "1:1: expected a :process, found none"),
            (
                "{:process 1 :type :done}",
                false,
                "1:1: expected a :type of :invoke, :ok, :fail or :info, found `done`",
            ),
            ("{:process 1 :type :ok :f 3}", false, "1:1: expected a name for :f, found `3`"),
            (
                "[{:process 1 :type :ok :f :read}]",
                false,
                "1:2: expected an event that can follow those before it, found that process 1 completes `read` without \
                 having invoked it",
            ),
            (
                "{:process 1 :type :invoke :f :read :value nil}",
                true,
                "1:1: expected a [key value] pair as :value, found `nil`",
            ),
        ] {
            assert_eq!(ops(text, Notation::Edn, &options(independent)).unwrap_err().to_string(), complaint);
        }
    }
}
