//! Stores a history and its verdict as a run directory, so that all commands for runs work on it.

use std::fs;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tribunal::tool::tool;
use tribunal_checker::formats::{self, Format};
use tribunal_checker::history::History;
use tribunal_checker::model::Objects;
use tribunal_reports::faults::{self, Fault};
use tribunal_reports::files::{self, Durable, Output};
use tribunal_reports::judgement::Judgement;
use tribunal_reports::render::render_all;
use tribunal_reports::run_dir::{RunDir, write_json, write_judgement};
use tribunal_reports::run_info::{Ending, RunInfo, SCHEMA_VERSION};

use super::arguments;
use crate::jepsen_store;

/// Creates the directory, before the check.
///
/// # Errors
/// When the directory is not empty, or `--report` does not support this input.
pub(super) fn prepare(dir: &Path, paths: &[PathBuf], is_merged: bool) -> Result<()> {
    ensure!(paths.len() == 1 || is_merged, "--report: expected one history, not {}", paths.len());
    ensure!(
        !paths[0].is_dir() || jepsen_store::is_store(&paths[0]),
        "--report: a run directory has its reports: `tribunal report` renders them again"
    );
    match fs::read_dir(dir) {
        Ok(mut entries) => {
            ensure!(entries.next().is_none(), "--report: {}: expected an empty directory", dir.display());
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(dir).with_context(|| format!("--report: cannot create {}", dir.display()))
        }
        Err(error) => Err(error).with_context(|| format!("--report: cannot read {}", dir.display())),
    }
}

/// Fills the directory. Returns the reports that could not be rendered; they do not change the verdict.
///
/// # Errors
/// When the history or the verdict cannot be written.
pub(super) fn keep(
    dir: &Path,
    name: &str,
    model: Objects,
    mut history: History,
    faults: &[Fault],
    judgement: &Judgement,
) -> Result<Vec<String>> {
    // Event indices must refer to the file that is written here.
    formats::renumber(&mut history);
    let fault_lines = faults::lines(faults);
    let info = RunInfo {
        schema_version: SCHEMA_VERSION,
        tool: tool(),
        args: arguments(),
        workload: name.into(),
        model: model.name().into(),
        ending: Some(Ending {
            events: events(&history),
            fault_lines: fault_lines.len() as u64,
            ..Ending::default()
        }),
        ..RunInfo::default()
    };
    write_json(dir, "run.json", &info).context("cannot write run.json")?;
    write_history(dir, &history).context("cannot write history.jsonl")?;
    if !fault_lines.is_empty() {
        files::replace(dir, "faults.jsonl", fault_lines.concat().as_bytes(), Durable::No)
            .context("cannot write faults.jsonl")?;
    }
    write_judgement(dir, judgement).context("cannot write verdict.json")?;
    let run = RunDir::load(dir)?;
    let rendered = render_all(&run, dir).into_iter();
    Ok(rendered.filter_map(|(name, result)| Some(format!("no {name}: {}", result.err()?))).collect())
}

/// The number of events with which a history is written.
fn events(history: &History) -> u64 {
    history.ops.iter().map(|op| 1 + u64::from(op.completed.is_some())).sum()
}

fn write_history(dir: &Path, history: &History) -> io::Result<()> {
    let mut out = BufWriter::new(Output::below(dir, Path::new("history.jsonl"))?);
    formats::write(&mut out, history, Format::Jsonl)?;
    out.into_inner()?.finish(Durable::No)
}
