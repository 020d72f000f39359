//! Completed operations per second, stacked by outcome, and the success rate.

use plotters::prelude::*;
use tribunal_checker::op::Nanos;

use super::bucket_ns;
use super::canvas::Form;
use super::frame::{Across, Entry, Labels, Mark, colour, plot, span_seconds};
use crate::palette;
use crate::run_dir::RunDir;
use crate::stats::{Tally, last_event};

/// The outcomes of the operations completed in each time bucket, and the bucket's width, in nanoseconds.
fn completed(run: &RunDir) -> (Vec<Tally>, Nanos) {
    let history = &run.evidence.history;
    let last = last_event(history);
    let width = bucket_ns(last);
    let mut buckets = vec![Tally::default(); (last / width) as usize + 1];
    for op in &history.ops {
        if let Some(completed) = op.completed {
            buckets[(completed / width) as usize].add(op);
        }
    }
    (buckets, width)
}

/// The start of a bucket, in seconds.
fn seconds(at: usize, width: Nanos) -> f64 {
    at as f64 * width as f64 / 1e9
}

pub(super) fn rate(run: &RunDir, form: Form) -> Vec<u8> {
    let (buckets, width) = completed(run);
    let per_second = |n: usize| n as f64 * 1e9 / width as f64;
    let peak = buckets.iter().map(|tally| per_second(tally.all())).fold(1.0, f64::max);
    let legend = [("ok", palette::OK), ("info", palette::INFO), ("fail", palette::FAIL)]
        .map(|(word, ink)| Entry { ink, word: word.into(), mark: Mark::Bar });
    plot(
        run,
        form,
        &Labels { title: "Completed operations", unit: "per second", legend: &legend, across: Across::Time },
        0.0..peak * 1.05,
        |chart, _| {
            for (at, tally) in buckets.iter().enumerate() {
                let (from, to) = (seconds(at, width), seconds(at + 1, width));
                let mut floor = 0;
                for (n, ink) in
                    [(tally.info, palette::INFO), (tally.fail, palette::FAIL), (tally.ok, palette::OK)]
                {
                    if n > 0 {
                        let corners = [(from, per_second(floor)), (to, per_second(floor + n))];
                        chart.draw_series([Rectangle::new(corners, colour(ink).filled())])?;
                    }
                    floor += n;
                }
            }
            Ok(())
        },
    )
}

/// A bucket without completions has no rate: the line has a gap there.
pub(super) fn availability(run: &RunDir, form: Form) -> Vec<u8> {
    let (buckets, width) = completed(run);
    let mut legend = vec![Entry { ink: palette::OK, word: "ok of all completed".into(), mark: Mark::Bar }];
    let target = run.evidence.info.availability_target;
    legend.extend(target.map(|share| Entry {
        ink: palette::WITNESS,
        word: format!("requested: {:.1} %", share * 100.0),
        mark: Mark::Bar,
    }));
    plot(
        run,
        form,
        &Labels { title: "Availability", unit: "per cent", legend: &legend, across: Across::Time },
        0.0..105.0,
        |chart, _| {
            let share = |tally: &Tally| 100.0 * tally.ok as f64 / tally.all() as f64;
            let at = |at: usize, tally: &Tally| {
                [(seconds(at, width), share(tally)), (seconds(at + 1, width), share(tally))]
            };
            let all: Vec<(usize, &Tally)> = buckets.iter().enumerate().collect();
            for steps in all.split(|(_, tally)| tally.all() == 0).filter(|steps| !steps.is_empty()) {
                let line = steps.iter().flat_map(|(bucket, tally)| at(*bucket, tally));
                chart.draw_series(LineSeries::new(line, colour(palette::OK).stroke_width(2)))?;
            }
            if let Some(target) = target {
                let line = [(0.0, target * 100.0), (span_seconds(run), target * 100.0)];
                chart.draw_series(DashedLineSeries::new(line, 6, 4, colour(palette::WITNESS).into()))?;
            }
            Ok(())
        },
    )
}
