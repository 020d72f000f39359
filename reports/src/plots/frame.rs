//! What all plots share: size, axes, fault bands behind the data and fault strips below the axis.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::canvas::{Canvas, Form};
#[cfg(feature = "png")]
use super::canvas::{png, prepare_font};
use super::compact::compact;
use crate::faults::Fault;
use crate::palette::{self, Ink};
use crate::run_dir::RunDir;
use crate::stats::last_event;
use crate::wording::elide;

const SIZE: (u32, u32) = (900, 320);
/// The maximum number of rows of fault strips; faults that do not fit share the last.
const STRIP_ROWS_MAX: usize = 4;
const STRIP_HEIGHT: i32 = 16;

pub(super) type Area<'a> = DrawingArea<Canvas<'a>, Shift>;
pub(super) type Chart<'a, 'b, Y> =
    ChartContext<'a, Canvas<'b>, Cartesian2d<plotters::coord::types::RangedCoordf64, Y>>;
pub(super) type Failure<'a> = DrawingAreaErrorKind<<Canvas<'a> as DrawingBackend>::ErrorType>;

/// An entry of a legend: a mark and a word.
pub(super) struct Entry {
    pub(super) ink: Ink,
    pub(super) word: String,
    pub(super) mark: Mark,
}

/// The texts around a plot.
pub(super) struct Labels<'a> {
    pub(super) title: &'a str,
    /// The unit of the vertical axis.
    pub(super) unit: &'a str,
    pub(super) legend: &'a [Entry],
    /// The horizontal axis.
    pub(super) across: Across<'a>,
}

/// The kind of horizontal axis.
pub(super) enum Across<'a> {
    /// The time of the run, in seconds, with the faults below.
    Time,
    /// A part of it.
    Stretch(Range<f64>),
    /// Keys with these names, at 0, 1, 2 ...
    Keys(&'a [String]),
}

impl Across<'_> {
    fn range(&self, run: &RunDir) -> Range<f64> {
        match self {
            Across::Time => 0.0..span_seconds(run),
            Across::Stretch(stretch) => stretch.clone(),
            Across::Keys(names) => -0.5..names.len().max(1) as f64 - 0.5,
        }
    }

    fn label(&self, x: f64, range: &Range<f64>) -> String {
        match self {
            Across::Time if range.end >= 12.0 => format!("{x:.0}"),
            Across::Time if range.end >= 1.0 => format!("{x:.1}"),
            Across::Time | Across::Stretch(_) => {
                let decimals = (1.0 - (range.end - range.start).log10()).ceil().clamp(0.0, 9.0) as usize;
                format!("{x:.decimals$}")
            }
            Across::Keys(names) if x >= 0.0 && x.fract() == 0.0 => {
                names.get(x as usize).map_or(String::new(), |name| elide(name, 8))
            }
            Across::Keys(_) => String::new(),
        }
    }
}

/// The shapes of marks. Shapes distinguish operations, colours distinguish outcomes.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Bar,
    Circle,
    Triangle,
    Cross,
    Diamond,
    Plus,
}

pub(super) fn colour(ink: Ink) -> RGBColor {
    RGBColor(ink.light.0, ink.light.1, ink.light.2)
}

/// A mark in pixels, around its centre.
pub(super) fn mark<'a>(
    area: &Area<'a>,
    (x, y): (i32, i32),
    shape: Mark,
    ink: Ink,
) -> Result<(), Failure<'a>> {
    let style = colour(ink).mix(0.75);
    match shape {
        Mark::Bar => area.draw(&Rectangle::new([(x - 5, y - 4), (x + 5, y + 4)], style.filled())),
        Mark::Circle => area.draw(&Circle::new((x, y), 2, style.filled())),
        Mark::Triangle => area.draw(&Polygon::new([(x, y - 3), (x + 3, y + 2), (x - 3, y + 2)], style)),
        Mark::Diamond => area.draw(&Polygon::new([(x, y - 3), (x + 3, y), (x, y + 3), (x - 3, y)], style)),
        Mark::Cross => area.draw(&Cross::new((x, y), 2, style)),
        Mark::Plus => {
            area.draw(&PathElement::new([(x - 3, y), (x + 3, y)], style))?;
            area.draw(&PathElement::new([(x, y - 3), (x, y + 3)], style))
        }
    }
}

