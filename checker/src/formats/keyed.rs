//! Values that contain the key: `[key value]` in place of every value, as `jepsen.independent` writes them.
//!
//! A printed pair does not show whether it is a key and a value. With
//! [`Options::independent`](super::Options::independent) every value is split. Without it values are split if
//! there is no doubt: every client's invocation has a pair with a plain key, every output is a pair, every
//! read invokes `[key nil]`, and the history has a read or a compare-and-set of this shape. No register,
//! queue or set invokes reads with a value at all, or compares with more than two values. If there are only
//! writes the answer is unknown, and a note says so. A compare-and-set is `[key [from to]]`, or `[key from
//! to]`.
//!
//! A completion under another key than its invocation is an error.
//!
//! A store may be read by the key alone: `{:f :get :value "x"}` beside `{:f :put :value ["x" 1]}`. If no get
//! carries anything else, and some get returned another value than it was invoked with, the value of a get is
//! the key.

use std::collections::HashMap;

use super::{ParseError, Place};
use crate::op::{Event, F, Kind, Op, Outcome, Value};

/// Whether the value of a get or a delete is a key, provided that values contain keys at all.
pub(super) fn is_asked_by_key(op: &Op) -> bool {
    matches!(op.f, F::Get | F::Delete) && is_plain(&op.input)
}

fn is_plain(key: &Value) -> bool {
    !matches!(key, Value::Nil | Value::List(_))
}

/// Splits a value of an operation with this name into key and value.
pub(super) fn split(f: &F, value: &Value) -> Option<(Value, Value)> {
    match (f, value) {
        (F::Cas, Value::List(items)) if items.len() == 3 => {
            Some((items[0].clone(), Value::pair(items[1].clone(), items[2].clone())))
        }
        _ => {
            let (key, value) = value.as_pair()?;
            let fits = *f != F::Cas || value.is_nil() || value.as_pair().is_some();
            fits.then(|| (key.clone(), value.clone()))
        }
    }
}

/// Splits all values of an operation.
pub(super) fn take_apart(op: &mut Op) {
    if is_asked_by_key(op) {
        op.key = std::mem::take(&mut op.input);
        if let Outcome::Ok(output) = &mut op.outcome
            && let Some((_, value)) = split(&op.f, output).filter(|(key, _)| *key == op.key)
        {
            *output = value;
        }
        return;
    }
    let Some((key, input)) = split(&op.f, &op.input) else { return };
    (op.key, op.input) = (key, input);
    if let Outcome::Ok(output) = &mut op.outcome
        && let Some((_, value)) = split(&op.f, output)
    {
        *output = value;
    }
}

/// Whether values contain their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// Certain: the values can be nothing else.
    Sure,
    /// Likely.
    Perhaps,
    No,
}

/// Whether the values of these operations contain their keys.
pub(super) fn guess(ops: &[Op]) -> Guess {
    let by_key = |op: &Op| op.f == F::Get && is_asked_by_key(op);
    let returned_another = |op: &Op| by_key(op) && op.output().is_some_and(|output| *output != op.input);
    let asked_by_key = ops.iter().any(returned_another) && ops.iter().all(|op| op.f != F::Get || by_key(op));
    let fits = |op: &Op| {
        if asked_by_key && is_asked_by_key(op) {
            return op.key.is_nil();
        }
        let Some((key, input)) = split(&op.f, &op.input) else { return false };
        op.key.is_nil()
            && is_plain(&key)
            && op.output().is_none_or(|output| split(&op.f, output).is_some())
            && (op.f != F::Read || input.is_nil())
    };
    // `cas [x nil]` may be one of key x, or one from x to nil.
    let is_proof = |op: &Op| match op.f {
        F::Cas => split(&op.f, &op.input).is_some_and(|(_, value)| !value.is_nil()),
        _ => op.f == F::Read,
    };
    match ops.iter().all(fits) {
        _ if ops.is_empty() => Guess::No,
        false => Guess::No,
        true if asked_by_key => Guess::Sure,
        true if ops.iter().any(is_proof) => Guess::Sure,
        true => Guess::Perhaps,
    }
}

/// Looks for the first operation whose completion names another key than its invocation, in case values
/// contain keys.
#[derive(Default)]
pub(super) struct Keys {
    open: HashMap<u64, Value>,
    wrong: Option<ParseError>,
}

impl Keys {
    pub(super) fn see(&mut self, event: &Event, place: Place) {
        if self.wrong.is_some() {
            return;
        }
        let key = split(&event.f, &event.value).map(|(key, _)| key);
        match (event.kind, key) {
            (Kind::Invoke, Some(key)) => drop(self.open.insert(event.process, key)),
            (Kind::Ok, Some(key)) => {
                let open = self.open.remove(&event.process);
                if let Some(asked) = open.filter(|asked| *asked != key) {
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

    pub(super) fn agree(self) -> Result<(), ParseError> {
        self.wrong.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compare_and_set_carries_its_key_in_two_shapes() {
        let list = |items: &[i64]| Value::List(items.iter().map(|&item| Value::Int(item)).collect());
        let pair = Value::pair(1, 2);
        let expected = Some((Value::Int(7), pair.clone()));
        assert_eq!(split(&F::Cas, &list(&[7, 1, 2])), expected);
        assert_eq!(split(&F::Cas, &Value::pair(7, pair)), expected);
        assert_eq!(split(&F::Cas, &list(&[1, 2])), None);
        assert_eq!(split(&F::Write, &list(&[7, 1])), Some((Value::Int(7), Value::Int(1))));
        assert_eq!(split(&F::Write, &list(&[7, 1, 2])), None);
    }

    #[test]
    fn a_get_may_carry_its_key_alone() {
        let put = Op::new(0, 1, F::Put, Value::pair("x", 1)).returned(2, Value::pair("x", 1));
        let get = |output: i64| Op::new(1, 3, F::Get, "x").returned(4, output);
        assert_eq!(guess(&[put.clone(), get(1)]), Guess::Sure);
        let filled_in = Op::new(1, 3, F::Get, 1).returned(4, 1);
        assert_eq!(guess(&[put.clone(), filled_in]), Guess::No, "some fill in what was returned");
        assert_eq!(
            guess(&[Op::new(0, 1, F::Put, 1).returned(2, ()), get(1)]),
            Guess::No,
            "which key was put?"
        );
        let mut op = get(1);
        take_apart(&mut op);
        assert_eq!(op, Op::new(1, 3, F::Get, ()).on("x").returned(4, 1));
    }
}
