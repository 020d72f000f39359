//! Completed operations per second, stacked by outcome.

use plotters::prelude::*;

use super::bucket_ns;
use super::frame::{Entry, Mark, colour, plot};
use crate::palette;
use crate::run_dir::RunDir;
use crate::stats::{Tally, last_event};

pub(super) fn rate(run: &RunDir) -> String {
    let history = &run.evidence.history;
    let last = last_event(history);
    let width = bucket_ns(last);
    let mut buckets = vec![Tally::default(); (last / width) as usize + 1];
    for op in &history.ops {
        if let Some(completed) = op.completed {
            buckets[(completed / width) as usize].add(op);
        }
    }
    let per_second = |n: usize| n as f64 * 1e9 / width as f64;
    let peak = buckets.iter().map(|tally| per_second(tally.all())).fold(1.0, f64::max);
    let legend = [("ok", palette::OK), ("info", palette::INFO), ("fail", palette::FAIL)]
        .map(|(word, ink)| Entry { ink, word: word.into(), mark: Mark::Bar });
    plot(run, "Completed operations", 0.0..peak * 1.05, "per second", &legend, |chart, _| {
        for (at, tally) in buckets.iter().enumerate() {
            let (from, to) = (at as f64 * width as f64 / 1e9, (at + 1) as f64 * width as f64 / 1e9);
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
    })
}
