//! `plots/*.svg` and `plots/*.png`: latency and rate over the run with the faults below, and the reasons for
//! a slow check (`check.rs`).
//!
//! All plots share one frame (`frame.rs`), and most share one time axis. They are drawn in light colours; a
//! style sheet in each file switches them to dark if the reader prefers that, in the page and when the file
//! is opened alone.

mod canvas;
mod check;
mod compact;
mod frame;
mod latency;
mod rate;

use tribunal_checker::op::Nanos;

use crate::clock::Clock;
use crate::run_dir::RunDir;
pub use canvas::Form;

/// A plot, as a file and as a part of the page.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// Its path below the run directory, as SVG.
    pub name: &'static str,
    /// Its content, in one sentence.
    pub caption: &'static str,
    /// Whether it is worth showing for this run.
    pub is_due: fn(&RunDir) -> bool,
    /// The drawing.
    pub draw: fn(&RunDir, Form) -> Vec<u8>,
}

/// The plots of the system's performance.
pub const PLOTS: &[Plot] = &[LATENCY_RAW, LATENCY_QUANTILES, RATE, AVAILABILITY];

/// The plots of the check's cost; `check.rs` decides when they are due.
pub const CHECK_PLOTS: &[Plot] = &[KEYS, FRONTIER];

/// Every operation by invocation time and latency.
pub const LATENCY_RAW: Plot = Plot {
    name: "plots/latency-raw.svg",
    caption: "Latency of every operation, by time of invocation; shapes are operations, colours are outcomes.",
    is_due: has_times,
    draw: latency::raw,
};
/// The latency quantiles of successful operations.
pub const LATENCY_QUANTILES: Plot = Plot {
    name: "plots/latency-quantiles.svg",
    caption: "Latency quantiles of the operations that happened, by time of invocation.",
    is_due: has_times,
    draw: latency::quantiles,
};
/// Completed operations per second.
pub const RATE: Plot = Plot {
    name: "plots/rate.svg",
    caption: "Completed operations per second, stacked by outcome.",
    is_due: has_times,
    draw: rate::rate,
};

/// The success rate of completed operations.
pub const AVAILABILITY: Plot = Plot {
    name: "plots/availability.svg",
    caption: "Share of the completed operations that succeeded.",
    is_due: has_times,
    draw: rate::availability,
};

/// The number of operations on each key.
pub const KEYS: Plot = Plot {
    name: "plots/keys.svg",
    caption: "Operations per key, stacked by outcome: a check is slow where many are indeterminate (info) or overlap.",
    is_due: check::keys_explain,
    draw: check::keys,
};

/// The number of configurations that the check held along the history.
pub const FRONTIER: Plot = Plot {
    name: "plots/frontier.svg",
    caption: "How many ways to explain the history so far the check carried along, for the key that took the most work; \
              it ends where the search did.",
    is_due: check::frontier_explains,
    draw: check::frontier,
};

fn has_times(run: &RunDir) -> bool {
    run.clock() == Clock::Time && !run.evidence.history.ops.is_empty()
}

/// The width of a bucket: fine enough to show a fault of a second, at least 100 ms; a tenth of a shorter history.
fn bucket_ns(span: Nanos) -> Nanos {
    (span / 180).max(100_000_000.min(span / 10)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_histories_have_buckets_too() {
        let spans = [0, 9_000_000, 1_000_000_000, 5_000_000_000, 36_000_000_000];
        assert_eq!(spans.map(bucket_ns), [1, 900_000, 100_000_000, 100_000_000, 200_000_000]);
    }
}
