//! The recorded sequence of events, and the operations that it consists of.

use hashbrown::HashMap;
use std::fmt;

use crate::formats::number;
use crate::op::{Event, F, Kind, Nanos, Op, Outcome, Value};

/// The operations of a run, in the order of their invocations.
///
/// Verdicts refer to operations by their positions in [`History::ops`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The operations, by time of invocation (ties in the order of the recording).
    pub ops: Vec<Op>,
}

/// An event or operation that is impossible at its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The kind of item: `event` or `operation`.
    pub item: &'static str,
    /// Its position in the given sequence, counted from 0.
    pub position: usize,
    /// What is wrong with it, and what was expected.
    pub why: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.item, self.position, self.why)
    }
}

impl std::error::Error for Malformed {}

impl History {
    /// Pairs every invocation with its completion. An invocation without a completion is indeterminate. A
    /// process whose operation is pending or indeterminate must not invoke again: this is an error.
    ///
    /// # Errors
    /// If a completion has no invocation, a process invokes twice at once or after `info`, an operation ends
    /// under another name or key than it began with, or the clock goes backwards.
    pub fn from_events(events: impl IntoIterator<Item = Event>) -> Result<History, Malformed> {
        let mut ops: Vec<Op> = Vec::new();
        let mut open: HashMap<u64, usize> = HashMap::new();
        let mut last_time = 0;
        for (position, event) in events.into_iter().enumerate() {
            let malformed = |why: String| Malformed { item: "event", position, why };
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
            // Some recordings name the written value only at the completion.
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
                // The process stays occupied: after info it never invokes again.
                Kind::Info | Kind::Invoke => {}
            }
        }
        Ok(History { ops })
    }

    /// Builds a history from operations, each with the interval in which it happened, in any order.
    ///
    /// # Errors
    /// If a process does two things at once, continues after an operation of unknown outcome, or completes an
    /// operation before its invocation; the position is that in `ops`.
    pub fn from_ops(ops: impl IntoIterator<Item = Op>) -> Result<History, Malformed> {
        let mut ops: Vec<(usize, Op)> = ops.into_iter().enumerate().collect();
        ops.sort_by_key(|(_, op)| op.call);
        let mut free: HashMap<u64, Option<Nanos>> = HashMap::new();
        for (position, op) in &ops {
            let malformed = |why: String| Malformed { item: "operation", position: *position, why };
            if let Some(end) = op.completed.filter(|end| *end < op.call) {
                return Err(malformed(format!(
                    "`{op}` ends at {end} ns, before it is invoked at {} ns",
                    op.call
                )));
            }
            let ends = op.completed.filter(|_| !op.is_info());
            if let Some(before) = free.insert(op.process, ends)
                && before.is_none_or(|before| before > op.call)
            {
                let until =
                    before.map_or("is of unknown outcome".to_owned(), |end| format!("ends at {end} ns"));
                return Err(malformed(format!(
                    "process {} invokes `{op}` at {} ns, but what it invoked before {until}: expected another process",
                    op.process, op.call
                )));
            }
        }
        let mut ops: Vec<Op> = ops.into_iter().map(|(_, op)| op).collect();
        number(&mut ops);
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
        Event::new(0, process, kind, f)
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
        let invoke = event(1, Kind::Invoke, F::Read).on("x");
        let broken = History::from_events([invoke.clone(), event(1, Kind::Ok, F::Read).on("y")]).unwrap_err();
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

    #[test]
    fn operations_may_come_in_any_order() {
        let read = |process, call, ret| Op::new(process, call, F::Read, Value::Nil).returned(ret, 7);
        let write = Op::new(0, 10, F::Write, 7);
        let history = History::from_ops([read(2, 30, 40), read(1, 20, 30), write, read(1, 30, 50)]).unwrap();
        let shape: Vec<_> =
            history.ops.iter().map(|op| (op.process, op.invoke_index, op.complete_index)).collect();
        assert_eq!(shape, [(0, 0, None), (1, 1, Some(2)), (2, 3, Some(5)), (1, 4, Some(6))]);
    }

    #[test]
    fn a_process_does_one_thing_at_a_time() {
        let read = |process, call| Op::new(process, call, F::Read, Value::Nil);
        let why = |ops: [Op; 2]| History::from_ops(ops).unwrap_err().to_string();
        assert_eq!(
            why([read(1, 20).returned(30, 7), read(1, 10).returned(21, 7)]),
            "operation 0: process 1 invokes `read → 7` at 20 ns, but what it invoked before ends at 21 ns: \
             expected another process"
        );
        assert_eq!(
            why([read(1, 10), read(1, 20)]),
            "operation 1: process 1 invokes `read` at 20 ns, but what it invoked before is of unknown outcome: \
             expected another process"
        );
        assert_eq!(
            why([read(1, 10).failed(9), read(2, 10)]),
            "operation 0: `read` ends at 9 ns, before it is invoked at 10 ns"
        );
        assert!(History::from_ops([read(1, 10).failed(20), read(1, 20)]).is_ok());
    }
}
