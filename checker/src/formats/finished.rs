//! One finished operation per line, with the times of its call and its return, as many other tools record.
//!
//! ```text
//! {"client":3,"f":"cas","key":"k1","in":[1,2],"out":true,"call":120,"ret":180}
//! {"client":4,"f":"write","key":"k1","in":7,"call":125,"ret":null}
//! ```
//!
//! `ret` is `null` where nobody knows what became of the operation. `key`, `in` and `out` may be left out. So may
//! `fail`, true for an operation that certainly did not happen, and `node` and `error`, two texts. Any other field is
//! an error: a misspelt `out` would read as nil, and be taken for a violation.
//!
//! The lines may come in any order. A client that goes on while an operation of its own is pending, or after one whose
//! outcome is unknown, counts as another process from there on: a process does one thing at a time. To a model that asks
//! who acts, it remains the client that it is.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fields::Cursor;
use super::lines::Lines;
use super::strings::Strings;
use super::{Format, ParseError, Reading, events};
use crate::history::History;
use crate::op::{F, Nanos, Op, Outcome, Value};

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Finished {
    client: u64,
    f: F,
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    key: Value,
    #[serde(default, rename = "in", skip_serializing_if = "Value::is_nil")]
    input: Value,
    #[serde(default, rename = "out", skip_serializing_if = "Value::is_nil")]
    output: Value,
    call: Nanos,
    // Not optional to leave out: a misspelt `ret` would make the operation indeterminate.
    #[serde(deserialize_with = "Option::deserialize")]
    ret: Option<Nanos>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    fail: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Arc<str>>,
}

/// Reads a history line by line.
pub(super) fn read(input: impl BufRead) -> Result<Reading, ParseError> {
    const EXPECTED: &str = r#"an operation such as {"client":3,"f":"write","in":7,"call":120,"ret":180}"#;
    let mut lines = Lines::new(input);
    let mut strings = Strings::default();
    let mut ops = Vec::new();
    while let Some(line) = lines.next()? {
        let finished = match Finished::fast(line.bytes, &mut strings) {
            Some(finished) => finished,
            None => serde_json::from_slice(line.bytes)
                .map_err(|error| ParseError::json(line.number, &error, EXPECTED))?,
        };
        let wrong =
            |expected: String, found: String| ParseError { line: line.number, column: 1, expected, found };
        match finished.ret {
            Some(ret) if ret < finished.call => {
                return Err(wrong(
                    format!("a return at {} or later", finished.call),
                    format!("one at {ret}"),
                ));
            }
            None if finished.fail => {
                return Err(wrong("a return of what is known to have failed".into(), "none".into()));
            }
            _ => {}
        }
        ops.push(finished.into_op());
    }
    ops.sort_by_key(|op| (op.call, op.completed.unwrap_or(Nanos::MAX)));
    let renamed = separate_processes(&mut ops);
    events::number(&mut ops);
    let mut notes = Vec::new();
    if renamed > 0 {
        notes.push(format!(
            "{renamed} operations were called while their client had another pending or indeterminate: counted as \
             further processes of the same clients"
        ));
    }
    Ok(Reading { history: History { ops }, format: Format::Finished, timed: true, notes })
}

impl Finished {
    /// The operation on this line, if the line is in exactly the shape that we write and says nothing unusual.
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

/// Gives fresh numbers to processes where a client does several things at once; says how many operations changed.
fn separate_processes(ops: &mut [Op]) -> usize {
    let clients: HashSet<u64> = ops.iter().map(|op| op.process).collect();
    let mut fresh = (0..).filter(|process| !clients.contains(process));
    // The process that each client is now, and when it is free again.
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

/// Writes every operation on a line, by time of invocation.
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
        Ok(read(text.as_bytes())?.history.ops.iter().map(show).collect())
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
        let history = read(text.as_bytes()).unwrap().history;
        let actors: Vec<u64> = history.ops.iter().map(Op::actor).collect();
        assert_eq!(actors, [0, 0, 0, 0, 1]);
        let mut written = Vec::new();
        write(&mut written, &history).unwrap();
        assert_eq!(read(&written[..]).unwrap().history, history);
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, complaint) in [
            (r#"{"client":1,"f":"read","call":5}"#, "1:32: expected an operation such as "),
            (
                r#"{"client":1,"f":"read","value":5,"call":5,"ret":6}"#,
                "unknown field `value`, expected one of",
            ),
            (
                r#"{"client":1,"f":"read","call":5,"ret":4}"#,
                "1:1: expected a return at 5 or later, found one at 4",
            ),
            (
                r#"{"client":1,"f":"cas","call":5,"ret":null,"fail":true}"#,
                "expected a return of what is known",
            ),
            (r#"{"client":1,"f":"cas","call":5.5,"ret":null}"#, "floating point"),
        ] {
            let said = ops(&format!("{text}\n")).unwrap_err().to_string();
            assert!(said.contains(complaint), "{said}");
        }
    }
}
