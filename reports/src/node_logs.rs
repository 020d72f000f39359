//! The node logs around a violation, merged by time.
//!
//! Each line of `nodes/n1.log` begins with seconds on the run's clock: `12.345 became leader of term 5`.
//! Lines without a time (the rest of a panic message, for example) belong to the line before them. The files
//! may be huge and may contain any bytes: they are streamed, cut to the window, and invalid UTF-8 is
//! replaced.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use tribunal_checker::op::Nanos;

use crate::files;
use crate::judgement::Judgement;
use crate::wording::elide;

/// How far the window extends before and after the part of the violation shown, in nanoseconds.
pub const MARGIN_NS: Nanos = 500_000_000;
/// How far before the witness an operation that it contradicts may have returned, in nanoseconds.
const BACK_NS_MAX: Nanos = 10_000_000_000;
/// The maximum number of lines per node: those nearest to the violation.
pub const LINES_PER_NODE_MAX: usize = 200;
/// The maximum length of a line that is kept, in characters.
const LINE_CHARS_MAX: usize = 300;
/// The maximum length of a line in memory, in bytes; the rest of it is skipped.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// A line of a node's log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogLine {
    /// Its time.
    pub t: Nanos,
    /// The node.
    pub node: String,
    /// Its line number in that node's log, counted from 1.
    pub line: usize,
    /// Its text, on one line and safe to print.
    pub text: String,
}

/// A time window, with the most important time in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub from: Nanos,
    /// Its end.
    pub to: Nanos,
    /// If there are too many lines, those near this time are kept.
    pub centre: Nanos,
}

/// The window around the witness; `None` if no violation was proved. It begins before the return of an
/// operation that the sentence names, if that is not too long ago.
pub fn window(judgement: &Judgement) -> Option<Window> {
    let violation = judgement.violation()?;
    let witness = judgement.op(violation.witness)?;
    let end = witness.completed.unwrap_or(violation.detected);
    let named = violation.named.iter().filter_map(|id| judgement.op(*id)?.completed);
    let begin = named.filter(|returned| *returned + BACK_NS_MAX >= witness.call).min();
    Some(Window {
        from: begin.unwrap_or(witness.call).min(witness.call).saturating_sub(MARGIN_NS),
        to: end.saturating_add(MARGIN_NS),
        centre: witness.call,
    })
}

/// The lines of all logs in a directory within the window, by time. An unreadable log has none.
pub fn load(nodes: &Path, window: Window) -> Vec<LogLine> {
    let mut lines = Vec::new();
    let mut logs: Vec<_> =
        std::fs::read_dir(nodes).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    logs.sort();
    for path in logs.iter().filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
        let node = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if let Ok(file) = files::open(path) {
            lines.extend(of_node(&elide(&node, 40), BufReader::new(file), window));
        }
    }
    lines.sort();
    lines
}

fn of_node(node: &str, mut log: impl BufRead, window: Window) -> Vec<LogLine> {
    let mut kept = std::collections::VecDeque::new();
    let (mut t, mut number, mut raw) = (None, 0, Vec::new());
    loop {
        raw.clear();
        match log.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut raw) {
            Ok(0) | Err(_) => break,
            Ok(_) if !raw.ends_with(b"\n") && raw.len() as u64 == LINE_BYTES_MAX => {
                if log.skip_until(b'\n').is_err() {
                    break;
                }
            }
            Ok(_) => {}
        }
        number += 1;
        let text = String::from_utf8_lossy(&raw);
        let text = text.trim_end();
        let stamp = text.split_once(' ').map_or((text, ""), |split| split);
        let (at, says) = match timestamp(stamp.0) {
            Some(at) => (at, stamp.1),
            None => match t {
                Some(at) => (at, text),
                None => continue,
            },
        };
        t = Some(at);
        if at < window.from || at > window.to {
            continue;
        }
        kept.push_back(LogLine {
            t: at,
            node: node.to_string(),
            line: number,
            text: elide(says, LINE_CHARS_MAX),
        });
        if kept.len() > LINES_PER_NODE_MAX {
            // Times within a log are almost in order: drop the end farther from the centre.
            let (first, last) = (kept[0].t, at);
            if window.centre.abs_diff(first) >= window.centre.abs_diff(last) {
                kept.pop_front();
            } else {
                kept.pop_back();
            }
        }
    }
    kept.into()
}

/// Parses `12.345` into nanoseconds.
fn timestamp(text: &str) -> Option<Nanos> {
    let (seconds, fraction) = text.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) {
        return None;
    }
    let nanos: Nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(seconds.parse::<Nanos>().ok()? * 1_000_000_000 + nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { from: 1_000_000_000, to: 2_000_000_000, centre: 1_500_000_000 };

    fn texts(log: &[u8]) -> Vec<String> {
        of_node("n1", log, WINDOW).into_iter().map(|line| format!("{} {}", line.line, line.text)).collect()
    }

    /// A broken node: 100 MB in one line, then the relevant lines.
    #[test]
    fn a_log_of_a_hundred_megabytes_is_streamed() {
        let rest: &[u8] = b"\n1.500 what matters\n";
        let log = (&b"1.400 "[..]).chain(std::io::repeat(b'x').take(100 << 20)).chain(rest);
        let window = Window { from: 1_000_000_000, to: 2_000_000_000, centre: 1_500_000_000 };
        let lines = of_node("n1", BufReader::new(log), window);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].text.chars().count() <= LINE_CHARS_MAX, "the long one is cut");
        assert_eq!((lines[1].text.as_str(), lines[1].line), ("what matters", 2));
    }

    #[test]
    fn a_timestamp_is_seconds_with_a_fraction() {
        assert_eq!(timestamp("12.345"), Some(12_345_000_000));
        assert_eq!(timestamp("0.000001"), Some(1_000));
        assert_eq!([timestamp("12"), timestamp("12."), timestamp("-1.5"), timestamp("1.5s")], [None; 4]);
    }

    #[test]
    fn lines_outside_the_window_are_left_out() {
        assert_eq!(texts(b"0.999 early\n1.000 in\n2.000 in\n2.001 late\n"), ["2 in", "3 in"]);
    }

    #[test]
    fn a_line_without_a_time_belongs_to_the_one_before() {
        assert_eq!(
            texts(b"no time yet\n1.5 panicked at\n  src/main.rs\n3.0 x\n  y\n"),
            ["2 panicked at", "3   src/main.rs"]
        );
    }

    #[test]
    fn any_bytes_are_harmless() {
        assert_eq!(texts(b"1.5 \xff\xfe \x1b[31mred\n"), ["1 \u{fffd}\u{fffd} ␛[31mred"]);
        let mut long = b"1.5 ".to_vec();
        long.extend(vec![b'x'; 1_000_000]);
        long.extend(b"\n1.6 next\n");
        let lines = texts(&long);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].chars().count(), "1 ".len() + LINE_CHARS_MAX);
        assert_eq!(lines[1], "2 next");
    }

    #[test]
    fn of_many_lines_the_nearest_are_kept() {
        let log: String = (0..1000).map(|i| format!("1.{i:03} line\n")).collect();
        let kept = of_node("n1", log.as_bytes(), WINDOW);
        assert_eq!(kept.len(), LINES_PER_NODE_MAX);
        assert!(kept.first().unwrap().t >= 1_399_000_000 && kept.last().unwrap().t <= 1_601_000_000);
    }
}
