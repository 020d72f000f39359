//! A counter.

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::Model;
use crate::op::{F, Op, Value};

/// A number that starts at 0: read; add n, which may return the new value. A read of a counter before any
/// addition may return `nil`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

/// The calls of a [`Counter`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CounterCall {
    /// A read that returned this number.
    Read(i64),
    /// An addition of this number, and the returned sum if there is one.
    Add(i64, Option<i64>),
}

impl Model for Counter {
    type State = i64;
    type Call = CounterCall;
    type Next = Option<i64>;

    fn name(&self) -> &str {
        "counter"
    }

    fn init(&self) -> i64 {
        0
    }

    fn parse(&self, op: &Op) -> Result<Option<CounterCall>, String> {
        match op.f {
            F::Read => match op.output() {
                None => Ok(None),
                Some(Value::Nil) => Ok(Some(CounterCall::Read(0))),
                Some(Value::Int(sum)) => Ok(Some(CounterCall::Read(*sum))),
                Some(_) => Err("the output of read to be an integer".into()),
            },
            F::Add => {
                let n = op.input.as_int().ok_or("the input of add to be an integer")?;
                match op.output() {
                    Some(Value::Int(sum)) => Ok(Some(CounterCall::Add(n, Some(*sum)))),
                    // An addition of 0 that returns nothing has no influence on the check.
                    _ if n == 0 => Ok(None),
                    None | Some(Value::Nil) => Ok(Some(CounterCall::Add(n, None))),
                    Some(_) => Err("the output of add to be the new sum, or nil".into()),
                }
            }
            _ => Err("read or add".into()),
        }
    }

    fn step(&self, state: &i64, call: &CounterCall) -> Option<i64> {
        match *call {
            CounterCall::Read(sum) => (sum == *state).then_some(sum),
            CounterCall::Add(n, returned) => {
                Some(state.wrapping_add(n)).filter(|sum| returned.is_none_or(|returned| returned == *sum))
            }
        }
    }

    fn explain(&self, state: &i64, call: &CounterCall) -> String {
        match call {
            CounterCall::Read(sum) => format!("it returned {sum}, but the counter stands at {state}"),
            CounterCall::Add(n, Some(sum)) => {
                format!("it returned {sum}, but adding {n} to {state} makes {}", state.wrapping_add(*n))
            }
            CounterCall::Add(_, None) => "an addition is always possible".into(),
        }
    }

    fn describe(&self) -> Subject {
        Subject::Counter
    }

    fn show(&self, state: &i64) -> String {
        state.to_string()
    }

    fn heap_bytes(&self, _state: &i64) -> usize {
        0
    }

    fn read_only(&self, call: &CounterCall) -> bool {
        matches!(call, CounterCall::Read(_))
    }

    fn commutes(&self, call: &CounterCall) -> bool {
        matches!(call, CounterCall::Add(_, None))
    }

    fn out_of_reach(&self, state: &i64, call: &CounterCall, by: &CounterCall) -> bool {
        let (CounterCall::Read(from) | CounterCall::Add(_, Some(from))) = *call else { return false };
        let from = if let CounterCall::Add(n, _) = *call { from.wrapping_sub(n) } else { from };
        let CounterCall::Add(by, None) = *by else { return false };
        // Numbers far from the ends of their range do not wrap around.
        let small = by.unsigned_abs() < 1 << 32 && state.unsigned_abs() < 1 << 62;
        small && if by < 0 { *state < from } else { *state > from }
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::Counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_sum_is_out_of_reach_unless_amounts_are_negative() {
        let out = |state: i64, call: &CounterCall, by: i64| {
            Counter.out_of_reach(&state, call, &CounterCall::Add(by, None))
        };
        let (read, add) = (CounterCall::Read(5), CounterCall::Add(2, Some(7)));
        for call in [&read, &add] {
            assert!(out(6, call, 1) && !out(5, call, 1) && !out(4, call, 1));
            assert!(out(4, call, -1) && !out(5, call, -1) && !out(6, call, -1));
        }
        assert!(!out(i64::MAX, &read, 1), "it wraps around");
    }
}
