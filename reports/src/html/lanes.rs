//! The picture of a counterexample, as SVG.
//!
//! It draws the same [`Picture`] as the text report. Colours are the page's CSS variables, so that light,
//! dark and print all work.

use maud::{Markup, html};
use tribunal_checker::op::Nanos;

use super::strip::{self, Placed};
use super::{cursor, faults};
use crate::clock::Clock;
use crate::faults::Strip;
use crate::picture::{Axis, Bar, Ending, Picture};
use crate::wording::{counted, elide, operation, seconds};

/// The minimum width, in pixels; a wider picture scrolls in its frame.
const WIDTH_MIN: f64 = 1040.0;
/// The left edge of the lanes, right of their names.
const LEFT: f64 = 76.0;
const TOP: f64 = 26.0;
const LANE_HEIGHT: f64 = 44.0;
const BAR_HEIGHT: f64 = 30.0;
const STRIP_HEIGHT: f64 = 20.0;
/// The width of a label's character, at 13 px.
const CHAR: f64 = 7.9;
/// The width of a tick's time, at 11 px.
const TICK_LABEL: f64 = 46.0;
/// The maximum number of fault strips.
pub(super) const STRIPS_MAX: usize = 8;

const ANY_TIME: &str = "may take effect any time";

/// Whether the picture fits the page without scrolling.
pub(super) fn fits(picture: &Picture) -> bool {
    axis(picture).0.right() + 12.0 <= WIDTH_MIN
}

/// The positions of the ticks, and the maximum length of a label.
fn axis(picture: &Picture) -> (Axis, usize) {
    let label_max = if picture.bars().count() <= 20 { 44 } else { 18 };
    // If the page is wide enough, every tick has room for its time.
    let spread = |gap| Axis::new(picture, LEFT, gap, |bar| bar_width(bar, label_max));
    let roomy = spread(TICK_LABEL + 6.0);
    if roomy.right() + 12.0 <= WIDTH_MIN { (roomy, label_max) } else { (spread(16.0), label_max) }
}

pub(super) fn draw(picture: &Picture) -> Markup {
    let (axis, label_max) = axis(picture);
    let axis = axis.stretched_to(WIDTH_MIN - 12.0);
    let width = axis.right() + 12.0;
    let lanes_end = TOP + picture.lanes.len() as f64 * LANE_HEIGHT;
    let strips = picture.faults.len().min(STRIPS_MAX);
    let ticks_at = lanes_end + strips as f64 * STRIP_HEIGHT + 8.0;
    let height = ticks_at + 32.0;
    let points: Vec<(Nanos, f64)> =
        picture.ticks.iter().enumerate().map(|(tick, t)| (*t, axis.at(tick))).collect();
    html! {
        (names(picture, height))
        svg .lanes viewBox=(format!("0 0 {width:.0} {height:.0}")) width=(format!("{width:.0}"))
            height=(format!("{height:.0}")) role="img" aria-labelledby="lanes-title lanes-desc"
            data-scale=(cursor::scale(&points, picture.clock)) {
            title #lanes-title { "The counterexample: one lane per process, one bar per operation" }
            desc #lanes-desc { "The time axis is warped. The same operations with their times are in the table below." }
            (patterns())
            (ticks(picture, &axis, ticks_at))
            (before(picture, ticks_at))
            @for (at, lane) in picture.lanes.iter().enumerate() {
                @let y = TOP + at as f64 * LANE_HEIGHT;
                line .rule x1="0" x2=(format!("{width:.0}")) y1=(px(y + LANE_HEIGHT)) y2=(px(y + LANE_HEIGHT)) {}
                (name(lane.process, at))
                @for bar in &lane.bars { (draw_bar(bar, &axis, y + (LANE_HEIGHT - BAR_HEIGHT) / 2.0, label_max, picture.clock)) }
            }
            @for (at, it) in picture.faults.iter().skip(picture.faults.len() - strips).enumerate() {
                @let y = lanes_end + 4.0 + at as f64 * STRIP_HEIGHT;
                (strip(picture, it, &axis, y, at == 0))
            }
            (cursor::line(TOP - 6.0, ticks_at))
        }
    }
}

