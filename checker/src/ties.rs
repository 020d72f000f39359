//! What holds of operations that meet in one instant.
//!
//! Intervals are closed: an operation that is called in the very instant in which another one returns is concurrent
//! with it, for a clock has a resolution, and who came first cannot be told. One process is the exception. It does one
//! thing at a time, so what it calls when its last operation returns comes after that operation:
//!
//! > a precedes b iff a returned before b was called, or both are of one process, a comes first in the recording, and
//! > b was called in the instant in which a returned.
//!
//! The rule holds for the operations on one key. The engines know only the first half, so an instant is taken apart for
//! them. Where one process goes on in it, there is room in between:
//!
//! ```text
//!   one instant                      calls of others │ p0 returns │ p0 calls │ returns of others
//! ```
//!
//! Where two processes go on in the same instant no such order says the same: p0's first operation precedes its second,
//! and p1's first its second, and nothing else is known (a "2 + 2", which is what interval orders cannot have: Fishburn,
//! J. Math. Psychol. 7, 1970). There the instant stays whole, and the engines are told which operations come
//! [after](Ties::after) which.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::broken::broken;
use crate::op::{Nanos, Op};

/// For some operations, those that must be placed before them. By position.
pub(crate) type After = HashMap<u32, Vec<u32>>;

/// The ties within processes among the operations of one object. Operations by position.
#[derive(Debug)]
pub(crate) struct Ties {
    /// Every instant of the history, and where it begins on the clock that has room for ties.
    instants: Vec<(Nanos, Nanos)>,
    /// The call and the return of every operation on that clock.
    times: Vec<(Nanos, Nanos)>,
    /// The same where ties that leave a choice are put in the order of the recording.
    in_order: Vec<(Nanos, Nanos)>,
    /// What the times leave open: what must be placed before an operation.
    pub(crate) after: After,
}

/// Whether real time, or its process, puts one operation before another; each with its position in the recording.
pub(crate) fn precedes((a_at, a): (usize, &Op), (b_at, b): (usize, &Op)) -> bool {
    a.ret() < b.call || continues((a_at, a), (b_at, b))
}

/// Whether the process of the first operation goes on with the second in the instant in which the first returns.
pub(crate) fn continues((a_at, a): (usize, &Op), (b_at, b): (usize, &Op)) -> bool {
    a.process == b.process && a.is_ok() && a.ret() == b.call && (a.call, a_at) < (b.call, b_at)
}

impl Ties {
    /// `None` if no process goes on in the instant in which an operation of its own returns.
    pub(crate) fn of(ops: &[&Op]) -> Option<Ties> {
        if broken("ties: a process has no order of its own") {
            return None;
        }
        let mut after = After::new();
        // Of each process, the operations that return no earlier than its last call.
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

    /// The operations with times that leave no tie within a process, but for those in [`Ties::after`].
    pub(crate) fn apart(&self, ops: &[&Op]) -> Vec<Op> {
        retimed(ops, &self.times)
    }

    /// The operations with times that leave no tie within a process, and exclude some orders that are possible.
    pub(crate) fn in_order(&self, ops: &[&Op]) -> Vec<Op> {
        retimed(ops, &self.in_order)
    }

    /// Whether an order of positions keeps what the times leave open.
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

    /// An instant of the clock with room as one of the recording.
    pub(crate) fn recorded(&self, at: Nanos) -> Nanos {
        let next = self.instants.partition_point(|&(_, begins)| begins <= at);
        next.checked_sub(1).map_or(0, |instant| self.instants[instant].0)
    }
}

/// By instant: the operations of each process that goes on in it, in its order.
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
    // In the order of the recording, so that the same history is always taken apart in the same way.
    chains.values_mut().for_each(|chains| chains.sort_by_key(|chain| chain.iter().min().copied()));
    chains
}

/// Pairs of times.
type Intervals = Vec<(Nanos, Nanos)>;

/// Every instant with its beginning on a clock that puts these chains in order, and all times on that clock.
fn clock(ops: &[&Op], chains: &BTreeMap<Nanos, Vec<Vec<u32>>>) -> (Intervals, Intervals) {
    let end = |op: &Op| op.ret().max(op.call);
    let definite = |op: &&&Op| op.is_ok() && op.ret() < Nanos::MAX;
    let mut all: Vec<Nanos> = ops.iter().map(|op| op.call).collect();
    all.extend(ops.iter().filter(definite).map(|op| end(op)));
    all.sort_unstable();
    all.dedup();
    // Within its instant, where a call or a return of a chain is.
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
