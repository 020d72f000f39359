//! A FIFO queue.

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::Model;
use crate::model::chain::{Fifo, link_bytes};
use crate::op::{F, Op, Value};

/// First in, first out: enqueue, dequeue (`nil` when it was empty). It starts empty. An indeterminate dequeue
/// took the oldest value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue;

/// The calls of a [`Queue`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueCall {
    /// This value was enqueued.
    Enqueue(Value),
    /// This value was dequeued.
    Dequeue(Value),
    /// A dequeue found the queue empty.
    Empty,
    /// A value was dequeued, but which one is unknown.
    DequeueUnseen,
}

impl Model for Queue {
    /// The values in the queue, the oldest first.
    type State = Fifo<Value>;
    type Call = QueueCall;
    type Next = Option<Fifo<Value>>;

    fn name(&self) -> &str {
        "queue"
    }

    fn init(&self) -> Fifo<Value> {
        Fifo::default()
    }

    fn parse(&self, op: &Op) -> Result<Option<QueueCall>, String> {
        match (&op.f, op.output()) {
            (F::Enqueue, _) if op.input.is_nil() => {
                Err("the input of enqueue to be a value other than nil".into())
            }
            (F::Enqueue, _) => Ok(Some(QueueCall::Enqueue(op.input.clone()))),
            (F::Dequeue, None) => Ok(Some(QueueCall::DequeueUnseen)),
            (F::Dequeue, Some(Value::Nil)) => Ok(Some(QueueCall::Empty)),
            (F::Dequeue, Some(value)) => Ok(Some(QueueCall::Dequeue(value.clone()))),
            _ => Err("enqueue or dequeue".into()),
        }
    }

    fn step(&self, state: &Fifo<Value>, call: &QueueCall) -> Option<Fifo<Value>> {
        match call {
            QueueCall::Enqueue(value) => Some(state.with(value.clone())),
            QueueCall::Dequeue(value) => state.without_first().filter(|_| state.first() == Some(value)),
            QueueCall::Empty => state.is_empty().then(Fifo::default),
            QueueCall::DequeueUnseen => state.without_first(),
        }
    }

    fn explain(&self, state: &Fifo<Value>, call: &QueueCall) -> String {
        match (call, state.first()) {
            (QueueCall::Enqueue(_), _) => "an enqueue is always possible".into(),
            (QueueCall::Dequeue(value), None) => format!("it returned {value}, but the queue is empty"),
            (QueueCall::Dequeue(value), Some(first)) => {
                format!("it returned {value}, but {first} comes first")
            }
            (QueueCall::Empty, first) => {
                format!("it found the queue empty, but {} is in it", first.unwrap_or(&Value::Nil))
            }
            (QueueCall::DequeueUnseen, _) => "the queue is empty".into(),
        }
    }

    fn describe(&self) -> Subject {
        Subject::Queue
    }

    fn show(&self, state: &Fifo<Value>) -> String {
        state.to_string()
    }

    fn heap_bytes(&self, _state: &Fifo<Value>) -> usize {
        link_bytes::<Value>()
    }

    fn read_only(&self, call: &QueueCall) -> bool {
        *call == QueueCall::Empty
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::Queue)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::Queue;
    use crate::model::script::{illegal, legal};

    #[test]
    fn keeps_the_order() {
        legal(
            Queue,
            "1..2 p0 enqueue 1; 3..4 p0 enqueue 2; 5..6 p1 dequeue -> 1; 7..8 p1 dequeue -> 2; 9..10 p1 dequeue -> null",
        );
        illegal(Queue, "1..2 p0 enqueue 1; 3..4 p0 enqueue 2; 5..6 p1 dequeue -> 2");
        legal(Queue, "1..4 p0 enqueue 1; 2..3 p1 enqueue 2; 5..6 p1 dequeue -> 2");
    }

    #[test]
    fn an_indeterminate_dequeue_took_the_first_or_nothing() {
        legal(
            Queue,
            "1..2 p0 enqueue 1; 3..4 p0 enqueue 1; 5.. p1 dequeue ?; 6..7 p2 dequeue -> 1; 8..9 p2 dequeue -> null",
        );
        illegal(
            Queue,
            "1..2 p0 enqueue 1; 3..4 p0 enqueue 2; 6..7 p2 dequeue -> 1; 8..9 p2 dequeue -> null; 10.. p1 dequeue ?",
        );
    }
}
