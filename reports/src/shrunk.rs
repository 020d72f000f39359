//! What `tribunal shrink` came to, in words: the size of the trial before and after, and the proof.

use std::time::Duration;

use tribunal_records::boxed::{LeftOut, Shrunk};

use crate::wording::{count, counted};

/// What was made smaller: its name for one and for several, before, and after.
pub(crate) fn sizes(shrunk: &Shrunk) -> [([&'static str; 2], String, String); 5] {
    let Shrunk { recorded: before, smallest: after, .. } = shrunk;
    let time = |ms: u64| humantime::format_duration(Duration::from_millis(ms)).to_string();
    let number = |n: usize| count(n as u64);
    [
        (["fault", "faults"], number(before.faults), number(after.faults)),
        (["node", "nodes"], number(before.nodes), number(after.nodes)),
        (["client", "clients"], number(before.clients), number(after.clients)),
        (["key at a time", "keys at a time"], number(before.keys), number(after.keys)),
        (["time limit", "time limit"], time(before.time_limit_ms), time(after.time_limit_ms)),
    ]
}

/// What the boots without a fault showed, and so whether the fault is needed.
pub(crate) fn shown_without(left_out: &LeftOut) -> (&'static str, String) {
    let LeftOut { boots, judged, is_shown, .. } = left_out;
    let boots = counted(*boots, "boot");
    if left_out.is_needed() {
        ("needed", format!("none of {boots} shows a violation"))
    } else if *is_shown {
        ("not needed", format!("one of {boots} still shows a violation"))
    } else {
        ("unclear", format!("only {judged} of {boots} were judged, and none shows a violation"))
    }
}

/// Whether there may be a smaller trial.
pub(crate) const INCOMPLETE: &str = "Not every smaller trial was tried: --within gives more time.";
