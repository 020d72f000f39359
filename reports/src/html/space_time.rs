//! The space-time diagram: the messages between nodes around the violation (L. Lamport, Time, clocks, and the
//! ordering of events in a distributed system, Communications of the ACM 21, 1978, figure 1), with time from
//! left to right.
//!
//! Nodes are lines. An arrow is the traffic from one node to another in one sample of the journal. It cannot
//! be more exact: the proxies see bytes, not the nodes' messages. A broken arrow was blocked by a partition.
//! The lines also show the operations of the counterexample that each node answered.

use std::collections::BTreeMap;

use maud::{Markup, html};
use tribunal_checker::op::{Nanos, Op};

use super::strip::{self, Placed};
use super::table::Column::{Number, Text};
use super::table::{numbers, table};
use super::{cursor, faults, titled};
use crate::clock::Clock;
use crate::faults::{Fault, Strip};
use crate::run_dir::RunDir;
use crate::traffic::{self, Sample};
use crate::wording::{bytes, elide, operation, seconds};

const WIDTH: f64 = 1040.0;
/// The left edge of the time axis, right of the names.
const LEFT: f64 = 56.0;
const TOP: f64 = 14.0;
/// The distance between two nodes without operations.
const LANE_HEIGHT: f64 = 58.0;
const BAR_HEIGHT: f64 = 20.0;
const STRIP_HEIGHT: f64 = 20.0;
/// The width of a label's character, at 12 px.
const CHAR: f64 = 7.3;

/// The maximum number of nodes drawn.
const NODES_MAX: usize = 9;
/// The maximum number of operations drawn.
const OPS_MAX: usize = 12;
/// The maximum number of arrows drawn; beyond it, longer intervals are merged.
const ARROWS_MAX: usize = 240;
/// The initial number of time intervals.
const STRETCHES: u64 = 64;
/// The maximum number of fault strips.
const STRIPS_MAX: usize = 6;

/// The traffic on one link in one interval.
struct Arrow {
    from: usize,
    to: usize,
    /// The number of the interval.
    at: u64,
    carried: u64,
    withheld: u64,
}

/// The picture of one part of the run.
struct Picture<'a> {
    nodes: Vec<&'a str>,
    window: (Nanos, Nanos),
    stretches: u64,
    arrows: Vec<Arrow>,
    /// The operations of the counterexample, by node.
    ops: Vec<Vec<(&'a Op, bool)>>,
    faults: Vec<Strip<'a>>,
}

pub(super) fn section(run: &RunDir) -> Markup {
    let Some(picture) = Picture::of(run) else { return html! {} };
    let body = html! {
        div .scroll tabindex="0" role="group" aria-label="Messages between nodes, drawn" { (picture.draw()) }
        p .remark {
            "Time goes from left to right, in seconds on the run's clock. An arrow is everything that a node sent to another within "
            (crate::wording::duration(picture.stretch())) "; a broken arrow (✗) was blocked by the partition. Bars are operations of the "
            "counterexample, at the node that received the request."
        }
        (picture.text_description())
    };
    titled("links", "Messages between nodes", "around the violation", body)
}

impl<'a> Picture<'a> {
    fn of(run: &'a RunDir) -> Option<Self> {
        let window = traffic::window(&run.judgement)?;
        let nodes: Vec<&str> = run.evidence.info.nodes.iter().map(|node| node.name.as_str()).collect();
        if run.traffic.is_empty() || run.clock() != Clock::Time || !(2..=NODES_MAX).contains(&nodes.len()) {
            return None;
        }
        let mut stretches = STRETCHES;
        let arrows = loop {
            let arrows = arrows(&run.traffic, &nodes, window, stretches);
            if arrows.len() <= ARROWS_MAX || stretches == 1 {
                break arrows;
            }
            stretches /= 2;
        };
        let violation = run.judgement.violation()?;
        let mut ops = vec![Vec::new(); nodes.len()];
        for id in violation.minimal.iter().rev().take(OPS_MAX) {
            // An operation that completed before the window is not part of this picture; the counterexample
            // shows it.
            let seen = |op: &&Op| op.completed.is_none_or(|end| op.is_info() || end >= window.0);
            let Some(op) = run.judgement.op(*id).filter(seen) else { continue };
            let at = nodes.iter().position(|name| op.node.as_deref() == Some(*name));
            if let Some(at) = at {
                ops[at].push((op, *id == violation.witness));
            }
        }
        ops.iter_mut().for_each(|ops: &mut Vec<(&Op, bool)>| ops.sort_by_key(|(op, _)| op.call));
        let strips = run.evidence.faults.iter().flat_map(Fault::strips);
        let faults = strips.filter(|strip| strip.overlaps(window.0, window.1));
        Some(Picture { nodes, window, stretches, arrows, ops, faults: faults.take(STRIPS_MAX).collect() })
    }

