//! A lock: exact in O(n log n).
//!
//! Only its holder can release a lock, and a process does one thing at a time. So the successful operations
//! of a process alternate between acquire and release, and each such pair is a *tenure*: the lock is
//! certainly held from the return of the acquire to the invocation of the release. In the terms of a register
//! the pair is a block with a forward zone (see `unique_register`), so the history is legal iff no two of
//! these intervals overlap, and then their order is forced.
//!
//! ```text
//!   p1   ├acquire┤▓▓▓▓▓▓▓▓▓▓├release┤
//!   p2                  ├─── acquire ───┤▓▓▓▓▓▓├release┤
//! ```
//!
//! **Refused operations.** A refused release requires only that its process does not hold the lock, which is
//! decided by the operations of that process. A refused acquire requires that the lock is held at some
//! instant of its interval. So tenures are made to cover as much time as possible: each hands over directly
//! to the next if their intervals meet. If they do not meet, the lock was free from the return of the one to
//! the invocation of the other in every legal order. A handover restricts no other one, because a tenure's
//! acquire returns before its release is invoked.
//!
//! **Indeterminate operations.** Each is the last of its process. A release may take effect when the next
//! tenure needs it, and otherwise not at all. An acquire that took effect is never released, so at most one
//! took effect, at the end. It helps only by explaining refused acquires, and then the one invoked first
//! helps most.
//!
//! A lock is a read-modify-write register: Gibbons and Korach, "Testing shared memories", SIAM J. Comput.
//! 26(4), 1997, §4.
//!
//! Precondition: acquires and releases only, and no two operations of one client overlap or touch. An
//! operation of unknown outcome overlaps with all later ones of its client.

use hashbrown::HashMap;

use super::broken;
use crate::decision::Decision;
use crate::op::{F, Nanos, Op, Outcome, Value};

/// One interval in which a process held the lock.
struct Tenure {
    acquire: usize,
    release: Option<usize>,
    /// Its beginning and end in the constructed order.
    held: (Nanos, Nanos),
}

/// The operations of each process, interpreted separately.
struct Lock {
    tenures: Vec<Tenure>,
    /// Acquires that found the lock held.
    refused: Vec<usize>,
    /// Releases by a process that held nothing.
    idle: Vec<usize>,
    /// The first acquire of unknown outcome.
    unknown: Option<usize>,
}

/// Decides the history of a lock; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    decide_with(ops, |_, _| true)
}

/// As [`decide`], with the extra condition that the acquires of consecutive tenures are `in_order`.
pub(super) fn decide_with(ops: &[&Op], in_order: impl Fn(&Op, &Op) -> bool) -> Decision {
    match Lock::read(ops).and_then(|lock| lock.legal_order(ops, in_order).map_err(Some)) {
        Ok(order) => Decision::Legal { order },
        Err(Some(conflict)) => Decision::Illegal { conflict },
        Err(None) => Decision::Declined,
    }
}

