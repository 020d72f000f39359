//! Latency, operation by operation and in quantiles.

use std::collections::BTreeSet;

use plotters::prelude::*;
use tribunal_checker::op::{F, Op, Outcome};

use super::bucket_ns;
use super::frame::{Entry, Mark, colour, mark, plot};
use crate::palette::{self, Ink};
use crate::run_dir::RunDir;
use crate::stats::quantile_rank;
use crate::wording::elide;

const SHAPES: [Mark; 5] = [Mark::Circle, Mark::Triangle, Mark::Cross, Mark::Diamond, Mark::Plus];

/// One mark per operation, but never two of the same look within two pixels: a hundred thousand operations
/// take no more room than a picture can show.
pub(super) fn raw(run: &RunDir) -> String {
    let ops = &run.evidence.history.ops;
    let names: BTreeSet<&F> = ops.iter().map(|op| &op.f).collect();
    let shape = |f: &F| SHAPES[names.iter().position(|name| *name == f).unwrap_or(0) % SHAPES.len()];
    let mut legend: Vec<Entry> = names
        .iter()
        .take(8)
        .map(|f| Entry { ink: palette::MUTED, word: elide(f.name(), 16), mark: shape(f) })
        .collect();
    legend.extend(
        [("ok", palette::OK), ("info", palette::INFO), ("fail", palette::FAIL)].map(|(word, ink)| Entry {
            ink,
            word: word.into(),
            mark: Mark::Bar,
        }),
    );
    let range = milliseconds_range(ops.iter().filter_map(milliseconds));
    plot(run, "Latency of each operation", range.log_scale(), "milliseconds", &legend, |chart, root| {
        let mut taken = BTreeSet::new();
        // What happened is drawn first: failures must not vanish under it.
        for rank in 0..3 {
            for op in ops.iter().filter(|op| ink(op).1 == rank) {
                let Some(took) = milliseconds(op) else { continue };
                let at = chart.backend_coord(&(op.call as f64 / 1e9, took));
                let look = names.iter().position(|name| *name == &op.f).unwrap_or(0);
                if taken.insert((rank, look, at.0 / 2, at.1 / 2)) {
                    mark(root, at, shape(&op.f), ink(op).0)?;
                }
            }
        }
        Ok(())
    })
}

/// The quantiles of the operations that happened, bucket by bucket; a bucket in which none did is a gap.
pub(super) fn quantiles(run: &RunDir) -> String {
    const QUANTILES: [(usize, &str); 4] = [(50, "p50"), (95, "p95"), (99, "p99"), (100, "max")];
    let ops = &run.evidence.history.ops;
    let happened = || ops.iter().filter(|op| op.is_ok()).filter_map(|op| Some((op.call, milliseconds(op)?)));
    let last = ops.last().map_or(0, |op| op.call);
    let width = bucket_ns(last);
    let mut buckets: Vec<Vec<f64>> = vec![Vec::new(); (last / width) as usize + 1];
    happened().for_each(|(call, took)| buckets[(call / width) as usize].push(took));
    buckets.iter_mut().for_each(|bucket| bucket.sort_by(f64::total_cmp));

    let range = milliseconds_range(happened().map(|(_, took)| took));
    let legend: Vec<Entry> = QUANTILES
        .iter()
        .zip(palette::QUANTILES)
        .map(|((_, word), ink)| Entry { ink, word: word.to_string(), mark: Mark::Bar })
        .collect();
    plot(run, "Latency quantiles", range.log_scale(), "milliseconds", &legend, |chart, _| {
        // The longest first: what most operations saw stays on top.
        for ((percent, _), ink) in QUANTILES.iter().zip(palette::QUANTILES).rev() {
            let points: Vec<Option<(f64, f64)>> = buckets
                .iter()
                .enumerate()
                .map(|(at, bucket)| {
                    let middle = (at as f64 + 0.5) * width as f64 / 1e9;
                    (!bucket.is_empty()).then(|| (middle, bucket[quantile_rank(bucket.len(), *percent)]))
                })
                .collect();
            for line in points.split(Option::is_none).filter(|line| !line.is_empty()) {
                let line: Vec<(f64, f64)> = line.iter().flatten().copied().collect();
                if let [alone] = line[..] {
                    chart.draw_series([Circle::new(alone, 2, colour(ink).filled())])?;
                }
                chart.draw_series(LineSeries::new(line, colour(ink).stroke_width(2)))?;
            }
        }
        Ok(())
    })
}

/// The colour of an operation's outcome, and when its turn to be drawn comes.
fn ink(op: &Op) -> (Ink, u8) {
    match op.outcome {
        Outcome::Ok(_) => (palette::OK, 0),
        Outcome::Fail => (palette::FAIL, 1),
        Outcome::Info => (palette::INFO, 2),
    }
}

/// How long an operation took, in milliseconds, if its completion was recorded. Never 0, which has no logarithm.
fn milliseconds(op: &Op) -> Option<f64> {
    Some(((op.completed? - op.call) as f64 / 1e6).max(0.001))
}

/// From the power of ten below the least to the one above the greatest.
fn milliseconds_range(all: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, greatest) = all
        .fold((f64::MAX, 0.0), |(least, greatest): (f64, f64), took| (least.min(took), greatest.max(took)));
    if greatest == 0.0 {
        return 0.1..100.0;
    }
    let low = 10f64.powf(least.log10().floor());
    low..10f64.powf(greatest.log10().ceil()).max(low * 10.0)
}
