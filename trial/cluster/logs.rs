//! The output of the nodes, with timestamps of the run's clock.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tribunal_nemesis::{NodeId, RunEvent};
use tribunal_reports::wording::elide;

use super::spawn::thread;
use crate::clock::Clock;
use crate::lock::locked;

/// Maximum length of a line; longer lines are truncated.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// How long the output of an ended process may take to arrive.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The log of one node: every line of its output, after the time of its arrival in seconds.
#[derive(Clone)]
pub(crate) struct NodeLog {
    file: Arc<File>,
    clock: Clock,
    /// Receives each line, with the node's id.
    listener: Arc<OnceLock<(NodeId, UnboundedSender<RunEvent>)>>,
    /// Watches for one line.
    watch: Arc<OnceLock<LineWatch>>,
    /// How many streams are being followed, and when one of them ends.
    followed: Arc<(Mutex<usize>, Condvar)>,
}

/// Reports the first line that matches.
struct LineWatch {
    node: NodeId,
    matches: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// `None` once a line was reported.
    first: Mutex<Option<UnboundedSender<(NodeId, String)>>>,
}

impl NodeLog {
    pub(crate) fn create(path: &Path, clock: Clock) -> io::Result<Self> {
        let file = Arc::new(OpenOptions::new().create(true).append(true).open(path)?);
        let (listener, watch, followed) = Default::default();
        Ok(NodeLog { file, clock, listener, watch, followed })
    }

    /// From now on, also sends every line to `run_events`, as a line of `node`. Only the first call has an
    /// effect.
    pub(crate) fn forward_to(&self, node: NodeId, run_events: UnboundedSender<RunEvent>) {
        let _ = self.listener.set((node, run_events));
    }

    /// From now on, sends the first line that matches to `first`, as a line of `node`. Only the first call has
    /// an effect.
    pub(crate) fn report_first(
        &self,
        node: NodeId,
        matches: impl Fn(&str) -> bool + Send + Sync + 'static,
        first: UnboundedSender<(NodeId, String)>,
    ) {
        let _ =
            self.watch.set(LineWatch { node, matches: Box::new(matches), first: Mutex::new(Some(first)) });
    }

    /// Copies an output stream of a node until it ends. Bytes are not changed: a log may contain anything. Of
    /// a very long line, the beginning and the length are kept.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn follow(&self, stream: impl Read + Send + 'static) -> io::Result<()> {
        let log = self.clone();
        *locked(&self.followed.0) += 1;
        let started = thread("log", move || {
            log.copy(BufReader::new(stream));
            log.end_of_stream();
        });
        if started.is_err() {
            self.end_of_stream();
        }
        started
    }

    fn end_of_stream(&self) {
        *locked(&self.followed.0) -= 1;
        self.followed.1.notify_all();
    }

    /// Waits until all that an ended process has written is in the log. A process elsewhere may hold its streams,
    /// so the wait is bounded.
    pub(super) fn drain(&self) {
        let followed = locked(&self.followed.0);
        let _ = self.followed.1.wait_timeout_while(followed, DRAIN_TIMEOUT, |followed| *followed > 0);
    }

    fn copy(&self, mut lines: impl BufRead) {
        let mut line = Vec::new();
        loop {
            line.clear();
            match lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => self.write(&line),
            }
            if line.len() as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
                let Ok(more) = lines.skip_until(b'\n') else { return };
                self.write(format!("[the line before went on for {more} bytes]").as_bytes());
            }
        }
    }

    fn write(&self, line: &[u8]) {
        let mut stamped = format!("{:.3} ", self.clock.now() as f64 / 1e9).into_bytes();
        stamped.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        stamped.push(b'\n');
        // One write per line, because both streams of a node share the file. A failure to write must not stop
        // a trial: the log is not evidence.
        let _ = (&*self.file).write_all(&stamped);
        if let Some(watch) = self.watch.get() {
            let said = String::from_utf8_lossy(line);
            if (watch.matches)(said.trim_end())
                && let Some(first) = locked(&watch.first).take()
            {
                let _ = first.send((watch.node, elide(said.trim_end(), LINE_CHARS_MAX)));
            }
        }
        if let Some((node, run_events)) = self.listener.get() {
            // Sent after writing, so that the cause of a triggered fault is in the log.
            let _ =
                run_events.send(RunEvent::Log(*node, String::from_utf8_lossy(line).trim_end().to_owned()));
        }
    }
}

/// The last lines of a node's log; also its first lines if the log is short: a program that rejects its
/// arguments prints the error first, and then its usage.
pub(crate) fn excerpt(path: &Path) -> String {
    let end = tail(path).unwrap_or_default();
    excerpt_of(&String::from_utf8_lossy(&end))
}

/// The end of a log, or all of it if it is short.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    const BYTES_MAX: u64 = 1 << 20;
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(BYTES_MAX);
    file.seek(SeekFrom::Start(skipped))?;
    let mut end = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut end)?;
    Ok(end)
}

/// Maximum length of an excerpt's line, in characters.
const LINE_CHARS_MAX: usize = 400;
const FIRST_LINES: usize = 2;
const LAST_LINES: usize = 5;
/// A log with fewer lines is short.
const SHORT_LINES_MAX: usize = 60;

fn excerpt_of(text: &str) -> String {
    // A line of a log is a time, a space and the node's output.
    let is_not_blank = |line: &&str| line.split_once(' ').is_some_and(|(_, said)| !said.trim().is_empty());
    let all: Vec<&str> = text.lines().filter(is_not_blank).collect();
    let (said, last) = all.split_at(all.len().saturating_sub(LAST_LINES));
    let words = match said.len() {
        0 | SHORT_LINES_MAX.. => last.to_vec(),
        n if n <= FIRST_LINES => all,
        _ => [&said[..FIRST_LINES], &["..."], last].concat(),
    };
    words.iter().map(|line| elide(line, LINE_CHARS_MAX)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_is_truncated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n1.log");
        let log = NodeLog::create(&path, Clock::start()).unwrap();
        let mad = io::repeat(b'x').take(64 << 20);
        log.copy(BufReader::new((&b"begins\n"[..]).chain(mad).chain(&b"\nends"[..])));
        assert!(std::fs::metadata(&path).unwrap().len() < 2 * LINE_BYTES_MAX);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!((lines[0], lines[1].len() as u64, lines[3]), ("begins", LINE_BYTES_MAX, "ends"));
        assert_eq!(
            lines[2],
            format!("[the line before went on for {} bytes]", (64 << 20) - LINE_BYTES_MAX + 1)
        );
        let last = excerpt(&path);
        assert!(last.contains("begins") && last.chars().count() < 600, "{last}");
    }

    #[test]
    fn a_short_log_is_excerpted_from_its_beginning() {
        let log = |lines: usize| {
            (0..lines).map(|line| format!("{line}.0 says {line}\n{line}.5 \n")).collect::<String>()
        };
        let said = |lines| {
            excerpt_of(&log(lines)).lines().map(|line| line.replace(".0 says", "")).collect::<Vec<_>>()
        };
        assert_eq!(said(0), [""; 0]);
        assert_eq!(said(6), ["0 0", "1 1", "2 2", "3 3", "4 4", "5 5"]);
        assert_eq!(said(9), ["0 0", "1 1", "...", "4 4", "5 5", "6 6", "7 7", "8 8"]);
        assert_eq!(said(90), ["85 85", "86 86", "87 87", "88 88", "89 89"]);
    }
}
