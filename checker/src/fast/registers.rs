//! Several registers, each checked alone: a refutation in O(n log n), and exact if no transaction connects
//! two registers.
//!
//! A transaction's effect on one register is the value that it found there first and the value that it left
//! there in the end: a read, a write, or a compare-and-set. A legal order of all transactions is a legal
//! order of these for each register. So if one of the registers, each of its values written once, has no
//! legal order (see [`unique_register`]), the whole has none.
//!
//! The converse holds if every transaction touches one register only, because the registers are then separate
//! objects (Herlihy and Wing, TOPLAS 1990, theorem 1). Otherwise the algorithm declines.

use hashbrown::HashMap;

use super::unique_register::{self, Act};
use crate::decision::Decision;
use crate::model::{Access, Model, MultiRegister};
use crate::op::{Op, Value};
use crate::split;

/// One transaction's effect on one register.
struct View {
    register: u32,
    at: u32,
    /// The value found before its own first write.
    found: Option<Value>,
    /// The value it left.
    left: Option<Value>,
}

/// Decides the history of several registers; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    let mut views: Vec<View> = Vec::with_capacity(ops.len());
    let mut registers: HashMap<Value, u32> = HashMap::new();
    let mut joined = false;
    for (at, op) in (0..).zip(ops).filter(|(_, op)| !op.is_fail()) {
        let Ok(call) = MultiRegister.parse(op) else { return Decision::Declined };
        let first = views.len();
        for access in call.into_iter().flatten() {
            let (Access::Read(ref name, _) | Access::Write(ref name, _)) = access;
            let next = registers.len() as u32;
            let register = *registers.entry(name.clone()).or_insert(next);
            let known = views[first..].iter().position(|view| view.register == register);
            let view = known.map_or(views.len(), |known| first + known);
            if known.is_none() {
                views.push(View { register, at, found: None, left: None });
            }
            let View { found, left, .. } = &mut views[view];
            match access {
                Access::Write(_, value) => *left = Some(value),
                Access::Read(_, value) => match left.as_ref().or(found.as_ref()) {
                    Some(there) if *there != value => {
                        return Decision::Illegal { conflict: vec![at as usize] };
                    }
                    Some(_) => {}
                    None => *found = Some(value),
                },
            }
        }
        joined |= views.len() > first + 1;
    }
    // Stable: the views of a register stay in the order of the invocations.
    views.sort_by_key(|view| view.register);
    let mut orders = Vec::new();
    let mut declined = joined;
    for views in views.chunk_by(|a, b| a.register == b.register) {
        let seen: Vec<&Op> = views.iter().map(|view| ops[view.at as usize]).collect();
        let (acts, values) = acts(views);
        let here = |positions: Vec<usize>| positions.into_iter().map(|i| views[i].at as usize).collect();
        match unique_register::decide_acts(&seen, &acts, values) {
            Decision::Legal { order } => orders.push(here(order)),
            Decision::Illegal { conflict } => return Decision::Illegal { conflict: here(conflict) },
            Decision::Declined => declined = true,
        }
    }
    if declined { Decision::Declined } else { Decision::Legal { order: split::merge(ops, &orders) } }
}

/// The acts on one register with its values interned, and the number of values.
fn acts(views: &[View]) -> (Vec<Act>, u32) {
    let mut ids: HashMap<&Value, u32> = HashMap::from([(&Value::Nil, 0)]);
    let mut id = |value| {
        let next = ids.len() as u32;
        *ids.entry(value).or_insert(next)
    };
    let acts = views.iter().map(|view| match (&view.found, &view.left) {
        (None, None) => Act::Nothing,
        (Some(found), None) => Act::Read(id(found)),
        (None, Some(left)) => Act::Write(id(left)),
        (Some(found), Some(left)) => Act::Cas(id(found), id(left)),
    });
    let acts = acts.collect();
    (acts, ids.len() as u32)
}
