//! A FIFO queue of distinct values: exact in O(n log n).
//!
//! Every value has an interval for its enqueue and one for its dequeue, written `[ec, er]` and `[dc, dr]`;
//! both ends of the dequeue lie after everything else if the value was never dequeued. The enqueue takes
//! effect before the dequeue, so `er` may be lowered to `dr` and `dc` raised to `ec`. A legal order of the
//! queue is an order of its *values* in which both the enqueues and the dequeues can take place. Value a must
//! come before value b iff
//!
//! ```text
//!   er(a) < ec(b)      enqueued before, or
//!   dr(a) < dc(b)      dequeued before
//! ```
//!
//! **Peeling.** Repeatedly remove a value that no remaining value must precede: one with `ec ≤ min er` and
//! `dc ≤ min dr` over the remaining values. If there is none, take a with the least `er` and b with the least
//! `dr` among them: a must wait for b to be dequeued, and b for a to be enqueued, so each must come before
//! the other: illegal (also with a = b, for a value that was dequeued before it was enqueued). Otherwise the
//! order of removal is legal: each enqueue and dequeue takes effect at the latest invocation of its kind so
//! far. No return lies before these instants, and no dequeue before its enqueue, because `ec ≤ dc` for every
//! value.
//!
//! **Empty dequeues** need an instant in their interval at which no value is certainly in the queue, that is,
//! within `er < t < dc`. The first such instant is as good as any: values with `er < t` are then dequeued by
//! t, the others enqueued from t on, and neither excludes an order that was possible before. (A value that
//! must be before such an instant already precedes every value that can be after it, and among values on the
//! same side nothing changes.)
//!
//! **Indeterminate enqueues** took place if their value was dequeued. Otherwise they are dropped: removing a
//! value that was never dequeued changes no other result.
//!
//! **Indeterminate dequeues** are wildcards: from its invocation on, each may remove one value. Only values
//! without a known dequeue are candidates. While peeling, such a value is removed only when it blocks
//! everything else, by the remaining wildcard that was invoked first. That is forced: some b must be enqueued
//! after it and dequeued by `min dr`, so it must be gone by then, like all values removed this way before. If
//! no remaining wildcard was invoked by then, there are more such values than wildcards. Empty dequeues
//! compete for wildcards as well. With them, a legal order that is found is legal, but a refutation counts
//! only if it holds without the empty dequeues; otherwise the algorithm declines.
//!
//! The four kinds of violation (fresh value, duplicate, order, empty) are those of Henzinger, Sezgin and
//! Vafeiadis, "Aspect-oriented linearizability proofs", CONCUR 2013; peeling and wildcards are new here.
//!
//! Precondition: enqueues and dequeues only, no value enqueued twice, none `nil`.

use hashbrown::HashMap;

use super::broken;
use crate::decision::Decision;
use crate::op::{F, Nanos, Op, Outcome, Value};

const NONE: usize = usize::MAX;

/// A value, and the intervals of its enqueue and dequeue.
struct Item {
    enqueue: usize,
    /// `NONE` if no known dequeue removed it.
    dequeue: usize,
    ec: Nanos,
    er: Nanos,
    dc: Nanos,
    dr: Nanos,
}

impl Item {
    /// Whether a completed dequeue removed it.
    fn is_taken(&self) -> bool {
        self.dequeue != NONE
    }
}

/// The operations of a queue, matched by value.
struct Queue {
    items: Vec<Item>,
    /// Dequeues that found the queue empty, by time of invocation.
    empties: Vec<usize>,
    /// Dequeues of unknown outcome, by time of invocation.
    wildcards: Vec<usize>,
}

/// Decides the history of a queue; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    let mut queue = match read(ops) {
        Ok(queue) => queue,
        Err(decision) => return decision,
    };
    match queue.legal_order(ops) {
        Ok(order) => Decision::Legal { order },
        Err(conflict) if queue.wildcards.is_empty() || queue.empties.is_empty() => {
            Decision::Illegal { conflict }
        }
        Err(_) => {
            let Ok(mut queue) = read(ops) else { return Decision::Declined };
            if let Some(conflict) = queue.never_empty(ops) {
                return Decision::Illegal { conflict };
            }
            queue.empties.clear();
            match queue.legal_order(ops) {
                Ok(_) => Decision::Declined,
                Err(conflict) => Decision::Illegal { conflict },
            }
        }
    }
}

