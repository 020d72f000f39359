//! Smaller objects inside an object: the elements of a set, or registers that no transaction connects.
//!
//! If every call of a part names [the components that it touches](crate::model::Model::components), then
//! components that no chain of calls connects are independent objects. By locality (Herlihy and Wing, TOPLAS
//! 1990, theorem 1) the part is linearizable exactly if each of them is. Their orders are then merged into
//! one.
//!
//! The merge: in the order of a component, let each operation take effect at the latest invocation up to it.
//! No operation returned before an earlier one of the order was invoked, so that instant lies in its
//! interval. All operations in the order of these instants, with ties broken by component, are legal and
//! agree with real time.

use hashbrown::HashMap;

use crate::model::Model;
use crate::op::{Nanos, Op, Value};
use crate::part::Reading;
use crate::space::{ClassId, ModelSpace};

/// The readings of each component, the smallest first; `None` if some call does not name its components, or
/// there is only one.
pub(crate) fn components<M: Model>(
    space: &ModelSpace<'_, M>,
    readings: &[Reading],
) -> Option<Vec<Vec<Reading>>> {
    let touched = (0..space.len().1).map(|class| space.model().components(space.call(class as ClassId)));
    connected(&touched.collect::<Option<Vec<_>>>()?, readings)
}

/// The same, with the components that each class of calls touches.
fn connected(touched_by: &[Vec<Value>], readings: &[Reading]) -> Option<Vec<Vec<Reading>>> {
    let mut known: HashMap<&Value, u32> = HashMap::new();
    let mut groups = Groups::default();
    let mut touched: Vec<u32> = Vec::new();
    for parts in touched_by {
        let mut first = None;
        for part in parts {
            let part = *known.entry(part).or_insert_with(|| groups.add());
            groups.join(*first.get_or_insert(part), part);
        }
        touched.push(first?);
    }
    let mut number: HashMap<u32, usize> = HashMap::new();
    let mut components: Vec<Vec<Reading>> = Vec::new();
    for reading in readings {
        let next = components.len();
        let at = *number.entry(groups.find(touched[reading.class as usize])).or_insert(next);
        if at == next {
            components.push(Vec::new());
        }
        components[at].push(*reading);
    }
    // The small ones first: a hard one must not use up the budget of the others.
    components.sort_by_key(Vec::len);
    (components.len() > 1).then_some(components)
}

/// A union-find forest.
#[derive(Default)]
struct Groups {
    above: Vec<u32>,
}

impl Groups {
    /// Adds a new item, alone in its group.
    fn add(&mut self) -> u32 {
        self.above.push(self.above.len() as u32);
        self.above.len() as u32 - 1
    }

    /// The representative of this item's group.
    fn find(&mut self, mut at: u32) -> u32 {
        while self.above[at as usize] != at {
            let above = self.above[at as usize];
            self.above[at as usize] = self.above[above as usize];
            at = above;
        }
        at
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.find(a), self.find(b));
        self.above[b as usize] = a;
    }
}

/// The readings of one component, with a space of their own, because small objects are learned and looked up
/// faster.
pub(crate) fn alone<'m, M: Model>(
    all: &ModelSpace<'m, M>,
    mut readings: Vec<Reading>,
) -> (ModelSpace<'m, M>, Vec<Reading>) {
    let mut space = ModelSpace::new(all.model());
    let mut class_of: HashMap<ClassId, ClassId> = HashMap::new();
    for reading in &mut readings {
        let class = class_of.entry(reading.class);
        reading.class = *class.or_insert_with(|| space.adopt(all, reading.class));
    }
    space.merge_states();
    (space, readings)
}

/// Merges the orders of all components into one.
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
