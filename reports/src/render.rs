//! All reports of a run, each from its own pure function.
//!
//! A renderer takes a [`RunDir`] and returns bytes. It has no access to files, the clock or the other
//! renderers, so the same run directory gives the same bytes. A renderer that panics, or whose file cannot be
//! written, loses only its own file: `verdict.json` is on disk before any renderer runs, and none of them can
//! change it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::files::{self, Durable};
use crate::plots::{AVAILABILITY, FRONTIER, Form, KEYS, LATENCY_QUANTILES, LATENCY_RAW, Plot, RATE};
use crate::run_dir::RunDir;
use crate::{histories, html, junit, markdown, text, trace};

/// One report.
#[derive(Clone, Copy, Debug)]
pub struct Renderer {
    /// Its path below the run directory, such as `report.txt`.
    pub name: &'static str,
    /// When it is rendered.
    pub made: Made,
    /// Renders its contents.
    pub render: fn(&RunDir) -> Vec<u8>,
}

/// When a report is rendered.
#[derive(Clone, Copy, Debug)]
pub enum Made {
    /// For every run.
    Always,
    /// For a run that this function accepts.
    Where(fn(&RunDir) -> bool),
    /// For a run with a proved violation.
    OnViolation,
    /// Only on request by name: it is several times as large as the history.
    OnRequest,
}

impl Renderer {
    const fn new(name: &'static str, made: Made, render: fn(&RunDir) -> Vec<u8>) -> Renderer {
        Renderer { name, made, render }
    }

    /// Whether this report is rendered for that run without a request.
    pub fn is_made_for(&self, run: &RunDir) -> bool {
        match self.made {
            Made::Always => true,
            Made::Where(is_due) => is_due(run),
            Made::OnViolation => run.judgement.violation().is_some(),
            Made::OnRequest => false,
        }
    }

    /// Whether the report would have any content.
    pub fn can_be_made_for(&self, run: &RunDir) -> bool {
        matches!(self.made, Made::OnRequest) || self.is_made_for(run)
    }
}

/// A plot as SVG.
const fn svg(plot: &Plot, render: fn(&RunDir) -> Vec<u8>) -> Renderer {
    Renderer::new(plot.name, Made::Where(plot.is_due), render)
}

/// The same as pixels.
#[cfg(feature = "png")]
const fn png(plot: &Plot, name: &'static str, render: fn(&RunDir) -> Vec<u8>) -> Renderer {
    Renderer::new(name, Made::Where(plot.is_due), render)
}

/// Every report, in the order of rendering.
pub const RENDERERS: &[Renderer] = &[
    Renderer::new("report.txt", Made::Always, |run| text::render(run).into_bytes()),
    Renderer::new("report.html", Made::Always, |run| html::render(run).into_bytes()),
    svg(&LATENCY_RAW, |run| (LATENCY_RAW.draw)(run, Form::Svg)),
    #[cfg(feature = "png")]
    png(&LATENCY_RAW, "plots/latency-raw.png", |run| (LATENCY_RAW.draw)(run, Form::Png)),
    svg(&LATENCY_QUANTILES, |run| (LATENCY_QUANTILES.draw)(run, Form::Svg)),
    #[cfg(feature = "png")]
    png(&LATENCY_QUANTILES, "plots/latency-quantiles.png", |run| (LATENCY_QUANTILES.draw)(run, Form::Png)),
    svg(&RATE, |run| (RATE.draw)(run, Form::Svg)),
    #[cfg(feature = "png")]
    png(&RATE, "plots/rate.png", |run| (RATE.draw)(run, Form::Png)),
    svg(&AVAILABILITY, |run| (AVAILABILITY.draw)(run, Form::Svg)),
    #[cfg(feature = "png")]
    png(&AVAILABILITY, "plots/availability.png", |run| (AVAILABILITY.draw)(run, Form::Png)),
    svg(&KEYS, |run| (KEYS.draw)(run, Form::Svg)),
    #[cfg(feature = "png")]
    png(&KEYS, "plots/keys.png", |run| (KEYS.draw)(run, Form::Png)),
    svg(&FRONTIER, |run| (FRONTIER.draw)(run, Form::Svg)),
    #[cfg(feature = "png")]
    png(&FRONTIER, "plots/frontier.png", |run| (FRONTIER.draw)(run, Form::Png)),
    Renderer::new("report.md", Made::Always, |run| markdown::render(run).into_bytes()),
    Renderer::new("junit.xml", Made::Always, |run| junit::render(run).into_bytes()),
    Renderer::new("history.edn", Made::OnRequest, histories::edn),
    Renderer::new("trace.json", Made::OnRequest, trace::render),
    Renderer::new("counterexample.jsonl", Made::OnViolation, histories::counterexample_jsonl),
    Renderer::new("counterexample.txt", Made::OnViolation, histories::counterexample_txt),
];

/// Why a report is missing.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The renderer panicked. That is a bug in it; the verdict stands.
    #[error("the renderer panicked: {0}")]
    Panicked(String),
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

/// The result for each report: its name, and its path or the error.
pub type Rendered = Vec<(&'static str, Result<PathBuf, RenderError>)>;

/// Renders every report that is due for a run and writes it below `dir`.
pub fn render_all(run: &RunDir, dir: &Path) -> Rendered {
    let due: Vec<Renderer> = RENDERERS.iter().filter(|renderer| renderer.is_made_for(run)).copied().collect();
    render(run, dir, &due)
}

/// Renders these reports of a run, due or not, and writes them below `dir`.
pub fn render(run: &RunDir, dir: &Path, renderers: &[Renderer]) -> Rendered {
    renderers.iter().map(|renderer| (renderer.name, render_one(run, dir, renderer))).collect()
}

fn render_one(run: &RunDir, dir: &Path, renderer: &Renderer) -> Result<PathBuf, RenderError> {
    // A renderer has only a shared view of the run: all of its state is dropped when it panics.
    let bytes = catch_unwind(AssertUnwindSafe(|| (renderer.render)(run)))
        .map_err(|panic| RenderError::Panicked(panic_message(&*panic)))?;
    let path = dir.join(renderer.name);
    match files::replace(dir, renderer.name, &bytes, Durable::No) {
        Ok(()) => Ok(path),
        Err(source) => Err(RenderError::Io { path, source }),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_string()
}
