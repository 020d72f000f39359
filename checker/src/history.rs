//! The recorded sequence of events, and the operations it amounts to.

use hashbrown::HashMap;
use std::fmt;

use crate::op::{Event, F, Kind, Op, Outcome, Value};

/// The operations of a run, in the order of their invocations.
///
/// Positions in [`History::ops`] are how verdicts refer to operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The operations, by time of invocation (ties in the order of the recording).
    pub ops: Vec<Op>,
}

/// An event that cannot stand where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The event's position in the sequence, counted from 0.
    pub position: usize,
    /// What is wrong with it, and what was expected.
    pub why: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "event {}: {}", self.position, self.why)
    }
}

impl std::error::Error for Malformed {}

impl History {
    /// Pairs every invocation with its completion. An invocation that never completes is indeterminate, as is
    /// one whose process invokes again without a completion in between only if the recording says so by `info`:
    /// otherwise that is an error.
    ///
    /// # Errors
    /// When a completion has no invocation, a process invokes twice at once or after `info`, an operation ends
    /// under another name or key than it began, or the clock goes backwards.
    pub fn from_events(events: impl IntoIterator<Item = Event>) -> Result<History, Malformed> {
        let mut ops: Vec<Op> = Vec::new();
        let mut open: HashMap<u64, usize> = HashMap::new();
        let mut last_time = 0;
        for (position, event) in events.into_iter().enumerate() {
            let malformed = |why: String| Malformed { position, why };
            if event.time < last_time {
                return Err(malformed(format!(
                    "the clock goes backwards, from {last_time} to {} ns: expected times in order",
                    event.time
                )));
            }
            last_time = event.time;
            if event.kind == Kind::Invoke {
                if let Some(previous) = open.insert(event.process, ops.len()) {
                    return Err(malformed(format!(
                        "process {} invokes `{}` while its `{}` is pending or indeterminate: expected a completion \
                         first, or a new process after info",
                        event.process, event.f, ops[previous].f
                    )));
                }
                ops.push(Op {
                    process: event.process,
                    f: event.f,
                    key: event.key,
                    input: event.value,
                    outcome: Outcome::Info,
                    call: event.time,
                    completed: None,
                    node: event.node,
                    error: event.error,
                    invoke_index: event.index,
                    complete_index: None,
                    client: event.client,
                });
                continue;
            }
            let Some(&at) = open.get(&event.process) else {
                return Err(malformed(format!(
                    "process {} completes `{}` without having invoked it",
                    event.process, event.f
                )));
            };
            let op = &mut ops[at];
            if op.completed.is_some() || op.f != event.f {
                return Err(malformed(format!(
                    "process {} completes `{}`, but its open operation is `{}`",
                    event.process, event.f, op.f
                )));
            }
            if !event.key.is_nil() && event.key != op.key {
                return Err(malformed(format!(
                    "process {} completes `{}` on key {}, but invoked it on key {}",
                    event.process, event.f, event.key, op.key
                )));
            }
            // What it would write may be known only in the end.
            let writes = matches!(event.f, F::Write | F::Put | F::Append | F::Enqueue | F::Push | F::Add);
            if event.kind == Kind::Info && writes && op.input.is_nil() {
                op.input = event.value.clone();
            }
            op.completed = Some(event.time);
            op.complete_index = Some(event.index);
            op.error = event.error.or(op.error.take());
            match event.kind {
                Kind::Ok => {
                    op.outcome = Outcome::Ok(event.value);
                    open.remove(&event.process);
                }
                Kind::Fail => {
                    op.outcome = Outcome::Fail;
                    open.remove(&event.process);
                }
                // The process stays taken: after info it never invokes again.
                Kind::Info | Kind::Invoke => {}
            }
        }
        Ok(History { ops })
    }

    /// The positions of the operations on each key, in the order of the keys.
    pub fn by_key(&self) -> Vec<(Value, Vec<usize>)> {
        let mut parts: HashMap<&Value, Vec<usize>> = HashMap::new();
        for (at, op) in self.ops.iter().enumerate() {
            parts.entry(&op.key).or_default().push(at);
        }
        let mut parts: Vec<_> = parts.into_iter().map(|(key, ops)| (key.clone(), ops)).collect();
        parts.sort();
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(process: u64, kind: Kind, f: F) -> Event {
        Event {
            index: 0,
            time: 0,
            process,
            kind,
            f,
            key: Value::Nil,
            value: Value::Nil,
            node: None,
            error: None,
            client: None,
        }
    }

    #[test]
    fn pairs_invocations_with_completions() {
        let history = History::from_events([
            event(0, Kind::Invoke, F::Read),
            event(1, Kind::Invoke, F::Write),
            event(0, Kind::Ok, F::Read),
            event(1, Kind::Info, F::Write),
            event(0, Kind::Invoke, F::Write),
        ])
        .unwrap();
        let shape: Vec<_> =
            history.ops.iter().map(|op| (op.process, op.is_ok(), op.completed.is_some())).collect();
        assert_eq!(shape, [(0, true, true), (1, false, true), (0, false, false)]);
    }

    #[test]
    fn a_process_never_invokes_again_after_info() {
        let broken = History::from_events([
            event(1, Kind::Invoke, F::Write),
            event(1, Kind::Info, F::Write),
            event(1, Kind::Invoke, F::Read),
        ]);
        assert_eq!(broken.unwrap_err().position, 2);
    }

    #[test]
    fn a_completion_is_about_the_key_of_its_invocation() {
        let on = |key: &str, event: Event| Event { key: Value::str(key), ..event };
        let invoke = on("x", event(1, Kind::Invoke, F::Read));
        let broken =
            History::from_events([invoke.clone(), on("y", event(1, Kind::Ok, F::Read))]).unwrap_err();
        assert_eq!(
            broken.to_string(),
            "event 1: process 1 completes `read` on key y, but invoked it on key x"
        );
        assert!(History::from_events([invoke, event(1, Kind::Ok, F::Read)]).is_ok());
    }

    #[test]
    fn a_completion_needs_an_invocation() {
        assert_eq!(History::from_events([event(1, Kind::Ok, F::Read)]).unwrap_err().position, 0);
    }
}
