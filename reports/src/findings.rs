//! What the oracles beside the model found, and how often they looked: the same words in every report.

use tribunal_records::oracles::{Finding, Looked, Oracle};

use crate::judgement::Judgement;
use crate::run_info::RunInfo;
use crate::wording::count;

/// A violation that this oracle found, in a few words.
pub fn heading(oracle: Oracle) -> &'static str {
    match oracle {
        Oracle::Model => "not linearizable",
        Oracle::Divergence => "replicas differ",
        Oracle::Agreement => "nodes disagree",
        Oracle::Crash => "a node crashed",
        Oracle::Restart => "a node does not start again",
        Oracle::Log => "a fatal log line",
        Oracle::Recovery => "no recovery",
    }
}

/// A finding in one sentence, with its excuse.
pub fn sentence(finding: &Finding) -> String {
    let excuse = finding.excuse.as_ref().map(|excuse| format!(" (does not count, because of {excuse})"));
    format!("{}: {}{}", finding.oracle, finding.sentence, excuse.unwrap_or_default())
}

/// How often each oracle looked, the model first: `model: 1,200 operations`.
pub fn looked(info: &RunInfo, judgement: &Judgement) -> Vec<String> {
    let led = match &info.led[..] {
        [] => String::new(),
        led => format!(", final reads while each of {} led", led.join(", ")),
    };
    let checked = judgement
        .checker
        .as_ref()
        .map(|verdict| format!("model: {} operations{led}", count(verdict.ops as u64)));
    checked.into_iter().chain(judgement.oracles.iter().map(times)).collect()
}

fn times(Looked { oracle, times, what, why_not }: &Looked) -> String {
    match (times, why_not) {
        (0, Some(why)) => format!("{oracle}: could not look: {why}"),
        (0, None) => format!("{oracle}: did not look"),
        (n, _) => format!("{oracle}: {} {what}", count(*n)),
    }
}
