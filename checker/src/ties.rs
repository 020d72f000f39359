//! The order of operations that meet in one instant.
//!
//! Intervals are closed: an operation that is invoked in the very instant in which another one returns is
//! concurrent with it, because a clock has a resolution and the true order is unknown. One process is the
//! exception. It does one thing at a time, so an operation that it invokes when its last one returns comes
//! after that one:
//!
//! > a precedes b iff a returned before b was invoked, or both are of one process, a comes first in the
//! > recording, and b was invoked in the instant in which a returned.
//!
//! The rule holds for the operations on one key. The engines know only the first half, so instants are
//! stretched for them. If one process continues in an instant, room is made in between:
//!
//! ```text
//!   one instant                      calls of others │ p0 returns │ p0 calls │ returns of others
//! ```
//!
//! If two processes continue in the same instant, no times can express the rule: p0's first operation
//! precedes its second, p1's first its second, and nothing else is known (a "2 + 2", which interval orders
//! exclude: Fishburn, J. Math. Psychol. 7, 1970). Then the instant stays whole, and the engines get the
//! operations that come [after](Ties::after) others explicitly.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::broken::broken;
use crate::op::{Nanos, Op};

/// For some operations, those that must be placed before them. By position.
pub(crate) type After = HashMap<u32, Vec<u32>>;

/// The ties within processes, among the operations of one object. Operations are positions.
#[derive(Debug)]
pub(crate) struct Ties {
    /// Every instant of the history, and its beginning on the stretched clock.
    instants: Vec<(Nanos, Nanos)>,
    /// The invocation and the return of every operation on the stretched clock.
    times: Vec<(Nanos, Nanos)>,
    /// As `times`, but ties with several possible orders are put in the order of the recording.
    in_order: Vec<(Nanos, Nanos)>,
    /// The order that the times do not express: what must be placed before an operation.
    pub(crate) after: After,
}

/// Whether real time, or its process, puts one operation before another; each with its position in the
/// recording.
pub(crate) fn precedes((a_at, a): (usize, &Op), (b_at, b): (usize, &Op)) -> bool {
    a.ret() < b.call || continues((a_at, a), (b_at, b))
}

/// Whether the process of the first operation continues with the second in the instant in which the first
/// returns.
pub(crate) fn continues((a_at, a): (usize, &Op), (b_at, b): (usize, &Op)) -> bool {
    a.process == b.process && a.is_ok() && a.ret() == b.call && (a.call, a_at) < (b.call, b_at)
}

impl Ties {
    /// `None` if no process continues in the instant in which its own operation returns.
    pub(crate) fn of(ops: &[&Op]) -> Option<Ties> {
        if broken("ties: a process has no order of its own") {
            return None;
        }
        let mut after = After::new();
        // For each process, the operations that return no earlier than its last invocation.
        let mut last: HashMap<u64, Vec<(Nanos, u32)>> = HashMap::new();
        let in_order = ops.is_sorted_by_key(|op| op.call);
        let mut sorted: Vec<u32> = Vec::new();
        if !in_order {
            sorted.extend(0..ops.len() as u32);
            sorted.sort_by_key(|&at| ops[at as usize].call);
        }
        for i in 0..ops.len() as u32 {
            let at = if in_order { i } else { sorted[i as usize] };
            let op = ops[at as usize];
            if op.is_fail() {
                continue;
            }
            let open = last.entry(op.process).or_default();
            open.retain(|&(ret, _)| ret >= op.call);
            let before = open.iter().filter(|&&(ret, _)| ret == op.call).map(|&(_, before)| before);
            let before: Vec<u32> = before.collect();
            if !before.is_empty() {
                after.insert(at, before);
            }
            if op.is_ok() && op.ret() >= op.call {
                open.push((op.ret(), at));
            }
        }
        (!after.is_empty()).then(|| Ties::resolve(ops, after))
    }

    fn resolve(ops: &[&Op], after: After) -> Ties {
        let mut chains = chains(ops, &after);
        let (instants, in_order) = clock(ops, &chains);
        let open: Vec<Nanos> =
            chains.iter().filter(|(_, chains)| chains.len() > 1).map(|(&at, _)| at).collect();
        if open.is_empty() {
            return Ties { instants, times: in_order, in_order: Vec::new(), after: After::new() };
        }
        open.iter().for_each(|at| drop(chains.remove(at)));
        let mut after = after;
        after.retain(|&at, _| open.binary_search(&ops[at as usize].call).is_ok());
        let (instants, times) = clock(ops, &chains);
        Ties { instants, times, in_order, after }
    }

