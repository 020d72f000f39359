//! A counter: exact in two cases in O(n log n), and usually decided in a third.
//!
//! **Equal additions, and reads.** Every addition adds the same amount `d` (in units of `d`: 1), so the
//! additions differ only in when they may take effect. The counter is simulated lazily: an addition is
//! applied only when that is forced, and then it is the pending one with the *earliest deadline* (the first
//! to return; indeterminate ones last).
//!
//! ```text
//!   return of an addition not yet applied     apply it
//!   return of a read of v                     apply until the counter is v; none left to apply: illegal
//!   invocation of a read                      note the counter n; if the read returns less: illegal
//! ```
//!
//! *Why this is exact.* Let n and P(d) be the counter and the number of pending unapplied additions with a
//! deadline up to d, in the lazy run (g) and in any legal order σ. At all times n_g ≤ n_σ and
//! P_g(d) ≤ P_σ(d) + n_σ - n_g. An invocation adds one to both sides of the latter; a step of σ does not
//! lower its right side; a forced lazy step lowers both sides by one for deadlines from the applied one on,
//! and below that one the left side is 0. A forced return shows n_σ > n_g, because σ has no pending addition
//! past its deadline; a read of v shows n_σ ≥ v. So if the lazy counter is beyond v at the invocation of a
//! read, it is beyond v in every order, and if too few additions are left to apply, too few were invoked.
//! Steps are of one unit, so the lazy counter passes every value in between, and a read can be placed right
//! after the v-th addition.
//!
//! **Additions of several amounts**, all positive. An addition of a is treated as a additions of 1 with the
//! same interval. A legal order is also a legal order of these, so if the lazy run is stuck, none exists.
//! Otherwise an order of whole additions is searched: see [`amounts`].
//!
//! **Additions that return the new value.** Then the order of the completed additions is in the data: `add n`
//! that returned `v` took the counter from `v-n` to `v`. Only indeterminate additions can fill gaps: see
//! [`gaps`]. The order is legal iff it agrees with real time.
//!
//! The first is an earliest-deadline-first schedule (Jackson 1955), the second a known write order in the
//! terms of Gibbons and Korach, "Testing shared memories", SIAM J. Comput. 26(4), 1997, §4.
//!
//! Precondition: additions and reads of integers; either all additions are of one amount, or positive, and
//! none returns a value, or all completed ones return the new value and all are positive.

mod amounts;
mod gaps;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{broken, contradiction};
use crate::decision::Decision;
use crate::op::{F, Nanos, Op, Outcome, Value};
use gaps::{Filled, Gap};

/// Maximum amount, so that no sum of amounts overflows.
const AMOUNT_MAX: u64 = u32::MAX as u64;

/// An operation in the terms of this algorithm.
enum Step {
    /// An addition of this amount, with the new value if it was returned.
    Add(i64, Option<i64>),
    /// A read of this value.
    Read(i64),
    /// A known failure, or a read of unknown outcome: ignored.
    Nothing,
}

/// Decides the history of a counter; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    let Some(steps) = ops.iter().map(|op| step(op)).collect::<Option<Vec<Step>>>() else {
        return Decision::Declined;
    };
    let returning = steps
        .iter()
        .zip(ops)
        .filter(|(step, op)| op.is_ok() && matches!(step, Step::Add(_, Some(_))))
        .count();
    let completed =
        steps.iter().zip(ops).filter(|(step, op)| op.is_ok() && matches!(step, Step::Add(..))).count();
    let mut amounts =
        steps.iter().filter_map(|step| if let Step::Add(n, _) = step { Some(*n) } else { None });
    if returning > 0 {
        if returning == completed && amounts.all(|n| n > 0) {
            in_the_data(ops, &steps)
        } else {
            Decision::Declined
        }
    } else {
        let unit = amounts.next().unwrap_or(1);
        if unit != 0 && amounts.clone().all(|n| n == unit) {
            lazily(ops, &steps, unit)
        } else if unit > 0 && amounts.all(|n| n > 0) {
            match lazily(ops, &steps, 1) {
                Decision::Legal { .. } => {
                    amounts::order(ops, &steps).map_or(Decision::Declined, |order| Decision::Legal { order })
                }
                other => other,
            }
        } else {
            Decision::Declined
        }
    }
}

fn step(op: &Op) -> Option<Step> {
    Some(match (&op.f, &op.outcome) {
        (_, Outcome::Fail) | (F::Read, Outcome::Info) => Step::Nothing,
        (F::Read, Outcome::Ok(Value::Nil)) => Step::Read(0),
        (F::Read, Outcome::Ok(value)) => Step::Read(value.as_int()?),
        (F::Add, outcome) => {
            let amount = op.input.as_int().filter(|amount| amount.unsigned_abs() <= AMOUNT_MAX)?;
            match outcome {
                Outcome::Ok(Value::Nil) | Outcome::Info if amount == 0 => Step::Nothing,
                Outcome::Ok(Value::Nil) | Outcome::Info | Outcome::Fail => Step::Add(amount, None),
                Outcome::Ok(value) => Step::Add(amount, Some(value.as_int()?)),
            }
        }
        _ => return None,
    })
}

