//! Smaller objects inside an object: the elements of a set, say.
//!
//! When every call of a part names the [component](crate::model::Model::component) it is about, the components are
//! objects of their own, and by locality (Herlihy and Wing, TOPLAS 1990, theorem 1) the part is linearizable exactly
//! when each of them is. Their orders are then merged into one.
//!
//! The merge: in the order of a component, let each operation take effect at the latest call up to it. No operation
//! returned before an earlier one of the order was called, so that instant lies in its interval. All operations in the
//! order of these instants, and at one instant component by component, are legal and agree with real time.

use hashbrown::HashMap;

use crate::model::Model;
use crate::op::{Nanos, Op, Value};

/// The positions of the operations of each component, in the order of their first operations; `None` if some call
/// is not about one component, or all are about the same. Operations that say nothing belong to none.
pub(crate) fn components<M: Model>(model: &M, ops: &[&Op]) -> Option<Vec<Vec<usize>>> {
    let mut known: HashMap<Value, usize> = HashMap::new();
    let mut components: Vec<Vec<usize>> = Vec::new();
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
        let Some(call) = model.parse(op).ok()? else { continue };
        if op.is_info() && model.read_only(&call) {
            continue;
        }
        let component = *known.entry(model.component(&call)?).or_insert(components.len());
        if component == components.len() {
            components.push(Vec::new());
        }
        components[component].push(at);
    }
    (components.len() > 1).then_some(components)
}

/// One order out of the orders of all components.
pub(crate) fn merge(ops: &[&Op], orders: &[Vec<usize>]) -> Vec<usize> {
    let mut instants: Vec<(Nanos, usize)> = Vec::new();
    for order in orders {
        let mut now = 0;
        for &at in order {
            now = now.max(ops[at].call);
            instants.push((now, at));
        }
    }
    instants.sort_by_key(|&(instant, _)| instant);
    instants.into_iter().map(|(_, at)| at).collect()
}
