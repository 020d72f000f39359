//! A counting semaphore.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::broken::broken;
use crate::explain::Subject;
use crate::model::{Model, tree_bytes};
use crate::op::{F, Nanos, Op, Value};

/// Permits: acquire, release. The input is the number of permits to take at once; `nil` means one. A process
/// can release only permits that it holds. An operation that is recorded as ok with the output `false` was
/// refused: not enough permits were free, or the process did not hold as many.
#[derive(Clone, Copy, Debug)]
pub struct Semaphore {
    /// The total number of permits.
    pub permits: u32,
}

/// The calls of a [`Semaphore`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SemaphoreCall {
    /// This process acquired this many permits.
    Acquire(u64, u32),
    /// An acquire was refused because this many permits were not free.
    Refused(u32),
    /// This process released this many permits.
    Release(u64, u32),
    /// A release was refused because this process did not hold this many permits.
    NotHeld(u64, u32),
}

impl Model for Semaphore {
    /// The number of permits of each process that holds any.
    type State = BTreeMap<u64, u32>;
    type Call = SemaphoreCall;
    type Next = Option<Self::State>;

    fn name(&self) -> &str {
        "semaphore"
    }

    fn init(&self) -> Self::State {
        BTreeMap::new()
    }

    fn parse(&self, op: &Op) -> Result<Option<SemaphoreCall>, String> {
        let n = match op.input {
            Value::Nil => Some(1),
            Value::Int(n) => u32::try_from(n).ok().filter(|&n| n > 0),
            _ => None,
        };
        let n = n.ok_or("the input to be a number of permits, or nil for one")?;
        let refused = op.output() == Some(&Value::Bool(false));
        match (&op.f, refused) {
            (F::Acquire, false) => Ok(Some(SemaphoreCall::Acquire(op.actor(), n))),
            (F::Acquire, true) => Ok(Some(SemaphoreCall::Refused(n))),
            (F::Release, false) => Ok(Some(SemaphoreCall::Release(op.actor(), n))),
            (F::Release, true) => Ok(Some(SemaphoreCall::NotHeld(op.actor(), n))),
            _ => Err("acquire or release".into()),
        }
    }

    fn step(&self, held: &Self::State, call: &SemaphoreCall) -> Option<Self::State> {
        let free = || self.permits.saturating_sub(held.values().sum());
        let holds = |process: &u64| held.get(process).copied().unwrap_or(0);
        match call {
            SemaphoreCall::Acquire(process, n) => (free() >= *n).then(|| {
                let mut next = held.clone();
                *next.entry(*process).or_default() += n;
                next
            }),
            SemaphoreCall::Refused(n) => (free() < *n).then(|| held.clone()),
            SemaphoreCall::Release(process, n) => holds(process).checked_sub(*n).map(|left| {
                let mut next = held.clone();
                if left == 0 {
                    next.remove(process)
                } else {
                    next.insert(*process, left)
                };
                next
            }),
            SemaphoreCall::NotHeld(process, n) => (holds(process) < *n).then(|| held.clone()),
        }
    }

    fn explain(&self, held: &Self::State, call: &SemaphoreCall) -> String {
        let shown = self.show(held);
        match call {
            SemaphoreCall::Acquire(_, n) => format!("it acquired {n} of {} permits; {shown}", self.permits),
            SemaphoreCall::Refused(n) => format!("it was refused {n} of {} permits; {shown}", self.permits),
            SemaphoreCall::Release(process, n) => format!("process {process} released {n}; {shown}"),
            SemaphoreCall::NotHeld(process, n) => format!("process {process} could not release {n}; {shown}"),
        }
    }

    fn describe(&self) -> Subject {
        Subject::Permits(self.permits)
    }

    fn show(&self, held: &Self::State) -> String {
        let holders: Vec<String> =
            held.iter().map(|(process, n)| format!("process {process} holds {n}")).collect();
        if holders.is_empty() { "all permits are free".into() } else { holders.join(", ") }
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        tree_bytes(state.len(), size_of::<(u64, u32)>())
    }

    /// A process that in its own order never releases more than it surely holds, and was never refused a
    /// release, could do so whoever held the other permits.
    fn nameless_actors(&self, ops: &[&Op]) -> HashSet<u64> {
        // For each process: the permits that it surely holds, and the time of its last return. `None` if its
        // name matters.
        let mut processes: HashMap<u64, Option<(u32, Nanos)>> = HashMap::new();
        let mut by_call: Vec<&Op> = ops.iter().copied().filter(|op| !op.is_fail()).collect();
        by_call.sort_by_key(|op| op.call);
        for op in by_call {
            let process = processes.entry(op.actor()).or_insert(Some((0, 0)));
            let Some((held, returned)) = *process else { continue };
            let held = match self.parse(op) {
                _ if op.call < returned => None,
                Ok(Some(SemaphoreCall::Acquire(_, n))) => {
                    let is_sure = op.is_ok() || broken("nameless: what was asked for is held");
                    held.checked_add(if is_sure { n } else { 0 })
                }
                Ok(Some(SemaphoreCall::Release(_, n))) => held.checked_sub(n),
                Ok(Some(SemaphoreCall::Refused(_))) => Some(held),
                Ok(Some(SemaphoreCall::NotHeld(..))) if broken("nameless: anybody can be refused") => {
                    Some(held)
                }
                _ => None,
            };
            let returned = if op.is_ok() { op.ret() } else { returned };
            *process = held.map(|held| (held, returned));
        }
        processes.into_iter().filter_map(|(process, state)| state.map(|_| process)).collect()
    }

    fn read_only(&self, call: &SemaphoreCall) -> bool {
        matches!(call, SemaphoreCall::Refused(_) | SemaphoreCall::NotHeld(..))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::Semaphore;
    use crate::model::script::{illegal, legal};

    #[test]
    fn no_more_holders_than_permits() {
        legal(
            Semaphore,
            "1..2 p0 acquire; 3..4 p1 acquire; 5..6 p2 acquire -> false; 7..8 p0 release; 9..10 p2 acquire",
        );
        illegal(Semaphore, "1..2 p0 acquire; 3..4 p1 acquire; 5..6 p2 acquire");
        illegal(Semaphore, "1..2 p0 acquire; 3..4 p1 release");
        illegal(Semaphore, "1..2 p0 acquire -> false");
    }

    #[test]
    fn several_permits_at_once() {
        legal(
            Semaphore,
            "1..2 p0 acquire 2; 3..4 p0 release 1; 5..6 p1 acquire 1; 7..8 p0 release 2 -> false",
        );
        illegal(Semaphore, "1..2 p0 acquire 1; 3..4 p1 acquire 2");
    }

    #[test]
    fn an_indeterminate_release_may_have_freed_one() {
        legal(Semaphore, "1..2 p0 acquire 2; 3.. p0 release ?; 4..5 p1 acquire");
        illegal(Semaphore, "1..2 p0 acquire 2; 3.. p0 release ?; 4..5 p1 acquire; 6..7 p2 acquire");
    }
}
