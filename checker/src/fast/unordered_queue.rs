//! A queue of distinct values without an order: exact in O(n log n).
//!
//! Every value has an interval for its enqueue and one for its dequeue, written `[ec, er]` and `[dc, dr]`, as
//! in a [FIFO queue](super::queue): the enqueue takes effect before the dequeue, so `er` may be lowered to
//! `dr` and `dc` raised to `ec`. The value is certainly in the queue within `er < t < dc`, and from `er` on
//! forever if it is never dequeued. Different values need no order, so only dequeues that found the queue
//! empty relate several values.
//!
//! **Empty dequeues** need an instant in their interval at which no value is certainly in the queue. The
//! first such instant is as good as any, because it restricts no value: one with `er < t` leaves by t, any
//! other is enqueued from t on.
//!
//! ```text
//!   a   ├enqueue┤▓▓▓▓▓▓▓▓▓▓▓▓├dequeue┤
//!   b             ├enqueue┤▓▓▓▓▓▓▓▓▓▓▓▓▓▓├dequeue┤
//!   empty             ├──────────────────▲──────────┤
//! ```
//!
//! **Indeterminate enqueues** took place if their value was dequeued, and are dropped otherwise.
//!
//! **Indeterminate dequeues** are wildcards: from its invocation on, each can remove one value without a
//! known dequeue. At an instant when the queue is empty, all such values with `er < t` are gone, and this
//! takes as many wildcards invoked by t. That many also suffice: the wildcards invoked first remove the
//! values that must leave first. So the times at which too few are invoked are further intervals in which the
//! queue is certainly not empty.
//!
//! Precondition: enqueues and dequeues only, no value enqueued twice, none `nil`.

use hashbrown::HashMap;

use super::broken;
use crate::decision::Decision;
use crate::op::{F, Nanos, Op, Outcome, Value};

/// A value, and the intervals of its enqueue and dequeue.
struct Item {
    enqueue: usize,
    /// The completed dequeue that removed it.
    dequeue: Option<usize>,
    ec: Nanos,
    er: Nanos,
    dc: Nanos,
}

/// The operations of the queue, matched by value.
struct Bag {
    items: Vec<Item>,
    /// Dequeues that found the queue empty.
    empties: Vec<usize>,
    /// Dequeues of unknown outcome, by time of invocation.
    wildcards: Vec<usize>,
}

/// Decides the history of an unordered queue; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    let bag = match Bag::read(ops) {
        Ok(bag) => bag,
        Err(decision) => return decision,
    };
    let full = bag.never_empty(ops);
    let mut instants: Vec<(Nanos, usize)> = Vec::with_capacity(bag.empties.len());
    for &at in &bag.empties {
        let (call, ret) = (ops[at].call, ops[at].ret());
        // Of the intervals that begin before the invocation, the last one ends last.
        let last = full.partition_point(|stretch| stretch.0 < call).checked_sub(1);
        let instant = last.map_or(call, |last| full[last].1.max(call));
        if instant > ret && !broken("unordered-queue: an empty one finds nothing") {
            return Decision::Illegal { conflict: vec![at] };
        }
        instants.push((instant, at));
    }
    instants.sort_unstable();
    Decision::Legal { order: bag.order(ops, &instants) }
}

