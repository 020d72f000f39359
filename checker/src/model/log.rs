//! An append-only log.

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::Model;
use crate::model::chain::{Chain, link_bytes};
use crate::op::{F, Op, Value};

/// A log: append (which may return the offset, counted from 0), read of the whole log. It starts empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log;

/// The calls of a [`Log`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogCall {
    /// A value was appended, at this offset if it returned one.
    Append(Value, Option<i64>),
    /// A read returned these values, the whole log.
    Read(Vec<Value>),
}

impl Model for Log {
    /// The values, the oldest first.
    type State = Chain<Value>;
    type Call = LogCall;
    type Next = Option<Chain<Value>>;

    fn name(&self) -> &str {
        "log"
    }

    fn init(&self) -> Chain<Value> {
        Chain::default()
    }

    fn parse(&self, op: &Op) -> Result<Option<LogCall>, String> {
        match (&op.f, op.output()) {
            (F::Append, Some(Value::Int(offset))) => {
                Ok(Some(LogCall::Append(op.input.clone(), Some(*offset))))
            }
            (F::Append, None | Some(Value::Nil)) => Ok(Some(LogCall::Append(op.input.clone(), None))),
            (F::Append, Some(_)) => Err("the output of append to be an offset, or nil".into()),
            (F::Read, None) => Ok(None),
            (F::Read, Some(Value::Nil)) => Ok(Some(LogCall::Read(Vec::new()))),
            (F::Read, Some(Value::List(all))) => Ok(Some(LogCall::Read(all.to_vec()))),
            (F::Read, Some(_)) => Err("the output of read to be a list".into()),
            _ => Err("append or read".into()),
        }
    }

    fn step(&self, state: &Chain<Value>, call: &LogCall) -> Option<Chain<Value>> {
        match call {
            LogCall::Append(value, offset) => {
                let fits = offset.is_none_or(|offset| offset == state.len() as i64);
                fits.then(|| state.with(value.clone()))
            }
            LogCall::Read(all) => {
                let same = all.len() == state.len() && all.iter().rev().eq(state.iter_back());
                same.then(|| state.clone())
            }
        }
    }

    fn explain(&self, state: &Chain<Value>, call: &LogCall) -> String {
        match call {
            LogCall::Append(_, offset) => {
                format!(
                    "it returned offset {}, but the log has {} values",
                    offset.unwrap_or_default(),
                    state.len()
                )
            }
            LogCall::Read(all) => match (0..).zip(all).find_map(|(at, read)| {
                Some((at, read, state.get(at)?)).filter(|&(_, read, there)| read != there)
            }) {
                Some((at, read, there)) => {
                    format!("it returned {read} at offset {at}, where the log has {there}")
                }
                None => format!("it returned {} values, but the log has {}", all.len(), state.len()),
            },
        }
    }

    fn describe(&self) -> Subject {
        Subject::Log
    }

    fn show(&self, state: &Chain<Value>) -> String {
        state.to_string()
    }

    fn heap_bytes(&self, _state: &Chain<Value>) -> usize {
        link_bytes::<Value>()
    }

    fn read_only(&self, call: &LogCall) -> bool {
        matches!(call, LogCall::Read(_))
    }

    fn is_over(&self, state: &Chain<Value>, call: &LogCall) -> bool {
        match call {
            LogCall::Append(_, offset) => offset.is_some_and(|offset| offset < state.len() as i64),
            LogCall::Read(all) => all.len() < state.len(),
        }
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::Log)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::Log;
    use crate::model::script::{illegal, legal};

    #[test]
    fn offsets_and_reads_agree() {
        legal(Log, "1..4 p0 append 1 -> 1; 2..3 p1 append 2 -> 0; 5..6 p0 read -> [2, 1]");
        illegal(Log, "1..2 p0 append 1; 3..4 p1 append 2; 5..6 p0 read -> [2, 1]");
        illegal(Log, "1..2 p0 append 1 -> 1");
    }

    #[test]
    fn an_indeterminate_append_is_there_or_not() {
        legal(Log, "1.. p0 append 1 ?; 2..3 p1 append 2; 4..5 p1 read -> [2]; 6..7 p1 read -> [2, 1]");
        illegal(Log, "1.. p0 append 1 ?; 2..3 p1 append 2; 4..5 p1 read -> [2]; 6..7 p1 read -> [1, 2]");
    }
}
