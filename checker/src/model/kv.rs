//! One key of a key-value store.

use std::sync::Arc;

use crate::explain::Subject;
use crate::fast::FastPath;
use crate::model::{Model, Representative, Sources};
use crate::op::{F, Op, Value};

/// One key: put, get, append, compare-and-set, delete. It starts absent, which is `nil`.
///
/// `read` and `write` mean the same as `get` and `put`. Text is appended to text, as in MIT's key-value
/// store, where an absent key is the empty text too: getting `""` from it is legal. A `delete` may return
/// whether the key was present. A history has one such object for each key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kv;

/// The calls on a key of [`Kv`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvCall {
    /// A get that returned this value.
    Get(Value),
    /// A put of this value.
    Put(Value),
    /// This text was appended.
    Append(Arc<str>),
    /// A compare-and-set that took place: from, to.
    Cas(Value, Value),
    /// A compare-and-set that failed because the key did not hold this value.
    CasFailed(Value),
    /// A delete, and whether the key was present if it returned that.
    Delete(Option<bool>),
}

impl Model for Kv {
    type State = Value;
    type Call = KvCall;
    type Next = Option<Value>;

    fn name(&self) -> &str {
        "kv"
    }

    fn init(&self) -> Value {
        Value::Nil
    }

    fn parse(&self, op: &Op) -> Result<Option<KvCall>, String> {
        match &op.f {
            F::Get | F::Read => Ok(op.output().cloned().map(KvCall::Get)),
            F::Put | F::Write => Ok(Some(KvCall::Put(op.input.clone()))),
            F::Append => match &op.input {
                Value::Str(text) => Ok(Some(KvCall::Append(text.clone()))),
                _ => Err("the input of append to be text".into()),
            },
            F::Cas => {
                let (from, to) = op.input.as_pair().ok_or("the input of cas to be [from, to]")?;
                Ok(Some(match op.output() {
                    Some(Value::Bool(false)) => KvCall::CasFailed(from.clone()),
                    _ => KvCall::Cas(from.clone(), to.clone()),
                }))
            }
            F::Delete => Ok(Some(KvCall::Delete(match op.output() {
                Some(Value::Bool(found)) => Some(*found),
                _ => None,
            }))),
            _ => Err("get, put, append, cas or delete".into()),
        }
    }

    fn step(&self, state: &Value, call: &KvCall) -> Option<Value> {
        match call {
            KvCall::Get(value) => {
                (value == state || state.is_nil() && *value == Value::str("")).then(|| state.clone())
            }
            KvCall::Put(value) => Some(value.clone()),
            KvCall::Append(more) => match state {
                Value::Nil => Some(Value::Str(more.clone())),
                Value::Str(text) => Some(Value::str(&format!("{text}{more}"))),
                _ => None,
            },
            KvCall::Cas(from, to) => (from == state).then(|| to.clone()),
            KvCall::CasFailed(from) => (from != state).then(|| state.clone()),
            KvCall::Delete(found) => found.is_none_or(|found| found != state.is_nil()).then_some(Value::Nil),
        }
    }

    fn explain(&self, state: &Value, call: &KvCall) -> String {
        match call {
            KvCall::Get(value) => format!("it returned {value}, but the key holds {state}"),
            KvCall::Put(_) => "a put is always possible".into(),
            KvCall::Append(_) => format!("the key holds {state}, which is no text"),
            KvCall::Cas(from, _) => format!("it needs {from}, but the key holds {state}"),
            KvCall::CasFailed(_) => format!("its comparison failed, but the key does hold {state}"),
            KvCall::Delete(Some(true)) => "it returned that the key was there, but it is absent".into(),
            KvCall::Delete(_) => format!("it returned that the key was absent, but it holds {state}"),
        }
    }

    fn describe(&self) -> Subject {
        Subject::Register
    }

    fn show(&self, state: &Value) -> String {
        state.to_string()
    }

    fn heap_bytes(&self, state: &Value) -> usize {
        if let Value::Str(text) = state { text.len() + 32 } else { 0 }
    }

    fn read_only(&self, call: &KvCall) -> bool {
        matches!(call, KvCall::Get(_) | KvCall::CasFailed(_) | KvCall::Delete(Some(false)))
    }

    fn observed_state(&self, observation: &KvCall) -> Option<Value> {
        if let KvCall::Get(value) = observation { Some(absent_as_nil(value)) } else { None }
    }

