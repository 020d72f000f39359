//! The values that the built-in systems store: JSON without floats and objects.
//!
//! Floats are excluded because two of them can be equal and not identical; objects because nothing needs
//! them. Between nodes and in the log a value is serialized by serde with its tag; for clients it is plain
//! JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A key, or the value of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Value {
    /// Nothing; also the value of a key that was never written.
    #[default]
    Nil,
    Bool(bool),
    Int(i64),
    Str(Arc<str>),
    List(Vec<Value>),
}

impl Value {
    /// Converts a client's JSON. The error names what is refused: a float, an object or an integer beyond 64
    /// bits.
    pub(crate) fn from_json(json: Json) -> Result<Self, String> {
        Ok(match json {
            Json::Null => Value::Nil,
            Json::Bool(b) => Value::Bool(b),
            Json::Number(n) => Value::Int(n.as_i64().ok_or_else(|| format!("{n} is not a 64-bit integer"))?),
            Json::String(s) => Value::Str(s.into()),
            Json::Array(items) => {
                Value::List(items.into_iter().map(Value::from_json).collect::<Result<_, _>>()?)
            }
            Json::Object(_) => return Err("objects are not values here".into()),
        })
    }

    /// Takes a value that may be left out.
    pub(crate) fn given(json: Option<Json>) -> Result<Self, String> {
        json.map_or(Ok(Value::Nil), Value::from_json)
    }

    /// The same value as JSON.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Value::Nil => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(i) => Json::from(*i),
            Value::Str(s) => Json::from(&**s),
            Value::List(items) => Json::Array(items.iter().map(Value::to_json).collect()),
        }
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Value::Int(i)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Value::Str(s.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_in_and_comes_out_the_same() {
        for text in ["null", "true", "-7", r#""x""#, r#"[1,[null,"a"],false]"#] {
            let json: Json = serde_json::from_str(text).unwrap();
            assert_eq!(Value::from_json(json).unwrap().to_json().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_value_is_refused() {
        for text in ["1.5", "{}", "[18446744073709551615]"] {
            assert!(Value::from_json(serde_json::from_str(text).unwrap()).is_err(), "{text}");
        }
    }
}