/// The lane names again, in a layer that stays in place during scrolling.
fn names(picture: &Picture, height: f64) -> Markup {
    let width = LEFT - 20.0;
    html! {
        div .names aria-hidden="true" {
            svg .lanes width=(px(width)) height=(format!("{height:.0}")) {
                rect .ground width=(px(width)) height=(format!("{height:.0}")) {}
                @for (at, lane) in picture.lanes.iter().enumerate() { (name(lane.process, at)) }
            }
        }
    }
}

fn name(process: u64, at: usize) -> Markup {
    let middle = TOP + at as f64 * LANE_HEIGHT + LANE_HEIGHT / 2.0;
    html! { text .process x="4" y=(px(middle + 5.0)) { "p" (process) } }
}

/// The label of a bar.
fn label(bar: &Bar, max: usize) -> String {
    let text = elide(&operation(bar.op), max);
    match bar.ending {
        _ if bar.witness => format!("{text} ✗"),
        Ending::Info => format!("{text} · {ANY_TIME}"),
        Ending::Fail => format!("{text} · failed"),
        Ending::Ok => text,
    }
}

fn bar_width(bar: &Bar, max: usize) -> f64 {
    let circle = if bar.place.is_some() { 26.0 } else { 0.0 };
    label(bar, max).chars().count() as f64 * CHAR + 18.0 + circle
}

fn draw_bar(bar: &Bar, axis: &Axis, y: f64, label_max: usize, clock: Clock) -> Markup {
    let (from, to) = (axis.at(bar.from), axis.at(bar.to));
    let kind = match bar.ending {
        Ending::Ok => "ok",
        Ending::Fail => "fail",
        Ending::Info => "info",
    };
    let role = match (bar.witness, bar.context) {
        (true, _) => " witness",
        (_, true) => " context",
        _ => "",
    };
    let text_at = from + 9.0 + if bar.place.is_some() { 26.0 } else { 0.0 };
    let middle = y + BAR_HEIGHT / 2.0;
    let open_end = format!(
        "M{0:.1} {1:.1}L{2:.1} {3:.1}L{0:.1} {4:.1}Z",
        to - 1.0,
        y + 7.0,
        to + 9.0,
        middle,
        y + BAR_HEIGHT - 7.0
    );
    html! {
        g .(format!("bar {kind}{role}")) {
            title { (tooltip(bar, clock)) }
            rect x=(px(from)) y=(px(y)) width=(px(to - from)) height=(px(BAR_HEIGHT)) rx="4" {}
            @if bar.ending == Ending::Info { path .open d=(open_end) {} }
            @if let Some(place) = bar.place {
                circle cx=(px(from + 17.0)) cy=(px(middle)) r="10" {}
                text .place x=(px(from + 17.0)) y=(px(middle + 4.5)) { (place) }
            }
            text .label x=(px(text_at)) y=(px(middle + 4.5)) { (label(bar, label_max)) }
        }
    }
}

fn tooltip(bar: &Bar, clock: Clock) -> String {
    let end = bar.op.completed.map_or("never".to_string(), |end| clock.instant(end));
    let (process, call) = (bar.op.process, clock.instant(bar.op.call));
    let states = bar.states.map_or(String::new(), |(before, after)| {
        format!("; state before {}, after {}", elide(before, 60), elide(after, 60))
    });
    format!("p{process} {}: invoked {call}, completed {end}{states}", operation(bar.op))
}

/// Hatching for failed operations, and the fading end of indeterminate ones.
fn patterns() -> Markup {
    html! {
        defs {
            pattern #hatch width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                rect .hatch-ground width="7" height="7" {}
                line .hatch-line x1="0" y1="0" x2="0" y2="7" {}
            }
            linearGradient #fading x1="0" x2="1" y1="0" y2="0" {
                stop .fade-from offset="0.6" {} stop .fade-to offset="1" {}
            }
        }
    }
}