    /// The length of an interval.
    fn stretch(&self) -> Nanos {
        (self.window.1 - self.window.0) / self.stretches
    }

    fn x(&self, t: Nanos) -> f64 {
        let (from, to) = self.window;
        let share = (t.clamp(from, to) - from) as f64 / (to - from).max(1) as f64;
        LEFT + share * (WIDTH - LEFT - 8.0)
    }

    /// The vertical positions of the nodes' lines; each node's operations are above its line.
    fn lines(&self) -> Vec<f64> {
        let mut y = TOP;
        let below = |ops: &Vec<_>| {
            y += LANE_HEIGHT.max(ops.len() as f64 * (BAR_HEIGHT + 3.0) + 14.0);
            y
        };
        self.ops.iter().map(below).collect()
    }

    fn draw(&self) -> Markup {
        let lines = self.lines();
        let bottom = lines.last().copied().unwrap_or(TOP) + 22.0;
        let height = bottom + self.faults.len() as f64 * STRIP_HEIGHT + 26.0;
        let ends = [self.window.0, self.window.1].map(|t| (t, self.x(t)));
        let ticks = (0..=5).map(|at| self.window.0 + (self.window.1 - self.window.0) * at / 5);
        html! {
            svg .lanes.links viewBox=(format!("0 0 {WIDTH:.0} {height:.0}")) width=(px(WIDTH)) height=(px(height))
                role="img" aria-labelledby="links-title links-desc" data-scale=(cursor::scale(&ends, Clock::Time)) {
                title #links-title { "Messages between nodes around the violation: a line per node, an arrow per message" }
                desc #links-desc { "The same by link is in the table below." }
                defs {
                    marker #arrow-head viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" {
                        path d="M0 0L8 4L0 8Z" {}
                    }
                }
                @for t in ticks {
                    @let x = self.x(t);
                    line .tick x1=(px(x)) x2=(px(x)) y1=(px(TOP)) y2=(px(height - 18.0)) {}
                    text .time x=(px(x.clamp(LEFT + 16.0, WIDTH - 26.0))) y=(px(height - 4.0)) { (seconds(t)) }
                }
                @for (name, y) in self.nodes.iter().zip(&lines) {
                    line .edge x1=(px(LEFT)) x2=(px(WIDTH - 8.0)) y1=(px(*y)) y2=(px(*y)) {}
                    text .process x="4" y=(px(y + 4.0)) { (elide(name, 6)) }
                }
                @for arrow in &self.arrows { (self.arrow(arrow, &lines)) }
                @for (ops, y) in self.ops.iter().zip(&lines) {
                    @for (at, (op, witness)) in ops.iter().rev().enumerate() {
                        (self.bar(op, *witness, y - 6.0 - (at + 1) as f64 * (BAR_HEIGHT + 3.0)))
                    }
                }
                @for (at, strip) in self.faults.iter().enumerate() {
                    @let y = bottom + at as f64 * STRIP_HEIGHT;
                    @let (from, to) = (self.x(strip.from), self.x(strip.end_or(Nanos::MAX)));
                    @let texts = [elide(strip.label, 110), elide(&strip.fault.name(), 40)];
                    @let Placed { text, x } = strip::placed(&texts, (from, to), (LEFT, WIDTH - 8.0));
                    rect .strip.(faults::class(strip.fault)) x=(px(from)) y=(px(y)) width=(px((to - from).max(2.0))) height=(px(STRIP_HEIGHT - 4.0)) {}
                    text .strip-label x=(px(x)) y=(px(y + 12.0)) { (text) }
                }
                (cursor::line(TOP, height - 18.0))
            }
        }
    }

    /// From the start of its interval at the sender to the end at the receiver; half as long if it was
    /// blocked.
    fn arrow(&self, arrow: &Arrow, lines: &[f64]) -> Markup {
        let begin = self.window.0 + self.stretch() * arrow.at;
        let (x1, x2) = (self.x(begin), self.x(begin + self.stretch()));
        let (y1, y2) = (lines[arrow.from], lines[arrow.to]);
        let half = ((x1 + x2) / 2.0, (y1 + y2) / 2.0);
        let label = format!(
            "{} to {}: {} carried, {} withheld",
            self.nodes[arrow.from],
            self.nodes[arrow.to],
            bytes(arrow.carried),
            bytes(arrow.withheld)
        );
        html! {
            g {
                title { (elide(&label, 120)) }
                @if arrow.carried > 0 {
                    line .carried x1=(px(x1)) y1=(px(y1)) x2=(px(x2)) y2=(px(y2)) marker-end="url(#arrow-head)" {}
                }
                @if arrow.withheld > 0 {
                    line .withheld x1=(px(x1)) y1=(px(y1)) x2=(px(half.0)) y2=(px(half.1)) {}
                    text .withheld x=(px(half.0)) y=(px(half.1 + 4.0)) { "✗" }
                }
            }
        }
    }

    fn bar(&self, op: &Op, witness: bool, y: f64) -> Markup {
        let label = elide(&operation(op), 40) + if witness { " ✗" } else { "" };
        let (from, to) = (self.x(op.call), self.x(op.completed.unwrap_or(Nanos::MAX)));
        let wide = label.chars().count() as f64 * CHAR + 10.0;
        // A label longer than its bar is beside the bar, on the side with room.
        let inside = wide <= to - from;
        let text_at = match inside {
            true => from + 5.0,
            false if to + wide < WIDTH => to + 4.0,
            false => (from - wide + 4.0).max(LEFT),
        };
        let kind = match (witness, op.is_ok()) {
            (true, _) => "bar ok witness",
            (_, true) => "bar ok",
            _ => "bar info",
        };
        html! {
            g .(kind).beside[!inside] {
                title { "p" (op.process) " " (label) }
                rect x=(px(from)) y=(px(y)) width=(px((to - from).max(3.0))) height=(px(BAR_HEIGHT)) rx="3" {}
                text .label x=(px(text_at)) y=(px(y + 14.5)) { (label) }
            }
        }
    }

    fn text_description(&self) -> Markup {
        let mut links: BTreeMap<(usize, usize), (u64, u64)> = BTreeMap::new();
        for arrow in &self.arrows {
            let sum = links.entry((arrow.from, arrow.to)).or_default();
            *sum = (sum.0 + arrow.carried, sum.1 + arrow.withheld);
        }
        let columns = [Text("link"), Number("carried"), Number("withheld")];
        let rows = html! {
            @for ((from, to), (carried, withheld)) in links {
                tr {
                    td { (elide(self.nodes[from], 20)) " → " (elide(self.nodes[to], 20)) }
                    (numbers([bytes(carried), bytes(withheld)]))
                }
            }
        };
        html! { details { summary { "The same as a table" } (table(&columns, rows)) } }
    }
}

