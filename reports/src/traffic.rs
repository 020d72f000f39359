//! The samples of `links.jsonl` around a counterexample, for the drawing of the messages between nodes.
//! Unreadable lines are skipped.

use std::io::{BufRead, BufReader};
use std::path::Path;

use tribunal_checker::op::Nanos;
pub use tribunal_records::links::Sample;

use crate::files;
use crate::judgement::Judgement;

/// How far the window extends before and after the counterexample at least, in nanoseconds.
const MARGIN_NS: Nanos = 25_000_000;
/// The longest window, in nanoseconds; of a longer counterexample, the end.
const WINDOW_NS_MAX: Nanos = 5_000_000_000;

/// The window around the counterexample; `None` if no violation was proved.
pub fn window(judgement: &Judgement) -> Option<(Nanos, Nanos)> {
    let violation = judgement.violation()?;
    let calls = violation.minimal.iter().filter_map(|id| Some(judgement.op(*id)?.call));
    let end = violation.detected;
    let begin = calls.min().unwrap_or(end).clamp(end.saturating_sub(WINDOW_NS_MAX), end);
    let margin = MARGIN_NS.max((end - begin) / 10);
    Some((begin.saturating_sub(margin), end.saturating_add(margin)))
}

/// The samples that overlap a time window. Unreadable samples are skipped: only this picture depends on them.
pub fn load(path: &Path, (from, to): (Nanos, Nanos)) -> Vec<Sample> {
    let Ok(file) = files::open(path) else { return Vec::new() };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let samples = lines.filter_map(|line| serde_json::from_str::<Sample>(&line).ok());
    samples.filter(|it| it.from <= to && it.to >= from).collect()
}
