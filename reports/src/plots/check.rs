//! What explains a slow check: the number of operations per key, and the size of the frontier.

use plotters::prelude::*;
use tribunal_checker::op::Op;
use tribunal_checker::verdict::Answer;

use super::canvas::Form;
use super::frame::{Across, Entry, Labels, Mark, colour, mark, plot, span_seconds};
use crate::clock::Clock;
use crate::palette;
use crate::run_dir::RunDir;
use crate::stats::Tally;
use crate::wording::{elide, seconds, value};

/// A check of at least this duration, in milliseconds, is slow.
const SLOW_MS: u64 = 1_000;
/// With this many keys the table of the hardest ones no longer shows the distribution of the work.
const MANY_KEYS: usize = 20;
/// The maximum number of keys drawn: those with the most operations.
const DRAWN_MAX: usize = 60;

// A plot of the check is shown if it explains something. The frontier's size explains a check that took a
// second or was stopped by a limit, if a frontier decided any of it. The distribution of operations over keys
// explains that, too, and is useful whenever there are many keys. A quick check of a few keys needs no
// explanation.

/// Whether the check took long, or was stopped.
fn is_slow(run: &RunDir) -> bool {
    let checker = run.judgement.checker.as_ref();
    run.judgement.check_cost.is_some_and(|cost| cost.took_ms >= SLOW_MS)
        || checker.is_some_and(|verdict| verdict.parts.iter().any(|part| part.undecided.is_some()))
}

pub(super) fn frontier_explains(run: &RunDir) -> bool {
    let effort = run.judgement.checker.as_ref().map(|verdict| &verdict.effort);
    run.clock() == Clock::Time && is_slow(run) && effort.is_some_and(|effort| effort.frontier.is_some())
}

pub(super) fn keys_explain(run: &RunDir) -> bool {
    let keys = run.judgement.stats.keys;
    keys >= MANY_KEYS || keys > 1 && is_slow(run)
}

/// The frontier of the key with the most work. It ends where a limit stopped the search.
pub(super) fn frontier(run: &RunDir, form: Form) -> Vec<u8> {
    let frontier = run.judgement.checker.as_ref().and_then(|verdict| verdict.effort.frontier.as_ref());
    let sizes = frontier.map_or(&[][..], |frontier| &frontier.sizes);
    let most = sizes.iter().map(|front| front.size).max().unwrap_or(1);
    let mut title = match frontier {
        Some(frontier) if !frontier.key.is_nil() => {
            format!("The frontier's size, key {}", elide(&value(&frontier.key), 40))
        }
        _ => "The frontier's size".into(),
    };
    let undecided =
        run.judgement.checker.iter().flat_map(|verdict| &verdict.parts).any(|part| {
            part.undecided.is_some() && frontier.is_some_and(|frontier| frontier.key == part.key)
        });
    let (first, last) = (sizes.first().map_or(0, |front| front.at), sizes.last().map_or(0, |front| front.at));
    let all = span_seconds(run);
    if undecided {
        title += &format!(
            ": stopped when the search had reached {} s of {} s",
            seconds(last),
            seconds((all * 1e9) as u64)
        );
    }
    // A short-lived key or an early stop would be a sliver on the axis of the whole run.
    let (from, to) = (first as f64 / 1e9, last as f64 / 1e9);
    let margin = (to - from) * 0.05;
    let across = match to - from {
        seen if seen > 0.5 * all || seen <= 0.0 => Across::Time,
        _ => Across::Stretch((from - margin).max(0.0)..to + margin),
    };
    let high = 10f64.powf((most as f64).log10().ceil()).max(10.0);
    plot(
        run,
        form,
        &Labels { title: &title, unit: "configurations", legend: &[], across },
        (1.0..high).log_scale(),
        |chart, _| {
            // A size holds until the next known one.
            let corners =
                sizes.windows(2).flat_map(|pair| [(pair[0].at, pair[0].size), (pair[1].at, pair[0].size)]);
            let last = sizes.last().map(|front| (front.at, front.size));
            let line = corners.chain(last).map(|(at, size)| (at as f64 / 1e9, (size as f64).max(1.0)));
            chart.draw_series(LineSeries::new(line, colour(palette::WITNESS).stroke_width(2)))?;
            Ok(())
        },
    )
}

/// A bar for each key, in the order of first use. Above it ✗ for a violation, ◇ if nothing was proved.
pub(super) fn keys(run: &RunDir, form: Form) -> Vec<u8> {
    let ops = &run.evidence.history.ops;
    let mut keys = run.evidence.history.by_key();
    if keys.len() > DRAWN_MAX {
        keys.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
        keys.truncate(DRAWN_MAX);
    }
    keys.sort_by_key(|(_, ids)| ids.first().copied());
    let names: Vec<String> = keys.iter().map(|(key, _)| value(key)).collect();
    let tallies: Vec<Tally> =
        keys.iter().map(|(_, ids)| Tally::of(ids.iter().map(|&id| -> &Op { &ops[id] }))).collect();
    let answers: Vec<Option<Answer>> = keys
        .iter()
        .map(|(key, _)| {
            let verdict = run.judgement.checker.as_ref()?;
            Some(verdict.parts.iter().find(|part| part.key == *key)?.answer)
        })
        .collect();
    let most = tallies.iter().map(|tally| tally.all()).max().unwrap_or(1) as f64;
    let title = match run.judgement.stats.keys {
        all if all > keys.len() => format!("Operations per key, the {} largest", keys.len()),
        _ => "Operations per key".to_string(),
    };
    let mut legend: Vec<Entry> = [("ok", palette::OK), ("info", palette::INFO), ("fail", palette::FAIL)]
        .map(|(word, ink)| Entry { ink, word: word.into(), mark: Mark::Bar })
        .into();
    for (answer, word, shape) in
        [(Answer::Violation, "violation", Mark::Cross), (Answer::Unknown, "undecided", Mark::Diamond)]
    {
        if answers.contains(&Some(answer)) {
            legend.push(Entry { ink: palette::WITNESS, word: word.into(), mark: shape });
        }
    }
    plot(
        run,
        form,
        &Labels { title: &title, unit: "operations", legend: &legend, across: Across::Keys(&names) },
        0.0..most * 1.1,
        |chart, root| {
            for (at, (tally, answer)) in tallies.iter().zip(&answers).enumerate() {
                let (from, to) = (at as f64 - 0.4, at as f64 + 0.4);
                let mut floor = 0;
                for (n, ink) in
                    [(tally.info, palette::INFO), (tally.fail, palette::FAIL), (tally.ok, palette::OK)]
                {
                    if n > 0 {
                        let corners = [(from, floor as f64), (to, (floor + n) as f64)];
                        chart.draw_series([Rectangle::new(corners, colour(ink).filled())])?;
                    }
                    floor += n;
                }
                let shape = match answer {
                    Some(Answer::Violation) => Mark::Cross,
                    Some(Answer::Unknown) => Mark::Diamond,
                    _ => continue,
                };
                let (x, y) = chart.backend_coord(&(at as f64, floor as f64));
                mark(root, (x, y - 6), shape, palette::WITNESS)?;
            }
            Ok(())
        },
    )
}
