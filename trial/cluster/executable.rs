//! The executables of nodes: each must stay the same file during the run.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;

use crate::lock::locked;

/// Identifies a version of a file: device, inode, length, modification time (s, ns).
type Stamp = (u64, u64, u64, i64, i64);

/// The executables used so far.
#[derive(Debug, Default)]
pub(super) struct Executables(Mutex<HashMap<OsString, Stamp>>);

impl Executables {
    /// Checks that the file has not changed since the first call for it.
    ///
    /// # Errors
    /// When it has changed, or its metadata cannot be read.
    pub(super) fn check(&self, program: &OsStr) -> io::Result<()> {
        if !Path::new(program).is_absolute() {
            return Ok(()); // searched in PATH when it is started
        }
        let file = std::fs::metadata(program)?;
        let stamp = (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec());
        let mut seen = locked(&self.0);
        if *seen.entry(program.to_owned()).or_insert(stamp) == stamp {
            return Ok(());
        }
        let program = program.display();
        Err(io::Error::other(format!(
            "{program} was replaced during the run: its nodes would be of two programs"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_at_the_same_path_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (program, new) = (dir.path().join("server"), dir.path().join("new"));
        std::fs::write(&program, "1").unwrap();
        let executables = Executables::default();
        executables.check(program.as_os_str()).unwrap();
        executables.check(program.as_os_str()).unwrap();
        std::fs::write(&new, "1").unwrap();
        std::fs::rename(&new, &program).unwrap();
        let error = executables.check(program.as_os_str()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} was replaced", program.display())), "{error}");
        // Also detected when the file is modified in place.
        let executables = Executables::default();
        executables.check(program.as_os_str()).unwrap();
        std::fs::write(&program, "12").unwrap();
        assert!(executables.check(program.as_os_str()).is_err());
    }
}
