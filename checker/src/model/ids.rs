//! A generator of unique identifiers.

use std::collections::BTreeSet;

use crate::explain::Subject;
use crate::model::{Model, tree_bytes};
use crate::op::{F, Op, Value};

/// Generate: an identifier that no other call returns. Every identifier is an object of its own, and is
/// checked alone. An indeterminate `generate` has no influence on the check: its identifier is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ids;

/// This identifier was generated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Generated(pub Value);

impl Model for Ids {
    /// The identifiers in use.
    type State = BTreeSet<Value>;
    type Call = Generated;
    type Next = Option<BTreeSet<Value>>;

    fn name(&self) -> &str {
        "ids"
    }

    fn init(&self) -> BTreeSet<Value> {
        BTreeSet::new()
    }

    fn parse(&self, op: &Op) -> Result<Option<Generated>, String> {
        match op.f {
            F::Generate => Ok(op.output().cloned().map(Generated)),
            _ => Err("generate".into()),
        }
    }

    fn step(&self, used: &BTreeSet<Value>, Generated(id): &Generated) -> Option<BTreeSet<Value>> {
        let mut next = used.clone();
        next.insert(id.clone()).then_some(next)
    }

    fn explain(&self, _: &BTreeSet<Value>, Generated(id): &Generated) -> String {
        format!("it returned {id}, which is in use")
    }

    fn describe(&self) -> Subject {
        Subject::Ids
    }

    fn show(&self, used: &BTreeSet<Value>) -> String {
        match used.len() {
            0..=8 => {
                format!("in use: {}", used.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            }
            many => format!("{many} identifiers in use"),
        }
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        tree_bytes(state.len(), size_of::<Value>())
    }

    fn components(&self, Generated(id): &Generated) -> Option<Vec<Value>> {
        Some(vec![id.clone()])
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::Ids;
    use crate::model::script::{illegal, legal};

    #[test]
    fn no_id_is_generated_twice() {
        legal(Ids, "1..3 p0 generate -> 7; 2..4 p1 generate -> 8; 5.. p0 generate ?");
        illegal(Ids, "1..3 p0 generate -> 7; 2..4 p1 generate -> 8; 5..6 p2 generate -> 7");
    }
}
