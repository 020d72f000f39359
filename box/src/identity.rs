//! Hashes of what decides everything that happens in a box.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::BoxError;

/// The SHA-256 of some bytes, in hexadecimal digits.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of a file.
pub(crate) fn hash_of(path: &Path) -> Result<String, BoxError> {
    std::fs::read(path).map(|bytes| hash(&bytes)).map_err(|why| BoxError::file(path, why))
}
