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
use crate::part::Reading;
use crate::space::{ClassId, Space};

/// The readings of each component, in the order of their first ones; `None` if some call is not about one component,
/// or all are about the same.
pub(crate) fn components<M: Model>(space: &Space<'_, M>, readings: &[Reading]) -> Option<Vec<Vec<Reading>>> {
    let mut known: HashMap<Value, usize> = HashMap::new();
    let mut component_of: Vec<usize> = Vec::new();
    for class in 0..space.len().1 {
        let component = space.model().component(space.call(class as ClassId))?;
        let next = known.len();
        component_of.push(*known.entry(component).or_insert(next));
    }
    if known.len() < 2 {
        return None;
    }
    let mut components: Vec<Vec<Reading>> = vec![Vec::new(); known.len()];
    readings.iter().for_each(|reading| components[component_of[reading.class as usize]].push(*reading));
    components.retain(|readings| !readings.is_empty());
    Some(components)
}

/// The readings of one component, with a space of their own: small objects are learned and looked up faster.
pub(crate) fn alone<'m, M: Model>(
    all: &Space<'m, M>,
    mut readings: Vec<Reading>,
) -> (Space<'m, M>, Vec<Reading>) {
    let mut space = Space::new(all.model());
    let mut class_of: HashMap<ClassId, ClassId> = HashMap::new();
    for reading in &mut readings {
        let class = class_of.entry(reading.class);
        reading.class = *class.or_insert_with(|| space.adopt(all, reading.class));
    }
    (space, readings)
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
