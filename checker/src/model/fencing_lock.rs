//! A lock with fencing tokens.

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::Model;
use crate::op::{F, Op, Value};

/// A lock whose every acquire returns a token, an integer larger than all earlier ones. Otherwise as
/// [`Mutex`](super::Mutex).
///
/// Tokens let a store refuse writes of a client whose lock has expired, so a token that is not larger is as
/// bad as two holders. An indeterminate acquire is assumed to have taken the next larger token, the least
/// that it can have taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct FencingLock;

/// The calls of a [`FencingLock`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FencingCall {
    /// This process acquired the lock, with this token if it returned.
    Acquire(u64, Option<i64>),
    /// An acquire was refused because the lock was held.
    Held,
    /// This process released the lock.
    Release(u64),
    /// A release was refused because this process did not hold the lock.
    NotHolder(u64),
}

/// The holder of the lock, and the largest token so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fenced {
    /// The process that holds it.
    pub holder: Option<u64>,
    /// The largest token issued; `None` before the first.
    pub token: Option<i64>,
}

impl Model for FencingLock {
    type State = Fenced;
    type Call = FencingCall;
    type Next = Option<Fenced>;

    fn name(&self) -> &str {
        "fencing-lock"
    }

    fn init(&self) -> Fenced {
        Fenced { holder: None, token: None }
    }

    fn parse(&self, op: &Op) -> Result<Option<FencingCall>, String> {
        match (&op.f, op.output()) {
            (F::Acquire, Some(Value::Bool(false))) => Ok(Some(FencingCall::Held)),
            (F::Acquire, None) => Ok(Some(FencingCall::Acquire(op.actor(), None))),
            (F::Acquire, Some(Value::Int(token))) => Ok(Some(FencingCall::Acquire(op.actor(), Some(*token)))),
            (F::Acquire, Some(_)) => Err("the output of acquire to be a token, an integer, or false".into()),
            (F::Release, Some(Value::Bool(false))) => Ok(Some(FencingCall::NotHolder(op.actor()))),
            (F::Release, _) => Ok(Some(FencingCall::Release(op.actor()))),
            _ => Err("acquire or release".into()),
        }
    }

    fn step(&self, state: &Fenced, call: &FencingCall) -> Option<Fenced> {
        let Fenced { holder, token } = *state;
        match *call {
            FencingCall::Acquire(process, given) => {
                let next = given.or_else(|| token.map_or(Some(i64::MIN), |last| last.checked_add(1)))?;
                let larger = token.is_none_or(|last| last < next);
                (holder.is_none() && larger).then_some(Fenced { holder: Some(process), token: Some(next) })
            }
            FencingCall::Held => holder.is_some().then_some(*state),
            FencingCall::Release(process) => {
                (holder == Some(process)).then_some(Fenced { holder: None, token })
            }
            FencingCall::NotHolder(process) => (holder != Some(process)).then_some(*state),
        }
    }

    fn explain(&self, state: &Fenced, call: &FencingCall) -> String {
        let shown = self.show(state);
        match call {
            FencingCall::Acquire(_, Some(token)) if state.holder.is_none() => {
                format!("it was given the token {token}, but the lock is {shown}")
            }
            FencingCall::Acquire(..) => format!("it acquired the lock, which is {shown}"),
            FencingCall::Held => format!("it found the lock held, but it is {shown}"),
            FencingCall::Release(process) => format!("process {process} released the lock, which is {shown}"),
            FencingCall::NotHolder(_) => format!("it was refused, but the lock is {shown}"),
        }
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::FencingLock)
    }

    fn describe(&self) -> Subject {
        Subject::Lock
    }

    fn show(&self, state: &Fenced) -> String {
        let holder = state.holder.map_or("free".into(), |process| format!("held by process {process}"));
        match state.token {
            Some(token) => format!("{holder}, last token {token}"),
            None => holder,
        }
    }

    fn read_only(&self, call: &FencingCall) -> bool {
        matches!(call, FencingCall::Held | FencingCall::NotHolder(_))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::FencingLock;
    use crate::model::script::{illegal, legal};

    #[test]
    fn tokens_grow() {
        legal(FencingLock, "1..2 p0 acquire -> 3; 3..4 p0 release; 5..6 p1 acquire -> 7");
        illegal(FencingLock, "1..2 p0 acquire -> 3; 3..4 p0 release; 5..6 p1 acquire -> 3");
        illegal(FencingLock, "1..2 p0 acquire -> 3; 3..4 p1 acquire -> 4");
    }

    #[test]
    fn an_indeterminate_acquire_uses_up_a_token() {
        legal(
            FencingLock,
            "1..2 p0 acquire -> 3; 3..4 p0 release; 5.. p1 acquire ?; 6..7 p2 acquire -> false",
        );
        legal(FencingLock, "1.. p1 acquire ?; 3..4 p2 acquire -> 4");
        illegal(
            FencingLock,
            "1..2 p0 acquire -> 3; 3..4 p0 release; 5.. p1 acquire ?; 6..7 p2 acquire -> false; 8..9 p3 acquire -> 4",
        );
    }
}