/// Draws a plot in this form with `y` as its vertical axis; `data` draws the data.
pub(super) fn plot<Y>(
    run: &RunDir,
    form: Form,
    labels: &Labels,
    y: Y,
    data: impl for<'a, 'b> Fn(&mut Chart<'a, 'b, Y::CoordDescType>, &Area<'b>) -> Result<(), Failure<'b>>,
) -> Vec<u8>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    match form {
        Form::Svg => {
            let mut svg = String::new();
            match draw(Canvas::Svg(SVGBackend::with_string(&mut svg, SIZE)), run, labels, y, data) {
                Ok(()) => with_faces(&compact(&svg), labels.title).into_bytes(),
                Err(why) => not_drawn(labels.title, &why).into_bytes(),
            }
        }
        // A plot that cannot be drawn is a bug that costs only its own file: the render loop catches the panic.
        #[cfg(feature = "png")]
        Form::Png => {
            prepare_font().unwrap_or_else(|why| panic!("{why}"));
            let mut pixels = vec![0; 3 * SIZE.0 as usize * SIZE.1 as usize];
            let canvas = Canvas::Pixels(BitMapBackend::with_buffer(&mut pixels, SIZE));
            let drawn = draw(canvas, run, labels, y, data).and_then(|()| png(&pixels, SIZE));
            drawn.unwrap_or_else(|why| panic!("{}: {why}", labels.title))
        }
    }
}

/// A drawing that gives the reason why there is no plot.
fn not_drawn(title: &str, why: &str) -> String {
    let (title, why) = (harmless(title), harmless(why));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"40\"><title>{title}: not drawn</title>\
         <text x=\"8\" y=\"24\">This plot could not be drawn: {why}</text></svg>\n"
    )
}

fn draw<Y>(
    canvas: Canvas<'_>,
    run: &RunDir,
    labels: &Labels,
    y: Y,
    data: impl for<'a, 'b> Fn(&mut Chart<'a, 'b, Y::CoordDescType>, &Area<'b>) -> Result<(), Failure<'b>>,
) -> Result<(), String>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let over_time = !matches!(labels.across, Across::Keys(_));
    let range = labels.across.range(run);
    let (from, to) = ((range.start * 1e9) as u64, (range.end * 1e9) as u64);
    let inside = |fault: &&Fault| over_time && fault.was_in_force() && fault.overlaps(from, to);
    let faults: Vec<&Fault> = run.evidence.faults.iter().filter(inside).collect();
    let rows = rows(&faults);
    let strips = rows.iter().map(|row| row + 1).max().unwrap_or(0) as i32 * STRIP_HEIGHT;
    let root = canvas.into_drawing_area();
    let text = |size: u32, ink: Ink| ("sans-serif", size).into_font().color(&colour(ink));
    let result = (|| {
        root.fill(&colour(palette::PAPER))?;
        root.draw(&Text::new(labels.title.to_string(), (60, 7), text(17, palette::TEXT)))?;
        draw_legend(&root, labels.legend, text(14, palette::MUTED))?;
        let mut chart = ChartBuilder::on(&root)
            .margin_top(32)
            .margin_right(52)
            .margin_bottom(strips as u32 + 4)
            .margin_left(8)
            .x_label_area_size(40)
            .y_label_area_size(66)
            .build_cartesian_2d(range.clone(), y)?;
        bands(&chart, &faults)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(colour(palette::RULE))
            .light_line_style(TRANSPARENT)
            .axis_style(colour(palette::MUTED))
            .label_style(text(14, palette::MUTED))
            .x_labels(12)
            .y_labels(6)
            .x_desc(if over_time {
                "seconds since the start of the run"
            } else {
                "keys, in the order of their first use"
            })
            .y_desc(labels.unit)
            .x_label_formatter(&|x| labels.across.label(*x, &range))
            .y_label_formatter(&|y| trimmed(*y))
            .draw()?;
        data(&mut chart, &root)?;
        draw_strips(&root, &chart, &faults, &rows, strips)?;
        root.present()
    })();
    result.map_err(|why: Failure| why.to_string())
}

fn draw_legend<'a>(root: &Area<'a>, legend: &[Entry], style: TextStyle) -> Result<(), Failure<'a>> {
    let width = |entry: &Entry| 30 + 7 * entry.word.chars().count() as i32;
    let mut x = SIZE.0 as i32 - 52 - legend.iter().map(width).sum::<i32>();
    for entry in legend {
        mark(root, (x + 8, 15), entry.mark, entry.ink)?;
        root.draw(&Text::new(entry.word.clone(), (x + 18, 9), style.clone()))?;
        x += width(entry);
    }
    Ok(())
}

/// Light shading behind the data while a fault is in force.
fn bands<'a, Y: Ranged<ValueType = f64>>(
    chart: &Chart<'_, 'a, Y>,
    faults: &[&Fault],
) -> Result<(), Failure<'a>> {
    let (xs, ys) = chart.plotting_area().get_pixel_range();
    let area = chart.plotting_area().strip_coord_spec();
    let offset = area.get_base_pixel();
    for strip in faults.iter().flat_map(|fault| fault.strips()) {
        let (from, to) = reach(chart, strip.from, strip.to, &xs);
        let shade = colour(palette::of_fault(&strip.fault.fault)).mix(0.10).filled();
        area.draw(&Rectangle::new([(from - offset.0, 0), (to - offset.0, ys.end - ys.start)], shade))?;
    }
    Ok(())
}

