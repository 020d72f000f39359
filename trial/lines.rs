//! A file of lines that is evidence: each line is written completely or not at all, and lines are counted.
//!
//! A line that does not fit (disk full) is removed again, and no line is written after it: the record must
//! have no gap.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// A file that lines are appended to.
pub(crate) struct LineFile {
    file: File,
    bytes: u64,
    lines: u64,
    broken: Option<io::ErrorKind>,
}

impl LineFile {
    /// Creates the file.
    ///
    /// # Errors
    /// When it cannot be created, or exists already.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(LineFile { file: File::create_new(path)?, bytes: 0, lines: 0, broken: None })
    }

    /// Appends a line, which must include its newline. It is in the kernel's hands when this returns.
    ///
    /// # Errors
    /// When this line or an earlier one could not be written.
    pub(crate) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(kind) = self.broken {
            return Err(kind.into());
        }
        if let Err(error) = self.file.write_all(line) {
            self.broken = Some(error.kind());
            let _ = self.file.set_len(self.bytes); // report the first error, not this one
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.lines += 1;
        Ok(())
    }

    /// Number of lines.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failed_line_none_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let mut lines = LineFile::create(&path).unwrap();
        lines.append(b"one\n").unwrap();
        lines.file = File::open(&path).unwrap(); // read-only
        assert!(lines.append(b"two\n").is_err());
        lines.file = File::options().append(true).open(&path).unwrap();
        assert!(lines.append(b"three\n").is_err(), "after a lost line no other");
        assert_eq!((lines.lines(), std::fs::read(&path).unwrap()), (1, b"one\n".to_vec()));
    }
}
