//! The programs that nodes are started from: the same file all run long.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;

use crate::lock::locked;

/// What tells a file from what it was before: device, inode, length, and when it was last written to (s, ns).
type Stamp = (u64, u64, u64, i64, i64);

/// The files that were started from so far.
#[derive(Debug, Default)]
pub(super) struct Executables(Mutex<HashMap<OsString, Stamp>>);

impl Executables {
    /// Makes sure that the file is the one that it was when this was first asked.
    ///
    /// # Errors
    /// When it is another one, or cannot be looked at.
    pub(super) fn check(&self, program: &OsStr) -> io::Result<()> {
        if !Path::new(program).is_absolute() {
            return Ok(()); // sought on the PATH, by whoever starts it
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
        // Written to in place, too.
        let executables = Executables::default();
        executables.check(program.as_os_str()).unwrap();
        std::fs::write(&program, "12").unwrap();
        assert!(executables.check(program.as_os_str()).is_err());
    }
}