/// The start and end of a time interval, in pixels; at least one pixel wide.
fn reach<Y: Ranged<ValueType = f64>>(
    chart: &Chart<'_, '_, Y>,
    from: u64,
    to: Option<u64>,
    xs: &std::ops::Range<i32>,
) -> (i32, i32) {
    let range = chart.x_range();
    let x = |ns: u64| {
        let share = (ns as f64 / 1e9 - range.start) / (range.end - range.start);
        (xs.start as f64 + share * f64::from(xs.end - xs.start)).clamp(xs.start as f64, xs.end as f64) as i32
    };
    let from = x(from);
    (from, to.map_or(xs.end, x).max(from + 1))
}

fn draw_strips<'a, Y: Ranged<ValueType = f64>>(
    root: &Area<'a>,
    chart: &Chart<'_, 'a, Y>,
    faults: &[&Fault],
    rows: &[usize],
    height: i32,
) -> Result<(), Failure<'a>> {
    let (xs, _) = chart.plotting_area().get_pixel_range();
    let top = SIZE.1 as i32 - height - 2;
    let reaches: Vec<(i32, i32)> =
        faults.iter().map(|fault| reach(chart, fault.applied_ns, fault.healed_ns, &xs)).collect();
    for (at, fault) in faults.iter().enumerate() {
        let ((from, to), row) = (reaches[at], rows[at]);
        let y = top + row as i32 * STRIP_HEIGHT;
        let ink = colour(palette::of_fault(&fault.fault));
        // A line for the whole fault, and a strip for each state in force.
        root.draw(&Rectangle::new([(from, y + STRIP_HEIGHT - 5), (to, y + STRIP_HEIGHT - 3)], ink.filled()))?;
        for strip in fault.strips() {
            let (begin, end) = reach(chart, strip.from, strip.to, &xs);
            // A pixel between two states.
            let end = if strip.to == fault.healed_ns { end } else { (end - 1).max(begin + 1) };
            root.draw(&Rectangle::new([(begin, y), (end, y + STRIP_HEIGHT - 3)], ink.filled()))?;
        }
        // The label is inside its strip or to the right of it, if it fits; the table of faults has all
        // labels.
        let word =
            if fault.healed_ns.is_none() { format!("{} ▸", fault.fault) } else { fault.fault.clone() };
        let word = elide(&word, 24);
        let width = 7 * word.chars().count() as i32 + 6;
        let next =
            (at + 1..faults.len()).find(|next| rows[*next] == row).map_or(xs.end, |next| reaches[next].0);
        let (x, ink) = match () {
            () if width <= to - from && fault.shifts.is_empty() => (from + 3, palette::PAPER),
            () if width <= next - to => (to + 3, palette::MUTED),
            () => continue,
        };
        root.draw(&Text::new(word, (x, y + 1), ("sans-serif", 13).into_font().color(&colour(ink))))?;
    }
    Ok(())
}

/// The row of each fault's strip: the first row that is free when it begins.
fn rows(faults: &[&Fault]) -> Vec<usize> {
    let mut free_from: Vec<u64> = Vec::new();
    faults
        .iter()
        .map(|fault| {
            let row = free_from.iter().position(|free| *free <= fault.applied_ns).unwrap_or(free_from.len());
            let row = row.min(STRIP_ROWS_MAX - 1);
            if row == free_from.len() {
                free_from.push(0);
            }
            free_from[row] = free_from[row].max(fault.end_or(u64::MAX));
            row
        })
        .collect()
}

/// The length of the time axis: to the last event of the history.
pub(super) fn span_seconds(run: &RunDir) -> f64 {
    last_event(&run.evidence.history).max(1) as f64 / 1e9
}

/// A number without trailing zeros: `0.1`, `10`, `2,000`.
fn trimmed(y: f64) -> String {
    if y >= 1000.0 {
        return crate::wording::count(y.round() as u64);
    }
    let text = format!("{y:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Adds the title for screen readers, and the dark colours.
fn with_faces(svg: &str, title: &str) -> String {
    let title = harmless(title);
    let head_end = svg.find('>').map_or(0, |at| at + 1);
    let (head, body) = svg.split_at(head_end);
    format!("{head}\n<title>{title}</title><style>{}</style>{body}\n", palette::dark_faces())
}

/// Removes all characters with a meaning in XML.
fn harmless(text: &str) -> String {
    text.chars().filter(|c| !"<>&\"'".contains(*c)).collect()
}
