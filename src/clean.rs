//! `tribunal clean`: removes old runs. Without `--yes` it only says which.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tribunal_records::quantity::parse_duration;
use tribunal_reports::judgement::RunOutcome;
use tribunal_reports::runs::{self, RunSummary};
use tribunal_reports::wording::{bytes, counted};

use crate::ago::ago;
use crate::exit;
use crate::list::{outcome, table};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory with the runs
    #[arg(long, default_value = "store", value_name = "DIR")]
    store: PathBuf,

    /// Number of the newest runs to keep
    #[arg(long, default_value_t = 20, value_name = "N")]
    keep: usize,

    /// Remove only runs that are older than this, such as 7d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older_than: Option<Duration>,

    /// Also remove runs with a violation
    #[arg(long)]
    violations: bool,

    /// Remove the runs; otherwise they are only listed
    #[arg(long)]
    yes: bool,
}

/// `tribunal clean`
pub(crate) fn run(args: &Args) -> ExitCode {
    match clean(args, SystemTime::now()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::usage(error),
    }
}

fn clean(args: &Args, now: SystemTime) -> Result<()> {
    let all = runs::paths(&args.store)
        .with_context(|| format!("{}: expected a directory of runs", args.store.display()))?;
    let all: Vec<RunSummary> = all.iter().map(|path| RunSummary::load(&args.store, path)).collect();
    let old: Vec<&RunSummary> = all.iter().filter(|run| !is_open(run)).skip(args.keep).collect();
    let old: Vec<&RunSummary> = old.into_iter().filter(|run| may_go(run, args, now)).collect();
    let sizes: Vec<u64> = old.iter().map(|run| size(&args.store.join(&run.path))).collect();
    let rows = old.iter().zip(&sizes).map(|(run, size)| {
        [
            args.store.join(&run.path).display().to_string(),
            outcome(run),
            ago(&run.started_utc, now),
            bytes(*size),
        ]
    });
    exit::print_text(&table(&rows.collect::<Vec<_>>()));
    let what = format!("{}, {}", counted(old.len(), "run"), bytes(sizes.iter().sum()));
    if !args.yes {
        let more = if old.is_empty() { "" } else { "; `--yes` removes them" };
        exit::print_text(&format!("{what}: nothing was removed{more}\n"));
        return Ok(());
    }
    for run in &old {
        let dir = args.store.join(&run.path);
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        remove_dangling_links(&args.store.join(&run.workload));
    }
    remove_dangling_links(&args.store);
    exit::print_text(&format!("{what}: removed\n"));
    Ok(())
}

/// Whether the run is in progress, or is no run at all: such a directory is never removed.
fn is_open(run: &RunSummary) -> bool {
    run.path.ends_with(".partial") || run.started_utc.is_empty()
}

fn may_go(run: &RunSummary, args: &Args, now: SystemTime) -> bool {
    let begun = humantime::parse_rfc3339(&run.started_utc);
    let age = begun.ok().and_then(|begun| now.duration_since(begun).ok()).unwrap_or_default();
    let is_old = args.older_than.is_none_or(|limit| age > limit);
    is_old && (args.violations || run.outcome != Some(RunOutcome::Violation))
}

/// The size of the files in a directory. Links are not followed.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(it) if it.is_dir() => size(&entry.path()),
        Ok(it) => it.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

/// Removes links such as `latest` whose run is gone.
fn remove_dangling_links(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() && !path.exists() {
            let _ = fs::remove_file(&path);
        }
    }
}
