//! The minimal counterexample: as few operations as the sound [`moves`](super::moves) can leave.
//!
//! ```text
//! whole part ─▶ cut at the first instant that already proves it ─▶ keep what the hint names ─▶ small? ─ no ─┐
//!                     ┌────────────────────────────────────────────────────────── yes ─────────┘            │
//!                     ▼                                                                                     ▼
//!      ┌─▶ drop observers ─▶ drop units ─▶ cut ─▶ smaller? ─ no ─▶ done            begin at a late write, reduce,
//!      └───────────────────────────────────────── yes ──┘                         and take the rest as the hint
//! ```
//!
//! The instant is found by galloping back from the end of the algorithm's hint, then bisecting. Observers and
//! units are removed by delta debugging (Zeller and Hildebrandt 2002): smaller and smaller chunks, until no
//! single one can go. The result is minimal *under the moves*: nothing more can be removed without losing the
//! proof. It is not the smallest possible set, and its subsets mean nothing.
//!
//! A counterexample that begins at a late write makes a long history short at once, but it is less
//! convincing, because a value is read whose write is not shown. So it is used to find the operations that
//! matter, and is kept only if those, with everything they require, are too many to show.
//!
//! Every step is decided by the checker itself. So the exact algorithms that judged a long history also make
//! the first cuts, and only a small remainder is reduced operation by operation.

use std::collections::HashSet;

use super::moves::{Sub, Units};
use super::subject::{Recorded, Subject};
use crate::op::{Nanos, Op};
use crate::verdict::Shrink;

/// The maximum size of a counterexample that is shown from the beginning.
const FEW: usize = 12;

/// Decides whether a sub-history is linearizable; `None` if a limit was reached.
pub(super) type Decide<'a> = &'a mut dyn FnMut(&[Op]) -> Option<bool>;

/// A minimised counterexample.
pub(super) struct Shrunk {
    /// The remaining sub-history.
    pub(super) sub: Sub,
    /// The statistics of the minimisation.
    pub(super) stats: Shrink,
    /// The write that it begins at, if the overwritten past was dropped.
    pub(super) first: Option<usize>,
}

/// Minimises a part that is known not to be linearizable. `hint` names some of its operations, by position,
/// that are likely to contradict each other. All re-checked sub-histories together have at most `reads_max`
/// operations, where a long list counts as [several](Recorded::weight).
pub(super) fn shrink(part: &Recorded<'_>, hint: &[usize], reads_max: u64, decide: Decide<'_>) -> Shrunk {
    let sub = Sub::whole(part);
    let mut shrinker =
        Shrinker { part, decide, rechecks: 0, reads_left: reads_max, complete: true, first: None, sub };
    if part.subject.is_collection() {
        // Before the cut, because the cut makes removals pending, which the exact algorithms for queues
        // handle less well.
        shrinker.keep_only(hint);
    }
    shrinker.cut(hint);
    shrinker.keep_only(hint);
    let beginning = shrinker.sub.clone();
    loop {
        let size = shrinker.sub.kept.len();
        if size > FEW {
            shrinker.begin_late();
        }
        shrinker.reduce();
        if shrinker.sub.kept.len() == size {
            break;
        }
    }
    shrinker.show_beginning(&beginning);
    let Shrinker { sub, rechecks, complete, first, .. } = shrinker;
    let stats = Shrink { from: part.ops.len(), to: sub.kept.len(), rechecks, complete };
    Shrunk { sub, stats, first }
}

struct Shrinker<'a> {
    part: &'a Recorded<'a>,
    decide: Decide<'a>,
    rechecks: usize,
    /// The number of operations that may still be re-checked.
    reads_left: u64,
    /// Whether every re-check so far had an answer.
    complete: bool,
    /// The write that everything begins at, if the past was dropped: it must stay.
    first: Option<usize>,
    /// The smallest sub-history known not to be linearizable.
    sub: Sub,
}

