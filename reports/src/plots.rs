//! `plots/*.svg` and `plots/*.png`: latency and rate over the time of the run, with the faults under them.
//!
//! All plots share one frame (`frame.rs`) and one time axis. They are drawn in light colours; a style sheet inside each
//! file turns them dark where the reader prefers that, in the page as well as when the file is opened alone.

mod frame;
mod latency;
mod paper;
mod rate;

use tribunal_checker::op::Nanos;

use crate::run_dir::RunDir;
pub use paper::Form;

/// A plot, as a file and as a part of the page.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// Its path below the run directory, as SVG.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub caption: &'static str,
    /// The drawing.
    pub draw: fn(&RunDir, Form) -> Vec<u8>,
}

/// Every plot there is.
pub const PLOTS: &[Plot] = &[LATENCY_RAW, LATENCY_QUANTILES, RATE, AVAILABILITY];

/// Every operation by when it was invoked and how long it took.
pub const LATENCY_RAW: Plot = Plot {
    name: "plots/latency-raw.svg",
    caption: "Latency of every operation, by time of invocation; shapes are operations, colours are outcomes.",
    draw: latency::raw,
};
/// The quantiles of the operations that happened.
pub const LATENCY_QUANTILES: Plot = Plot {
    name: "plots/latency-quantiles.svg",
    caption: "Latency quantiles of the operations that happened, by time of invocation.",
    draw: latency::quantiles,
};
/// How many operations completed per second.
pub const RATE: Plot = Plot {
    name: "plots/rate.svg",
    caption: "Completed operations per second, stacked by outcome.",
    draw: rate::rate,
};

/// The share of the completed operations that succeeded.
pub const AVAILABILITY: Plot = Plot {
    name: "plots/availability.svg",
    caption: "Share of the completed operations that succeeded.",
    draw: rate::availability,
};

/// How wide a bucket of a plot is: fine enough to see a fault of a second, never finer than 100 ms.
fn bucket_ns(span: Nanos) -> Nanos {
    (span / 180).max(100_000_000)
}