/// Applies additions of units as late as possible and by earliest deadline. An addition of several units may
/// be applied in parts; in the order it takes the place of its last part.
fn lazily(ops: &[&Op], steps: &[Step], unit: i64) -> Decision {
    let mut returns: Vec<(Nanos, usize)> =
        (0..ops.len()).filter(|&at| ops[at].is_ok()).map(|at| (ops[at].ret(), at)).collect();
    returns.sort_unstable();

    let mut calls = (0..ops.len()).peekable();
    // Pending additions by deadline, each with the number of its remaining units.
    let mut pending: BinaryHeap<Reverse<(Nanos, usize, i64)>> = BinaryHeap::new();
    let mut counter = 0;
    // The applied additions, with the counter before each.
    let mut applied: Vec<(i64, usize)> = Vec::new();
    let mut is_applied = vec![false; ops.len()];
    let mut at_call = vec![(0, None); ops.len()];
    let mut reads: Vec<(i64, usize)> = Vec::new();
    for (now, at) in returns {
        while let Some(at) = calls.next_if(|&at| ops[at].call <= now) {
            match steps[at] {
                Step::Add(amount, _) => pending.push(Reverse((deadline(ops[at]), at, amount / unit))),
                Step::Read(_) => at_call[at] = (counter, applied.last().map(|&(_, add)| add)),
                Step::Nothing => {}
            }
        }
        match steps[at] {
            Step::Add(..) => {
                while !is_applied[at] {
                    let Reverse((_, next, units)) =
                        pending.pop().expect("it was invoked, so it is pending or applied");
                    is_applied[next] = true;
                    applied.push((counter, next));
                    counter += units;
                }
            }
            Step::Read(value) => {
                let count = match (value.checked_rem(unit), value.checked_div(unit)) {
                    (Some(0), Some(count @ 0..)) => count,
                    _ => return Decision::Illegal { conflict: vec![at] },
                };
                let (least, before) = at_call[at];
                if count < least && !broken("counter: a read is no older than its invocation") {
                    return Decision::Illegal { conflict: before.into_iter().chain([at]).collect() };
                }
                while counter < count {
                    let Some(Reverse((deadline, next, units))) = pending.pop() else {
                        return Decision::Illegal { conflict: vec![at] };
                    };
                    let applies = units.min(count - counter);
                    if applies < units {
                        pending.push(Reverse((deadline, next, units - applies)));
                    } else {
                        is_applied[next] = true;
                        applied.push((counter, next));
                    }
                    counter += applies;
                }
                reads.push((count, at));
            }
            Step::Nothing => {}
        }
    }
    reads.sort_unstable();
    let mut reads = reads.into_iter().peekable();
    let mut order = Vec::with_capacity(applied.len() + reads.len());
    for (count, add) in applied {
        order.extend(std::iter::from_fn(|| reads.next_if(|read| read.0 <= count)).map(|(_, read)| read));
        order.push(add);
    }
    order.extend(reads.map(|(_, read)| read));
    Decision::Legal { order }
}

/// The time by which an addition must have been applied.
fn deadline(op: &Op) -> Nanos {
    if broken("counter: earliest deadline first") { Nanos::MAX - op.ret() } else { op.ret() }
}

/// Decides additions that return the new value, with indeterminate ones in the gaps.
fn in_the_data(ops: &[&Op], steps: &[Step]) -> Decision {
    // The counter before and after, and the operation that shows this: an addition, or a read.
    let mut known: Vec<(i64, i64, usize)> = Vec::new();
    let mut unknown: Vec<(i64, usize)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match *step {
            Step::Add(amount, Some(new)) => match new.checked_sub(amount) {
                Some(old) => known.push((old, new, at)),
                None => return Decision::Declined,
            },
            Step::Add(amount, None) => unknown.push((amount, at)),
            // Reads of a value come before the addition that continues from it.
            Step::Read(value) => known.push((value, value, at)),
            Step::Nothing => {}
        }
    }
    known.sort_unstable();
    let order: Vec<usize> = known.iter().map(|&(_, _, at)| at).collect();
    let mut counter = 0;
    let mut gaps: Vec<(usize, Gap)> = Vec::new();
    for (i, &(old, new, at)) in known.iter().enumerate() {
        if old < counter {
            let before = i.checked_sub(1).map(|before| order[before]);
            return Decision::Illegal { conflict: before.into_iter().chain([at]).collect() };
        }
        if old > counter {
            gaps.push((i, Gap { size: old - counter, until: Nanos::MAX }));
        }
        counter = new;
    }
    if let Some(pair) = contradiction(ops, &order)
        && !broken("counter: real time")
    {
        return Decision::Illegal { conflict: pair.into() };
    }
    // Nothing after a gap may have returned before the addition that fills the gap is invoked.
    let (mut until, mut rest) = (Nanos::MAX, order.len());
    for (first, gap) in gaps.iter_mut().rev() {
        until = order[*first..rest].iter().map(|&at| ops[at].ret()).min().unwrap_or(until).min(until);
        (gap.until, rest) = (until, *first);
    }
    let (places, gaps): (Vec<usize>, Vec<Gap>) = gaps.into_iter().unzip();
    match gaps::fill(ops, &gaps, &unknown) {
        Filled::Never(gap) => Decision::Illegal { conflict: vec![order[places[gap]]] },
        Filled::Unclear => Decision::Declined,
        Filled::By(fills) => {
            let mut whole = Vec::with_capacity(ops.len());
            let mut done = 0;
            for (place, fill) in places.into_iter().zip(fills) {
                whole.extend_from_slice(&order[done..place]);
                whole.extend(fill);
                done = place;
            }
            whole.extend_from_slice(&order[done..]);
            Decision::Legal { order: whole }
        }
    }
}
