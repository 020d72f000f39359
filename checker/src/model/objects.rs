//! Which model judges which key of a history.

use std::fmt;
use std::str::FromStr;

use super::{ModelKind, NoSuchModel};
use crate::op::Value;

/// The name of mixed objects on the command line and in verdicts.
const MIXED: &str = "mixed";

/// The beginning of each key of mixed objects, and the model that judges such a key.
pub const MIXED_KEYS: [(&str, ModelKind); 3] =
    [("register-", ModelKind::CasRegister), ("counter-", ModelKind::Counter), ("list-", ModelKind::Log)];

/// The objects of a history: all of one model, or of several models, told apart by the names of their keys.
///
/// Linearizability is local, so objects of different models can be judged in one history: each key alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Objects {
    /// Every key is judged by this model.
    All(ModelKind),
    /// Registers, counters and lists: see [`MIXED_KEYS`].
    Mixed,
}

impl Objects {
    /// What can be named, in the order of `tribunal list models`.
    pub fn all() -> impl Iterator<Item = Objects> {
        ModelKind::ALL.into_iter().map(Objects::All).chain([Objects::Mixed])
    }

    /// The name, as [`Objects::from_str`] accepts it.
    pub fn name(self) -> &'static str {
        match self {
            Objects::All(kind) => kind.name(),
            Objects::Mixed => MIXED,
        }
    }

    /// One line that says what the objects do.
    pub fn summary(self) -> &'static str {
        match self {
            Objects::All(kind) => kind.summary(),
            Objects::Mixed => "cas-register, counter or log, by the key: register-..., counter-..., list-...",
        }
    }

    /// Whether only final reads are judged: see [`ModelKind::is_eventual`].
    pub fn is_eventual(self) -> bool {
        matches!(self, Objects::All(kind) if kind.is_eventual())
    }

    /// The model of a key.
    ///
    /// # Errors
    /// If no model belongs to it: what was expected.
    pub fn of_key(self, key: &Value) -> Result<ModelKind, String> {
        let Objects::All(kind) = self else {
            let name = if let Value::Str(name) = key { &**name } else { "" };
            let known = MIXED_KEYS.into_iter().find(|(prefix, _)| name.starts_with(prefix));
            let expected =
                || format!("a key that begins with {}", MIXED_KEYS.map(|(prefix, _)| prefix).join(" or "));
            return known.map(|(_, kind)| kind).ok_or_else(expected);
        };
        Ok(kind)
    }
}

impl From<ModelKind> for Objects {
    fn from(kind: ModelKind) -> Self {
        Objects::All(kind)
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Objects {
    type Err = NoSuchModel;

    fn from_str(name: &str) -> Result<Self, NoSuchModel> {
        let found = Objects::all().find(|objects| objects.name() == name);
        found.ok_or_else(|| NoSuchModel { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_every_key_has_at_most_one_model() {
        for objects in Objects::all() {
            assert_eq!(objects.name().parse(), Ok(objects));
        }
        let of_key = |key: &str| Objects::Mixed.of_key(&Value::str(key));
        assert_eq!(of_key("counter-7"), Ok(ModelKind::Counter));
        assert_eq!(of_key("list-k0"), Ok(ModelKind::Log));
        let refused = of_key("k0").unwrap_err();
        assert_eq!(refused, "a key that begins with register- or counter- or list-");
        assert!(Objects::Mixed.of_key(&Value::Nil).is_err());
        assert_eq!(Objects::from(ModelKind::Queue).of_key(&Value::Nil), Ok(ModelKind::Queue));
    }
}
