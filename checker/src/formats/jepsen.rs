//! Histories in the words of Jepsen: EDN (`history.edn`, Knossos' data, Porcupine's key-value logs), the same maps as
//! JSON (elle-cli), and what turns any of them into a history.
//!
//! ```text
//! {:type :invoke, :f :cas, :value [1 4], :process 101, :time 99286665244, :index 7}
//! {"type":"ok","f":"read","value":4,"process":3,"time":99286665301,"index":8}
//! ```
//!
//! The maps may stand one per line or in one vector, bare or as records (`#jepsen.history.Op{...}`). Of their
//! entries `:type`, `:process`, `:f`, `:value`, `:time`, `:index`, `:error`, and also `:key`, `:node` and `:client`, are
//! read. A process that never invokes, such as `:nemesis`, is not a client: its events are left out.
//!
//! Jepsen's words differ from ours, and are translated:
//!
//! - *Outputs.* It completes an operation by changing the map that invoked it, so an `:ok` repeats the input where
//!   there is nothing to return. An output equal to its input is no output, and a compare-and-set that is `:ok`
//!   returned true. Knossos fills the invocation of a read with what it returned; that is no input.
//! - *Inputs.* What an operation writes may be known only once it is complete: an input that its invocation lacks is
//!   taken from its `:ok` or `:info`.
//! - *Failed compare-and-set.* Whether `:fail` says that the comparison failed, or nothing at all, is a matter of the
//!   test that recorded it: see [`FailedCas`](super::FailedCas). One with an `:error` never happened and says nothing.
//! - *Keys.* `jepsen.independent` writes `[key value]` in place of every value, and printing loses the mark that it
//!   did. With [`Options::independent`] every value is taken apart. Without, they are if there is no doubt: every
//!   client's invocation carries a pair, every read invokes `[key nil]` and there is one, every output is a pair.
//!   A completion under another key than its invocation is then an error. No register, queue or set invokes reads with a value at all.
//! - *Times.* Where an event lacks its time, or the times are out of order, the order of the events is the time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::clients::Clients;
use super::forms::{Form, Forms, Notation};
use super::strings::Strings;
use super::{Format, Options, ParseError, Place, Reading, collect};
use crate::op::{Event, F, Kind, Nanos, Op, Outcome, Value};

/// Reads EDN or JSON from memory.
pub(super) fn read(bytes: &[u8], notation: Notation, options: &Options) -> Result<Reading, ParseError> {
    let format = if notation == Notation::Edn { Format::Edn } else { Format::Json };
    let mut forms = Forms::new(bytes, notation)?;
    forms.enter()?;
    let mut strings = Strings::default();
    let mut next = |clients: &mut Clients| -> Result<Option<Record>, ParseError> {
        loop {
            let place = forms.place()?;
            let Some(form) = forms.next()? else { return Ok(None) };
            if let Some(record) = Record::from_form(place, &form, &mut strings, clients)? {
                return Ok(Some(record));
            }
        }
    };
    history(&mut next, format, options)
}

/// One event of a client as Jepsen records it.
pub(super) struct Record {
    /// Where it stands.
    pub(super) place: Place,
    /// Its time, if it says so.
    pub(super) time: Option<Nanos>,
    /// Its index, if it says so.
    pub(super) index: Option<u64>,
    /// The event; its time and index are not yet set.
    pub(super) event: Event,
}