impl Lock {
    /// Follows each process. Fails with a contradiction within one process, or with `None` if the
    /// precondition does not hold.
    fn read(ops: &[&Op]) -> Result<Lock, Option<Vec<usize>>> {
        let mut lock = Lock { tenures: Vec::new(), refused: Vec::new(), idle: Vec::new(), unknown: None };
        // Per process: the return of its last operation, and its current tenure.
        let mut processes: HashMap<u64, (Nanos, Option<usize>)> = HashMap::new();
        let mut conflict = None;
        for (at, op) in ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
            let holding = match processes.get(&op.actor()) {
                Some((last, _)) if op.call <= *last => return Err(None),
                Some((_, holding)) => *holding,
                None => None,
            };
            let refused = op.outcome == Outcome::Ok(Value::Bool(false));
            let now_holding = match (&op.f, holding) {
                (F::Acquire, _) if refused => {
                    lock.refused.push(at);
                    holding
                }
                (F::Acquire, None) if op.is_ok() => {
                    lock.tenures.push(Tenure { acquire: at, release: None, held: (0, 0) });
                    Some(lock.tenures.len() - 1)
                }
                (F::Acquire, None) => {
                    lock.unknown = lock.unknown.or(Some(at));
                    None
                }
                (F::Acquire, Some(tenure)) if op.is_ok() => {
                    conflict.get_or_insert(vec![lock.tenures[tenure].acquire, at]);
                    holding
                }
                (F::Release, None) if refused => {
                    lock.idle.push(at);
                    None
                }
                (F::Release, Some(tenure)) if refused => {
                    conflict.get_or_insert(vec![lock.tenures[tenure].acquire, at]);
                    holding
                }
                (F::Release, Some(tenure)) => {
                    lock.tenures[tenure].release = Some(at);
                    None
                }
                (F::Release, None) if op.is_ok() => {
                    conflict.get_or_insert(vec![at]);
                    None
                }
                (F::Acquire | F::Release, _) => holding,
                _ => return Err(None),
            };
            processes.insert(op.actor(), (op.ret(), now_holding));
        }
        match conflict {
            Some(conflict) if !broken("mutex: a process alternates") => Err(Some(conflict)),
            _ => Ok(lock),
        }
    }

    /// A legal order of all operations, or some that contradict each other.
    fn legal_order(
        mut self,
        ops: &[&Op],
        in_order: impl Fn(&Op, &Op) -> bool,
    ) -> Result<Vec<usize>, Vec<usize>> {
        self.tenures.sort_unstable_by_key(|tenure| ops[tenure.acquire].ret());
        let ends = |tenure: &Tenure| tenure.release.map_or(Nanos::MAX, |release| ops[release].call);
        for pair in self.tenures.windows(2) {
            let overlap =
                ops[pair[1].acquire].ret() < ends(&pair[0]) && !broken("mutex: tenures do not overlap");
            if overlap || !in_order(ops[pair[0].acquire], ops[pair[1].acquire]) {
                let ops = pair.iter().flat_map(|tenure| [Some(tenure.acquire), tenure.release]);
                return Err(ops.flatten().collect());
            }
        }
        let ends_free = self.tenures.last().is_none_or(|last| last.release.is_some_and(|at| ops[at].is_ok()));
        if let Some(acquire) = self.unknown
            && ends_free
            && !self.refused.is_empty()
            && !broken("mutex: an indeterminate acquire may hold at the end")
        {
            self.tenures.push(Tenure { acquire, release: None, held: (0, 0) });
        }
        self.hand_over(ops);

        // (instant, rank within the instant, operation)
        let mut placed: Vec<(Nanos, usize, usize)> = Vec::with_capacity(ops.len());
        for &at in &self.refused {
            let (instant, tenure) = self.held_during(ops, at)?;
            placed.push((instant, 3 * tenure + 2, at));
        }
        placed.extend(self.idle.iter().map(|&at| (ops[at].call, 0, at)));
        for (i, tenure) in self.tenures.iter().enumerate() {
            placed.push((tenure.held.0, 3 * i + 1, tenure.acquire));
            placed.extend(tenure.release.map(|release| (tenure.held.1, 3 * i + 3, release)));
        }
        placed.sort_unstable();
        Ok(placed.into_iter().map(|(_, _, at)| at).collect())
    }

    /// Extends every tenure to begin as early and end as late as the others allow.
    fn hand_over(&mut self, ops: &[&Op]) {
        let mut begin = self.tenures.first().map_or(0, |first| ops[first.acquire].call);
        for i in 0..self.tenures.len() {
            let next = self.tenures.get(i + 1).map(|next| ops[next.acquire]);
            let tenure = &mut self.tenures[i];
            let (end, next_begin) = match (tenure.release.map(|release| ops[release]), next) {
                (Some(release), Some(next)) if next.call <= release.ret() => {
                    let instant = release.call.max(next.call);
                    (instant, instant)
                }
                (Some(release), Some(next)) => (release.ret(), next.call),
                (Some(release), None) => (release.ret(), Nanos::MAX),
                (None, _) => (Nanos::MAX, Nanos::MAX),
            };
            let end = match tenure.release {
                Some(release) if broken("mutex: tenures last as long as they can") => ops[release].call,
                _ => end,
            };
            tenure.held = (begin, end);
            begin = next_begin;
        }
    }

    /// The first instant in the interval of a refused acquire at which the lock is held, and the tenure.
    fn held_during(&self, ops: &[&Op], at: usize) -> Result<(Nanos, usize), Vec<usize>> {
        let (call, ret) = (ops[at].call, ops[at].ret());
        let after = self.tenures.partition_point(|tenure| tenure.held.0 <= call);
        let before = after.checked_sub(1).map(|i| &self.tenures[i]);
        if before.is_some_and(|tenure| call <= tenure.held.1) {
            return Ok((call, after - 1));
        }
        let next = self.tenures.get(after);
        match next {
            Some(next) if next.held.0 <= ret => Ok((next.held.0, after)),
            _ if broken("mutex: a refused acquire finds a holder") => Ok((call, after)),
            _ => {
                let around = [before.and_then(|tenure| tenure.release), next.map(|tenure| tenure.acquire)];
                Err(around.into_iter().flatten().chain([at]).collect())
            }
        }
    }
}
