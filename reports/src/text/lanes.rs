//! The picture of a counterexample in characters.
//!
//! Bars are as wide as their labels. If the line is too narrow, labels are shortened; if that is not enough,
//! fewer operations are shown.

use crate::faults::Fault;
use crate::judgement::Judgement;
use crate::picture::{Axis, Bar, Ending, Picture};
use crate::wording::{circled, counted, elide, operation, seconds};

/// The maximum number of lanes.
const LANES_MAX: usize = 12;
/// The maximum number of fault strips.
const STRIPS_MAX: usize = 4;

/// The maximum number of context operations beside the counterexample.
const CONTEXT_MAX: usize = 6;

/// The picture, line by line, at most `width` characters wide; empty if no violation was proved.
pub(super) fn draw(judgement: &Judgement, faults: &[Fault], width: usize) -> Vec<String> {
    let Some(violation) = judgement.violation() else { return Vec::new() };
    let proof = violation.minimal.len().max(1);
    // What to drop if there is no room: first context, then the ends of labels, then operations of the proof.
    let whole = [(40, 8.0), (40, 5.0), (30, 3.0), (24, 2.0)];
    let short = [(20, 2.0), (14, 1.0), (10, 1.0)];
    let with_context = (proof..=proof + CONTEXT_MAX).rev().map(|bars| (bars, whole.as_slice()));
    let without = (1..=proof.min(24)).rev().map(|bars| (bars, short.as_slice()));
    for (bars_max, labels) in with_context.chain(without) {
        let Some(picture) = Picture::of(judgement, faults, bars_max) else { return Vec::new() };
        if picture.lanes.len() > LANES_MAX {
            continue;
        }
        if let Some(lines) =
            labels.iter().find_map(|&(label_max, gap)| fitted(&picture, label_max, gap, width))
        {
            return lines;
        }
    }
    Vec::new()
}

/// The picture with labels of at most `label_max` characters and ticks at least `gap` apart; `None` if it is
/// too wide.
fn fitted(picture: &Picture, label_max: usize, gap: f64, width: usize) -> Option<Vec<String>> {
    let name = |process: u64| format!("  p{process}");
    let margin = picture.lanes.iter().map(|lane| name(lane.process).len()).max().unwrap_or(0) + 2;
    let label = |bar: &Bar| label(bar, label_max);
    let axis = Axis::new(picture, margin as f64, gap, |bar| label(bar).chars().count() as f64 + 1.0);
    if axis.right() as usize >= width {
        return None;
    }
    let mut lines = Vec::new();
    for lane in &picture.lanes {
        let mut line = Line::new(width);
        line.put(0, &name(lane.process));
        for bar in &lane.bars {
            draw_bar(&mut line, bar, &label(bar), &axis);
        }
        lines.push(line.text());
    }
    lines.push(times(picture, &axis, width));
    lines.extend(strips(picture, &axis, margin, width));
    lines.extend(legend(picture));
    Some(lines)
}

fn label(bar: &Bar, max: usize) -> String {
    let place = bar.place.map(circled).unwrap_or_default();
    let sign = match bar.ending {
        _ if bar.witness => " ✗",
        Ending::Fail => " (failed)",
        _ => "",
    };
    format!("{place}{}{sign}", elide(&operation(bar.op), max))
}

/// `├─write 3─┤`; `┊ write 3 ┊` for context; with an open end if indeterminate.
fn draw_bar(line: &mut Line, bar: &Bar, label: &str, axis: &Axis) {
    let (from, to) = (axis.at(bar.from) as usize, axis.at(bar.to) as usize);
    let (left, rule, right) = if bar.context { ('┊', ' ', '┊') } else { ('├', '─', '┤') };
    let (rule, right) = if bar.ending == Ending::Info { ('┄', '▸') } else { (rule, right) };
    (from..to).for_each(|x| line.put_char(x, rule));
    line.put_char(from, left);
    line.put_char(to, right);
    let room = (to - from).saturating_sub(1 + label.chars().count());
    line.put(from + 1 + room / 2, label);
}