/// Matches enqueues and dequeues. Fails if the precondition does not hold or a dequeue has no match.
fn read(ops: &[&Op]) -> Result<Queue, Decision> {
    let mut items: Vec<Item> = Vec::with_capacity(ops.len() / 2);
    let mut by_value: HashMap<&Value, usize> = HashMap::with_capacity(ops.len() / 2);
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
        match op.f {
            F::Enqueue => {
                if op.input.is_nil() || by_value.insert(&op.input, items.len()).is_some() {
                    return Err(Decision::Declined);
                }
                let (ec, er) = (op.call, op.ret());
                items.push(Item { enqueue: at, dequeue: NONE, ec, er, dc: Nanos::MAX, dr: Nanos::MAX });
            }
            F::Dequeue => {}
            _ => return Err(Decision::Declined),
        }
    }
    let (mut empties, mut wildcards) = (Vec::new(), Vec::new());
    let mut broken_rule = None;
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| op.f == F::Dequeue) {
        let value = match &op.outcome {
            Outcome::Fail => continue,
            Outcome::Info => {
                wildcards.push(at);
                continue;
            }
            Outcome::Ok(Value::Nil) => {
                empties.push(at);
                continue;
            }
            Outcome::Ok(value) => value,
        };
        let conflict = match by_value.get(value) {
            None => vec![at],
            Some(&item) if items[item].is_taken() => vec![items[item].dequeue, at],
            Some(&item) => {
                let item = &mut items[item];
                item.dequeue = at;
                item.dc = op.call;
                item.dr = op.ret();
                if !broken("queue: a dequeue bounds its enqueue") {
                    item.er = item.er.min(item.dr);
                    item.dc = item.dc.max(item.ec);
                }
                continue;
            }
        };
        broken_rule.get_or_insert(conflict);
    }
    if let Some(conflict) = broken_rule.filter(|_| !broken("queue: no fresh or duplicate value")) {
        return Err(Decision::Illegal { conflict });
    }
    items.retain(|item| item.is_taken() || ops[item.enqueue].is_ok());
    Ok(Queue { items, empties, wildcards })
}

impl Queue {
    /// A legal order of all operations, or some that contradict each other.
    fn legal_order(&mut self, ops: &[&Op]) -> Result<Vec<usize>, Vec<usize>> {
        let empty_at = self.empty_instants(ops)?;
        self.keep_apart(&empty_at);
        let peeled = self.peel(ops)?;
        Ok(self.interleave(ops, &peeled, &empty_at))
    }

    /// An empty dequeue during whose whole interval more values are in the queue than wildcards can have
    /// removed, with these: a value without a known dequeue, and one that certainly left later.
    fn never_empty(&self, ops: &[&Op]) -> Option<Vec<usize>> {
        let sorted = |mut instants: Vec<Nanos>| {
            instants.sort_unstable();
            instants
        };
        let (taken, stay): (Vec<&Item>, Vec<&Item>) = self.items.iter().partition(|item| item.is_taken());
        let stay = sorted(stay.into_iter().map(|item| item.er).collect());
        let taken: Vec<&Item> = taken.into_iter().filter(|item| item.er < item.dc).collect();
        let enter = sorted(taken.iter().map(|item| item.er).collect());
        let leave = sorted(taken.iter().map(|item| item.dc).collect());
        let may_be_empty = |instant: Nanos| {
            let came = |instants: &[Nanos]| instants.partition_point(|&at| at < instant);
            let gone = leave.partition_point(|&at| at <= instant);
            let removed = self.wildcards.partition_point(|&at| ops[at].call <= instant);
            let removed = if broken("queue: wildcards are counted") { 0 } else { removed };
            came(&enter) == gone && came(&stay) <= removed
        };
        let at = self.empties.iter().copied().find(|&at| {
            let (call, ret) = (ops[at].call, ops[at].ret());
            let from = self.wildcards.partition_point(|&at| ops[at].call < call);
            let calls = self.wildcards[from..].iter().map(|&at| ops[at].call);
            let ends = leave[leave.partition_point(|&end| end < call)..].iter().copied();
            let in_time = |instant: &Nanos| *instant <= ret;
            let mut instants =
                [call].into_iter().chain(calls.take_while(in_time)).chain(ends.take_while(in_time));
            !instants.any(may_be_empty)
        })?;
        let inside = self.items.iter().filter(|item| item.er < ops[at].ret() && item.dc > ops[at].call);
        Some(
            [at].into_iter()
                .chain(inside.flat_map(|item| [item.enqueue, item.dequeue]))
                .filter(|&op| op != NONE)
                .collect(),
        )
    }