impl Record {
    /// The event in a map; `None` when it is not a client's.
    fn from_form(
        place: Place,
        form: &Form,
        strings: &mut Strings,
        clients: &mut Clients,
    ) -> Result<Option<Self>, ParseError> {
        let error = |expected: &str, found: String| {
            Err(ParseError { line: place.line, column: place.column, expected: expected.into(), found })
        };
        let form = if let Form::Tagged(_, record) = form { record } else { form };
        let Form::Map(entries) = form else {
            return error("an operation such as {:process 0, :type :invoke, :f :read}", found(Some(form)));
        };
        let entry =
            |name: &str| entries.iter().find(|(key, _)| key.name() == Some(name)).map(|(_, value)| value);
        let number = |name: &str| entry(name)?.unsigned();
        let Some(named) = entry("process") else { return error("a :process", "none".into()) };
        let process = named.unsigned();
        if process.is_none() && named.name().is_none() {
            return Ok(None);
        }
        let Some(kind) = entry("type").and_then(Form::name).and_then(kind) else {
            return error("a :type of :invoke, :ok, :fail or :info", found(entry("type")));
        };
        if process.is_none() && clients.knows_nothing_of(named.name().unwrap_or_default(), kind) {
            return Ok(None);
        }
        let Some(f) = entry("f").and_then(Form::name) else {
            return error("a name for :f", found(entry("f")));
        };
        let mut value = |name: &str| entry(name).map_or(Value::Nil, |form| form.value(strings));
        let (key, value, node, why) = (value("key"), value("value"), value("node"), value("error"));
        let text = |value: Value| match value {
            Value::Nil => None,
            Value::Str(text) => Some(text),
            other => Some(other.to_string().into()),
        };
        let (node, error) = (text(node), text(why));
        let client = number("client");
        let event =
            Event { index: 0, time: 0, process: 0, kind, f: F::from(f), key, value, node, error, client };
        let event = clients.of(process, named.name().unwrap_or_default(), event);
        Ok(event.map(|event| Record { place, time: number("time"), index: number("index"), event }))
    }
}

/// The kind of event that Jepsen calls by this name.
pub(super) fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "invoke" => Kind::Invoke,
        "ok" => Kind::Ok,
        "fail" => Kind::Fail,
        "info" => Kind::Info,
        _ => return None,
    })
}

fn found(form: Option<&Form>) -> String {
    form.map_or("none".into(), Form::shown)
}

/// Turns records into a history, and Jepsen's words into ours. `next` reads one record; it is told the clients so far.
pub(super) fn history(
    next: &mut dyn FnMut(&mut Clients) -> Result<Option<Record>, ParseError>,
    format: Format,
    options: &Options,
) -> Result<Reading, ParseError> {
    let clients = RefCell::new(Clients::default());
    let records = std::iter::from_fn(|| next(&mut clients.borrow_mut()).transpose());
    let keys = RefCell::new(Keys::default());
    let place = Cell::new(Place::default());
    let mut times = Times::new();
    let mut position = 0;
    let events = records.map(|record| {
        let Record { place: at, time, index, mut event } = record?;
        place.set(at);
        times.push(time);
        event.time = position;
        event.index = index.unwrap_or(position);
        position += 1;
        if options.independent
            && matches!(event.kind, Kind::Invoke | Kind::Ok)
            && event.value.as_pair().is_none()
        {
            return Err(ParseError {
                line: at.line,
                column: at.column,
                expected: "a [key value] pair as :value".into(),
                found: format!("`{}`", event.value),
            });
        }
        keys.borrow_mut().see(&event, at);
        Ok(event)
    });
    let collected = collect(events, &place);
    let clients = clients.into_inner();
    let mut history = collected.map_err(|error| ParseError { found: clients.named(error.found), ..error })?;
    let mut notes: Vec<String> = clients.number(&mut history.ops).into_iter().collect();
    if times.usable {
        for op in &mut history.ops {
            op.call = times.all[op.call as usize];
            op.completed = op.completed.map(|at| times.all[at as usize]);
        }
    } else if times.some {
        notes.push("times are missing or out of order: the order of the events is taken for the time".into());
    }
    if options.independent || surely_independent(&history.ops) {
        if !options.independent {
            notes.push("every value is a [key value] pair: taken apart, as with --independent".into());
        }
        keys.into_inner().agree()?;
        history.ops.iter_mut().for_each(take_apart);
    }
    history.ops.iter_mut().for_each(translate);
    Ok(Reading { history, format, timed: times.usable, notes })
}

