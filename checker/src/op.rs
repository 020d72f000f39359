//! The vocabulary of a history: values, events, operations.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Nanoseconds on the run's one monotonic clock, counted from the start of the run.
pub type Nanos = u64;

/// A value that an operation takes or returns. Small, cheap to clone, totally ordered.
///
/// In JSON: `null`, `true`, `7`, `"text"`, `[1, 2]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// No value, or not yet known.
    #[default]
    Nil,
    /// A boolean, such as whether a compare-and-set took place.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Text.
    Str(Arc<str>),
    /// Several values in order.
    List(Arc<[Value]>),
}

impl Value {
    /// Text as a value.
    pub fn str(text: &str) -> Self {
        Value::Str(text.into())
    }

    /// Two values as one, such as the `[from, to]` of a compare-and-set.
    pub fn pair(a: impl Into<Value>, b: impl Into<Value>) -> Self {
        Value::List([a.into(), b.into()].into())
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Value::Int(i) = self { Some(*i) } else { None }
    }

    /// The two halves, if it is a list of exactly two.
    pub fn as_pair(&self) -> Option<(&Value, &Value)> {
        match self {
            Value::List(items) if items.len() == 2 => Some((&items[0], &items[1])),
            _ => None,
        }
    }

    /// Whether it is [`Value::Nil`].
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Value::Int(i)
    }
}

/// `()` is `nil`.
impl From<()> for Value {
    fn from((): ()) -> Self {
        Value::Nil
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Value::str(s)
    }
}

/// Whether a text without quotes would be read as another kind of value.
fn needs_quotes(text: &str) -> bool {
    let is_number = || text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    text.is_empty() || matches!(text, "nil" | "true" | "false") || is_number()
}

/// The short readable form: `nil`, `true`, `7`, `k7`, `[1 2]`; `"7"` for a text that looks like a number.
impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => out.write_str("nil"),
            Value::Bool(b) => write!(out, "{b}"),
            Value::Int(i) => write!(out, "{i}"),
            Value::Str(s) if needs_quotes(s) => write!(out, "\"{s}\""),
            Value::Str(s) => out.write_str(s),
            Value::List(items) => {
                out.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(out, "{}{item}", if i == 0 { "" } else { " " })?;
                }
                out.write_str("]")
            }
        }
    }
}

/// The function that an operation calls. Names without a variant are kept as they were written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum F {
    /// Read the whole object.
    Read,
    /// Write a value blindly.
    Write,
    /// Compare-and-set: input `[from, to]`; output `false` when the comparison failed.
    Cas,
    /// Add to a counter, or add an element to a set.
    Add,
    /// Append to a string, a list or a log.
    Append,
    /// Put a value under a key (key-value stores' name for [`F::Write`]).
    Put,
    /// Get the value of a key (key-value stores' name for [`F::Read`]).
    Get,
    /// Delete a key, or an element of a set.
    Delete,
    /// Whether a set holds an element.
    Contains,
    /// Put an element into a queue.
    Enqueue,
    /// Take an element from a queue; output `nil` when it was empty.
    Dequeue,
    /// Push onto a stack.
    Push,
    /// Pop from a stack; output `nil` when it was empty.
    Pop,
    /// Take a lock or a permit.
    Acquire,
    /// Release a lock or a permit.
    Release,
    /// Generate a fresh identifier.
    Generate,
    /// A name without a meaning in this crate.
    Other(Arc<str>),
}

