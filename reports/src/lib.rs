//! A run directory in, reports out.
//!
//! ```text
//!   run.json ──────────┐                    ┌─► report.txt   report.md        for a terminal or a CI job
//!   history.jsonl ─────┤                    ├─► report.html  plots/*.svg      the page, with everything in it
//!   faults.jsonl ──────┼─► RunDir ─ render ─┼─► junit.xml                     for CI systems
//!   nodes/*.log ───────┤                    ├─► history.edn  trace.json       for Knossos and Elle; for trace viewers
//!   verdict.json ──────┘                    └─► counterexample.{jsonl,txt}    for a regression test
//! ```
//!
//! [`judgement`] computes the outcome of a run: a pure function of the recorded evidence and the checker's
//! answer, written to `verdict.json` before anything else. Every report is then a pure function of the
//! [`RunDir`](run_dir::RunDir), one file per format, listed in [`render`]. A renderer cannot change the
//! verdict, which is on disk before the first renderer runs. A renderer that panics loses only its own file.
//!
//! All reports have two properties. *The same run gives the same bytes:* no report uses the current time, the
//! locale or the user. *No data from the system under test is trusted:* values are cut to a readable length,
//! invisible characters are made visible, and every format escapes by its own rules.
//!
//! ```no_run
//! use std::path::Path;
//! use tribunal_reports::{render::render_all, run_dir::RunDir};
//!
//! let dir = Path::new("store/latest");
//! for (name, result) in render_all(&RunDir::load(dir)?, dir) {
//!     if let Err(why) = result {
//!         eprintln!("no {name}: {why}");
//!     }
//! }
//! # Ok::<(), tribunal_reports::run_dir::LoadError>(())
//! ```
//!
//! A new report is a new file here, a line in [`render::RENDERERS`] and a snapshot in `tests/`.

pub mod advice;
pub mod between;
pub mod circumstances;
pub mod clock;
pub mod coverage;
pub mod faults;
pub mod files;
pub mod findings;
pub mod glossary;
pub mod histories;
pub mod html;
pub mod imported;
pub mod judgement;
pub mod junit;
pub mod leaders;
pub mod markdown;
pub mod matrix;
pub mod node_logs;
pub mod palette;
pub mod picture;
pub mod plots;
pub mod render;
pub mod run_dir;
pub mod run_info;
pub mod runs;
mod shrunk;
pub mod stats;
pub mod summary;
pub mod text;
pub mod trace;
pub mod traffic;
pub mod wording;
