//! A set that has to be correct only in the end (eventual consistency).

use std::collections::BTreeSet;

use super::Set;
use super::set::SetCall;
use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::{Model, tree_bytes};
use crate::op::{F, Op, Value};

/// The input of a final read, which is sent after the faults are healed and the nodes have had time to
/// converge.
pub const FINAL: &str = "final";

/// A set of which only the *final* reads are judged, those whose input is the text `final`: each must return
/// every element whose addition was acknowledged, and none that was never added. Any result of an earlier
/// read is legal, because a replica may lag.
///
/// This expresses eventual consistency as linearizability of a weaker object, so that a lost element gets the
/// same evidence as any violation: the minimal counterexample, the sentence, the drawing. An indeterminate
/// addition may be present or absent in the end, but equally for all final reads: replicas that disagree have
/// not converged.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConvergentSet;

/// Whether this operation is not judged.
pub(crate) fn is_vacuous(op: &Op) -> bool {
    op.f == F::Read && op.input != Value::str(FINAL)
}

impl Model for ConvergentSet {
    type State = BTreeSet<Value>;
    type Call = SetCall;
    type Next = Option<BTreeSet<Value>>;

    fn name(&self) -> &str {
        "convergent-set"
    }

    fn init(&self) -> BTreeSet<Value> {
        Set.init()
    }

    fn parse(&self, op: &Op) -> Result<Option<SetCall>, String> {
        let call = match op.f {
            F::Add => Some(SetCall::Add(op.input.clone(), None)),
            F::Read => Set.parse(op)?,
            _ => return Err("add or read".into()),
        };
        Ok(call.filter(|_| !is_vacuous(op)))
    }

    fn step(&self, state: &BTreeSet<Value>, call: &SetCall) -> Option<BTreeSet<Value>> {
        Set.step(state, call)
    }

    fn explain(&self, state: &BTreeSet<Value>, call: &SetCall) -> String {
        Set.explain(state, call)
    }

    fn describe(&self) -> Subject {
        Subject::Replicas
    }

    fn show(&self, state: &BTreeSet<Value>) -> String {
        Set.show(state)
    }

    fn commutes(&self, call: &SetCall) -> bool {
        Set.commutes(call)
    }

    fn out_of_reach(&self, state: &BTreeSet<Value>, call: &SetCall, by: &SetCall) -> bool {
        Set.out_of_reach(state, call, by)
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        tree_bytes(state.len(), size_of::<Value>())
    }

    fn read_only(&self, call: &SetCall) -> bool {
        Set.read_only(call)
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::ConvergentSet)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::ConvergentSet;
    use crate::model::script::{illegal, legal};

    #[test]
    fn only_final_reads_are_judged() {
        legal(ConvergentSet, "1..2 p0 add 1; 3..4 p1 read -> [2]; 5..6 p1 read \"final\" -> [1]");
        illegal(ConvergentSet, "1..2 p0 add 1; 3..4 p0 add 2; 5..6 p1 read \"final\" -> [1]");
        illegal(ConvergentSet, "1..2 p0 add 1; 5..6 p1 read \"final\" -> [1, 2]");
    }

    #[test]
    fn an_indeterminate_addition_is_in_all_final_reads_or_in_none() {
        legal(ConvergentSet, "1.. p0 add 1 ?; 3..4 p1 read \"final\" -> [1]; 5..6 p2 read \"final\" -> [1]");
        legal(ConvergentSet, "1.. p0 add 1 ?; 3..4 p1 read \"final\" -> []; 5..6 p2 read \"final\" -> []");
        illegal(ConvergentSet, "1.. p0 add 1 ?; 3..4 p1 read \"final\" -> [1]; 5..6 p2 read \"final\" -> []");
    }
}