    /// The first instant of each empty dequeue at which no value is certainly in the queue, in the order of
    /// the instants.
    fn empty_instants(&self, ops: &[&Op]) -> Result<Vec<(Nanos, usize)>, Vec<usize>> {
        if self.empties.is_empty() {
            return Ok(Vec::new());
        }
        // If there are wildcards, a value without a known dequeue need not be in the queue.
        let stays = |item: &&Item| item.er < item.dc && (item.is_taken() || self.wildcards.is_empty());
        let mut inside: Vec<&Item> = self.items.iter().filter(stays).collect();
        inside.sort_unstable_by_key(|item| item.er);
        // The union of these open intervals, as separate intervals, each with the range of its items.
        let mut stretches: Vec<(Nanos, Nanos, std::ops::Range<usize>)> = Vec::new();
        for (i, item) in inside.iter().enumerate() {
            match stretches.last_mut() {
                Some((_, end, range)) if item.er < *end => {
                    *end = (*end).max(item.dc);
                    range.end = i + 1;
                }
                _ => stretches.push((item.er, item.dc, i..i + 1)),
            }
        }
        let mut instants = Vec::with_capacity(self.empties.len());
        for &at in &self.empties {
            let (call, ret) = (ops[at].call, ops[at].ret());
            let before = stretches.partition_point(|stretch| stretch.0 < call);
            let instant = match before.checked_sub(1).map(|i| &stretches[i]) {
                Some((_, end, items)) if call < *end => {
                    if ret < *end && !broken("queue: an empty dequeue finds nothing") {
                        let items = &inside[items.clone()];
                        let overlapping = items.iter().filter(|item| item.er < ret && call < item.dc);
                        let pairs = overlapping.flat_map(|item| [item.enqueue, item.dequeue]);
                        return Err([at].into_iter().chain(pairs.filter(|&op| op != NONE)).collect());
                    }
                    *end
                }
                _ => call,
            };
            instants.push((instant, at));
        }
        instants.sort_unstable();
        Ok(instants)
    }

    /// Puts every value on one side of each instant at which the queue was empty.
    fn keep_apart(&mut self, empty_at: &[(Nanos, usize)]) {
        if broken("queue: values keep to one side of an empty dequeue") {
            return;
        }
        for item in &mut self.items {
            let after = empty_at.partition_point(|&(instant, _)| instant <= item.er);
            if let Some(&(instant, _)) = after.checked_sub(1).and_then(|i| empty_at.get(i)) {
                item.ec = item.ec.max(instant);
                item.dc = item.dc.max(instant);
            }
            if let Some(&(instant, _)) = empty_at.get(after) {
                item.dr = item.dr.min(instant);
            }
        }
    }