impl F {
    /// The known names, in the order of the variants.
    const NAMED: [(&'static str, F); 16] = [
        ("read", F::Read),
        ("write", F::Write),
        ("cas", F::Cas),
        ("add", F::Add),
        ("append", F::Append),
        ("put", F::Put),
        ("get", F::Get),
        ("delete", F::Delete),
        ("contains", F::Contains),
        ("enqueue", F::Enqueue),
        ("dequeue", F::Dequeue),
        ("push", F::Push),
        ("pop", F::Pop),
        ("acquire", F::Acquire),
        ("release", F::Release),
        ("generate", F::Generate),
    ];

    /// The name, as written in a history.
    pub fn name(&self) -> &str {
        match self {
            F::Other(name) => name,
            known => Self::NAMED.iter().find(|(_, f)| f == known).expect("every named f is in NAMED").0,
        }
    }
}

impl From<&str> for F {
    fn from(name: &str) -> Self {
        match Self::NAMED.iter().find(|(known, _)| *known == name) {
            Some((_, f)) => f.clone(),
            None => F::Other(name.into()),
        }
    }
}

impl fmt::Display for F {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Serialize for F {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for F {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(from)?;
        Ok(F::from(&*name))
    }
}

/// The four kinds of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The operation started.
    Invoke,
    /// It happened.
    Ok,
    /// It certainly did not happen.
    Fail,
    /// Unknown: it may take effect at any later time, or never.
    Info,
}

/// One line of a history: an invocation or a completion.
///
/// In JSON: `{"i":41,"t":12470123000,"p":3,"type":"invoke","f":"write","key":"k7","value":9,"node":"n1"}`;
/// `t` in nanoseconds; `key`, `value`, `node` and `error` are left out if they are empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the history, counted from 0.
    #[serde(rename = "i")]
    pub index: u64,
    /// The time of the event.
    #[serde(rename = "t")]
    pub time: Nanos,
    /// The process: a single-threaded logical client.
    #[serde(rename = "p")]
    pub process: u64,
    /// The kind of event.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The function called.
    pub f: F,
    /// The key of the object.
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    pub key: Value,
    /// At `invoke` the input; at `ok` the output.
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    pub value: Value,
    /// The node that the request was sent to, if the client is tied to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
    /// Why it failed, or why its outcome is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    /// At `invoke`: the client, if its number differs from the process: see [`Op::client`].
    #[serde(default, rename = "c", skip_serializing_if = "Option::is_none")]
    pub client: Option<u64>,
}

impl Event {
    /// An event without key and value; add these with [`on`](Event::on) and [`with`](Event::with). Its index
    /// is 0: a history built from such events only displays the index.
    pub fn new(time: Nanos, process: u64, kind: Kind, f: F) -> Event {
        let (index, key, value) = (0, Value::Nil, Value::Nil);
        Event { index, time, process, kind, f, key, value, node: None, error: None, client: None }
    }

    /// Sets the key of the object.
    #[must_use]
    pub fn on(self, key: impl Into<Value>) -> Event {
        Event { key: key.into(), ..self }
    }

    /// Sets the value: at `invoke` the input; at `ok` the output.
    #[must_use]
    pub fn with(self, value: impl Into<Value>) -> Event {
        Event { value: value.into(), ..self }
    }
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It happened and returned this output.
    Ok(Value),
    /// It certainly did not happen.
    Fail,
    /// Unknown.
    Info,
}

/// One logical request: an invocation with its completion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// The process that invoked it.
    pub process: u64,
    /// The function called.
    pub f: F,
    /// The key of the object; `nil` if the history has only one object.
    pub key: Value,
    /// The input.
    pub input: Value,
    /// How it ended.
    pub outcome: Outcome,
    /// The time of the invocation.
    pub call: Nanos,
    /// The time of the completion; `None` if none was recorded. An indeterminate operation may have a
    /// completion (for example a timeout) and still take effect later: see [`Op::ret`].
    pub completed: Option<Nanos>,
    /// The node that the request was sent to, if known.
    pub node: Option<Arc<str>>,
    /// Why it failed, or why its outcome is unknown.
    pub error: Option<Arc<str>>,
    /// The index of the invocation in the recorded history.
    pub invoke_index: u64,
    /// The index of the completion in the recorded history.
    pub complete_index: Option<u64>,
    /// The client, if its number differs from the process. A process does one thing at a time and ends with
    /// an operation of unknown outcome. A client that continues after this becomes another process, but a
    /// lock still belongs to the client. See [`Op::actor`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u64>,
}

impl Op {
    /// An operation that was invoked and has no outcome yet. [`on`](Op::on) sets the key of its object,
    /// [`returned`](Op::returned) and [`failed`](Op::failed) its outcome.
    pub fn new(process: u64, call: Nanos, f: F, input: impl Into<Value>) -> Op {
        Op {
            process,
            f,
            key: Value::Nil,
            input: input.into(),
            outcome: Outcome::Info,
            call,
            completed: None,
            node: None,
            error: None,
            invoke_index: 0,
            complete_index: None,
            client: None,
        }
    }

    /// Sets the key of the object.
    #[must_use]
    pub fn on(self, key: impl Into<Value>) -> Op {
        Op { key: key.into(), ..self }
    }

