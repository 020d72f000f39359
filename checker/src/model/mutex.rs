//! A lock.

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::Model;
use crate::op::{F, Op, Value};

/// A lock: acquire, release. It starts free. Only the process that holds it can release it, and a held lock
/// cannot be acquired, not even by its holder.
///
/// An operation that is recorded as ok with the output `false` was refused: the acquire found the lock held,
/// or the release found that its process did not hold it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mutex;

/// The calls of a [`Mutex`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MutexCall {
    /// This process acquired the lock.
    Acquire(u64),
    /// An acquire was refused because the lock was held.
    Held,
    /// This process released the lock.
    Release(u64),
    /// A release was refused because this process did not hold the lock.
    NotHolder(u64),
}

impl Model for Mutex {
    type State = Option<u64>;
    type Call = MutexCall;
    type Next = Option<Option<u64>>;

    fn name(&self) -> &str {
        "mutex"
    }

    fn init(&self) -> Option<u64> {
        None
    }

    fn parse(&self, op: &Op) -> Result<Option<MutexCall>, String> {
        let refused = op.output() == Some(&Value::Bool(false));
        match (&op.f, refused) {
            (F::Acquire, false) => Ok(Some(MutexCall::Acquire(op.actor()))),
            (F::Acquire, true) => Ok(Some(MutexCall::Held)),
            (F::Release, false) => Ok(Some(MutexCall::Release(op.actor()))),
            (F::Release, true) => Ok(Some(MutexCall::NotHolder(op.actor()))),
            _ => Err("acquire or release".into()),
        }
    }

    fn step(&self, holder: &Option<u64>, call: &MutexCall) -> Option<Option<u64>> {
        match *call {
            MutexCall::Acquire(process) => holder.is_none().then_some(Some(process)),
            MutexCall::Held => holder.is_some().then_some(*holder),
            MutexCall::Release(process) => (*holder == Some(process)).then_some(None),
            MutexCall::NotHolder(process) => (*holder != Some(process)).then_some(*holder),
        }
    }

    fn explain(&self, holder: &Option<u64>, call: &MutexCall) -> String {
        let holder = self.show(holder);
        match call {
            MutexCall::Acquire(_) => format!("it acquired the lock, which is {holder}"),
            MutexCall::Held => "it found the lock held, but it is free".into(),
            MutexCall::Release(process) => format!("process {process} released the lock, which is {holder}"),
            MutexCall::NotHolder(_) => format!("it was refused, but the lock is {holder}"),
        }
    }

    fn describe(&self) -> Subject {
        Subject::Lock
    }

    fn show(&self, holder: &Option<u64>) -> String {
        holder.map_or("free".into(), |process| format!("held by process {process}"))
    }

    fn heap_bytes(&self, _state: &Option<u64>) -> usize {
        0
    }

    fn read_only(&self, call: &MutexCall) -> bool {
        matches!(call, MutexCall::Held | MutexCall::NotHolder(_))
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::Mutex)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::Mutex;
    use crate::model::script::{illegal, legal};

    #[test]
    fn one_holder_at_a_time() {
        legal(Mutex, "1..2 p0 acquire; 3..6 p1 acquire; 4..5 p0 release; 7..8 p1 release");
        illegal(Mutex, "1..2 p0 acquire; 3..4 p1 acquire; 5..6 p0 release");
        illegal(Mutex, "1..2 p0 acquire; 3..4 p1 release");
    }

    #[test]
    fn a_client_that_continues_after_an_unknown_operation_keeps_its_lock() {
        let mut history = crate::model::script::history("0.. p0 acquire ?; 5..6 p1 release -> true");
        let answer = |history: &crate::history::History, kind: crate::model::ModelKind| {
            crate::check::check(history, kind, &crate::check::Options::default()).unwrap().answer
        };
        for kind in [Mutex, crate::model::ModelKind::FencingLock, crate::model::ModelKind::Semaphore] {
            history.ops[1].client = None;
            assert_eq!(answer(&history, kind), crate::verdict::Answer::Violation, "{kind}");
            history.ops[1].client = Some(0);
            assert_eq!(answer(&history, kind), crate::verdict::Answer::Linearizable, "{kind}");
        }
    }

    #[test]
    fn a_refusal_needs_a_holder() {
        legal(Mutex, "1..2 p0 acquire; 3..4 p1 acquire -> false");
        illegal(Mutex, "1..2 p1 acquire -> false");
    }

    #[test]
    fn an_indeterminate_release_may_have_freed_it() {
        legal(Mutex, "1..2 p0 acquire; 3.. p0 release ?; 4..5 p1 acquire");
        illegal(Mutex, "1..2 p0 acquire; 3.. p0 release ?; 4..5 p1 acquire; 6..7 p2 acquire");
    }
}
