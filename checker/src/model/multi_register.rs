//! Several registers that are read and written at once.

use std::collections::BTreeMap;

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::{Model, tree_bytes};
use crate::op::{F, Op, Value};

/// Named registers in one object: `txn` reads and writes several of them atomically. They start as `nil`.
///
/// The input and the output of a `txn` are lists of `[f, name, value]`, where f is `r` or `w`: for example
/// the input `[["r", "x", null], ["w", "y", 2]]` with the output `[["r", "x", 1], ["w", "y", 2]]`. They take
/// effect from left to right. Of an indeterminate `txn` only the writes are known.
#[derive(Clone, Copy, Debug, Default)]
pub struct MultiRegister;

/// One read or write of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A register had this value.
    Read(Value, Value),
    /// A register was given this value.
    Write(Value, Value),
}

impl Model for MultiRegister {
    /// The value of each register that is not `nil`.
    type State = BTreeMap<Value, Value>;
    type Call = Vec<Access>;
    type Next = Option<Self::State>;

    fn name(&self) -> &str {
        "multi-register"
    }

    fn init(&self) -> Self::State {
        BTreeMap::new()
    }

    fn parse(&self, op: &Op) -> Result<Option<Vec<Access>>, String> {
        let expected = "the value of txn to be a list of [f, name, value], f being r or w";
        match &op.f {
            F::Other(name) if &**name == "txn" => {}
            _ => return Err("txn".into()),
        }
        let list = op.output().filter(|output| !output.is_nil()).unwrap_or(&op.input);
        let Value::List(accesses) = list else { return Err(expected.into()) };
        let access = |access: &Value| {
            let Value::List(access) = access else { return Err(expected.to_owned()) };
            match &**access {
                [Value::Str(f), name, value] => match &**f {
                    "r" | "read" => Ok(Access::Read(name.clone(), value.clone())),
                    "w" | "write" => Ok(Access::Write(name.clone(), value.clone())),
                    _ => Err(expected.to_owned()),
                },
                _ => Err(expected.to_owned()),
            }
        };
        let mut call = accesses.iter().map(access).collect::<Result<Vec<Access>, String>>()?;
        if op.output().is_none() {
            call.retain(|access| matches!(access, Access::Write(..)));
        }
        Ok((!call.is_empty()).then_some(call))
    }

    fn step(&self, state: &Self::State, call: &Vec<Access>) -> Option<Self::State> {
        let mut next = state.clone();
        for access in call {
            match access {
                Access::Read(name, value) if next.get(name).unwrap_or(&Value::Nil) != value => return None,
                Access::Read(..) => {}
                Access::Write(name, Value::Nil) => drop(next.remove(name)),
                Access::Write(name, value) => drop(next.insert(name.clone(), value.clone())),
            }
        }
        Some(next)
    }

    fn explain(&self, state: &Self::State, call: &Vec<Access>) -> String {
        let wrong = call.iter().enumerate().find_map(|(at, access)| match access {
            Access::Read(name, value) => {
                let before = self.step(state, &call[..at].to_vec())?;
                let there = before.get(name).unwrap_or(&Value::Nil).clone();
                (there != *value).then(|| format!("it read {value} from {name}, which holds {there}"))
            }
            Access::Write(..) => None,
        });
        wrong.unwrap_or_else(|| "it is always possible".into())
    }

    fn describe(&self) -> Subject {
        Subject::Registers
    }

    fn show(&self, state: &Self::State) -> String {
        let all: Vec<String> = state.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        if all.is_empty() { "all nil".into() } else { all.join(", ") }
    }

    fn components(&self, call: &Vec<Access>) -> Option<Vec<Value>> {
        let name = |access: &Access| match access {
            Access::Read(name, _) | Access::Write(name, _) => name.clone(),
        };
        Some(call.iter().map(name).collect())
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::Registers)
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        tree_bytes(state.len(), size_of::<(Value, Value)>())
    }

    fn read_only(&self, call: &Vec<Access>) -> bool {
        call.iter().all(|access| matches!(access, Access::Read(..)))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelKind::MultiRegister;
    use crate::model::script::{illegal, legal};

    const WRITE_BOTH: &str = r#"1..2 p0 txn [["w","x",1],["w","y",2]]"#;

    #[test]
    fn all_at_once() {
        legal(
            MultiRegister,
            &format!(
                r#"{WRITE_BOTH}; 3..4 p1 txn [["r","x",null],["r","y",null]] -> [["r","x",1],["r","y",2]]"#
            ),
        );
        illegal(MultiRegister, &format!(r#"{WRITE_BOTH}; 3..4 p1 txn [] -> [["r","x",1],["r","y",null]]"#));
        legal(MultiRegister, r#"1..2 p0 txn [] -> [["r","x",null],["w","x",1],["r","x",1]]"#);
    }

    #[test]
    fn an_indeterminate_transaction_writes_all_or_nothing() {
        let unknown = r#"1.. p0 txn [["w","x",1],["r","z",null],["w","y",2]] ?"#;
        legal(MultiRegister, &format!(r#"{unknown}; 3..4 p1 txn [] -> [["r","x",1],["r","y",2]]"#));
        illegal(MultiRegister, &format!(r#"{unknown}; 3..4 p1 txn [] -> [["r","x",null],["r","y",2]]"#));
    }
}
