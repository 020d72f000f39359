//! An append-only list or log: exact in O(n log n + total length of the reads).
//!
//! A read returns the whole list, so it shows the order of all appends before it; an append may return its
//! offset, which shows its position. No value is appended twice, so the history identifies the append at each
//! position.
//!
//! ```text
//!   place      0          1          2          3
//!           append a · append c · append b · append d        forced by  read → [a c b],  append d → 3
//! ```
//!
//! Every read must be a prefix of the longest one, and reads and offsets must agree. Positions that neither
//! of them identifies lie after the longest read and before some offset. They are filled with indeterminate
//! appends, in the order of their invocations, because these appends differ in nothing else (exchange
//! argument). Appends of unknown position come last. All of this is forced, so the history is legal iff this
//! order agrees with real time. An indeterminate append without a position is dropped.
//!
//! The write order is known: Gibbons and Korach, "Testing shared memories", SIAM J. Comput. 26(4), 1997, §4;
//! used for list-append by Kingsbury and Alvaro, "Elle", VLDB 2020.
//!
//! Precondition: appends and whole reads only, no value appended twice; completed appends of unknown position
//! only if no position is open.

use hashbrown::HashMap;

use super::{broken, contradiction};
use crate::decision::Decision;
use crate::op::{F, Op, Outcome, Value};

const NONE: usize = usize::MAX;

/// Decides the history of an append-only list; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    let mut by_value: HashMap<&Value, usize> = HashMap::with_capacity(ops.len());
    let mut reads: Vec<(&[Value], usize)> = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        match (&op.f, &op.outcome) {
            (_, Outcome::Fail) | (F::Read, Outcome::Info) => {}
            (F::Append, _) if by_value.insert(&op.input, at).is_some() => return Decision::Declined,
            (F::Append, Outcome::Info | Outcome::Ok(Value::Nil | Value::Int(_))) => {}
            (F::Read, Outcome::Ok(Value::List(seen))) => reads.push((seen, at)),
            (F::Read, Outcome::Ok(Value::Nil)) => reads.push((&[], at)),
            _ => return Decision::Declined,
        }
    }
    reads.sort_by_key(|&(seen, at)| (seen.len(), at));
    let places = match places(ops, &by_value, &reads) {
        Ok(places) => places,
        Err(conflict) => return Decision::Illegal { conflict },
    };
    let Some(appends) = fill(ops, &by_value, places) else { return Decision::Declined };

    let mut reads = reads.into_iter().peekable();
    let mut order = Vec::with_capacity(ops.len());
    for (length, at) in appends.into_iter().enumerate() {
        order.extend(
            std::iter::from_fn(|| reads.next_if(|read| read.0.len() <= length)).map(|(_, read)| read),
        );
        if at == NONE {
            // Not even all indeterminate appends suffice to reach the returned offset.
            let told = ops.iter().rposition(|op| matches!(op.output(), Some(Value::Int(_))));
            return Decision::Illegal { conflict: told.into_iter().collect() };
        }
        order.push(at);
    }
    order.extend(reads.map(|(_, read)| read));
    match contradiction(ops, &order) {
        Some(pair) if !broken("log: real time") => Decision::Illegal { conflict: pair.into() },
        _ => Decision::Legal { order },
    }
}

/// The append at each position, as far as reads and offsets identify it (otherwise `NONE`).
fn places(
    ops: &[&Op],
    by_value: &HashMap<&Value, usize>,
    reads: &[(&[Value], usize)],
) -> Result<Vec<usize>, Vec<usize>> {
    let (longest, longest_at) = reads.last().copied().unwrap_or((&[], NONE));
    for &(seen, at) in reads {
        if *seen != longest[..seen.len()] && !broken("log: reads are prefixes of each other") {
            return Err(vec![at, longest_at]);
        }
    }
    let mut place_of: Vec<usize> = vec![NONE; ops.len()];
    let mut places = Vec::with_capacity(by_value.len());
    for value in longest {
        let Some(&append) = by_value.get(value) else { return Err(vec![longest_at]) };
        if place_of[append] != NONE && !broken("log: an append takes one place") {
            return Err(vec![append, longest_at]);
        }
        place_of[append] = places.len();
        places.push(append);
    }
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| op.f == F::Append) {
        let Some(Value::Int(told)) = op.output() else { continue };
        let told =
            usize::try_from(*told).ok().filter(|&place| place < by_value.len()).ok_or_else(|| vec![at])?;
        if places.len() <= told {
            places.resize(told + 1, NONE);
        }
        let disagrees = (place_of[at] != NONE && place_of[at] != told) || ![NONE, at].contains(&places[told]);
        if disagrees && !broken("log: an offset names its place") {
            return Err([places[told], longest_at, at].into_iter().filter(|&at| at != NONE).collect());
        }
        places[told] = at;
        place_of[at] = told;
    }
    Ok(places)
}

/// Fills open positions with indeterminate appends and adds the completed ones of unknown position; `None` if
/// a completed one might have to fill an open position.
fn fill(ops: &[&Op], by_value: &HashMap<&Value, usize>, mut places: Vec<usize>) -> Option<Vec<usize>> {
    let mut placed = vec![false; ops.len()];
    for &at in places.iter().filter(|&&at| at != NONE) {
        placed[at] = true;
    }
    let mut left: Vec<usize> = by_value.values().copied().filter(|&at| !placed[at]).collect();
    left.sort_unstable();
    let (completed, unknown): (Vec<usize>, Vec<usize>) = left.into_iter().partition(|&at| ops[at].is_ok());
    let mut unknown = unknown.into_iter();
    for place in places.iter_mut().filter(|place| **place == NONE) {
        if !completed.is_empty() {
            return None;
        }
        let first = if broken("log: places are filled in order of invocation") {
            unknown.next_back()
        } else {
            unknown.next()
        };
        *place = first.unwrap_or(NONE);
    }
    places.extend(completed);
    Some(places)
}
