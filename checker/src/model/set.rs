//! A set of elements.

use std::collections::BTreeSet;

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::{Model, tree_bytes};
use crate::op::{F, Op, Value};

/// A set: add, delete, contains, read of all elements (a list in any order). It starts empty. An `add` may
/// return whether the element was new, a `delete` whether it was present.
///
/// Without reads of the whole set every element is an object of its own, and is checked alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

/// The calls of a [`Set`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SetCall {
    /// An element was added; whether it was new, if the call returned that.
    Add(Value, Option<bool>),
    /// An element was deleted; whether it was present, if the call returned that.
    Delete(Value, Option<bool>),
    /// Whether an element was present.
    Contains(Value, bool),
    /// A read returned these elements, the whole set.
    Read(BTreeSet<Value>),
}

impl Model for Set {
    type State = BTreeSet<Value>;
    type Call = SetCall;
    type Next = Option<BTreeSet<Value>>;

    fn name(&self) -> &str {
        "set"
    }

    fn init(&self) -> BTreeSet<Value> {
        BTreeSet::new()
    }

    fn parse(&self, op: &Op) -> Result<Option<SetCall>, String> {
        let told =
            || op.output().and_then(|output| if let Value::Bool(told) = output { Some(*told) } else { None });
        let element = op.input.clone();
        match (&op.f, op.output()) {
            (F::Add, _) => Ok(Some(SetCall::Add(element, told()))),
            (F::Delete, _) => Ok(Some(SetCall::Delete(element, told()))),
            (F::Contains | F::Read, None) => Ok(None),
            (F::Contains, Some(Value::Bool(there))) => Ok(Some(SetCall::Contains(element, *there))),
            (F::Contains, Some(_)) => Err("the output of contains to be true or false".into()),
            (F::Read, Some(Value::Nil)) => Ok(Some(SetCall::Read(BTreeSet::new()))),
            (F::Read, Some(Value::List(all))) => Ok(Some(SetCall::Read(all.iter().cloned().collect()))),
            (F::Read, Some(_)) => Err("the output of read to be a list of elements".into()),
            _ => Err("add, delete, contains or read".into()),
        }
    }

    fn step(&self, state: &BTreeSet<Value>, call: &SetCall) -> Option<BTreeSet<Value>> {
        match call {
            SetCall::Add(element, told) => {
                let mut next = state.clone();
                let new = next.insert(element.clone());
                told.is_none_or(|told| told == new).then_some(next)
            }
            SetCall::Delete(element, told) => {
                let mut next = state.clone();
                let there = next.remove(element);
                told.is_none_or(|told| told == there).then_some(next)
            }
            SetCall::Contains(element, there) => (state.contains(element) == *there).then(|| state.clone()),
            SetCall::Read(all) => (state == all).then(|| state.clone()),
        }
    }

    fn explain(&self, state: &BTreeSet<Value>, call: &SetCall) -> String {
        let holds =
            |element: &Value| if state.contains(element) { "is in the set" } else { "is not in the set" };
        match call {
            SetCall::Add(element, _) => format!("it returned otherwise, but {element} {}", holds(element)),
            SetCall::Delete(element, _) => format!("it returned otherwise, but {element} {}", holds(element)),
            SetCall::Contains(element, _) => {
                format!("it returned otherwise, but {element} {}", holds(element))
            }
            SetCall::Read(all) => {
                let list =
                    |items: Vec<&Value>| items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                let (missing, extra) =
                    (list(state.difference(all).collect()), list(all.difference(state).collect()));
                match (missing.is_empty(), extra.is_empty()) {
                    (false, true) => format!("it did not return {missing}"),
                    (true, _) => format!("it returned {extra}, which is not in the set"),
                    (false, false) => format!("it did not return {missing}, and returned {extra}"),
                }
            }
        }
    }

    fn describe(&self) -> Subject {
        Subject::Set
    }

    fn show(&self, state: &BTreeSet<Value>) -> String {
        format!("{{{}}}", state.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    fn commutes(&self, call: &SetCall) -> bool {
        matches!(call, SetCall::Add(_, None))
    }

    fn out_of_reach(&self, state: &BTreeSet<Value>, call: &SetCall, _by: &SetCall) -> bool {
        match call {
            SetCall::Contains(element, there) => !there && state.contains(element),
            SetCall::Read(all) => !state.is_subset(all),
            SetCall::Add(..) | SetCall::Delete(..) => false,
        }
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        tree_bytes(state.len(), size_of::<Value>())
    }

    fn read_only(&self, call: &SetCall) -> bool {
        match call {
            SetCall::Add(_, told) | SetCall::Delete(_, told) => *told == Some(false),
            SetCall::Contains(..) | SetCall::Read(_) => true,
        }
    }

    fn components(&self, call: &SetCall) -> Option<Vec<Value>> {
        match call {
            SetCall::Add(element, _) | SetCall::Delete(element, _) | SetCall::Contains(element, _) => {
                Some(vec![element.clone()])
            }
            SetCall::Read(_) => None,
        }
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::Set)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::Set;
    use crate::model::script::{illegal, legal};

    #[test]
    fn a_read_returns_every_element() {
        legal(
            Set,
            "1..2 p0 add 1; 3..4 p0 add 2; 5..6 p1 read -> [2, 1]; 7..8 p0 delete 1; 9..10 p1 read -> [2]",
        );
        illegal(Set, "1..2 p0 add 1; 3..4 p0 add 2; 5..6 p1 read -> [2]");
        illegal(Set, "1..2 p0 add 1; 5..6 p1 read -> [1, 2]");
    }

    #[test]
    fn elements_alone() {
        legal(
            Set,
            "1..2 p0 add 1 -> true; 3..4 p1 contains 1 -> true; 3..4 p2 contains 2 -> false; 5..6 p0 add 1 -> false",
        );
        illegal(Set, "1..2 p0 add 1; 3..4 p1 contains 1 -> false; 3..4 p2 add 2");
        illegal(Set, "1..2 p0 add 1 -> true; 3..4 p1 add 1 -> true");
    }

    #[test]
    fn an_indeterminate_add_may_show_up_late() {
        legal(Set, "1.. p0 add 1 ?; 2..3 p1 contains 1 -> false; 4..5 p1 contains 1 -> true");
        illegal(Set, "1.. p0 add 1 ?; 2..3 p1 read -> [1]; 4..5 p1 read -> []");
    }
}
