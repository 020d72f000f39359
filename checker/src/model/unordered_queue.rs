//! A queue without an order.

use std::collections::BTreeMap;

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::{Model, tree_bytes};
use crate::op::{F, Op, Value};

/// A bag: enqueue, dequeue of any value in it (`nil` when it was empty). It starts empty. An indeterminate
/// dequeue took any value, so it has several successor states.
///
/// Without empty and indeterminate dequeues every value is an object of its own, and is checked alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnorderedQueue;

/// The calls of an [`UnorderedQueue`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BagCall {
    /// This value was enqueued.
    Enqueue(Value),
    /// This value was dequeued.
    Dequeue(Value),
    /// A dequeue found the queue empty.
    Empty,
    /// A value was dequeued, but which one is unknown.
    DequeueUnseen,
}

impl Model for UnorderedQueue {
    /// The values in the queue, each with its count.
    type State = BTreeMap<Value, u32>;
    type Call = BagCall;
    type Next = Vec<Self::State>;

    fn name(&self) -> &str {
        "unordered-queue"
    }

    fn init(&self) -> Self::State {
        BTreeMap::new()
    }

    fn parse(&self, op: &Op) -> Result<Option<BagCall>, String> {
        match (&op.f, op.output()) {
            (F::Enqueue, _) if op.input.is_nil() => {
                Err("the input of enqueue to be a value other than nil".into())
            }
            (F::Enqueue, _) => Ok(Some(BagCall::Enqueue(op.input.clone()))),
            (F::Dequeue, None) => Ok(Some(BagCall::DequeueUnseen)),
            (F::Dequeue, Some(Value::Nil)) => Ok(Some(BagCall::Empty)),
            (F::Dequeue, Some(value)) => Ok(Some(BagCall::Dequeue(value.clone()))),
            _ => Err("enqueue or dequeue".into()),
        }
    }

    fn step(&self, state: &Self::State, call: &BagCall) -> Vec<Self::State> {
        let without = |value: &Value| {
            let mut next = state.clone();
            let number = next.get_mut(value)?;
            *number -= 1;
            if *number == 0 {
                next.remove(value);
            }
            Some(next)
        };
        match call {
            BagCall::Enqueue(value) => {
                let mut next = state.clone();
                *next.entry(value.clone()).or_default() += 1;
                vec![next]
            }
            BagCall::Dequeue(value) => without(value).into_iter().collect(),
            BagCall::Empty => {
                if state.is_empty() {
                    vec![BTreeMap::new()]
                } else {
                    Vec::new()
                }
            }
            BagCall::DequeueUnseen => state.keys().filter_map(without).collect(),
        }
    }

    fn explain(&self, state: &Self::State, call: &BagCall) -> String {
        match call {
            BagCall::Enqueue(_) => "an enqueue is always possible".into(),
            BagCall::Dequeue(value) => format!("it returned {value}, which is not in the queue"),
            BagCall::Empty => format!("it found the queue empty, but it holds {}", self.show(state)),
            BagCall::DequeueUnseen => "the queue is empty".into(),
        }
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::UnorderedQueue)
    }

    fn describe(&self) -> Subject {
        Subject::Bag
    }

    fn show(&self, state: &Self::State) -> String {
        let all: Vec<Value> = state
            .iter()
            .flat_map(|(value, &number)| std::iter::repeat_n(value.clone(), number as usize))
            .collect();
        Value::List(all.into()).to_string()
    }

    fn commutes(&self, call: &BagCall) -> bool {
        matches!(call, BagCall::Enqueue(_))
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        tree_bytes(state.len(), size_of::<(Value, u32)>())
    }

    fn read_only(&self, call: &BagCall) -> bool {
        *call == BagCall::Empty
    }

    fn components(&self, call: &BagCall) -> Option<Vec<Value>> {
        match call {
            BagCall::Enqueue(value) | BagCall::Dequeue(value) => Some(vec![value.clone()]),
            BagCall::Empty | BagCall::DequeueUnseen => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::UnorderedQueue;
    use crate::model::script::{illegal, legal};

    #[test]
    fn a_value_is_dequeued_once() {
        legal(
            UnorderedQueue,
            "1..2 p0 enqueue 1; 3..4 p0 enqueue 2; 5..6 p1 dequeue -> 2; 7..8 p1 dequeue -> 1",
        );
        illegal(UnorderedQueue, "1..2 p0 enqueue 1; 5..6 p1 dequeue -> 1; 7..8 p1 dequeue -> 1");
        illegal(UnorderedQueue, "1..2 p0 enqueue 1; 3..4 p1 dequeue -> null");
    }

    #[test]
    fn an_indeterminate_dequeue_took_any_value_or_none() {
        let taken = "1..2 p0 enqueue 1; 3..4 p0 enqueue 2; 5.. p1 dequeue ?";
        legal(UnorderedQueue, &format!("{taken}; 6..7 p2 dequeue -> 2; 8..9 p2 dequeue -> null"));
        legal(UnorderedQueue, &format!("{taken}; 6..7 p2 dequeue -> 1; 8..9 p2 dequeue -> null"));
        illegal(UnorderedQueue, &format!("{taken}; 8..9 p2 dequeue -> null"));
    }
}
