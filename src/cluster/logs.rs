//! What the nodes say, on the run's clock.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;

/// One node's log: every line that it prints, with the second at which the line arrived in front.
#[derive(Clone)]
pub(crate) struct NodeLog {
    file: Arc<File>,
    clock: Clock,
}

impl NodeLog {
    pub(crate) fn create(path: &Path, clock: Clock) -> io::Result<Self> {
        Ok(NodeLog { file: Arc::new(OpenOptions::new().create(true).append(true).open(path)?), clock })
    }

    /// Copies a stream of a node until it ends. Bytes are kept as they are: a log may hold anything.
    pub(crate) fn follow(&self, stream: impl Read + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(lines.read_until(b'\n', &mut line), Ok(read) if read > 0) {
                log.write(&line);
                line.clear();
            }
        });
    }

    fn write(&self, line: &[u8]) {
        let mut stamped = format!("{:.3} ", self.clock.now() as f64 / 1e9).into_bytes();
        stamped.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        stamped.push(b'\n');
        // One write per line: two streams of a node may share the file. A line that cannot be kept is no
        // reason to stop a trial; the history decides.
        let _ = (&*self.file).write_all(&stamped);
    }
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
