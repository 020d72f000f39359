//! The violations of counters.
//!
//! What a read may return is bounded by what must have been added before it began and by what can have been
//! added when it returned; additions of negative amounts count the other way round.

use super::{Case, Finding, first};
use crate::explain::words::{on, span, who};
use crate::op::{F, Op};

/// The patterns, in order.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(case, &[too_low, too_high, decreasing])
}

/// The reads of the counterexample with what they returned, the latest first.
fn reads<'a>(case: &Case<'a>) -> Vec<(usize, &'a Op, i64)> {
    let read = |(at, op): (usize, &'a Op)| Some((at, op, op.output().filter(|_| op.f == F::Read)?.as_int()?));
    case.suspects().into_iter().filter_map(read).collect()
}

/// The additions that are not known to have failed, with their amounts.
fn adds<'a>(case: &Case<'a>) -> impl Iterator<Item = (usize, &'a Op, i64)> + use<'a> {
    case.possible().filter(|(_, op)| op.f == F::Add).filter_map(|(at, op)| Some((at, op, op.input.as_int()?)))
}

fn sum(amounts: impl Iterator<Item = i64>) -> i64 {
    amounts.fold(0, i64::saturating_add)
}

fn too_low(case: &Case<'_>) -> Option<Finding> {
    reads(case).into_iter().find_map(|(at, read, value)| {
        let mut done: Vec<_> = adds(case).filter(|(_, add, _)| add.ret() < read.call).collect();
        done.sort_by_key(|(at, add, _)| (add.ret(), *at));
        let concurrent = adds(case).filter(|(_, add, _)| add.ret() >= read.call && add.call <= read.ret());
        let later_or_open = |from: usize| done[from..].iter().map(|(_, _, amount)| *amount);
        let taken_off = sum(concurrent.map(|(_, _, amount)| amount.min(0)));
        // The earliest addition after which the counter was above what the read returned, come what may.
        let mut before = 0_i64;
        let decisive = (0..done.len()).find(|&i| {
            before = before.saturating_add(done[i].2);
            let below = taken_off.saturating_add(sum(later_or_open(i + 1).map(|amount| amount.min(0))));
            before.saturating_add(below) > value
        })?;
        let (last_at, last, _) = done[decisive];
        let sentence = format!(
            "{}{} misses an increment: with {}, {before} had been acknowledged {} before it began",
            who(read),
            on(read),
            who(last),
            span(last.ret(), read.call)
        );
        Some(Finding { class: "missed-increment", sentence, named: vec![last_at, at] })
    })
}

fn too_high(case: &Case<'_>) -> Option<Finding> {
    reads(case).into_iter().find_map(|(at, read, value)| {
        let begun = adds(case).filter(|(_, add, _)| add.call <= read.ret());
        let surely = |add: &Op| add.ret() < read.call;
        let most = sum(begun.map(|(_, add, amount)| if surely(add) { amount } else { amount.max(0) }));
        if value <= most {
            return None;
        }
        let failed = case.recorded().filter(|(_, op)| op.is_fail() && op.f == F::Add && op.call <= read.ret());
        let next = adds(case).filter(|(_, add, _)| add.call > read.ret()).min_by_key(|(_, add, _)| add.call);
        let (other, clause) = match (failed.last(), next) {
            (Some((at, op)), _) => (Some(at), format!("; {} had been reported as failed", who(op))),
            (None, Some((at, op, _))) => {
                (Some(at), format!("; the next, {}, began {} later", who(op), span(read.ret(), op.call)))
            }
            (None, None) => (None, String::new()),
        };
        let sentence = format!(
            "{}{} counts too much: all that had been added by the time it returned comes to {most} at most{clause}",
            who(read),
            on(read)
        );
        Some(Finding { class: "phantom-increment", sentence, named: other.into_iter().chain([at]).collect() })
    })
}

fn decreasing(case: &Case<'_>) -> Option<Finding> {
    if adds(case).any(|(_, add, amount)| amount < 0 && add.call <= case.cut) {
        return None;
    }
    let reads = reads(case);
    reads.iter().find_map(|&(b, second, low)| {
        let &(a, first, _) =
            reads.iter().find(|(_, first, high)| *high > low && first.ret() < second.call)?;
        let sentence = format!(
            "{}{} went down: {} had completed {} before it began, and nothing was taken off",
            who(second),
            on(second),
            who(first),
            span(first.ret(), second.call)
        );
        Some(Finding { class: "non-monotonic-reads", sentence, named: vec![a, b] })
    })
}