impl Shrinker<'_> {
    /// Adopts a smaller sub-history if it still proves the violation. `None` if the budget does not allow the
    /// re-check, nor any other of its size.
    fn try_sub(&mut self, smaller: Sub) -> Option<bool> {
        let weight = 1 + smaller.kept.iter().map(|&at| self.part.weight(at)).sum::<u64>();
        let Some(left) = self.reads_left.checked_sub(weight) else {
            self.complete = false;
            return None;
        };
        self.reads_left = left;
        self.rechecks += 1;
        let linearizable = (self.decide)(&smaller.ops(self.part));
        self.complete &= linearizable.is_some();
        let proves = linearizable == Some(false);
        if proves {
            self.sub = smaller;
        }
        Some(proves)
    }

    /// Cuts after the first completion by which the history is no longer linearizable. Illegal prefixes have
    /// no legal extensions, so bisection finds it.
    fn cut(&mut self, hint: &[usize]) {
        let (part, whole) = (self.part, self.sub.clone());
        let end_of =
            |&at: &usize| part.ops[at].completed.filter(|&end| part.ops[at].is_ok() && end <= whole.cut);
        let mut ends: Vec<Nanos> = whole.kept.iter().filter_map(end_of).collect();
        ends.sort_unstable();
        ends.dedup();
        let proves =
            |shrinker: &mut Self, at: usize| shrinker.try_sub(whole.cut_at(part, ends[at])) == Some(true);

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
            // Only the whole proves the violation, and it was not re-checked: nothing is known after its last
            // completion.
            self.sub = whole.cut_at(part, end);
        }
    }

    /// Keeps only the operations of the hint and those that they require, if these suffice: the rest goes in
    /// one step.
    fn keep_only(&mut self, hint: &[usize]) {
        let named: HashSet<usize> = hint.iter().copied().collect();
        let (few, fewest) = self.only(&self.sub, &named);
        let _ = self.try_sub(fewest) == Some(true) || self.try_sub(few) == Some(true);
    }

    /// Two sub-histories: one without the unnamed observers, and of that one only the units of the named
    /// operations.
    fn only(&self, sub: &Sub, named: &HashSet<usize>) -> (Sub, Sub) {
        let last = |at: usize| self.part.ops[at].completed == Some(sub.cut);
        let few = sub.retain(|at| named.contains(&at) || last(at) || !self.part.is_observer(at));
        if self.part.subject == Subject::Counter {
            let shown: Vec<usize> = few
                .showing_sums(self.part)
                .into_iter()
                .filter(|at| named.contains(at) || last(*at))
                .collect();
            let shown = few.with_sums_of(self.part, &shown);
            let summed = shown.summed(self.part).filter(|_| shown.kept.len() > FEW);
            return (few.clone(), summed.unwrap_or(few));
        }
        let units = Units::of(self.part, &few);
        let fewest = units.keep(self.part, &few, &units.about(&few, |at| named.contains(&at) || last(at)));
        (few, fewest)
    }

    /// Makes a late acknowledged blind write the first operation, and forgets everything that it overwrote.
    fn begin_late(&mut self) {
        if !self.sub.is_overwritten(self.part) {
            return;
        }
        let (cut, part) = (self.sub.cut, self.part);
        let writes = |at: &usize| part.ops[*at].is_ok() && part.ops[*at].ret() <= cut && part.is_blind(*at);
        let writes: Vec<usize> = self.sub.kept.iter().copied().filter(writes).collect();
        // The latest first, and in a long history with growing distances.
        let mut back = 1;
        while back <= writes.len() {
            let write = writes[writes.len() - back];
            let smaller =
                self.sub.beginning_at(part, write).filter(|sub| sub.kept.len() < self.sub.kept.len());
            match smaller.map(|smaller| self.try_sub(smaller)) {
                Some(Some(true)) => {
                    self.first = Some(write);
                    return;
                }
                // Earlier writes leave more operations.
                Some(None) => return,
                Some(Some(false)) | None => {}
            }
            back += (back / 16).max(1);
        }
    }

    /// Goes back to the beginning with only the operations that turned out to matter and those that they
    /// require, if these are few.
    fn show_beginning(&mut self, beginning: &Sub) {
        let matter: HashSet<usize> = self.sub.kept.iter().copied().collect();
        let (_, fewest) = self.only(&beginning.cut_at(self.part, self.sub.cut), &matter);
        if self.first.is_some() && fewest.kept.len() <= FEW && self.try_sub(fewest) == Some(true) {
            self.first = None;
            self.reduce();
        }
    }

    /// Removes operations until no more can go.
    fn reduce(&mut self) {
        loop {
            let before = self.sub.clone();
            self.drop_registers();
            self.drop_sums();
            self.drop_observers();
            self.sum_up();
            self.drop_units();
            self.cut(&[]);
            if self.sub == before {
                return;
            }
        }
    }

    fn drop_observers(&mut self) {
        let (sub, part) = (self.sub.clone(), self.part);
        let observes = |at: usize| sub.is_observer(part, at);
        let observers: Vec<usize> = sub.kept.iter().copied().filter(|&at| observes(at)).collect();
        minimise(observers, |wanted| {
            self.try_sub(sub.retain(|at| !observes(at) || wanted.binary_search(&at).is_ok()))
        });
    }

    fn drop_sums(&mut self) {
        if self.takes_sums() {
            let (sub, part) = (self.sub.clone(), self.part);
            minimise(sub.showing_sums(part), |wanted| self.try_sub(sub.with_sums_of(part, wanted)));
        }
    }

    fn sum_up(&mut self) {
        if let Some(smaller) = self.sub.summed(self.part).filter(|_| self.takes_sums()) {
            self.try_sub(smaller);
        }
    }

    /// Whether a counter has too many additions to be shown one by one.
    fn takes_sums(&self) -> bool {
        let is_long = self.sub.kept.len() > FEW || self.sub.sums.all.is_some();
        self.part.subject == Subject::Counter && is_long
    }

    fn drop_registers(&mut self) {
        if self.part.subject == Subject::Registers {
            let (sub, part) = (self.sub.clone(), self.part);
            minimise(sub.registers(part), |wanted| self.try_sub(sub.through(part, wanted)));
        }
    }

    fn drop_units(&mut self) {
        let (sub, part) = (self.sub.clone(), self.part);
        let units = Units::of(part, &sub);
        let pinned = units.about(&sub, |at| Some(at) == self.first);
        let free = units.all().into_iter().filter(|unit| !pinned.contains(unit)).collect();
        minimise(free, |wanted| self.try_sub(units.keep(part, &sub, &[wanted, &pinned].concat())));
    }
}