impl Bag {
    /// Matches enqueues and dequeues. Fails if the precondition does not hold or a dequeue has no match.
    fn read(ops: &[&Op]) -> Result<Self, Decision> {
        let mut bag = Bag { items: Vec::new(), empties: Vec::new(), wildcards: Vec::new() };
        let mut by_value: HashMap<&Value, usize> = HashMap::new();
        for (at, op) in ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
            match op.f {
                F::Enqueue if op.input.is_nil() => return Err(Decision::Declined),
                F::Enqueue => {
                    if by_value.insert(&op.input, bag.items.len()).is_some() {
                        return Err(Decision::Declined);
                    }
                    let (ec, er) = (op.call, op.ret());
                    bag.items.push(Item { enqueue: at, dequeue: None, ec, er, dc: Nanos::MAX });
                }
                F::Dequeue => {}
                _ => return Err(Decision::Declined),
            }
        }
        let mut conflict = None;
        for (at, op) in ops.iter().enumerate().filter(|(_, op)| op.f == F::Dequeue) {
            let value = match &op.outcome {
                Outcome::Fail => continue,
                Outcome::Info => {
                    bag.wildcards.push(at);
                    continue;
                }
                Outcome::Ok(Value::Nil) => {
                    bag.empties.push(at);
                    continue;
                }
                Outcome::Ok(value) => value,
            };
            let Some(&item) = by_value.get(value) else {
                conflict.get_or_insert(vec![at]);
                continue;
            };
            let item = &mut bag.items[item];
            if let Some(other) = item.dequeue.replace(at) {
                conflict.get_or_insert(vec![other, at]);
            } else if op.ret() < item.ec && !broken("unordered-queue: nothing leaves before it comes") {
                conflict.get_or_insert(vec![item.enqueue, at]);
            }
            (item.er, item.dc) = (item.er.min(op.ret()), op.call.max(item.ec));
        }
        match conflict {
            Some(conflict) => Err(Decision::Illegal { conflict }),
            None => Ok(bag),
        }
    }

    /// The values that were certainly enqueued and have no known dequeue: the returns of their enqueues, in
    /// that order.
    fn left(&self) -> Vec<(Nanos, usize)> {
        let left = self.items.iter().enumerate().filter(|(_, item)| item.dequeue.is_none());
        let mut left: Vec<(Nanos, usize)> =
            left.map(|(at, item)| (item.er, at)).filter(|&(er, _)| er != Nanos::MAX).collect();
        left.sort_unstable();
        left
    }

    /// The open intervals in which the queue is certainly not empty, disjoint, by time.
    fn never_empty(&self, ops: &[&Op]) -> Vec<(Nanos, Nanos)> {
        let taken = self.items.iter().filter(|item| item.dequeue.is_some() && item.er < item.dc);
        let mut stretches: Vec<(Nanos, Nanos)> = taken.map(|item| (item.er, item.dc)).collect();
        // While more values are left than wildcards are invoked: from the k-th return to the k-th invocation.
        let mut calls = self.wildcards.iter().map(|&at| ops[at].call);
        for (er, _) in self.left() {
            let call = if broken("unordered-queue: a wildcard takes one") { Some(0) } else { calls.next() };
            let until = call.unwrap_or(Nanos::MAX);
            if er < until {
                stretches.push((er, until));
            }
        }
        stretches.sort_unstable();
        let mut apart: Vec<(Nanos, Nanos)> = Vec::with_capacity(stretches.len());
        for (from, until) in stretches {
            match apart.last_mut() {
                // Two intervals that only meet leave an instant between them.
                Some(last) if from < last.1 => last.1 = last.1.max(until),
                _ => apart.push((from, until)),
            }
        }
        apart
    }

    /// A legal order in which the queue is empty at these instants.
    fn order(&self, ops: &[&Op], instants: &[(Nanos, usize)]) -> Vec<usize> {
        // (number of the instants before it or equal to it, instant, whether it takes, operation)
        let mut placed: Vec<(usize, Nanos, bool, usize)> = Vec::with_capacity(ops.len());
        let before = |time: Nanos| instants.partition_point(|&(instant, _)| instant <= time);
        for (i, &(instant, at)) in instants.iter().enumerate() {
            placed.push((2 * i + 1, instant, false, at));
        }
        // The operation at this time, after as many of the instants as its value's enqueue may be.
        let place =
            |segment: usize, from: Nanos| from.max(segment.checked_sub(1).map_or(0, |last| instants[last].0));
        for item in self.items.iter().filter(|item| item.dequeue.is_some()) {
            let segment = before(item.er);
            placed.push((2 * segment, place(segment, item.ec), false, item.enqueue));
            placed.extend(item.dequeue.map(|at| (2 * segment, place(segment, item.dc), true, at)));
        }
        let mut wildcards = self.wildcards.iter();
        for (er, item) in self.left() {
            let (segment, item) = (before(er), &self.items[item]);
            let comes = place(segment, item.ec);
            placed.push((2 * segment, comes, false, item.enqueue));
            if segment < instants.len()
                && let Some(&wildcard) = wildcards.next()
            {
                placed.push((2 * segment, comes.max(ops[wildcard].call), true, wildcard));
            }
        }
        placed.sort_unstable();
        placed.into_iter().map(|(.., at)| at).collect()
    }
}