/// The traffic on each link in each interval.
fn arrows(samples: &[Sample], nodes: &[&str], window: (Nanos, Nanos), stretches: u64) -> Vec<Arrow> {
    let index = |name: &str| nodes.iter().position(|node| *node == name);
    let long = ((window.1 - window.0) / stretches).max(1);
    let mut sums: BTreeMap<(u64, usize, usize), (u64, u64)> = BTreeMap::new();
    for sample in samples.iter().filter(|it| it.to >= window.0 && it.to <= window.1) {
        let at = ((sample.to - window.0) / long).min(stretches - 1);
        let mut add = |link: &str, carried: u64, withheld: u64| {
            let ends = link.split_once('>').and_then(|(from, to)| Some((index(from)?, index(to)?)));
            if let Some((from, to)) = ends.filter(|(from, to)| from != to) {
                let sum = sums.entry((at, from, to)).or_default();
                *sum = (sum.0.saturating_add(carried), sum.1.saturating_add(withheld));
            }
        };
        sample.carried.iter().for_each(|(link, n)| add(link, *n, 0));
        sample.withheld.iter().for_each(|(link, n)| add(link, 0, *n));
    }
    let arrow = |((at, from, to), (carried, withheld))| Arrow { from, to, at, carried, withheld };
    sums.into_iter().map(arrow).collect()
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_over_a_link_is_summed_up_by_stretches_of_time() {
        let sample = |to, link: &str, carried, withheld| Sample {
            from: to - 5,
            to,
            carried: BTreeMap::from([(link.to_string(), carried)]),
            withheld: BTreeMap::from([(link.to_string(), withheld)]),
        };
        let samples = [
            sample(105, "n1>n2", 1, 0),
            sample(110, "n1>n2", 2, 4),
            sample(190, "n2>n1", 8, 0),
            sample(500, "n1>n2", 16, 0), // outside
            sample(120, "n1>n9", 32, 0), // an unknown node
        ];
        let found = arrows(&samples, &["n1", "n2"], (100, 200), 4);
        let found: Vec<_> = found.iter().map(|it| (it.at, it.from, it.to, it.carried, it.withheld)).collect();
        assert_eq!(found, [(0, 0, 1, 3, 4), (3, 1, 0, 8, 0)]);
    }
}