/// Delta debugging: removes chunks of `items`, halving their size, until no single item can go. `proves`
/// tests every candidate, until it returns no answer.
fn minimise<T: Copy>(mut items: Vec<T>, mut proves: impl FnMut(&[T]) -> Option<bool>) {
    let mut chunk = items.len();
    while chunk > 0 {
        let (mut start, before) = (0, items.len());
        while start < items.len() {
            let end = (start + chunk).min(items.len());
            let fewer = [&items[..start], &items[end..]].concat();
            match proves(&fewer) {
                Some(true) => items = fewer,
                Some(false) => start = end,
                None => return,
            }
        }
        chunk = match chunk {
            1 if items.len() == before => 0,
            1 => 1,
            _ => chunk.div_ceil(2),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Dice, Object};
    use super::*;

    fn recorded(object: Object, ops: &[Op]) -> Recorded<'_> {
        Recorded::new(object.subject(), ops, |op| object.changes_nothing(op))
    }

    /// Applies moves at random, without testing whether they keep the proof.
    fn wander(dice: &mut Dice, part: &Recorded<'_>) -> Sub {
        let mut sub = Sub::whole(part);
        for _ in 0..1 + dice.below(4) {
            let some = |dice: &mut Dice| dice.below(2) == 0;
            sub = match dice.below(4) {
                0 => sub.cut_at(part, dice.below(200)),
                1 => sub.retain(|at| !part.is_observer(at) || some(dice)),
                2 if part.subject == Subject::Counter => {
                    let shown: Vec<usize> =
                        sub.showing_sums(part).into_iter().filter(|_| some(dice)).collect();
                    let shown = sub.with_sums_of(part, &shown);
                    shown.summed(part).unwrap_or(shown)
                }
                2 if sub.is_overwritten(part) => {
                    let complete = |op: &Op| op.is_ok() && op.ret() <= sub.cut;
                    let blind = |at: &usize| part.is_blind(*at) && complete(&part.ops[*at]);
                    let writes: Vec<usize> = sub.kept.iter().copied().filter(blind).collect();
                    let chosen = writes.get(dice.below(writes.len() as u64 + 1) as usize);
                    chosen.and_then(|&write| sub.beginning_at(part, write)).unwrap_or(sub)
                }
                _ => {
                    let units = Units::of(part, &sub);
                    let wanted: Vec<u32> = units.all().into_iter().filter(|_| some(dice)).collect();
                    units.keep(part, &sub, &wanted)
                }
            };
        }
        sub
    }

    /// The claim of every section of `moves`: no legal history ever becomes illegal.
    #[test]
    fn no_moves_turn_a_linearizable_history_into_a_violation() {
        for object in Object::ALL {
            let mut dice = Dice(object as u64);
            for round in 0..6_000 {
                let ops = object.history(&mut dice, 12);
                let part = recorded(object, &ops);
                let sub = wander(&mut dice, &part);
                let left = sub.ops(&part);
                assert!(object.linearizable(&left), "{object:?} round {round}: {ops:#?}\nbecame {left:#?}");
            }
        }
    }

    #[test]
    fn a_violation_shrinks_to_a_violation_that_no_move_makes_smaller() {
        for object in Object::ALL {
            let (mut dice, mut violations) = (Dice(100 + object as u64), 0);
            let size = if object == Object::Register { 18 } else { 13 };
            while violations < 200 {
                let ops = object.falsified(&mut dice, size);
                if object.linearizable(&ops) {
                    continue;
                }
                violations += 1;
                let part = recorded(object, &ops);
                let hint: Vec<usize> = (0..ops.len()).filter(|_| dice.below(3) == 0).collect();
                let mut decide = |ops: &[Op]| Some(object.linearizable(ops));
                let Shrunk { sub, stats, first } = shrink(&part, &hint, u64::MAX, &mut decide);
                assert!(stats.complete && stats.to == sub.kept.len());
                assert!(!object.linearizable(&sub.ops(&part)), "{object:?}: lost the proof of {ops:#?}");

                let proves = |smaller: &Sub| !object.linearizable(&smaller.ops(&part));
                let before = sub.cut_at(&part, sub.cut - 1);
                assert!(!proves(&before), "{object:?}: an earlier completion proves it");
                let is_long = object == Object::Counter && sub.kept.len() > FEW;
                assert!(!is_long || sub.summed(&part).is_none(), "not summed up");
                for &at in sub.kept.iter().filter(|&&at| part.is_observer(at)) {
                    assert!(!proves(&sub.retain(|other| other != at)), "{object:?}: an observer too many");
                }
                let units = Units::of(&part, &sub);
                let pinned = first.map_or(Vec::new(), |first| units.about(&sub, |at| at == first));
                for unit in units.all().into_iter().filter(|unit| !pinned.contains(unit)) {
                    let others: Vec<u32> = units.all().into_iter().filter(|other| *other != unit).collect();
                    assert!(!proves(&units.keep(&part, &sub, &others)), "{object:?}: a unit too many");
                }
            }
        }
    }

    #[test]
    fn a_spent_budget_leaves_a_larger_proof() {
        let mut dice = Dice(7);
        let ops = std::iter::repeat_with(|| Object::Register.falsified(&mut dice, 14))
            .find(|ops| !Object::Register.linearizable(ops))
            .expect("the stream is endless");
        let part = recorded(Object::Register, &ops);
        let reads_max = 3 * ops.len() as u64;
        let (mut asked, mut read) = (0, 0);
        let mut decide = |ops: &[Op]| {
            asked += 1;
            read += ops.len() as u64;
            Some(Object::Register.linearizable(ops))
        };
        let Shrunk { sub, stats, .. } = shrink(&part, &[], reads_max, &mut decide);
        assert_eq!((stats.rechecks, stats.complete), (asked, false));
        assert!(read > 0 && read <= reads_max, "{read} of {reads_max}");
        assert!(!Object::Register.linearizable(&sub.ops(&part)));
    }
}
