//! Numbered lines in one reused buffer. Blank lines, comments (lines that begin with `# `) and a leading
//! byte-order mark are skipped.

use std::io::{BufRead, Read};
use std::str;

use super::ParseError;

/// The maximum length of a line in bytes: many times that of the largest operation.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Some editors and PowerShell put this before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a line is a comment. (`#jepsen.history.Op{...}` is not.)
pub(super) fn is_comment(line: &[u8]) -> bool {
    line == b"#" || line.starts_with(b"# ")
}

/// The lines of an input, one at a time.
pub(super) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    number: usize,
}

/// One line, without its line break.
pub(super) struct Line<'a> {
    pub(super) bytes: &'a [u8],
    /// Counted from 1.
    pub(super) number: usize,
    /// Whether a line break ended it. Only the last line can lack one, at the end of the file or of a
    /// truncated write.
    pub(super) ended: bool,
}

impl Line<'_> {
    /// The line as text.
    pub(super) fn text(&self) -> Result<&str, ParseError> {
        str::from_utf8(self.bytes).map_err(|error| ParseError {
            line: self.number,
            column: error.valid_up_to() + 1,
            expected: "UTF-8".into(),
            found: format!("byte 0x{:02x}", self.bytes[error.valid_up_to()]),
        })
    }
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Lines { input, buffer: Vec::new(), number: 0 }
    }

    /// The next line that is neither blank nor a comment.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, ParseError> {
        loop {
            self.buffer.clear();
            self.number += 1;
            let read = (&mut self.input)
                .take(LINE_BYTES_MAX + 1)
                .read_until(b'\n', &mut self.buffer)
                .map_err(|error| ParseError::unreadable(self.number, &error))?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 > LINE_BYTES_MAX {
                return Err(ParseError {
                    line: self.number,
                    column: 1,
                    expected: format!("a line of at most {} MiB", LINE_BYTES_MAX >> 20),
                    found: "a longer one".into(),
                });
            }
            let ended = self.buffer.pop_if(|last| *last == b'\n').is_some();
            if ended {
                self.buffer.pop_if(|last| *last == b'\r');
            }
            if self.number == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.buffer.drain(..BYTE_ORDER_MARK.len());
            }
            if !self.buffer.trim_ascii().is_empty() && !is_comment(&self.buffer) {
                return Ok(Some(Line { bytes: &self.buffer, number: self.number, ended }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, repeat};

    use super::*;

    #[test]
    fn a_line_without_an_end_is_an_error_and_no_exhaustion() {
        let mut lines = Lines::new(b"1\n".chain(BufReader::new(repeat(b'x'))));
        assert!(lines.next().is_ok_and(|line| line.is_some()));
        let error = lines.next().err().expect("it never ends");
        assert_eq!(error.to_string(), "2:1: expected a line of at most 64 MiB, found a longer one");
        assert!(lines.buffer.capacity() <= 2 * LINE_BYTES_MAX as usize);
    }
}
