//! Paths in files: a string, or `{"bytes": [47, 255]}` where the path is not UTF-8.
//!
//! `#[serde(with = "path")]` for a path, `#[serde(with = "path::optional")]` for an optional one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a path")]
enum Written {
    Text(String),
    Other { bytes: Vec<u8> },
}

impl Written {
    fn of(path: &Path) -> Written {
        match path.to_str() {
            Some(text) => Written::Text(text.into()),
            None => Written::Other { bytes: path.as_os_str().as_bytes().into() },
        }
    }

    fn path(self) -> PathBuf {
        match self {
            Written::Text(text) => text.into(),
            Written::Other { bytes } => OsString::from_vec(bytes).into(),
        }
    }
}

/// Writes a path.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(path: &Path, out: S) -> Result<S::Ok, S::Error> {
    Written::of(path).serialize(out)
}

/// Reads a path.
///
/// # Errors
/// When the value is not a path.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Ok(Written::deserialize(from)?.path())
}

/// Optional paths.
pub mod optional {
    use super::*;

    /// Writes a path, or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, out: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Written::of).serialize(out)
    }

    /// Reads a path, or null.
    ///
    /// # Errors
    /// When the value is not a path.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Written>::deserialize(from)?.map(Written::path))
    }
}

/// The command-line word for a value of a file: a string as it is, a path with its bytes, anything else as
/// JSON.
pub(crate) fn word(value: Value) -> OsString {
    match value {
        Value::String(text) => text.into(),
        Value::Object(_) => match Written::deserialize(&value) {
            Ok(written) => written.path().into(),
            Err(_) => OsStr::new(&value.to_string()).into(),
        },
        other => other.to_string().into(),
    }
}
