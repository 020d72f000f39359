//! Paths in files: a text, or `{"bytes": [47, 255]}` where the path is none.
//!
//! `#[serde(with = "path")]` for a path, `#[serde(with = "path::optional")]` where there may be none.

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

/// As it is written.
///
/// # Errors
/// Those of the output.
pub fn serialize<S: Serializer>(path: &Path, out: S) -> Result<S::Ok, S::Error> {
    Written::of(path).serialize(out)
}

/// As it was meant.
///
/// # Errors
/// When it is no path.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Ok(Written::deserialize(from)?.path())
}

/// Where there may be none.
pub mod optional {
    use super::*;

    /// As it is written.
    ///
    /// # Errors
    /// Those of the output.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, out: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Written::of).serialize(out)
    }

    /// As it was meant.
    ///
    /// # Errors
    /// When it is no path.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Written>::deserialize(from)?.map(Written::path))
    }
}

/// The word for a value of a file: a text as it is, a path with its bytes, anything else as JSON.
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
