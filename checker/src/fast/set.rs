//! A set that only grows: exact in O(n log n + total length of the reads).
//!
//! Every element is added once and never deleted, so the reads of the whole set form a chain: of two reads,
//! one returned everything that the other returned. The chain orders the reads. It puts the addition of every
//! element that was read into the stage before the first read that returned it; the other additions come
//! after the last read.
//!
//! ```text
//!   add 1 · add 4 │ read {1 4} │ add 2 │ read {1 2 4} · read {1 2 4} │ add 3
//! ```
//!
//! A `contains` that found its element bounds the addition from above (the addition took effect before the
//! `contains` returned); one that did not find it bounds it from below. Within a stage the additions are
//! ordered by their earliest instant. The history is legal iff in this order no operation must take effect
//! before an earlier one can: the order of the stages is forced, and within a stage earliest-first leaves the
//! most room (exchange argument). Each `contains` can be inserted afterwards, because it only needs one side
//! of its element's addition.
//!
//! An indeterminate addition took place if its element was observed; otherwise it is dropped, which changes
//! no result.
//!
//! The read mapping is known, and the write order nearly: Gibbons and Korach, "Testing shared memories", SIAM
//! J. Comput. 26(4), 1997, §4. Sets with deletions are split by element and left to the search engines, whose
//! parts are then small.
//!
//! Precondition: additions, `contains` and reads only; no element added twice.

use hashbrown::HashMap;

use super::broken;
use crate::decision::Decision;
use crate::op::{F, Nanos, Op, Outcome, Value};

/// An element that an operation added.
struct Element {
    add: usize,
    /// The first read of the chain that returned it.
    stage: usize,
    /// Whether its addition certainly took place.
    added: bool,
    /// The earliest instant of the addition, and the operation that bounds it.
    from: (Nanos, usize),
    /// The latest instant, and the operation that bounds it.
    until: (Nanos, usize),
}

/// Decides the history of a set by the operations that `counts` accepts; see the [module](self).
pub(crate) fn decide(ops: &[&Op], counts: impl Fn(&Op) -> bool) -> Decision {
    let mut elements: Vec<Element> = Vec::new();
    let mut by_value: HashMap<&Value, usize> = HashMap::new();
    let mut lookups: Vec<(usize, bool)> = Vec::new();
    let mut reads: Vec<(&[Value], usize)> = Vec::new();
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| counts(op)) {
        match (&op.f, &op.outcome) {
            (_, Outcome::Fail) | (F::Read | F::Contains, Outcome::Info) => {}
            (F::Add, outcome) => {
                let repeated = by_value.insert(&op.input, elements.len()).is_some();
                if repeated || *outcome == Outcome::Ok(Value::Bool(false)) {
                    return Decision::Declined;
                }
                let (from, until) = ((op.call, at), (op.ret(), at));
                elements.push(Element { add: at, stage: usize::MAX, added: op.is_ok(), from, until });
            }
            (F::Contains, Outcome::Ok(Value::Bool(found))) => lookups.push((at, *found)),
            (F::Read, Outcome::Ok(Value::List(seen))) => reads.push((seen, at)),
            (F::Read, Outcome::Ok(Value::Nil)) => reads.push((&[], at)),
            _ => return Decision::Declined,
        }
    }
    reads.sort_by_key(|&(seen, at)| (seen.len(), at));
    let decided = chain(&reads, &by_value, &mut elements)
        .and_then(|()| bound(ops, &lookups, &by_value, &mut elements))
        .and_then(|()| legal_order(ops, &reads, &lookups, &by_value, elements));
    match decided {
        Ok(order) => Decision::Legal { order },
        Err(Some(conflict)) => Decision::Illegal { conflict },
        Err(None) => Decision::Declined,
    }
}

/// Operations that contradict each other; `None` if the precondition does not hold.
type Refusal = Option<Vec<usize>>;

/// Puts every element that was read into the stage of the first read that returned it.
fn chain(
    reads: &[(&[Value], usize)],
    by_value: &HashMap<&Value, usize>,
    elements: &mut [Element],
) -> Result<(), Refusal> {
    let mut last_seen = vec![usize::MAX; elements.len()];
    for (stage, &(seen, at)) in reads.iter().enumerate() {
        let mut kept = 0;
        for value in seen {
            let Some(&i) = by_value.get(value) else { return Err(Some(vec![at])) };
            if last_seen[i] == stage {
                return Err(None);
            }
            if last_seen[i] == usize::MAX {
                elements[i].stage = stage;
                elements[i].added = true;
            }
            kept += usize::from(stage > 0 && last_seen[i] == stage - 1);
            last_seen[i] = stage;
        }
        if stage > 0 && kept < reads[stage - 1].0.len() && !broken("set: reads form a chain") {
            let lost = last_seen.iter().position(|&last| last == stage - 1);
            let lost = lost.map(|i| elements[i].add);
            return Err(Some(lost.into_iter().chain([reads[stage - 1].1, at]).collect()));
        }
    }
    Ok(())
}

/// Bounds each addition by the look-ups of its element.
fn bound(
    ops: &[&Op],
    lookups: &[(usize, bool)],
    by_value: &HashMap<&Value, usize>,
    elements: &mut [Element],
) -> Result<(), Refusal> {
    for &(at, found) in lookups {
        let element = by_value.get(&ops[at].input).map(|&i| &mut elements[i]);
        match element {
            None if found => return Err(Some(vec![at])),
            Some(element) if found => {
                element.added = true;
                if !broken("set: found means added before") {
                    element.until = element.until.min((ops[at].ret(), at));
                }
            }
            Some(element) if !broken("set: not found means added after") => {
                element.from = element.from.max((ops[at].call, at));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The order by stages, each operation at its earliest instant.
fn legal_order(
    ops: &[&Op],
    reads: &[(&[Value], usize)],
    lookups: &[(usize, bool)],
    by_value: &HashMap<&Value, usize>,
    mut elements: Vec<Element>,
) -> Result<Vec<usize>, Refusal> {
    let mut sequence: Vec<usize> = (0..elements.len()).filter(|&i| elements[i].added).collect();
    sequence.sort_unstable_by_key(|&i| (elements[i].stage, elements[i].from));
    let mut additions = sequence.into_iter().peekable();

    // (instant, rank within the instant, operation)
    let mut placed: Vec<(Nanos, usize, usize)> = Vec::with_capacity(ops.len());
    let mut now = (0, 0);
    let mut place = |from: (Nanos, usize), until: (Nanos, usize), at: usize| {
        if from.0 > now.0 {
            now = from;
        }
        if until.0 < now.0 && !broken("set: real time") {
            return Err(Some(vec![now.1, until.1, at]));
        }
        placed.push((now.0, placed.len() + 1, at));
        Ok(now.0)
    };
    for stage in (0..reads.len()).chain([usize::MAX]) {
        while let Some(i) = additions.next_if(|&i| elements[i].stage == stage) {
            let Element { add, from, until, .. } = elements[i];
            elements[i].from.0 = place(from, until, add)?;
        }
        if let Some(&(_, at)) = reads.get(stage) {
            place((ops[at].call, at), (ops[at].ret(), at), at)?;
        }
    }
    for &(at, found) in lookups {
        let call = ops[at].call;
        match by_value.get(&ops[at].input) {
            Some(&i) if found => placed.push((call.max(elements[i].from.0), usize::MAX, at)),
            _ => placed.push((call, 0, at)),
        }
    }
    placed.sort_unstable();
    Ok(placed.into_iter().map(|(_, _, at)| at).collect())
}
