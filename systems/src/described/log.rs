//! What a node's log says about the node: the last line that one of two patterns matches.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use regex_lite::Regex;

use crate::NodeOutput;

/// Follows the logs of all nodes: whether the line of `gained` came later than that of `lost`.
///
/// Every line is read once, since a log can be long and is queried often.
#[derive(Debug)]
pub(super) struct LogWatch {
    gained: Regex,
    lost: Option<Regex>,
    nodes: Mutex<HashMap<String, Position>>,
}

/// How far a log has been read, and what it said.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// The beginning of the current process's output.
    begin: u64,
    /// The next byte to read.
    next: u64,
    /// The number in the last line of `gained`, or 0; `None` if there is no such line, or one of `lost` after
    /// it.
    held: Option<u64>,
}

impl LogWatch {
    pub(super) fn new(gained: Regex, lost: Option<Regex>) -> Self {
        LogWatch { gained, lost, nodes: Mutex::default() }
    }

    /// The pattern that a node's output has to match.
    pub(super) fn pattern(&self) -> String {
        format!("`{}`", self.gained.as_str())
    }

    /// The number in the first group of the last line of `gained`, or 0 if it has none; `None` if the current
    /// process wrote no such line, or one of `lost` after it.
    pub(super) fn held(&self, node: &str, log: &NodeOutput) -> Option<u64> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let position = nodes.entry(node.to_string()).or_default();
        let begin = log.begins_at();
        if position.begin != begin || position.next < begin {
            *position = Position { begin, next: begin, held: None };
        }
        // A log that cannot be read says nothing new.
        let _ = self.read(log, position);
        position.held
    }

    fn read(&self, log: &NodeOutput, position: &mut Position) -> io::Result<()> {
        let mut file = File::open(log.path())?;
        file.seek(SeekFrom::Start(position.next))?;
        let (mut lines, mut line) = (BufReader::new(file), Vec::new());
        // A line without its end will be read again.
        while lines.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            position.next += line.len() as u64;
            let text = String::from_utf8_lossy(&line);
            let said = text.split_once(' ').map_or("", |(_, said)| said).trim_end();
            if let Some(found) = self.gained.captures(said) {
                position.held = Some(found.get(1).and_then(|it| it.as_str().parse().ok()).unwrap_or(0));
            } else if self.lost.as_ref().is_some_and(|lost| lost.is_match(said)) {
                position.held = None;
            }
            line.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_line_of_the_current_process_counts() {
        let path = std::env::temp_dir().join(format!("tribunal-log-watch-{}", std::process::id()));
        let mut file = File::create(&path).unwrap();
        let mut write = |text: &str| file.write_all(text.as_bytes()).unwrap();
        let log = NodeOutput::new(path.clone());
        let regex = |text: &str| Regex::new(text).unwrap();
        let watch = LogWatch::new(regex(r"^leader of term (\d+)$"), Some(regex("^follower")));
        let held = || watch.held("n1", &log);
        assert_eq!(held(), None);
        write("0.100 leader of term 7\n0.200 hello\n0.300 follow");
        assert_eq!(held(), Some(7));
        write("er\n");
        assert_eq!(held(), None);
        write("0.400 leader of term 8\n");
        assert_eq!(held(), Some(8));
        log.begin();
        assert_eq!(held(), None, "a new process has not said so");
        write("0.500 leader of term 9\n");
        assert_eq!(held(), Some(9));
        std::fs::remove_file(path).unwrap();
    }
}
