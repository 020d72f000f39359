//! The rival checker: converts histories and objects for `porcupine-rs`, a port of Porcupine to Rust.
//!
//! It has no indeterminate operations. Here they return at the end of time and their result is ignored, so
//! the search may put each of them last. If the object has independent parts (keys, elements), the rival
//! checks them separately.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use porcupine_rs::{Model, Operation, check_operations};
use tribunal_checker::generate::Object;
use tribunal_checker::history::History;
use tribunal_checker::op::{F, Op, Outcome, Value};

/// Converts a history for the rival checker; calling the result checks it.
pub(crate) fn prepare(object: Object, history: &History) -> Box<dyn Fn() -> bool> {
    match object {
        Object::Register | Object::UniqueRegister => convert::<Register>(history),
        Object::Counter => convert::<Counter>(history),
        Object::Queue => convert::<Queue>(history),
        Object::Set | Object::GrowingSet if history.ops.iter().any(|op| op.f == F::Read) => {
            convert::<Set>(history)
        }
        Object::Set | Object::GrowingSet => convert::<Element>(history),
        Object::Mutex => convert::<Mutex>(history),
        Object::Log => convert::<Log>(history),
        Object::Kv => convert::<Kv>(history),
    }
}

fn convert<M: Model<Op = Call, Metadata = ()> + 'static>(history: &History) -> Box<dyn Fn() -> bool> {
    let relevant = |op: &&Op| op.is_ok() || (op.is_info() && !matches!(op.f, F::Read | F::Get | F::Contains));
    let time = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
    let operations: Vec<Operation<M>> = history
        .ops
        .iter()
        .filter(relevant)
        .map(|op| Operation {
            client_id: u32::try_from(op.process).ok(),
            call_time: time(op.call),
            return_time: time(op.ret()),
            op: Call::from(op),
            metadata: None,
        })
        .collect();
    Box::new(move || check_operations(&operations))
}

/// An operation with its result.
#[derive(Clone, Debug)]
struct Call {
    f: F,
    process: u64,
    key: Value,
    input: Value,
    /// `None` if the operation is indeterminate.
    output: Option<Value>,
}

impl From<&Op> for Call {
    fn from(op: &Op) -> Self {
        let output = if let Outcome::Ok(output) = &op.outcome { Some(output.clone()) } else { None };
        Call { f: op.f.clone(), process: op.process, key: op.key.clone(), input: op.input.clone(), output }
    }
}

impl Call {
    fn matches(&self, value: &Value) -> bool {
        self.output.as_ref().is_none_or(|output| output == value)
    }

    fn refused(&self) -> bool {
        self.output == Some(Value::Bool(false))
    }
}

/// Splits a history into independent parts.
fn split<M: Model<Op = Call>>(
    history: &[Operation<M>],
    by: impl Fn(&Call) -> Value,
) -> Vec<Vec<Operation<M>>> {
    let mut parts: BTreeMap<Value, Vec<Operation<M>>> = BTreeMap::new();
    for operation in history {
        parts.entry(by(&operation.op)).or_default().push(operation.clone());
    }
    parts.into_values().collect()
}

#[derive(Clone, Debug)]
struct Register;

impl Model for Register {
    type State = Value;
    type Op = Call;
    type Metadata = ();

    fn partition_operations(history: &[Operation<Self>]) -> Vec<Vec<Operation<Self>>> {
        split(history, |op| op.key.clone())
    }

    fn init() -> Value {
        Value::Nil
    }