    /// Sets the outcome: it happened and returned `output` at time `at`.
    #[must_use]
    pub fn returned(self, at: Nanos, output: impl Into<Value>) -> Op {
        Op { outcome: Outcome::Ok(output.into()), completed: Some(at), ..self }
    }

    /// Sets the outcome: it certainly did not happen, which was known at time `at`.
    #[must_use]
    pub fn failed(self, at: Nanos) -> Op {
        Op { outcome: Outcome::Fail, completed: Some(at), ..self }
    }

    /// The actor, for models such as locks: the client, which is the process unless the recording names
    /// another.
    pub fn actor(&self) -> u64 {
        self.client.unwrap_or(self.process)
    }

    /// The latest instant at which the operation can have taken effect: its completion if it happened, else
    /// `u64::MAX`.
    pub fn ret(&self) -> Nanos {
        match self.outcome {
            Outcome::Ok(_) => self.completed.unwrap_or(Nanos::MAX),
            Outcome::Fail | Outcome::Info => Nanos::MAX,
        }
    }

    /// The output, if it happened.
    pub fn output(&self) -> Option<&Value> {
        if let Outcome::Ok(value) = &self.outcome { Some(value) } else { None }
    }

    /// Whether it happened.
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_))
    }

    /// Whether its outcome is unknown.
    pub fn is_info(&self) -> bool {
        matches!(self.outcome, Outcome::Info)
    }

    /// Whether it certainly did not happen.
    pub fn is_fail(&self) -> bool {
        matches!(self.outcome, Outcome::Fail)
    }
}

/// The short readable form: `read → 3`, `write 4`, `cas 2→5`, `cas 2→5 ≠` (comparison failed).
impl fmt::Display for Op {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.f)?;
        match (&self.f, self.input.as_pair()) {
            (F::Cas, Some((from, to))) => write!(out, " {from}→{to}")?,
            _ if !self.input.is_nil() => write!(out, " {}", self.input)?,
            _ => {}
        }
        match (&self.f, &self.outcome) {
            (F::Cas, Outcome::Ok(Value::Bool(false))) => out.write_str(" ≠"),
            (F::Cas | F::Write | F::Put, Outcome::Ok(_)) | (_, Outcome::Ok(Value::Bool(true))) => Ok(()),
            (F::Read | F::Get | F::Dequeue | F::Pop, Outcome::Ok(value)) => write!(out, " → {value}"),
            // For a counter the output is the sum, which may equal the number added.
            (F::Add, Outcome::Ok(value @ Value::Int(_))) => write!(out, " → {value}"),
            (_, Outcome::Ok(value)) if !value.is_nil() && *value != self.input => write!(out, " → {value}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_like_other_values_are_quoted() {
        let shown = |value: &str| Value::str(value).to_string();
        assert_eq!(
            ["1", "-7", "nil", "true", ""].map(shown),
            ["\"1\"", "\"-7\"", "\"nil\"", "\"true\"", "\"\""]
        );
        assert_eq!(["k7", "01", "1.5", "null", "a b"].map(shown), ["k7", "01", "1.5", "null", "a b"]);
        let list = Value::List([Value::Int(1), Value::str("1")].into());
        assert_eq!(Op::new(0, 1, F::Read, ()).returned(2, list).to_string(), "read → [1 \"1\"]");
    }

    #[test]
    fn every_named_f_survives_a_round_trip() {
        for (name, f) in F::NAMED {
            assert_eq!(F::from(name), f);
            assert_eq!(f.name(), name);
        }
        assert_eq!(F::from("frobnicate").name(), "frobnicate");
    }

    #[test]
    fn an_addition_shows_its_sum_even_if_it_equals_the_amount() {
        let line = r#"{"i":0,"t":1,"p":0,"type":"T","f":"add","value":1}"#;
        let events = ["invoke", "ok"].map(|kind| serde_json::from_str(&line.replace('T', kind)).unwrap());
        let history = crate::history::History::from_events(events).unwrap();
        assert_eq!(history.ops[0].to_string(), "add 1 → 1");
    }

    #[test]
    fn an_event_is_written_without_empty_fields() {
        let line = r#"{"i":41,"t":12470123,"p":3,"type":"invoke","f":"read","key":"k7"}"#;
        let event: Event = serde_json::from_str(line).unwrap();
        assert_eq!(event.key, Value::str("k7"));
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
    }
}
