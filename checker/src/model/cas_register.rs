//! A register with compare-and-set.

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::Model;
use crate::op::{F, Op, Value};

/// One value: read, write, compare-and-set. It starts as `nil`.
///
/// A `cas` that is recorded as ok with the output `false` means that the comparison failed: it proves that
/// the register held another value. A `cas` that is recorded as `fail` certainly did not happen and proves
/// nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct CasRegister;

/// The calls of a [`CasRegister`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CasCall {
    /// A read that returned this value.
    Read(Value),
    /// A write of this value.
    Write(Value),
    /// A compare-and-set that took place: from, to.
    Cas(Value, Value),
    /// A compare-and-set that failed because the register did not hold this value.
    CasFailed(Value),
}

impl Model for CasRegister {
    type State = Value;
    type Call = CasCall;
    type Next = Option<Value>;

    fn name(&self) -> &str {
        "cas-register"
    }

    fn init(&self) -> Value {
        Value::Nil
    }

    fn parse(&self, op: &Op) -> Result<Option<CasCall>, String> {
        match op.f {
            F::Read => Ok(op.output().cloned().map(CasCall::Read)),
            F::Write => Ok(Some(CasCall::Write(op.input.clone()))),
            F::Cas => {
                let (from, to) = op.input.as_pair().ok_or("the input of cas to be [from, to]")?;
                Ok(Some(match op.output() {
                    Some(Value::Bool(false)) => CasCall::CasFailed(from.clone()),
                    _ => CasCall::Cas(from.clone(), to.clone()),
                }))
            }
            _ => Err("read, write or cas".into()),
        }
    }

    fn step(&self, state: &Value, call: &CasCall) -> Option<Value> {
        match call {
            CasCall::Read(value) => (value == state).then(|| state.clone()),
            CasCall::Write(value) => Some(value.clone()),
            CasCall::Cas(from, to) => (from == state).then(|| to.clone()),
            CasCall::CasFailed(from) => (from != state).then(|| state.clone()),
        }
    }

    fn explain(&self, state: &Value, call: &CasCall) -> String {
        match call {
            CasCall::Read(value) => format!("it returned {value}, but the register holds {state}"),
            CasCall::Write(_) => "a write is always possible".into(),
            CasCall::Cas(from, _) => format!("it needs {from}, but the register holds {state}"),
            CasCall::CasFailed(_) => format!("its comparison failed, but the register does hold {state}"),
        }
    }

    fn describe(&self) -> Subject {
        Subject::Register
    }

    fn show(&self, state: &Value) -> String {
        state.to_string()
    }

    fn heap_bytes(&self, _state: &Value) -> usize {
        0
    }

    fn read_only(&self, call: &CasCall) -> bool {
        matches!(call, CasCall::Read(_) | CasCall::CasFailed(_))
    }

    fn overwrites(&self, call: &CasCall) -> bool {
        matches!(call, CasCall::Write(_))
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::UniqueRegister)
    }
}
