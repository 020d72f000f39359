//! Increasing identifiers: exact in O(n log n).
//!
//! Every result shows its own place in the order, so there is one candidate order: by number. It is legal iff
//! no number was returned twice and the order agrees with real time.
//!
//! Precondition: only `generate`, and every result an integer.

use super::{broken, contradiction};
use crate::decision::Decision;
use crate::op::{F, Op, Outcome, Value};

/// Decides the history of a generator of increasing identifiers; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    let mut given: Vec<(i64, usize)> = Vec::with_capacity(ops.len());
    for (at, op) in ops.iter().enumerate() {
        match (&op.f, &op.outcome) {
            (F::Generate, Outcome::Fail | Outcome::Info) => {}
            (F::Generate, Outcome::Ok(Value::Int(number))) => given.push((*number, at)),
            _ => return Decision::Declined,
        }
    }
    given.sort_unstable();
    if let Some(twice) = given.windows(2).find(|pair| pair[0].0 == pair[1].0)
        && !broken("ordered ids: none twice")
    {
        return Decision::Illegal { conflict: vec![twice[0].1, twice[1].1] };
    }
    let order: Vec<usize> = given.into_iter().map(|(_, at)| at).collect();
    match contradiction(ops, &order) {
        Some(pair) if !broken("ordered ids: real time") => Decision::Illegal { conflict: pair.into() },
        _ => Decision::Legal { order },
    }
}
