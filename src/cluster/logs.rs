//! What the nodes say, on the run's clock.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc::UnboundedSender;
use tribunal_nemesis::{NodeId, Signal};

use super::spawn::thread;
use crate::clock::Clock;

/// One node's log: every line that it prints, with the second at which the line arrived in front.
#[derive(Clone)]
pub(crate) struct NodeLog {
    file: Arc<File>,
    clock: Clock,
    /// Who is told of each line, and as whose.
    listener: Arc<OnceLock<(NodeId, UnboundedSender<Signal>)>>,
}

impl NodeLog {
    pub(crate) fn create(path: &Path, clock: Clock) -> io::Result<Self> {
        let file = Arc::new(OpenOptions::new().create(true).append(true).open(path)?);
        Ok(NodeLog { file, clock, listener: Arc::default() })
    }

    /// From now on every line is also told to `signals`, as one of `node`. Only the first who asks is told.
    pub(crate) fn tell(&self, node: NodeId, signals: UnboundedSender<Signal>) {
        let _ = self.listener.set((node, signals));
    }

    /// Copies a stream of a node until it ends. Bytes are kept as they are: a log may hold anything.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn follow(&self, stream: impl Read + Send + 'static) -> io::Result<()> {
        let log = self.clone();
        thread("log", move || {
            let mut lines = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(lines.read_until(b'\n', &mut line), Ok(read) if read > 0) {
                log.write(&line);
                line.clear();
            }
        })
    }

    fn write(&self, line: &[u8]) {
        let mut stamped = format!("{:.3} ", self.clock.now() as f64 / 1e9).into_bytes();
        stamped.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        stamped.push(b'\n');
        // One write per line: two streams of a node may share the file. A line that cannot be kept is no
        // reason to stop a trial; the history decides.
        let _ = (&*self.file).write_all(&stamped);
        if let Some((node, signals)) = self.listener.get() {
            // Told after it is written, so that who looks for the cause of a fault finds it in the log.
            let _ = signals.send(Signal::Log(*node, String::from_utf8_lossy(line).trim_end().to_owned()));
        }
    }
}

/// The last lines of a node's log, and its first ones where it has said little: a program that does not understand its
/// command line says so first, and then how it wants to be called.
pub(crate) fn last_words(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    words(&String::from_utf8_lossy(&text))
}

const FIRST: usize = 2;
const LAST: usize = 5;
/// How many lines are little.
const LITTLE: usize = 60;

fn words(text: &str) -> String {
    // A line of a log is a time, a space and what the node wrote.
    let says_something = |line: &&str| line.split_once(' ').is_some_and(|(_, said)| !said.trim().is_empty());
    let all: Vec<&str> = text.lines().filter(says_something).collect();
    let (said, last) = all.split_at(all.len().saturating_sub(LAST));
    match said.len() {
        0 | LITTLE.. => last.join("\n"),
        n if n <= FIRST => all.join("\n"),
        _ => [&said[..FIRST], &["..."], last].concat().join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_begin_with_the_first_where_they_are_few() {
        let log = |lines: usize| {
            (0..lines).map(|line| format!("{line}.0 says {line}\n{line}.5 \n")).collect::<String>()
        };
        let said =
            |lines| words(&log(lines)).lines().map(|line| line.replace(".0 says", "")).collect::<Vec<_>>();
        assert_eq!(said(0), [""; 0]);
        assert_eq!(said(6), ["0 0", "1 1", "2 2", "3 3", "4 4", "5 5"]);
        assert_eq!(said(9), ["0 0", "1 1", "...", "4 4", "5 5", "6 6", "7 7", "8 8"]);
        assert_eq!(said(90), ["85 85", "86 86", "87 87", "88 88", "89 89"]);
    }
}
