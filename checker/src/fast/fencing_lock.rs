//! A lock whose every acquire returns a larger token: exact in O(n log n).
//!
//! It is a [lock](super::mutex), in which the order of the tenures is forced, and so is the order of their
//! tokens. An acquire of unknown outcome that took effect comes last and took the next token, whatever that
//! was.
//!
//! Precondition: that of the lock; every token an integer, and not the largest integer.

use super::{broken, mutex};
use crate::decision::Decision;
use crate::op::{F, Op, Value};

/// Decides the history of a fencing lock; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    let token = |op: &Op| op.output().and_then(Value::as_int);
    let gives = |op: &&&Op| op.f == F::Acquire && op.is_ok() && op.output() != Some(&Value::Bool(false));
    if ops.iter().filter(gives).any(|op| token(op).is_none_or(|token| token == i64::MAX)) {
        return Decision::Declined;
    }
    mutex::decide_with(ops, |earlier, later| {
        token(earlier) < token(later) || broken("fencing-lock: tokens grow")
    })
}
