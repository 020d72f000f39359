//! Sums that are known step by step, with gaps: which additions of unknown outcome fill the gaps?
//!
//! ```text
//!   add 2 → 2        add 1 → 6       read → 8        unknown: 1, 1, 2, 3
//!   0 ─────▶ 2 ┄┄┄┄▶ 5 ─────▶ 6 ┄┄┄┄▶ 8
//!              gap 3            gap 2                3 and 2, or 3 and 1 + 1, or 1 + 2 and ... 1: no
//! ```
//!
//! An addition of unknown outcome never returns, so it can fill any gap before whose end it is invoked; the
//! end is the first return of all operations after the gap. The end of a later gap is never earlier. So of
//! equal additions those invoked first are taken, and only the number of additions of each amount matters
//! later. All possible combinations of these numbers are carried from gap to gap: exact, and fast if there
//! are few amounts or small gaps.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::fast::broken;
use crate::op::{Nanos, Op};

/// Maximum number of choices to try.
const CHOICES_MAX: usize = 1 << 21;
/// Maximum number of combinations to keep.
const KEPT_MAX: usize = 1 << 21;

/// A difference between sums that the known additions leave open.
pub(super) struct Gap {
    pub(super) size: i64,
    /// The additions that fill it must be invoked by then.
    pub(super) until: Nanos,
}

/// The result.
pub(super) enum Filled {
    /// For each gap the additions that fill it.
    By(Vec<Vec<usize>>),
    /// This gap, and those before it, cannot be filled.
    Never(usize),
    /// There were too many choices.
    Unclear,
}

/// The number of additions of each amount used so far, and the index of the previous combination.
type Used = (Vec<u32>, u32);

/// Fills the gaps, in their order, with unknown additions (amounts and positions in `ops`), which are sorted
/// by invocation.
pub(super) fn fill(ops: &[&Op], gaps: &[Gap], unknown: &[(i64, usize)]) -> Filled {
    let mut of_amount: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    unknown.iter().for_each(|&(amount, at)| of_amount.entry(amount).or_default().push(at));
    let amounts: Vec<i64> = of_amount.keys().rev().copied().collect();
    let mut additions: Vec<Vec<usize>> = of_amount.into_values().rev().collect();
    let mut layers: Vec<Vec<Used>> = vec![vec![(vec![0; amounts.len()], 0)]];
    let (mut choices_left, mut kept) = (CHOICES_MAX, 0);
    for (at, gap) in gaps.iter().enumerate() {
        let called = |of: &Vec<usize>| of.partition_point(|&at| ops[at].call <= gap.until) as u32;
        let room: Vec<u32> = additions.iter().map(called).collect();
        let mut choices =
            Choices { amounts: &amounts, room: &room, found: HashMap::new(), left: choices_left };
        for (from, (used, _)) in (0..).zip(layers.last().expect("there is a first one")) {
            choices.from(from, &mut used.clone(), 0, gap.size);
        }
        kept += choices.found.len() * amounts.len();
        choices_left = choices.left;
        if choices_left == 0 || kept > KEPT_MAX {
            return Filled::Unclear;
        }
        if choices.found.is_empty() {
            return Filled::Never(at);
        }
        layers.push(choices.found.into_iter().collect());
    }
    if broken("counter: gaps are filled in order of invocation") {
        additions.iter_mut().for_each(|of| of.reverse());
    }
    let mut fills = Vec::new();
    let mut last = 0;
    for layer in (1..layers.len()).rev() {
        let (used, from) = &layers[layer][last];
        let (before, _) = &layers[layer - 1][*from as usize];
        let taken = additions.iter().zip(before.iter().zip(used));
        fills.push(taken.flat_map(|(of, (&from, &to))| &of[from as usize..to as usize]).copied().collect());
        last = *from as usize;
    }
    fills.reverse();
    Filled::By(fills)
}

/// The ways to fill one gap.
struct Choices<'a> {
    /// The largest first.
    amounts: &'a [i64],
    /// The number of additions of each amount that are invoked in time.
    room: &'a [u32],
    found: HashMap<Vec<u32>, u32>,
    left: usize,
}

impl Choices<'_> {
    /// Adds choices of amounts from index `next` on that make this sum.
    fn from(&mut self, from: u32, used: &mut Vec<u32>, next: usize, sum: i64) {
        if sum == 0 {
            if !self.found.contains_key(used) {
                self.found.insert(used.clone(), from);
            }
            return;
        }
        let Some(&amount) = self.amounts.get(next) else { return };
        let before = used[next];
        let most = i64::from(self.room[next].saturating_sub(before)).min(sum / amount);
        // For the last amount only one number is possible.
        let least = if next + 1 == self.amounts.len() { sum / amount } else { 0 };
        for number in least..=most {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                break;
            }
            used[next] = before + number as u32;
            self.from(from, used, next + 1, sum - number * amount);
        }
        used[next] = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{F, Value};

    #[test]
    fn an_addition_fills_only_one_gap() {
        let op = |amount: i64, call| Op::new(call, call, F::Add, Value::Int(amount));
        let ops: Vec<Op> = [(3, 0), (1, 1), (2, 2), (1, 9)].map(|(amount, call)| op(amount, call)).into();
        let ops: Vec<&Op> = ops.iter().collect();
        let unknown: Vec<(i64, usize)> = vec![(3, 0), (1, 1), (2, 2), (1, 3)];
        let filled = |gaps: &[(i64, Nanos)]| {
            let gaps: Vec<Gap> = gaps.iter().map(|&(size, until)| Gap { size, until }).collect();
            match fill(&ops, &gaps, &unknown) {
                Filled::By(fills) => Ok(fills),
                Filled::Never(gap) => Err(gap),
                Filled::Unclear => Err(usize::MAX),
            }
        };
        assert_eq!(filled(&[(3, 5), (3, 5)]).map(|fills| fills.concat().len()), Ok(3));
        assert_eq!(filled(&[(3, 5), (3, 5), (1, 5)]), Err(2), "the second 1 is called too late");
        assert_eq!(filled(&[(3, 5), (3, 5), (1, 9)]).map(|fills| fills[2].clone()), Ok(vec![3]));
        assert_eq!(filled(&[(2, 1)]), Err(0));
        assert_eq!(filled(&[(2, 2)]), Ok(vec![vec![2]]));
    }
}
