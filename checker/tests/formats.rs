//! What is written can be read, in every format, and means the same.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use tribunal_checker::formats::{self, FailedCas, Format, Options, jsonl};
use tribunal_checker::history::History;
use tribunal_checker::op::{Event, F, Kind, Op, Outcome, Value};

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z][a-z0-9]{0,5}", "\\PC{0,6}", any::<String>(), "[\"\\\\\n\t/u]{0,4}"]
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        (-3..10i64).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        text().prop_map(|text| Value::str(&text)),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| vec(inner, 0..4).prop_map(|items| Value::List(items.into())))
}

fn f() -> impl Strategy<Value = F> {
    let named = ["read", "write", "cas", "add", "get", "put", "enqueue", "dequeue"].to_vec();
    prop_oneof![
        4 => prop::sample::select(named).prop_map(F::from),
        1 => text().prop_map(|name| F::from(&*name)),
    ]
}

fn error() -> impl Strategy<Value = Option<Arc<str>>> {
    prop::option::of("[a-z]{1,9}( [a-z]{1,9})?".prop_map(Arc::from))
}

fn key() -> impl Strategy<Value = Value> + Clone {
    prop::sample::select(vec![Value::str("x"), Value::str("y"), Value::Int(3)])
}

/// A history with anything in it. Each step says which client does what comes next for it, invoke or complete.
fn history(key: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = History> {
    let step = (0..4usize, f(), key, value(), value(), 0..4usize, 0..3u64, error());
    vec(step, 0..24).prop_map(|steps| {
        let mut events: Vec<Event> = Vec::new();
        let mut open: [Option<(F, Value)>; 4] = Default::default();
        let mut processes = [0, 1, 2, 3];
        let mut fresh = 4;
        let mut time = 0;
        for (client, f, key, input, output, end, pause, error) in steps {
            time += pause;
            let process = processes[client];
            let (kind, f, key, value, error) = match open[client].take() {
                None => {
                    let input = if f == F::Cas { Value::pair(input, output) } else { input };
                    open[client] = Some((f.clone(), key.clone()));
                    (Kind::Invoke, f, key, input, None)
                }
                Some((f, key)) => {
                    let kind = [Kind::Ok, Kind::Ok, Kind::Fail, Kind::Info][end];
                    if kind == Kind::Info {
                        processes[client] = fresh;
                        fresh += 1;
                    }
                    (kind, f, key, if kind == Kind::Ok { output } else { Value::Nil }, error)
                }
            };
            events.push(Event {
                index: events.len() as u64,
                time,
                process,
                kind,
                f,
                key,
                value,
                node: None,
                error,
                client: None,
            });
        }
        History::from_events(events).expect("the steps obey the rules of a history")
    })
}

/// Writes, recognises and reads.
fn round_trip(history: &History, format: Format, options: &Options) -> History {
    let mut written = Vec::new();
    formats::write(&mut written, history, format).unwrap();
    let shown = String::from_utf8_lossy(&written);
    if !history.ops.is_empty() {
        assert_eq!(Format::detect(&written), Some(format), "{shown}");
    }
    match formats::read(&written[..], Some(format), options) {
        Ok(reading) => reading.history,
        Err(error) => panic!("{error} in\n{shown}"),
    }
}

/// Leaves of an operation only what Jepsen's words can say.
fn in_jepsens_words(op: &mut Op) {
    if matches!(op.f, F::Read | F::Get) {
        op.input = Value::Nil;
    }
    // What is written may be known only in the end.
    if op.input.is_nil() && matches!(op.f, F::Write | F::Put | F::Append | F::Enqueue | F::Push | F::Add) {
        op.input = op.output().cloned().unwrap_or_default();
    }
    match (&op.f, &mut op.outcome) {
        (F::Cas, Outcome::Ok(Value::Bool(false))) => op.error = None,
        (F::Cas, Outcome::Ok(output)) => *output = Value::Bool(true),
        (F::Cas, Outcome::Fail) => drop(op.error.get_or_insert_with(|| "did-not-happen".into())),
        (F::Read | F::Get | F::Other(_), _) => {}
        (_, Outcome::Ok(output)) if *output == op.input => *output = Value::Nil,
        _ => {}
    }
}

/// A compare-and-set of `[x [a b]]` is taken for one of key `x`.
fn without_what_looks_like_a_key(op: &mut Op) {
    if op.f == F::Cas
        && let Some((from, to)) = op.input.as_pair()
        && to.as_pair().is_some()
    {
        op.input = Value::pair(from.clone(), Value::Nil);
    }
}

fn through_jepsen(mut history: History, format: Format, keyed: bool) -> (History, History) {
    history.ops.iter_mut().for_each(in_jepsens_words);
    if !keyed {
        history.ops.iter_mut().for_each(without_what_looks_like_a_key);
    }
    let options = Options { independent: keyed, failed_cas: Some(FailedCas::Observe), ..Options::default() };
    let read = round_trip(&history, format, &options);
    (history, read)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn jsonl_keeps_everything(history in history(key())) {
        prop_assert_eq!(round_trip(&history, Format::Jsonl, &Options::default()), history);
    }

    #[test]
    fn finished_operations_keep_all_but_when_doubt_arose(mut history in history(key())) {
        let mut read = round_trip(&history, Format::Finished, &Options::default());
        for op in history.ops.iter_mut().chain(&mut read.ops) {
            (op.invoke_index, op.complete_index) = (0, None);
            op.completed = op.completed.filter(|_| !op.is_info());
        }
        let order = |op: &Op| (op.call, op.process, op.completed.is_none(), op.completed);
        history.ops.sort_by_key(order);
        read.ops.sort_by_key(order);
        prop_assert_eq!(read, history);
    }

    #[test]
    fn edn_and_json_keep_what_jepsen_can_say(history in history(Just(Value::Nil)), json: bool) {
        let (history, read) = through_jepsen(history, if json { Format::Json } else { Format::Edn }, false);
        prop_assert_eq!(read, history);
    }

    #[test]
    fn edn_and_json_keep_keys(history in history(key()), json: bool) {
        let (history, read) = through_jepsen(history, if json { Format::Json } else { Format::Edn }, true);
        prop_assert_eq!(read, history);
    }

    #[test]
    fn txt_and_log_keep_the_order(history in history(Just(Value::Nil)), log: bool) {
        let (mut history, read) = through_jepsen(history, if log { Format::Log } else { Format::Txt }, false);
        for op in &mut history.ops {
            (op.call, op.completed) = (op.invoke_index, op.complete_index);
        }
        prop_assert_eq!(read, history);
    }

    /// The fast path of our own format (that of finished operations is made of the same parts), held to `serde_json`: lines as we write them, and with one byte changed.
    #[test]
    fn fast_lines_read_as_serde_reads_them(
        (f, key, value, node, error) in (f(), value(), value(), prop::option::of(text()), prop::option::of(text())),
        (index, time, process, client) in (any::<u64>(), any::<u64>(), any::<u64>(), prop::option::of(any::<u64>())),
        (at, byte) in (any::<prop::sample::Index>(), prop::sample::select(&b"0-19\"\\,:[]{}nte. \xff"[..])),
    ) {
        let (node, error) = (node.map(Arc::from), error.map(Arc::from));
        let event = Event { index, time, process, kind: Kind::Ok, f, key, value, node, error, client };
        let mut line = Vec::new();
        jsonl::write_event(&mut line, &event).unwrap();
        let read = |line: &[u8]| jsonl::Events::new(line).next().and_then(Result::ok);
        prop_assert_eq!(read(&line), Some(event));
        let at = at.index(line.len() - 1);
        line[at] = byte;
        prop_assert_eq!(read(&line), serde_json::from_slice(&line).ok(), "{}", String::from_utf8_lossy(&line));
    }
}