/// The first operation whose completion names another key than its invocation, should the values be `[key value]`.
#[derive(Default)]
struct Keys {
    open: HashMap<u64, Value>,
    wrong: Option<ParseError>,
}

impl Keys {
    fn see(&mut self, event: &Event, place: Place) {
        if self.wrong.is_some() {
            return;
        }
        let key = event.value.as_pair().map(|(key, _)| key);
        match (event.kind, key) {
            (Kind::Invoke, Some(key)) => drop(self.open.insert(event.process, key.clone())),
            (Kind::Ok, Some(key)) => {
                let open = self.open.remove(&event.process);
                if let Some(asked) = open.filter(|asked| asked != key) {
                    self.wrong = Some(ParseError {
                        line: place.line,
                        column: place.column,
                        expected: format!(
                            "the key of its invocation, {asked}, in the value of `{}`",
                            event.f
                        ),
                        found: format!("key {key}"),
                    });
                }
            }
            _ => drop(self.open.remove(&event.process)),
        }
    }

    fn agree(self) -> Result<(), ParseError> {
        self.wrong.map_or(Ok(()), Err)
    }
}

/// The recorded times, by position. Until all are known, the position of an event is its time.
struct Times {
    all: Vec<Nanos>,
    /// Whether every event has one and they are in order.
    usable: bool,
    /// Whether any event has one.
    some: bool,
}

impl Times {
    fn new() -> Self {
        Times { all: Vec::new(), usable: true, some: false }
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

/// Whether the values can be nothing but `[key value]`.
fn surely_independent(ops: &[Op]) -> bool {
    let is_read = |op: &Op| op.f == F::Read;
    ops.iter().any(is_read)
        && ops.iter().all(|op| {
            let Some((key, input)) = op.input.as_pair() else { return false };
            let is_pair = op.output().is_none_or(|output| output.as_pair().is_some());
            op.key.is_nil()
                && !matches!(key, Value::Nil | Value::List(_))
                && is_pair
                && (!is_read(op) || input.is_nil())
        })
}

/// Splits the `[key value]` in all values of an operation.
fn take_apart(op: &mut Op) {
    let Some((key, input)) = op.input.as_pair() else { return };
    (op.key, op.input) = (key.clone(), input.clone());
    if let Outcome::Ok(output) = &mut op.outcome
        && let Some((_, value)) = output.as_pair()
    {
        *output = value.clone();
    }
}

/// Whether the output of an operation that was invoked without an input can only be that.
fn carries_its_input(op: &Op) -> bool {
    match (&op.f, op.output()) {
        (_, None | Some(Value::Nil)) => false,
        (F::Cas, Some(output)) => output.as_pair().is_some(),
        (F::Write | F::Put | F::Append | F::Enqueue | F::Push | F::Add, Some(_)) => true,
        _ => false,
    }
}

/// Leaves of Jepsen's values what is really input and output.
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
    fn keys_are_taken_from_values_when_asked_or_when_sure() {
        let keyed =
            "{:type :invoke :f :write :value [x 1] :process 0} {:type :ok :f :write :value [x 1] :process 0}";
        let read =
            "{:type :invoke :f :read :value [x nil] :process 0} {:type :ok :f :read :value [x 1] :process 0}";
        let both = format!("{keyed}{read}");
        let apart = "p0 x: write 1 @0-1\np0 x: read → 1 @2-3";
        assert_eq!(ops(&both, Notation::Edn, &options(true)).unwrap(), apart);
        assert!(ops(&both, Notation::Edn, &options(false)).unwrap().starts_with(apart));
        // Pairs may be plain values as long as no read says otherwise.
        assert_eq!(ops(keyed, Notation::Edn, &options(false)).unwrap(), "p0 write [x 1] @0-1");
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
    fn what_is_written_may_be_known_only_in_the_end() {
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