    /// The operations with times that leave no tie within a process, except for those in [`Ties::after`].
    pub(crate) fn apart(&self, ops: &[&Op]) -> Vec<Op> {
        retimed(ops, &self.times)
    }

    /// The operations with times that leave no tie within a process, but exclude some possible orders.
    pub(crate) fn in_order(&self, ops: &[&Op]) -> Vec<Op> {
        retimed(ops, &self.in_order)
    }

    /// Whether an order of positions respects [`Ties::after`].
    pub(crate) fn agree(&self, order: &[usize]) -> bool {
        let mut place: HashMap<u32, usize> = HashMap::new();
        for (i, &at) in order.iter().enumerate() {
            place.insert(at as u32, i);
        }
        self.after.iter().all(|(at, before)| {
            place.get(at).is_none_or(|at| {
                before.iter().all(|before| place.get(before).is_none_or(|before| before < at))
            })
        })
    }

    /// Converts an instant of the stretched clock to one of the recording.
    pub(crate) fn recorded(&self, at: Nanos) -> Nanos {
        let next = self.instants.partition_point(|&(_, begins)| begins <= at);
        next.checked_sub(1).map_or(0, |instant| self.instants[instant].0)
    }
}

/// Per instant: the operations of each process that continues in it, in its order.
fn chains(ops: &[&Op], after: &After) -> BTreeMap<Nanos, Vec<Vec<u32>>> {
    let mut by_process: BTreeMap<(Nanos, u64), Vec<u32>> = BTreeMap::new();
    for (&at, before) in after {
        let op = ops[at as usize];
        let chain = by_process.entry((op.call, op.process)).or_default();
        chain.extend(before.iter().copied().chain([at]));
    }
    let mut chains: BTreeMap<Nanos, Vec<Vec<u32>>> = BTreeMap::new();
    for ((instant, _), mut chain) in by_process {
        chain.sort_by_key(|&at| (ops[at as usize].call, at));
        chain.dedup();
        chains.entry(instant).or_default().push(chain);
    }
    // In the order of the recording, so that the same history is always stretched in the same way.
    chains.values_mut().for_each(|chains| chains.sort_by_key(|chain| chain.iter().min().copied()));
    chains
}

type Intervals = Vec<(Nanos, Nanos)>;

/// A stretched clock that puts these chains in order: every instant with its beginning, and all times on that
/// clock.
fn clock(ops: &[&Op], chains: &BTreeMap<Nanos, Vec<Vec<u32>>>) -> (Intervals, Intervals) {
    let end = |op: &Op| op.ret().max(op.call);
    let definite = |op: &&&Op| op.is_ok() && op.ret() < Nanos::MAX;
    let mut all: Vec<Nanos> = ops.iter().map(|op| op.call).collect();
    all.extend(ops.iter().filter(definite).map(|op| end(op)));
    all.sort_unstable();
    all.dedup();
    // The position of a chain's invocations and returns within their instant.
    let mut inside: HashMap<(u32, bool), Nanos> = HashMap::new();
    let (mut instants, mut ends, mut next) =
        (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()), 0);
    for instant in all {
        let mut step = 0;
        for chain in chains.get(&instant).into_iter().flatten() {
            for (i, &at) in chain.iter().enumerate() {
                if i > 0 && ops[at as usize].call == instant {
                    step += 1;
                    inside.insert((at, false), step);
                }
                if definite(&&ops[at as usize]) && end(ops[at as usize]) == instant {
                    step += 1;
                    inside.insert((at, true), step);
                }
            }
        }
        let width = if step == 0 { 0 } else { step + 1 };
        instants.push((instant, next));
        ends.push(next + width);
        next += width + 1;
    }
    let index = |time: Nanos| instants.partition_point(|&(instant, _)| instant < time);
    let times = (0..).zip(ops).map(|(at, op)| {
        let call = instants[index(op.call)].1 + inside.get(&(at, false)).copied().unwrap_or(0);
        if !definite(&op) {
            return (call, Nanos::MAX);
        }
        let instant = index(end(op));
        (call, inside.get(&(at, true)).map_or(ends[instant], |step| instants[instant].1 + step))
    });
    let times = times.collect();
    (instants, times)
}

fn retimed(ops: &[&Op], times: &[(Nanos, Nanos)]) -> Vec<Op> {
    let retimed = ops.iter().zip(times).map(|(op, &(call, ret))| {
        let completed = op.completed.filter(|_| op.is_ok()).map(|_| ret);
        Op { call, completed, ..(*op).clone() }
    });
    retimed.collect()
}