/// A faint vertical line at each event, and its time below it if there is room: the witness's times first.
fn ticks(picture: &Picture, axis: &Axis, y: f64) -> Markup {
    let labels = picture.tick_labels();
    let mut rows: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let mut placed: Vec<(usize, usize, f64)> = Vec::new();
    let witness: Vec<usize> = picture.witness_ticks().into_iter().flat_map(|(from, to)| [from, to]).collect();
    for &tick in witness.iter().chain((0..labels.len()).collect::<Vec<_>>().iter()) {
        if tick >= labels.len() || placed.iter().any(|(done, ..)| *done == tick) {
            continue;
        }
        let width = labels[tick].len() as f64 * 6.8 + 8.0;
        // A label at an edge is moved inwards, so that it is not cut off.
        let x = axis.at(tick).clamp(LEFT - 18.0 + width / 2.0, axis.right() + 10.0 - width / 2.0);
        if let Some(row) = rows.iter().position(|row| row.iter().all(|taken| (taken - x).abs() >= width)) {
            rows[row].push(x);
            placed.push((tick, row, x));
        }
    }
    html! {
        @for tick in 0..labels.len() {
            line .tick x1=(px(axis.at(tick))) x2=(px(axis.at(tick))) y1=(px(TOP - 6.0)) y2=(px(y)) {}
        }
        @for (tick, row, x) in &placed {
            text .time.hit[witness.contains(tick)] x=(px(*x)) y=(px(y + 12.0 + *row as f64 * 13.0)) { (labels[*tick]) }
        }
        text .unit x="4" y=(px(y + 25.0)) { (picture.clock.unit()) }
    }
}

/// The possible values of the object before the picture begins.
fn before(picture: &Picture, y: f64) -> Markup {
    html! {
        @if picture.left_out > 0 {
            text .before x=(px(LEFT - 2.0)) y="14" { (counted(picture.left_out, "operation")) " before these, not drawn" }
        } @else if let Some((states, first)) = picture.before {
            line .edge x1=(px(LEFT - 8.0)) x2=(px(LEFT - 8.0)) y1="4" y2=(px(y)) {}
            text .before x=(px(LEFT - 2.0)) y="14" {
                "before p" (first.process) " " (elide(&operation(first), 30)) ", the state is "
                @if states.len() > 1 { "one of " }
                (elide(&states.join(", "), 80))
            }
        }
    }
}

/// The time in which a fault's state was in force; open at an end outside the picture.
fn strip(picture: &Picture, it: &Strip, axis: &Axis, y: f64, first: bool) -> Markup {
    let (begin, end) =
        (picture.ticks.first().copied().unwrap_or(0), picture.ticks.last().copied().unwrap_or(0));
    let from = axis.at_time(it.from);
    let open = it.to.is_none_or(|ended| ended > end);
    let to = if open { axis.right() } else { axis.at_time(it.end_or(end)) };
    let began = if it.from < begin { "◂ " } else { "" };
    let goes_on = if open { " ▸" } else { "" };
    let until = match it.to {
        Some(ended) => format!("to {} s", seconds(ended)),
        None => "never seen to heal".to_string(),
    };
    let what = elide(it.label, 60);
    let whole = format!("{what} · from {} s {until}", seconds(it.from));
    let texts = [&whole, &what].map(|text| format!("{began}{text}{goes_on}"));
    let Placed { text, x } = strip::placed(&texts, (from, to), (LEFT, axis.right()));
    html! {
        @if first { text .process x="4" y=(px(y + 13.0)) { "faults" } }
        g {
            title { (whole) }
            rect .strip.(faults::class(it.fault)) x=(px(from)) y=(px(y)) width=(px((to - from).max(2.0))) height=(px(STRIP_HEIGHT - 3.0)) {}
            text .strip-label x=(px(x)) y=(px(y + 12.5)) { (text) }
        }
    }
}

fn px(x: f64) -> String {
    format!("{x:.1}")
}
