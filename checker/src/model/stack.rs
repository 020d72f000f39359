//! A stack.

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::Model;
use crate::model::chain::{Chain, link_bytes};
use crate::op::{F, Op, Value};

/// Last in, first out: push, pop (`nil` when it was empty). It starts empty. An indeterminate pop took the
/// top value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stack;

/// The calls of a [`Stack`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StackCall {
    /// This value was pushed.
    Push(Value),
    /// This value was popped.
    Pop(Value),
    /// A pop found the stack empty.
    Empty,
    /// A value was popped, but which one is unknown.
    PopUnseen,
}

impl Model for Stack {
    /// The values on the stack, the top last.
    type State = Chain<Value>;
    type Call = StackCall;
    type Next = Option<Chain<Value>>;

    fn name(&self) -> &str {
        "stack"
    }

    fn init(&self) -> Chain<Value> {
        Chain::default()
    }

    fn parse(&self, op: &Op) -> Result<Option<StackCall>, String> {
        match (&op.f, op.output()) {
            (F::Push, _) if op.input.is_nil() => Err("the input of push to be a value other than nil".into()),
            (F::Push, _) => Ok(Some(StackCall::Push(op.input.clone()))),
            (F::Pop, None) => Ok(Some(StackCall::PopUnseen)),
            (F::Pop, Some(Value::Nil)) => Ok(Some(StackCall::Empty)),
            (F::Pop, Some(value)) => Ok(Some(StackCall::Pop(value.clone()))),
            _ => Err("push or pop".into()),
        }
    }

    fn step(&self, state: &Chain<Value>, call: &StackCall) -> Option<Chain<Value>> {
        match (call, state.split_last()) {
            (StackCall::Push(value), _) => Some(state.with(value.clone())),
            (StackCall::Pop(value), Some((top, rest))) => (top == value).then(|| rest.clone()),
            (StackCall::PopUnseen, Some((_, rest))) => Some(rest.clone()),
            (StackCall::Pop(_) | StackCall::PopUnseen, None) => None,
            (StackCall::Empty, top) => top.is_none().then(Chain::default),
        }
    }

    fn explain(&self, state: &Chain<Value>, call: &StackCall) -> String {
        match (call, state.split_last().map(|(top, _)| top)) {
            (StackCall::Push(_), _) => "a push is always possible".into(),
            (StackCall::Pop(value), None) => format!("it returned {value}, but the stack is empty"),
            (StackCall::Pop(value), Some(top)) => format!("it returned {value}, but {top} is on top"),
            (StackCall::Empty, top) => {
                format!("it found the stack empty, but {} is on top", top.unwrap_or(&Value::Nil))
            }
            (StackCall::PopUnseen, _) => "the stack is empty".into(),
        }
    }

    fn describe(&self) -> Subject {
        Subject::Bag
    }

    fn show(&self, state: &Chain<Value>) -> String {
        state.to_string()
    }

    fn heap_bytes(&self, _state: &Chain<Value>) -> usize {
        link_bytes::<Value>()
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::Stack)
    }

    fn read_only(&self, call: &StackCall) -> bool {
        *call == StackCall::Empty
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::Stack;
    use crate::model::script::{illegal, legal};

    #[test]
    fn the_last_comes_first() {
        legal(
            Stack,
            "1..2 p0 push 1; 3..4 p0 push 2; 5..6 p1 pop -> 2; 7..8 p1 pop -> 1; 9..10 p1 pop -> null",
        );
        illegal(Stack, "1..2 p0 push 1; 3..4 p0 push 2; 5..6 p1 pop -> 1");
    }

    #[test]
    fn an_indeterminate_pop_took_the_top_or_nothing() {
        legal(Stack, "1..2 p0 push 1; 3..4 p0 push 2; 5.. p1 pop ?; 6..7 p2 pop -> 1");
        illegal(Stack, "1..2 p0 push 1; 3..4 p0 push 2; 5.. p1 pop ?; 6..7 p2 pop -> null");
    }
}
