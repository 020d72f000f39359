//! Latency, operation by operation and as quantiles.

use std::collections::BTreeSet;

use plotters::prelude::*;
use tribunal_checker::op::{F, Op, Outcome};

use super::bucket_ns;
use super::canvas::Form;
use super::frame::{Across, Entry, Labels, Mark, colour, mark, plot};
use crate::palette::{self, Ink};
use crate::run_dir::RunDir;
use crate::stats::quantile_rank;
use crate::wording::elide;

const SHAPES: [Mark; 5] = [Mark::Circle, Mark::Triangle, Mark::Cross, Mark::Diamond, Mark::Plus];

/// The minimum distance of two marks of the same look, in pixels: the first of these with at most
/// [`MARKS_MAX`] marks.
const CELLS: [i32; 6] = [2, 3, 4, 6, 8, 12];
/// The maximum number of marks in a drawing: a mark takes about fifteen bytes.
const MARKS_MAX: usize = 12_000;

/// One mark per operation, except marks of the same look that would be indistinguishable: a million
/// operations take no more space than a picture can show.
pub(super) fn raw(run: &RunDir, form: Form) -> Vec<u8> {
    let ops = &run.evidence.history.ops;
    let names: BTreeSet<&F> = ops.iter().map(|op| &op.f).collect();
    let look = |f: &F| names.iter().position(|name| *name == f).unwrap_or(0) % SHAPES.len();
    let mut legend: Vec<Entry> = names
        .iter()
        .take(8)
        .map(|f| Entry { ink: palette::MUTED, word: elide(f.name(), 16), mark: SHAPES[look(f)] })
        .collect();
    legend.extend(OUTCOMES.map(|(word, ink)| Entry { ink, word: word.into(), mark: Mark::Bar }));
    let range = milliseconds_range(ops.iter().filter_map(milliseconds));
    plot(
        run,
        form,
        &Labels {
            title: "Latency of each operation",
            unit: "milliseconds",
            legend: &legend,
            across: Across::Time,
        },
        range.log_scale(),
        |chart, root| {
            // Sorted by outcome, so that failed operations are drawn last and not hidden; then by shape; then
            // by position.
            let at = |op: &Op| {
                let (x, y) = chart.backend_coord(&(op.call as f64 / 1e9, milliseconds(op)?));
                Some((outcome(op), look(&op.f), x, y))
            };
            let all: BTreeSet<_> = ops.iter().filter_map(at).collect();
            let mut marks: Vec<_> = Vec::new();
            for cell in CELLS {
                let mut taken = BTreeSet::new();
                let first = |&(outcome, look, x, y): &_| taken.insert((outcome, look, x / cell, y / cell));
                marks = all.iter().copied().filter(first).collect();
                if marks.len() <= MARKS_MAX {
                    break;
                }
            }
            for (outcome, look, x, y) in marks {
                mark(root, (x, y), SHAPES[look], OUTCOMES[outcome].1)?;
            }
            Ok(())
        },
    )
}

/// The latency quantiles of successful operations per bucket; an empty bucket is a gap.
pub(super) fn quantiles(run: &RunDir, form: Form) -> Vec<u8> {
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
    plot(
        run,
        form,
        &Labels { title: "Latency quantiles", unit: "milliseconds", legend: &legend, across: Across::Time },
        range.log_scale(),
        |chart, _| {
            // The highest quantile first: what most operations saw stays on top.
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
        },
    )
}

/// The outcomes in the order in which they are drawn.
const OUTCOMES: [(&str, Ink); 3] = [("ok", palette::OK), ("fail", palette::FAIL), ("info", palette::INFO)];

/// The index of an operation's outcome in [`OUTCOMES`].
fn outcome(op: &Op) -> usize {
    match op.outcome {
        Outcome::Ok(_) => 0,
        Outcome::Fail => 1,
        Outcome::Info => 2,
    }
}

/// The latency of an operation in milliseconds, if its completion was recorded. Never 0, which has no
/// logarithm.
fn milliseconds(op: &Op) -> Option<f64> {
    Some(((op.completed? - op.call) as f64 / 1e6).max(0.001))
}

/// From the power of ten below the minimum to the one above the maximum.
fn milliseconds_range(all: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, greatest) = all
        .fold((f64::MAX, 0.0), |(least, greatest): (f64, f64), took| (least.min(took), greatest.max(took)));
    if greatest == 0.0 {
        return 0.1..100.0;
    }
    let low = 10f64.powf(least.log10().floor());
    low..10f64.powf(greatest.log10().ceil()).max(low * 10.0)
}
