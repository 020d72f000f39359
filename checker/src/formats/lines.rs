//! Lines with their numbers, in one reused buffer.

use std::io::BufRead;
use std::str;

use super::ParseError;

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
    /// Whether a line break ended it. Only the last line can lack one: the end of a file, or of a write cut short.
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

    /// The next line that is not blank, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, ParseError> {
        loop {
            self.buffer.clear();
            self.number += 1;
            let read = self
                .input
                .read_until(b'\n', &mut self.buffer)
                .map_err(|error| ParseError::unreadable(self.number, &error))?;
            if read == 0 {
                return Ok(None);
            }
            let ended = self.buffer.pop_if(|last| *last == b'\n').is_some();
            if ended {
                self.buffer.pop_if(|last| *last == b'\r');
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(Line { bytes: &self.buffer, number: self.number, ended }));
            }
        }
    }
}