    fn sources(&self, call: &KvCall, to: &Value) -> Sources<Value> {
        let only =
            |state: &Value, sources| if absent_as_nil(state) == *to { sources } else { Sources::Nowhere };
        match call {
            KvCall::Get(value) => only(value, Sources::Only(to.clone())),
            KvCall::Put(value) => only(value, Sources::Anywhere),
            KvCall::Cas(from, value) => only(value, Sources::Only(absent_as_nil(from))),
            KvCall::Delete(_) => only(&Value::Nil, Sources::Anywhere),
            KvCall::CasFailed(_) => Sources::Anywhere,
            KvCall::Append(more) if more.is_empty() => Sources::Only(to.clone()),
            KvCall::Append(more) => match to {
                Value::Str(text) => text
                    .strip_suffix(&**more)
                    .map_or(Sources::Nowhere, |begin| Sources::Only(absent_as_nil(&Value::str(begin)))),
                _ => Sources::Nowhere,
            },
        }
    }

    fn leads_toward(&self, state: &Value, observation: &KvCall) -> bool {
        match (state, observation) {
            (Value::Str(begin), KvCall::Get(Value::Str(text))) => text.starts_with(&**begin),
            _ => true,
        }
    }

    /// A text that is not a prefix of any observed text can never become one of those. So all such texts are
    /// equivalent.
    fn representative(&self, calls: &[KvCall]) -> Option<Representative<Value>> {
        let asked_about = calls.iter().filter_map(|call| match call {
            KvCall::Get(Value::Str(text))
            | KvCall::Cas(Value::Str(text), _)
            | KvCall::CasFailed(Value::Str(text)) => Some(text.clone()),
            _ => None,
        });
        let mut texts: Vec<Arc<str>> = asked_about.collect();
        texts.sort_unstable();
        texts.dedup();
        let may_become_one = move |text: &str| {
            let next = texts.partition_point(|other| **other < *text);
            texts.get(next).is_some_and(|other| other.starts_with(text))
        };
        let unseen =
            ('…'..).map(String::from).find(|text| !may_become_one(text)).map(|text| Value::str(&text))?;
        Some(Box::new(move |state| match &state {
            Value::Str(text) if !may_become_one(text) => unseen.clone(),
            _ => state,
        }))
    }

    fn fast_path(&self) -> Option<FastPath> {
        Some(FastPath::Texts)
    }

    fn overwrites(&self, call: &KvCall) -> bool {
        matches!(call, KvCall::Put(_) | KvCall::Delete(None))
    }
}

/// An absent key reads as the empty text too.
fn absent_as_nil(value: &Value) -> Value {
    if *value == Value::str("") { Value::Nil } else { value.clone() }
}

#[cfg(test)]
mod tests {
    use super::KvCall;
    use crate::check::{Options, check};
    use crate::limits::Limits;
    use crate::model::Model;
    use crate::model::ModelKind::Kv;
    use crate::model::script::{history, illegal, legal};
    use crate::op::Value;
    use crate::verdict::Answer;

    #[test]
    fn unobserved_texts_have_one_representative() {
        let text = Value::str;
        let calls = [KvCall::Get(text("ab")), KvCall::CasFailed(text("xy")), KvCall::Get(Value::Int(1))];
        let representative = super::Kv.representative(&calls).unwrap();
        for kept in [text(""), text("a"), text("ab"), text("x"), text("xy"), Value::Nil, Value::Int(7)] {
            assert_eq!(representative(kept.clone()), kept);
        }
        assert_eq!(representative(text("abc")), representative(text("b")));
        assert_ne!(representative(text("abc")), text("abc"));
    }

    #[test]
    fn the_order_of_unobserved_appends_is_not_searched() {
        let appends: Vec<String> = (0..9).map(|p| format!(r#"1..9 p{p} append "{p}""#)).collect();
        let history = history(&format!("{}; 10..11 p0 delete -> false", appends.join("; ")));
        let limits = Limits { states_max: 5_000, ..Limits::default() };
        let options = Options { limits, explain: false, ..Options::default() };
        assert_eq!(check(&history, Kv, &options).unwrap().answer, Answer::Violation);
    }

    #[test]
    fn appends_to_what_is_there() {
        legal(Kv, r#"1..2 p0 append "x"; 3..4 p1 get -> "x"; 5..6 p0 append "y"; 7..8 p1 get -> "xy""#);
        illegal(Kv, r#"1..2 p0 append "x"; 3..4 p0 append "y"; 5..6 p1 get -> "yx""#);
        legal(Kv, r#"1..2 p1 get -> """#);
    }

    #[test]
    fn a_deleted_key_is_absent() {
        legal(Kv, "1..2 p0 put 1; 3..4 p1 delete -> true; 5..6 p0 get -> null; 7..8 p1 delete -> false");
        illegal(Kv, "1..2 p0 put 1; 3..4 p1 delete; 5..6 p0 get -> 1");
        illegal(Kv, "1..2 p0 put 1; 3..4 p1 delete -> false");
    }

    #[test]
    fn an_indeterminate_append_happens_once_or_never() {
        legal(Kv, r#"1.. p0 append "x" ?; 2..3 p1 get -> ""; 4..5 p1 get -> "x""#);
        illegal(Kv, r#"1.. p0 append "x" ?; 2..3 p1 get -> "xx""#);
    }
}
