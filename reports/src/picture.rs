//! The contents of a counterexample's picture, independent of its output format: lanes, bars, ticks and fault
//! strips.
//!
//! A lane is a process, a bar is an operation from its invocation to its completion. The text report and the
//! page draw the same [`Picture`] in different output formats.
//!
//! ```text
//!   ticks     1      2     3      4   5        6      edge
//!   p0        ├─write 3────┤      .   .        .      .
//!   p1        .      ├─────write 4┤   .        .      .
//!   p7        .      .     .      .   ├─write 5 ──────▸      indeterminate: no right end
//!   p3        .      .     .      .   .        ├read→3┤      (its completion is the edge)
//! ```
//!
//! **The axis is not linear.** Operations take 2 ms and the gaps between them 200 ms: at a linear scale a
//! counterexample would be a few hairlines. So every event is a tick, ticks keep their order, and the
//! distance between two ticks is as wide as the labels of the bars between them need ([`Axis`]). The picture
//! shows only order and overlap; the times are written at the ticks, and every report with the picture says
//! so.

use std::collections::HashMap;

use tribunal_checker::op::{Nanos, Op, Outcome};
use tribunal_checker::verdict::OpId;

use crate::clock::Clock;
use crate::faults::{Fault, Strip};
use crate::judgement::Judgement;

/// The maximum number of operations in a picture.
pub const BARS_MAX: usize = 60;

/// The right end of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It happened.
    Ok,
    /// It certainly did not happen.
    Fail,
    /// Indeterminate: the bar has no right end.
    Info,
}

/// An operation in the picture.
#[derive(Clone, Debug)]
pub struct Bar<'a> {
    /// Its position in the history.
    pub id: OpId,
    /// The operation.
    pub op: &'a Op,
    /// How it ended.
    pub ending: Ending,
    /// The tick at its start.
    pub from: usize,
    /// The tick at its end; one past the last tick if it never ends.
    pub to: usize,
    /// Its position in the longest legal order, counted from 1.
    pub place: Option<usize>,
    /// The states before and after it in that order, if known.
    pub states: Option<(&'a str, &'a str)>,
    /// Whether it is the witness, which cannot be linearized.
    pub witness: bool,
    /// Whether it is only context.
    pub context: bool,
}

/// A process and its operations in the picture.
#[derive(Clone, Debug)]
pub struct Lane<'a> {
    /// The process.
    pub process: u64,
    /// Its operations, in order.
    pub bars: Vec<Bar<'a>>,
}

/// The picture of a counterexample.
#[derive(Clone, Debug)]
pub struct Picture<'a> {
    /// The processes, in the order of their first operation.
    pub lanes: Vec<Lane<'a>>,
    /// The times of the events shown, in order; two events at the same time are two ticks.
    pub ticks: Vec<Nanos>,
    /// The states of faults during this time, by their start.
    pub faults: Vec<Strip<'a>>,
    /// The possible values of the object before the counterexample, and its first operation.
    pub before: Option<(&'a [String], &'a Op)>,
    /// The number of operations of the counterexample that did not fit.
    pub left_out: usize,
    /// The meaning of the times at the ticks.
    pub clock: Clock,
}

impl<'a> Picture<'a> {
    /// The picture of the proved violation, with at most `bars_max` operations; `None` if there is none.
    pub fn of(judgement: &'a Judgement, faults: &'a [Fault], bars_max: usize) -> Option<Picture<'a>> {
        let violation = judgement.violation()?;
        let ops: HashMap<OpId, &Op> =
            judgement.ops.iter().map(|numbered| (numbered.id, &numbered.op)).collect();
        let (shown, left_out) = chosen(violation, &ops, bars_max);

        // Events are ordered by time, then by their order in the recording.
        let mut events: Vec<(Nanos, u64, OpId)> = Vec::new();
        for &id in &shown {
            let op = ops[&id];
            events.push((op.call, op.invoke_index, id));
            if let (Some(end), false) = (op.completed, op.is_info()) {
                events.push((end, op.complete_index.unwrap_or(op.invoke_index + 1), id));
            }
        }
        events.sort_unstable();
        let mut span: HashMap<OpId, (usize, usize)> = HashMap::new();
        for (tick, &(_, _, id)) in events.iter().enumerate() {
            span.entry(id).and_modify(|span| span.1 = tick).or_insert((tick, events.len()));
        }
        let ticks: Vec<Nanos> = events.iter().map(|event| event.0).collect();

