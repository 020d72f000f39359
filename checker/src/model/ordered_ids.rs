//! A generator of increasing identifiers.

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::Model;
use crate::op::{F, Op, Value};

/// Generate: an integer larger than all earlier ones, as order numbers, revisions and timestamps are: a call
/// that starts after another returned gets a larger number. Gaps are legal. An indeterminate `generate` has
/// no influence on the check: its number is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct OrderedIds;

/// This number was generated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Numbered(pub i64);

impl Model for OrderedIds {
    /// The last number; `None` before the first.
    type State = Option<i64>;
    type Call = Numbered;
    type Next = Option<Option<i64>>;

    fn name(&self) -> &str {
        "ordered-ids"
    }

    fn init(&self) -> Option<i64> {
        None
    }

    fn parse(&self, op: &Op) -> Result<Option<Numbered>, String> {
        match (&op.f, op.output()) {
            (F::Generate, None) => Ok(None),
            (F::Generate, Some(Value::Int(number))) => Ok(Some(Numbered(*number))),
            (F::Generate, Some(_)) => Err("the output of generate to be an integer".into()),
            _ => Err("generate".into()),
        }
    }

    fn step(&self, last: &Option<i64>, Numbered(number): &Numbered) -> Option<Option<i64>> {
        last.is_none_or(|last| last < *number).then_some(Some(*number))
    }

    fn explain(&self, last: &Option<i64>, Numbered(number): &Numbered) -> String {
        format!("it returned {number}, but {} was given already", last.unwrap_or_default())
    }

    fn heap_bytes(&self, _state: &Option<i64>) -> usize {
        0
    }

    fn describe(&self) -> Subject {
        Subject::Ids
    }

    fn show(&self, last: &Option<i64>) -> String {
        last.map_or("none yet".into(), |last| format!("last {last}"))
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::OrderedIds)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::OrderedIds;
    use crate::model::script::{illegal, legal};

    #[test]
    fn numbers_grow_in_real_time() {
        legal(OrderedIds, "1..2 p0 generate -> 7; 3..4 p1 generate -> 9; 5.. p0 generate ?");
        legal(OrderedIds, "1..5 p0 generate -> 9; 2..4 p1 generate -> 7");
        illegal(OrderedIds, "1..2 p0 generate -> 9; 3..4 p1 generate -> 7");
        illegal(OrderedIds, "1..3 p0 generate -> 7; 2..4 p1 generate -> 7");
    }
}