    fn step(state: &Value, op: &Call) -> (bool, Value) {
        match &op.f {
            F::Read => (op.matches(state), state.clone()),
            F::Write => (true, op.input.clone()),
            _ => {
                let (from, to) = op.input.as_pair().expect("a cas has a pair");
                let holds = from == state;
                let possible = op.output.is_none() || holds != op.refused();
                (possible, if holds && !op.refused() { to.clone() } else { state.clone() })
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Counter;

impl Model for Counter {
    type State = i64;
    type Op = Call;
    type Metadata = ();

    fn partition_operations(history: &[Operation<Self>]) -> Vec<Vec<Operation<Self>>> {
        split(history, |op| op.key.clone())
    }

    fn init() -> i64 {
        0
    }

    fn step(state: &i64, op: &Call) -> (bool, i64) {
        match &op.f {
            F::Read => (op.matches(&Value::Int(*state)), *state),
            _ => {
                let sum = state + op.input.as_int().unwrap_or_default();
                (op.output == Some(Value::Nil) || op.matches(&Value::Int(sum)), sum)
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Queue;

impl Model for Queue {
    type State = VecDeque<i64>;
    type Op = Call;
    type Metadata = ();

    fn init() -> VecDeque<i64> {
        VecDeque::new()
    }

    fn step(state: &VecDeque<i64>, op: &Call) -> (bool, VecDeque<i64>) {
        if op.f == F::Dequeue && !op.matches(&state.front().map_or(Value::Nil, |&first| Value::Int(first))) {
            return (false, VecDeque::new());
        }
        let mut next = state.clone();
        if op.f == F::Dequeue {
            next.pop_front();
        } else {
            next.push_back(op.input.as_int().unwrap_or_default());
        }
        (true, next)
    }
}

/// One element of a set without reads of the whole set: its elements are independent.
#[derive(Clone, Debug)]
struct Element;

impl Model for Element {
    type State = bool;
    type Op = Call;
    type Metadata = ();

    fn partition_operations(history: &[Operation<Self>]) -> Vec<Vec<Operation<Self>>> {
        split(history, |op| op.input.clone())
    }

    fn init() -> bool {
        false
    }

    fn step(state: &bool, op: &Call) -> (bool, bool) {
        match &op.f {
            F::Add => (true, true),
            F::Delete => (true, false),
            _ => (op.matches(&Value::Bool(*state)), *state),
        }
    }
}

#[derive(Clone, Debug)]
struct Set;

impl Model for Set {
    type State = BTreeSet<Value>;
    type Op = Call;
    type Metadata = ();

    fn init() -> BTreeSet<Value> {
        BTreeSet::new()
    }

    fn step(state: &BTreeSet<Value>, op: &Call) -> (bool, BTreeSet<Value>) {
        let mut next = state.clone();
        let possible = match &op.f {
            F::Add => {
                next.insert(op.input.clone());
                true
            }
            F::Delete => {
                next.remove(&op.input);
                true
            }
            F::Contains => op.matches(&state.contains(&op.input).into()),
            _ => op.matches(&Value::List(state.iter().cloned().collect())),
        };
        (possible, next)
    }
}

#[derive(Clone, Debug)]
struct Mutex;

impl Model for Mutex {
    type State = Option<u64>;
    type Op = Call;
    type Metadata = ();

    fn init() -> Option<u64> {
        None
    }

    fn step(state: &Option<u64>, op: &Call) -> (bool, Option<u64>) {
        let (possible, next) = match &op.f {
            F::Acquire => (state.is_none(), Some(op.process)),
            _ => (*state == Some(op.process), None),
        };
        let goes = op.output.is_none() || possible != op.refused();
        (goes, if possible { next } else { *state })
    }
}

#[derive(Clone, Debug)]
struct Log;

impl Model for Log {
    type State = Vec<Value>;
    type Op = Call;
    type Metadata = ();

    fn init() -> Vec<Value> {
        Vec::new()
    }

    fn step(state: &Vec<Value>, op: &Call) -> (bool, Vec<Value>) {
        if op.f == F::Read {
            let same = op.output.as_ref().is_none_or(|seen| *seen == Value::List(state.as_slice().into()));
            return (same, state.clone());
        }
        if !op.matches(&Value::Int(state.len() as i64)) {
            return (false, Vec::new());
        }
        let mut next = state.clone();
        next.push(op.input.clone());
        (true, next)
    }
}

#[derive(Clone, Debug)]
struct Kv;

impl Model for Kv {
    type State = String;
    type Op = Call;
    type Metadata = ();

    fn partition_operations(history: &[Operation<Self>]) -> Vec<Vec<Operation<Self>>> {
        split(history, |op| op.key.clone())
    }

    fn init() -> String {
        String::new()
    }

    fn step(state: &String, op: &Call) -> (bool, String) {
        let text =
            |value: &Value| if let Value::Str(text) = value { text.to_string() } else { String::new() };
        match &op.f {
            F::Get => (op.output.as_ref().is_none_or(|output| text(output) == *state), state.clone()),
            F::Append => (true, state.clone() + &text(&op.input)),
            _ => (true, text(&op.input)),
        }
    }
}