        let mut lanes: Vec<Lane> = Vec::new();
        for (_, _, id) in &events {
            let op = ops[id];
            let lane = match lanes.iter().position(|lane| lane.process == op.process) {
                Some(at) => &mut lanes[at],
                None => {
                    lanes.push(Lane { process: op.process, bars: Vec::new() });
                    lanes.last_mut().expect("it was pushed just now")
                }
            };
            if lane.bars.iter().any(|bar| bar.id == *id) {
                continue; // its completion
            }
            let place = violation.order.iter().position(|placed| placed == id);
            lane.bars.push(Bar {
                id: *id,
                op,
                ending: match op.outcome {
                    Outcome::Ok(_) => Ending::Ok,
                    Outcome::Fail => Ending::Fail,
                    Outcome::Info => Ending::Info,
                },
                from: span[id].0,
                to: span[id].1,
                place: place.map(|at| at + 1),
                states: place.and_then(|at| states_around(violation, at)),
                witness: *id == violation.witness,
                context: !violation.minimal.contains(id),
            });
        }
        let clock = Clock::of(judgement.ops.iter().map(|numbered| &numbered.op));
        let (first, last) = (*ticks.first()?, *ticks.last()?);
        let strips = faults.iter().flat_map(Fault::strips);
        let mut faults: Vec<Strip> = strips.filter(|strip| strip.overlaps(first, last)).collect();
        faults.sort_by_key(|strip| strip.from);
        let first = violation.minimal.iter().filter_map(|id| ops.get(id).copied()).min_by_key(|op| op.call);
        let before =
            first.map(|first| (&violation.before[..], first)).filter(|(states, _)| !states.is_empty());
        Some(Picture { lanes, ticks, faults, before, left_out, clock })
    }

    /// All bars, lane by lane.
    pub fn bars(&self) -> impl Iterator<Item = &Bar<'a>> {
        self.lanes.iter().flat_map(|lane| &lane.bars)
    }

    /// The times at the ticks in seconds, with enough digits to distinguish them (3 to 9 decimals).
    pub fn tick_labels(&self) -> Vec<String> {
        if self.clock == Clock::Events {
            return self.ticks.iter().map(Nanos::to_string).collect();
        }
        let written = |digits: u32| -> Vec<String> {
            let unit = 10u64.pow(9 - digits);
            let rounded =
                self.ticks.iter().map(|&t| t / unit + u64::from(t % unit >= unit.div_ceil(2).max(1)));
            let (second, width) = (10u64.pow(digits), digits as usize);
            rounded.map(|t| format!("{}.{:0width$}", t / second, t % second)).collect()
        };
        let clashes = |labels: &[String]| {
            labels
                .windows(2)
                .zip(self.ticks.windows(2))
                .any(|(label, t)| label[0] == label[1] && t[0] != t[1])
        };
        (3..9).map(written).find(|labels| !clashes(labels)).unwrap_or_else(|| written(9))
    }

    /// The ticks of the witness.
    pub fn witness_ticks(&self) -> Option<(usize, usize)> {
        self.bars().find(|bar| bar.witness).map(|bar| (bar.from, bar.to))
    }
}

/// The states before and after the operation at a position of the order, if known.
fn states_around(violation: &tribunal_checker::verdict::Violation, at: usize) -> Option<(&str, &str)> {
    let state = |at: usize| violation.states.get(at).map(String::as_str).filter(|state| !state.is_empty());
    Some((state(at).unwrap_or("not known"), state(at + 1)?))
}

/// The operations to show: those of the counterexample, those named in the sentence, then as much context as
/// fits, the latest first. Of a counterexample that is too large, the latest operations and the witness.
fn chosen(
    violation: &tribunal_checker::verdict::Violation,
    ops: &HashMap<OpId, &Op>,
    max: usize,
) -> (Vec<OpId>, usize) {
    let mut wanted: Vec<OpId> = vec![violation.witness];
    for group in [&violation.minimal, &violation.named, &violation.context] {
        let mut group: Vec<OpId> = group.iter().copied().filter(|id| *id != violation.witness).collect();
        group.sort_by_key(|id| std::cmp::Reverse((ops.get(id).map(|op| op.call), *id)));
        wanted.extend(group);
    }
    let known = |id: &OpId| ops.contains_key(id);
    let mut seen = std::collections::HashSet::new();
    wanted.retain(|id| known(id) && seen.insert(*id));
    let of_the_counterexample = violation.minimal.iter().filter(|id| known(id)).count();
    wanted.truncate(max.max(1));
    let left_out = of_the_counterexample - wanted.iter().filter(|id| violation.minimal.contains(id)).count();
    (wanted, left_out)
}

/// The positions of the ticks, in the drawing's unit: characters or pixels.
///
/// Each tick is as far left as possible: at least `gap` after the previous one, and far enough from the start
/// of every bar that ends here for that bar's label (the longest path over these constraints).
#[derive(Clone, Debug)]
pub struct Axis {
    ticks: Vec<Nanos>,
    /// One per tick, and the right edge.
    xs: Vec<f64>,
}

impl Axis {
    /// Places the ticks of a picture, given the minimum width of each bar.
    pub fn new(picture: &Picture, left: f64, gap: f64, width: impl Fn(&Bar) -> f64) -> Axis {
        let edge = picture.ticks.len();
        let mut demands: Vec<Vec<(usize, f64)>> = vec![Vec::new(); edge + 1];
        for bar in picture.bars() {
            demands[bar.to].push((bar.from, width(bar)));
        }
        let mut xs = vec![left];
        for (tick, demands) in demands.iter().enumerate().skip(1) {
            let after_the_last = xs[tick - 1] + gap;
            let x = demands.iter().map(|&(from, width)| xs[from] + width).fold(after_the_last, f64::max);
            xs.push(x);
        }
        Axis { ticks: picture.ticks.clone(), xs }
    }

    /// Widens all distances by the same factor until the right edge is at `right`, if there is room.
    pub fn stretched_to(mut self, right: f64) -> Axis {
        let (left, edge) = (self.xs[0], self.right());
        if edge < right && edge > left {
            let factor = (right - left) / (edge - left);
            self.xs.iter_mut().for_each(|x| *x = left + (*x - left) * factor);
        }
        self
    }

    /// The position of a tick, or of the right edge.
    pub fn at(&self, tick: usize) -> f64 {
        self.xs[tick]
    }

    /// The right edge.
    pub fn right(&self) -> f64 {
        *self.xs.last().expect("an axis has its edge")
    }

    /// The position of any time: interpolated between its neighbouring ticks, or at the edge if it is beyond.
    pub fn at_time(&self, t: Nanos) -> f64 {
        let next = self.ticks.partition_point(|&tick| tick < t);
        if next == 0 {
            return self.xs[0];
        }
        if next == self.ticks.len() {
            return self.right();
        }
        let (before, after) = (self.ticks[next - 1], self.ticks[next]);
        let share = (t - before) as f64 / (after - before) as f64;
        self.xs[next - 1] + (self.xs[next] - self.xs[next - 1]) * share
    }
}
