//! The minimal counterexample: as few operations as the sound [`moves`](super::moves) can leave.
//!
//! ```text
//! whole part ── cut at the first instant that already proves it ── keep what the hint names ──┐
//!      ┌──────────────────────────────────────────────────────────────────────────────────────┘
//!      └─▶ overwritten past ─▶ drop observers ─▶ drop units ─▶ smaller? again : done
//! ```
//!
//! The instant is found by a search that gallops back from where the algorithm's hint ends, and then halves.
//! Observers and units are dropped by delta debugging (Zeller and Hildebrandt 2002): ever smaller chunks, until
//! no single one can go. The result is minimal *under the moves*: nothing more can be removed without losing
//! the proof. It is not the smallest set that could be found, and its subsets mean nothing.
//!
//! Every step is decided by the checker itself, so a long history is first cut by the fast algorithms that
//! judged it, and only a small remainder is taken apart operation by operation.

use std::collections::HashSet;

use super::moves::{Subject, Sub, Units, is_blind, is_observer};
use crate::op::{Nanos, Op};
use crate::verdict::Shrink;

/// How many sub-histories may be checked again, unless told otherwise.
pub(super) const RECHECKS_MAX: usize = 5_000;

/// Decides a sub-history: whether it is linearizable, or `None` where a limit was reached.
pub(super) type Decide<'a> = &'a mut dyn FnMut(&[Op]) -> Option<bool>;

/// A counterexample made small.
pub(super) struct Shrunk {
    /// What is left.
    pub(super) sub: Sub,
    /// How it was made.
    pub(super) stats: Shrink,
}

/// Makes a part that is known not to be linearizable small. `hint` names some of its operations, by position,
/// that are likely to contradict each other.
pub(super) fn shrink(
    part: &[Op],
    subject: Subject,
    hint: &[usize],
    rechecks_max: usize,
    decide: Decide<'_>,
) -> Shrunk {
    let sub = Sub::whole(part);
    let mut shrinker = Shrinker { part, subject, decide, rechecks: 0, rechecks_max, complete: true, sub };
    shrinker.cut(hint);
    shrinker.keep_only(hint);
    loop {
        let before = shrinker.sub.clone();
        shrinker.drop_overwritten_past();
        shrinker.drop_observers();
        shrinker.drop_units();
        shrinker.cut(&[]);
        if shrinker.sub == before {
            break;
        }
    }
    let Shrinker { sub, rechecks, complete, .. } = shrinker;
    let stats = Shrink { from: part.len(), to: sub.kept.len(), rechecks, complete };
    Shrunk { sub, stats }
}

struct Shrinker<'a> {
    part: &'a [Op],
    subject: Subject,
    decide: Decide<'a>,
    rechecks: usize,
    rechecks_max: usize,
    /// Whether every question so far was answered.
    complete: bool,
    /// The smallest sub-history known not to be linearizable.
    sub: Sub,
}