    /// The items in an order in which they can pass through the queue. A wildcard that removes an item
    /// becomes its dequeue.
    fn peel(&mut self, ops: &[&Op]) -> Result<Vec<usize>, Vec<usize>> {
        let n = self.items.len();
        let by_er = sorted_by(&self.items, |item| item.er);
        let by_dr = sorted_by(&self.items, |item| (item.dr, !item.is_taken()));
        let mut by_ec = sorted_by(&self.items, |item| item.ec).into_iter().peekable();
        // An item without a known dequeue is not removed when it is ready, to save wildcards.
        let mut by_dc = sorted_by(&self.items, |item| item.dc);
        by_dc.retain(|&i| self.items[i].is_taken());
        let mut by_dc = by_dc.into_iter().peekable();
        let (mut next_er, mut next_dr) = (0, 0);
        let mut wildcards = self.wildcards.iter().copied().peekable();
        // The number of conditions that an item meets; with both it is ready.
        let mut met = vec![0u8; n];
        let mut gone = vec![false; n];
        let mut ready: Vec<usize> = Vec::new();
        let mut order = Vec::with_capacity(n);
        loop {
            while next_er < n && gone[by_er[next_er]] {
                next_er += 1;
            }
            while next_dr < n && gone[by_dr[next_dr]] {
                next_dr += 1;
            }
            let (Some(&first_in), Some(&first_out)) = (by_er.get(next_er), by_dr.get(next_dr)) else {
                return Ok(order);
            };
            if !self.items[first_out].is_taken() && self.items[first_out].dr == Nanos::MAX {
                // All remaining values stayed in the queue, so only the order of the enqueues matters.
                order.extend(by_er[next_er..].iter().filter(|&&i| !gone[i]));
                return Ok(order);
            }
            let (min_er, min_dr) = (self.items[first_in].er, self.items[first_out].dr);
            let mut meet = |i: usize| {
                met[i] += 1;
                if met[i] == 2 {
                    ready.push(i);
                }
            };
            while let Some(i) = by_ec.next_if(|&i| self.items[i].ec <= min_er) {
                meet(i);
            }
            while let Some(i) = by_dc.next_if(|&i| self.items[i].dc <= min_dr) {
                meet(i);
            }
            if let Some(i) = ready.pop() {
                gone[i] = true;
                order.push(i);
                continue;
            }
            let (a, b) = (&self.items[first_in], &self.items[first_out]);
            let mut conflict = vec![a.enqueue, a.dequeue, b.enqueue, b.dequeue];
            conflict.sort_unstable();
            conflict.dedup();
            conflict.retain(|&op| op != NONE);
            if a.is_taken() {
                return Err(conflict);
            }
            // It has no known dequeue but must leave now, so a wildcard must have removed it.
            let Some(wildcard) = wildcards.next_if(|&at| ops[at].call <= min_dr) else {
                return Err(conflict);
            };
            let item = &mut self.items[first_in];
            item.dequeue = wildcard;
            item.dc = ops[wildcard].call.max(item.ec);
            gone[first_in] = true;
            order.push(first_in);
        }
    }

    /// Merges enqueues, dequeues and empty dequeues in the order of their instants.
    fn interleave(&self, ops: &[&Op], peeled: &[usize], empty_at: &[(Nanos, usize)]) -> Vec<usize> {
        let mut order = Vec::with_capacity(ops.len());
        let mut empties = empty_at.iter().peekable();
        let (mut enqueued, mut dequeued) = (0, 0);
        // The instants reached by the enqueues and by the dequeues.
        let (mut in_at, mut out_at) = (0, 0);
        let item = |i: usize| peeled.get(i).map(|&i| &self.items[i]);
        loop {
            let enqueue = item(enqueued).map(|item| in_at.max(item.ec));
            let dequeue = item(dequeued).filter(|item| dequeued < enqueued && item.is_taken());
            let dequeue = dequeue.map(|item| out_at.max(item.dc));
            let empty = empties.peek().filter(|_| enqueued == dequeued).map(|empty| empty.0);
            // In one instant, dequeues come first, then empty dequeues, then enqueues.
            let next = [dequeue, empty, enqueue].into_iter().flatten().min();
            let Some(next) = next else { return order };
            if dequeue == Some(next) {
                order.push(item(dequeued).expect("it has an instant").dequeue);
                out_at = next;
                dequeued += 1;
            } else if empty == Some(next) {
                order.push(empties.next().expect("it has an instant").1);
            } else {
                order.push(item(enqueued).expect("it has an instant").enqueue);
                in_at = next;
                enqueued += 1;
            }
        }
    }
}

/// The indices of the items, sorted by a key.
fn sorted_by<K: Ord>(items: &[Item], key: impl Fn(&Item) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&i| key(&items[i]));
    order
}