/// The times under the ticks: those of the witness first, then from the left all that do not collide.
fn times(picture: &Picture, axis: &Axis, width: usize) -> String {
    let labels = picture.tick_labels();
    let mut line = Line::new(width);
    let first = picture.witness_ticks().into_iter().flat_map(|(from, to)| [from, to]);
    for tick in first.chain(0..labels.len()).filter(|&tick| tick < labels.len()) {
        let x = (axis.at(tick) as usize).min(width - labels[tick].len());
        if line.is_blank(x.saturating_sub(1), x + labels[tick].len() + 1) {
            line.put(x, &labels[tick]);
        }
    }
    line.text()
}

/// One line per fault, labelled, with an open end if it outlasts the picture.
fn strips(picture: &Picture, axis: &Axis, margin: usize, width: usize) -> Vec<String> {
    let last = picture.ticks.last().copied().unwrap_or(0);
    // The last faults are the nearest to the witness.
    let more = picture.faults.len().saturating_sub(STRIPS_MAX);
    let shown = picture.faults.iter().skip(more).enumerate().map(|(at, strip)| {
        let from = axis.at_time(strip.from) as usize;
        let open = strip.to.is_none_or(|end| end > last);
        let to = if open { axis.right() as usize } else { axis.at_time(strip.end_or(last)) as usize };
        let to = to.max(from + 1);
        let mut line = Line::new(width);
        (from..to).for_each(|x| line.put_char(x, if at % 2 == 0 { '░' } else { '▒' }));
        let when = match strip.to {
            Some(end) => format!("{}–{}", seconds(strip.from), seconds(end)),
            None => format!("since {}", seconds(strip.from)),
        };
        let label = elide(&format!(" {} {when} ", strip.label), width - margin);
        // Inside the strip if it fits, otherwise to its right, otherwise to its left.
        let length = label.chars().count();
        line.put(
            match () {
                () if length + 2 <= to - from => from + ((to - from - length) / 2).min(3),
                () if to + 1 + length <= width => to + 1,
                () => from.saturating_sub(length).max(margin),
            },
            &label,
        );
        if open {
            line.put_char(to, '▸');
        }
        line.text()
    });
    let earlier = (more > 0)
        .then(|| format!("  ({} in force earlier in this time)", counted(more, "more fault state")));
    shown.chain(earlier).collect()
}

/// The legend for the symbols used, and what the picture omits.
fn legend(picture: &Picture) -> Option<String> {
    let mut says = Vec::new();
    if picture.bars().any(|bar| bar.ending == Ending::Info) {
        says.push("┄▸ may take effect at any time".to_string());
    }
    if picture.bars().any(|bar| bar.context) {
        says.push("┊ ┊ only context".to_string());
    }
    if picture.left_out > 0 {
        says.push(format!("{} not drawn", counted(picture.left_out, "operation")));
    }
    (!says.is_empty()).then(|| format!("  {}", says.join("   ")))
}

/// A line of characters to draw on; anything beyond its end is cut.
struct Line(Vec<char>);

impl Line {
    fn new(width: usize) -> Line {
        Line(vec![' '; width])
    }

    fn put_char(&mut self, x: usize, c: char) {
        if let Some(cell) = self.0.get_mut(x) {
            *cell = c;
        }
    }

    fn put(&mut self, x: usize, text: &str) {
        text.chars().enumerate().for_each(|(at, c)| self.put_char(x + at, c));
    }

    fn is_blank(&self, from: usize, to: usize) -> bool {
        self.0[from.min(self.0.len())..to.min(self.0.len())].iter().all(|c| *c == ' ')
    }

    fn text(&self) -> String {
        self.0.iter().collect::<String>().trim_end().to_string()
    }
}