impl Shrinker<'_> {
    /// Adopts a smaller sub-history if it still proves the violation.
    fn try_sub(&mut self, smaller: Sub) -> bool {
        let proves = self.proves(&smaller);
        if proves {
            self.sub = smaller;
        }
        proves
    }

    fn proves(&mut self, sub: &Sub) -> bool {
        if self.rechecks >= self.rechecks_max {
            self.complete = false;
            return false;
        }
        self.rechecks += 1;
        match (self.decide)(&sub.ops(self.part)) {
            Some(linearizable) => !linearizable,
            None => {
                self.complete = false;
                false
            }
        }
    }

    /// Cuts after the first completion by which the history is no longer linearizable. Illegal prefixes have no
    /// legal extensions, so the instants divide in two.
    fn cut(&mut self, hint: &[usize]) {
        let (part, whole) = (self.part, self.sub.clone());
        let end_of = |&at: &usize| part[at].completed.filter(|&end| part[at].is_ok() && end <= whole.cut);
        let mut ends: Vec<Nanos> = whole.kept.iter().filter_map(end_of).collect();
        ends.sort_unstable();
        ends.dedup();
        let proves = |shrinker: &mut Self, at: usize| shrinker.try_sub(whole.cut_at(part, ends[at]));

        // Every prefix that ends before `low` is linearizable; the one that ends at `high` is not.
        let (mut low, mut high) = (0, ends.len().saturating_sub(1));
        let last = hint.iter().filter_map(end_of).max();
        let guess = last.map_or(high, |last| ends.partition_point(|&end| end < last).min(high));
        let mut step = 1;
        if proves(self, guess) {
            high = guess;
            while low < high {
                let at = high.saturating_sub(step);
                if proves(self, at) {
                    high = at;
                    step *= 2;
                } else {
                    low = at + 1;
                    break;
                }
            }
        } else {
            low = (guess + 1).min(high);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if proves(self, middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        if let Some(&end) = ends.get(high).filter(|&&end| end < self.sub.cut) {
            // Only the whole proves it, and the whole was never asked: nothing is known after its last completion.
            self.sub = whole.cut_at(part, end);
        }
    }

    /// Keeps only what the hint names and what that needs: where it suffices, the rest goes in one step.
    fn keep_only(&mut self, hint: &[usize]) {
        let named: HashSet<usize> = hint.iter().copied().collect();
        let end = self.sub.cut;
        let few = self.sub.retain(|at| {
            let op = &self.part[at];
            named.contains(&at) || op.completed == Some(end) || !is_observer(op)
        });
        if self.subject != Subject::Whole {
            let units = Units::of(self.subject, self.part, &few);
            let last: HashSet<usize> = few.kept.iter().copied().filter(|&at| self.part[at].completed == Some(end)).collect();
            let wanted = units.about(&few, &named.union(&last).copied().collect());
            if self.try_sub(units.keep(self.part, &few, &wanted)) {
                return;
            }
        }
        self.try_sub(few);
    }

    /// Starts from a late acknowledged blind write that overwrote all that came before.
    fn drop_overwritten_past(&mut self) {
        if !matches!(self.subject, Subject::Register | Subject::Text) {
            return;
        }
        let cut = self.sub.cut;
        let complete = |op: &Op| op.is_ok() && op.completed.is_some_and(|end| end <= cut);
        let writes: Vec<usize> =
            self.sub.kept.iter().copied().filter(|&at| complete(&self.part[at]) && is_blind(&self.part[at])).collect();
        // The latest first; in a long history ever farther apart, for the next round looks again.
        let mut back = 1;
        while back <= writes.len() {
            let candidate = self.sub.from_write(self.part, writes[writes.len() - back]);
            let smaller = candidate.filter(|candidate| candidate.kept.len() < self.sub.kept.len());
            if smaller.is_some_and(|smaller| self.try_sub(smaller)) {
                return;
            }
            back += (back / 16).max(1);
        }
    }

    fn drop_observers(&mut self) {
        let sub = self.sub.clone();
        let observers: Vec<usize> = sub.kept.iter().copied().filter(|&at| is_observer(&self.part[at])).collect();
        minimise(observers.clone(), |wanted| {
            let gone: HashSet<usize> = observers.iter().copied().filter(|at| wanted.binary_search(at).is_err()).collect();
            self.try_sub(sub.retain(|at| !gone.contains(&at)))
        });
    }

    fn drop_units(&mut self) {
        let sub = self.sub.clone();
        let units = Units::of(self.subject, self.part, &sub);
        minimise(units.all(), |wanted| self.try_sub(units.keep(self.part, &sub, wanted)));
    }
}

/// Delta debugging: drops chunks of `items`, halving their size, until no single item can go.
/// Returns what is left; `proves` is asked about every candidate.
fn minimise<T: Copy>(mut items: Vec<T>, mut proves: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut chunk = items.len();
    while chunk > 0 {
        let (mut start, before) = (0, items.len());
        while start < items.len() {
            let end = (start + chunk).min(items.len());
            let fewer = [&items[..start], &items[end..]].concat();
            if proves(&fewer) {
                items = fewer;
            } else {
                start = end;
            }
        }
        chunk = match chunk {
            1 if items.len() == before => 0,
            1 => 1,
            _ => chunk.div_ceil(2),
        };
    }
    items
}

#[cfg(test)]
mod tests {
    use super::super::moves::seen;
    use super::super::sample::{Dice, Object};
    use super::*;

    fn shrunk(object: Object, part: &[Op], hint: &[usize]) -> Shrunk {
        let mut decide = |ops: &[Op]| Some(object.linearizable(ops));
        shrink(part, object.subject(), hint, RECHECKS_MAX, &mut decide)
    }

    /// Applies moves at random, without asking whether they keep the proof.
    fn wander(dice: &mut Dice, object: Object, part: &[Op]) -> Sub {
        let mut sub = Sub::whole(part);
        for _ in 0..1 + dice.below(4) {
            let some = |dice: &mut Dice| dice.below(2) == 0;
            sub = match dice.below(4) {
                0 => sub.cut_at(part, dice.below(200)),
                1 => sub.retain(|at| !is_observer(&part[at]) || some(dice)),
                2 if object == Object::Register => {
                    let writes = sub.kept.iter().copied().filter(|&at| {
                        is_blind(&part[at]) && seen(&part[at], sub.cut, None).is_some_and(|op| op.is_ok())
                    });
                    let writes: Vec<usize> = writes.collect();
                    let chosen = writes.get(dice.below(writes.len() as u64 + 1) as usize);
                    chosen.and_then(|&write| sub.from_write(part, write)).unwrap_or(sub)
                }
                _ => {
                    let units = Units::of(object.subject(), part, &sub);
                    let wanted: Vec<u32> = units.all().into_iter().filter(|_| some(dice)).collect();
                    units.keep(part, &sub, &wanted)
                }
            };
        }
        sub
    }

    /// The claim of section after section in `moves`: nothing legal is ever made illegal.
    #[test]
    fn no_moves_turn_a_linearizable_history_into_a_violation() {
        for object in Object::ALL {
            let mut dice = Dice(object as u64);
            for round in 0..6_000 {
                let part = object.history(&mut dice, 12);
                let sub = wander(&mut dice, object, &part);
                let ops = sub.ops(&part);
                assert!(object.linearizable(&ops), "{object:?} round {round}: {part:#?}\nbecame {ops:#?}");
            }
        }
    }

    #[test]
    fn a_violation_shrinks_to_a_violation_that_no_move_makes_smaller() {
        for object in Object::ALL {
            let (mut dice, mut violations) = (Dice(100 + object as u64), 0);
            while violations < 300 {
                let part = object.falsified(&mut dice, 14);
                if object.linearizable(&part) {
                    continue;
                }
                violations += 1;
                let hint: Vec<usize> = (0..part.len()).filter(|_| dice.below(3) == 0).collect();
                let Shrunk { sub, stats } = shrunk(object, &part, &hint);
                assert!(stats.complete && stats.to == sub.kept.len());
                assert!(!object.linearizable(&sub.ops(&part)), "{object:?}: lost the proof of {part:#?}");

                let proves = |smaller: &Sub| !object.linearizable(&smaller.ops(&part));
                let before = sub.cut_at(&part, sub.cut - 1);
                assert!(!proves(&before), "{object:?}: an earlier completion proves it");
                for &at in sub.kept.iter().filter(|&&at| is_observer(&part[at])) {
                    assert!(!proves(&sub.retain(|other| other != at)), "{object:?}: an observer too many");
                }
                let units = Units::of(object.subject(), &part, &sub);
                for unit in units.all() {
                    let others: Vec<u32> = units.all().into_iter().filter(|other| *other != unit).collect();
                    assert!(!proves(&units.keep(&part, &sub, &others)), "{object:?}: a unit too many");
                }
            }
        }
    }

    #[test]
    fn a_spent_budget_leaves_a_larger_proof() {
        let mut dice = Dice(7);
        let part = std::iter::repeat_with(|| Object::Register.falsified(&mut dice, 14))
            .find(|part| !Object::Register.linearizable(part))
            .expect("the stream is endless");
        let mut asked = 0;
        let mut decide = |ops: &[Op]| {
            asked += 1;
            Some(Object::Register.linearizable(ops))
        };
        let Shrunk { sub, stats } = shrink(&part, Subject::Register, &[], 3, &mut decide);
        assert_eq!((asked, stats.rechecks, stats.complete), (3, 3, false));
        assert!(!Object::Register.linearizable(&sub.ops(&part)));
    }
}
