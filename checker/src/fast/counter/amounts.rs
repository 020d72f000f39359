//! Additions of several amounts: finds additions that make up the sum that a read returned.
//!
//! This is a subset sum problem, so no algorithm is fast for all amounts. But with small amounts there are
//! usually several choices, all equally good. One pass over the history applies an addition only when that is
//! forced, and then a set of pending ones that makes exactly the required sum, the earliest deadlines first.
//! Sums that pending reads have returned are not jumped over.
//!
//! ```text
//!   return of an addition not yet applied    reach every sum that it would jump over, apply it
//!   return of a read of v                    reach v, and on the way every sum that a pending read returned
//! ```
//!
//! The result is a legal order. If none is found, that proves nothing.

use std::collections::BTreeSet;

use super::Step;
use crate::op::{Nanos, Op};

/// Maximum sum to compose.
const SUM_MAX: i64 = 1 << 12;
/// Maximum number of amounts to compose one from.
const AMOUNTS_MAX: usize = 512;

/// A legal order of positive additions and reads, if it finds one.
pub(super) fn order(ops: &[&Op], steps: &[Step]) -> Option<Vec<usize>> {
    let mut returns: Vec<(Nanos, usize)> =
        (0..ops.len()).filter(|&at| ops[at].is_ok()).map(|at| (ops[at].ret(), at)).collect();
    returns.sort_unstable();
    let mut calls = (0..ops.len()).peekable();
    let mut run =
        Run { steps, sum: 0, additions: BTreeSet::new(), reads: BTreeSet::new(), order: Vec::new() };
    for (now, at) in returns {
        while let Some(at) = calls.next_if(|&at| ops[at].call <= now) {
            match steps[at] {
                Step::Add(..) => {
                    run.additions.insert((ops[at].ret(), at));
                }
                Step::Read(value) => {
                    run.reads.insert((value, at));
                }
                Step::Nothing => {}
            }
        }
        run.settle();
        match steps[at] {
            Step::Add(amount, _) => {
                if run.additions.remove(&(now, at)) {
                    while let Some(jumped_over) = run.next_read().filter(|&value| value < run.sum + amount) {
                        run.reach(jumped_over)?;
                    }
                    run.apply(at, amount);
                }
            }
            Step::Read(value) => {
                while run.sum < value {
                    let next = run.next_read().map_or(value, |next| next.min(value));
                    run.reach(next)?;
                }
                if run.reads.contains(&(value, at)) {
                    // The counter is already beyond the sum.
                    return None;
                }
            }
            Step::Nothing => {}
        }
    }
    Some(run.order)
}

struct Run<'a> {
    steps: &'a [Step],
    sum: i64,
    /// Pending unapplied additions, by deadline.
    additions: BTreeSet<(Nanos, usize)>,
    /// Pending unplaced reads, by the sums that they returned.
    reads: BTreeSet<(i64, usize)>,
    order: Vec<usize>,
}

impl Run<'_> {
    /// The next sum that a pending read returned.
    fn next_read(&self) -> Option<i64> {
        self.reads.range((self.sum + 1, 0)..).next().map(|&(value, _)| value)
    }

    /// Places every pending read of the current sum.
    fn settle(&mut self) {
        while let Some(&(value, at)) = self.reads.range((self.sum, 0)..).next()
            && value == self.sum
        {
            self.reads.remove(&(value, at));
            self.order.push(at);
        }
    }

    fn apply(&mut self, at: usize, amount: i64) {
        self.sum += amount;
        self.order.push(at);
        self.settle();
    }

    /// Applies pending additions that make exactly this sum.
    fn reach(&mut self, sum: i64) -> Option<()> {
        let pending = self.additions.iter().map(|&(deadline, at)| {
            let Step::Add(amount, _) = self.steps[at] else { unreachable!("only additions are put there") };
            (amount, (deadline, at))
        });
        for (amount, addition) in exactly(pending, sum - self.sum)? {
            self.additions.remove(&addition);
            self.apply(addition.1, amount);
        }
        Some(())
    }
}

/// Positive amounts that make exactly this sum, preferring earlier ones.
fn exactly<T>(amounts: impl Iterator<Item = (i64, T)>, sum: i64) -> Option<Vec<(i64, T)>> {
    if sum > SUM_MAX {
        return None;
    }
    let amounts: Vec<(i64, T)> = amounts.take(AMOUNTS_MAX).collect();
    // For each amount, the sums that it and the later amounts can make.
    let sums = sum as usize + 1;
    let mut possible = vec![false; sums * (amounts.len() + 1)];
    possible[sums * amounts.len()] = true;
    for (at, (amount, _)) in amounts.iter().enumerate().rev() {
        for made in 0..sums {
            let with =
                made.checked_sub(*amount as usize).is_some_and(|made| possible[sums * (at + 1) + made]);
            possible[sums * at + made] = possible[sums * (at + 1) + made] || with;
        }
    }
    let (mut left, mut chosen) = (sum, Vec::new());
    if !possible[left as usize] {
        return None;
    }
    for (at, (amount, what)) in amounts.into_iter().enumerate() {
        if amount <= left && possible[sums * (at + 1) + (left - amount) as usize] {
            left -= amount;
            chosen.push((amount, what));
        }
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_amounts_that_make_the_sum_are_taken() {
        let taken = |amounts: &[i64], sum| {
            let taken = exactly(amounts.iter().copied().zip(0..), sum)?;
            Some(taken.into_iter().map(|(_, at)| at).collect::<Vec<usize>>())
        };
        assert_eq!(taken(&[2, 3, 1, 1], 3), Some(vec![0, 2]));
        assert_eq!(taken(&[2, 3, 3], 6), Some(vec![1, 2]));
        assert_eq!(taken(&[3, 3], 4), None);
        assert_eq!(taken(&[3], 0), Some(vec![]));
    }
}
