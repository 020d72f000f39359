//! A register: one value, read and written as a whole.

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::Model;
use crate::op::{F, Op, Value};

/// One value: read, write. It starts as `nil`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

/// The calls of a [`Register`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterCall {
    /// A read that returned this value.
    Read(Value),
    /// A write of this value.
    Write(Value),
}

impl Model for Register {
    type State = Value;
    type Call = RegisterCall;
    type Next = Option<Value>;

    fn name(&self) -> &str {
        "register"
    }

    fn init(&self) -> Value {
        Value::Nil
    }

    fn parse(&self, op: &Op) -> Result<Option<RegisterCall>, String> {
        match op.f {
            F::Read => Ok(op.output().cloned().map(RegisterCall::Read)),
            F::Write => Ok(Some(RegisterCall::Write(op.input.clone()))),
            _ => Err("read or write".into()),
        }
    }

    fn step(&self, state: &Value, call: &RegisterCall) -> Option<Value> {
        match call {
            RegisterCall::Read(value) => (value == state).then(|| state.clone()),
            RegisterCall::Write(value) => Some(value.clone()),
        }
    }

    fn explain(&self, state: &Value, call: &RegisterCall) -> String {
        match call {
            RegisterCall::Read(value) => format!("it returned {value}, but the register holds {state}"),
            RegisterCall::Write(_) => "a write is always possible".into(),
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

    fn read_only(&self, call: &RegisterCall) -> bool {
        matches!(call, RegisterCall::Read(_))
    }

    fn overwrites(&self, call: &RegisterCall) -> bool {
        matches!(call, RegisterCall::Write(_))
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::UniqueRegister)
    }
}
