//! `links.jsonl`: how many bytes each directed link between nodes carried and withheld, in short samples.
//!
//! ```json
//! {"from":12465000000,"to":12470123000,"carried":{"n1>n2":812,"n2>n1":96},"withheld":{"n1>n3":812}}
//! ```
//!
//! Samples without traffic are left out. There is no journal if the kernel carries the links (`--net netns`).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tribunal_checker::op::Nanos;

use crate::files;
use crate::judgement::Judgement;

/// How far the window extends before and after the counterexample at least, in nanoseconds.
const MARGIN_NS: Nanos = 25_000_000;
/// The longest window, in nanoseconds; of a longer counterexample, the end.
const WINDOW_NS_MAX: Nanos = 5_000_000_000;

/// The traffic in a time interval, in bytes by link, such as `n1>n2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// Its beginning.
    pub from: Nanos,
    /// Its end.
    pub to: Nanos,
    /// Bytes delivered.
    pub carried: BTreeMap<String, u64>,
    /// Bytes sent and not delivered, because the link was cut. They may be delivered when the link is healed.
    pub withheld: BTreeMap<String, u64>,
}

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
