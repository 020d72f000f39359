//! `tribunal list`: lists runs, workloads, systems, faults, bugs or models, one per line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use tribunal_checker::model::Objects;
use tribunal_reports::judgement::RunOutcome;
use tribunal_reports::runs::{self, RunSummary};
use tribunal_reports::summary;
use tribunal_reports::wording::{count, elide};

use crate::ago::ago;
use crate::cli::OutputFormat;
use crate::exit;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kind of entries to list
    what: What,

    /// With `schema`: the format whose JSON schema is printed
    #[arg(value_enum, required_if_eq("what", "schema"), value_name = "FORMAT")]
    of: Option<Schema>,

    /// Directory with the runs
    #[arg(long, default_value = "store", value_name = "DIR")]
    store: PathBuf,

    /// Format of the list
    #[arg(long, value_enum, default_value = "text", value_name = "HOW")]
    format: OutputFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Runs with their verdicts, newest first
    Runs,
    #[cfg(feature = "trial")]
    /// Workloads: the operations that clients send
    Workloads,
    #[cfg(feature = "trial")]
    /// Systems under test
    Systems,
    #[cfg(feature = "trial")]
    /// Faults that the nemesis can inject
    Faults,
    #[cfg(feature = "trial")]
    /// Known bugs of the systems, with the command that shows each
    Bugs,
    /// Models that a history can be checked against
    Models,
    #[cfg(feature = "trial")]
    /// The JSON schema of a file format, for editors
    Schema,
}

/// A file format with a JSON schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Schema {
    /// The description of a system: docs/own-system.md
    System,
}

/// A named entry with its description.
#[derive(Serialize)]
struct Named {
    name: &'static str,
    about: &'static str,
    /// The model of a workload, or the variants of a fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    of: Vec<&'static str>,
}

/// `tribunal list`
pub(crate) fn run(args: &Args) -> ExitCode {
    match listed(args) {
        Ok(text) => {
            match args.format {
                OutputFormat::Text => exit::print_text(&text),
                OutputFormat::Json => exit::print(&text),
            }
            ExitCode::SUCCESS
        }
        Err(error) => exit::usage(error),
    }
}

fn listed(args: &Args) -> Result<String> {
    let named = match args.what {
        What::Runs => return all_runs(args),
        #[cfg(feature = "trial")]
        What::Schema => {
            return Ok(tribunal_systems::DESCRIPTION_SCHEMA.to_string());
        }
        #[cfg(feature = "trial")]
        What::Bugs => return Ok(all_bugs(args.format)),
        #[cfg(feature = "trial")]
        What::Workloads => tribunal_workloads::WORKLOADS
            .iter()
            .map(|it| Named { name: it.name, about: it.about, of: it.models().collect() })
            .collect(),
        #[cfg(feature = "trial")]
        What::Systems => tribunal::Registry::built_in()
            .systems()
            .iter()
            .map(|it| Named { name: it.name, about: it.about, of: Vec::new() })
            .collect(),
        #[cfg(feature = "trial")]
        What::Faults => tribunal_nemesis::FAULTS
            .iter()
            .map(|it| {
                let of = it.kinds.iter().map(|kind| kind.name).filter(|name| *name != it.name).collect();
                Named { name: it.name, about: it.about, of }
            })
            .collect(),
        What::Models => Objects::all()
            .map(|it| Named { name: it.name(), about: it.summary(), of: Vec::new() })
            .collect::<Vec<_>>(),
    };
    Ok(match args.format {
        OutputFormat::Json => named.iter().map(exit::json_line).collect(),
        OutputFormat::Text => {
            let rows = named.iter().map(|it| [it.name.to_string(), it.about.to_string(), it.of.join(", ")]);
            table(&rows.collect::<Vec<_>>())
        }
    })
}

/// A known bug of a system.
#[cfg(feature = "trial")]
#[derive(Serialize)]
struct KnownBug {
    system: &'static str,
    name: String,
    rule: String,
    command: String,
}

/// The known bugs, each with the rule that it breaks and a run that shows it.
#[cfg(feature = "trial")]
fn all_bugs(format: OutputFormat) -> String {
    let of = |system: &'static tribunal_systems::Entry| {
        let flaws = (system.flaws)().into_iter();
        flaws.filter_map(|flaw| {
            let words = flaw.trial(system.name).words();
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            let command = format!("tribunal {}", words.join(" "));
            Some(KnownBug { system: system.name, name: flaw.bug?, rule: flaw.rule, command })
        })
    };
    let bugs: Vec<KnownBug> = tribunal_systems::SYSTEMS.iter().flat_map(of).collect();
    match format {
        OutputFormat::Json => bugs.iter().map(exit::json_line).collect(),
        OutputFormat::Text => {
            let rows = bugs.into_iter().map(|bug| [bug.system.to_string(), bug.name, bug.rule, bug.command]);
            table(&rows.collect::<Vec<_>>())
        }
    }
}

fn all_runs(args: &Args) -> Result<String> {
    let paths = runs::paths(&args.store)
        .with_context(|| format!("{}: expected a directory of runs", args.store.display()))?;
    let summaries = paths.iter().map(|path| {
        let mut run = RunSummary::load(&args.store, path);
        // In the form that other commands accept.
        run.path = args.store.join(&run.path).display().to_string();
        run
    });
    Ok(match args.format {
        OutputFormat::Json => summaries.map(|it| exit::json_line(&it)).collect(),
        OutputFormat::Text => {
            let now = SystemTime::now();
            table(&summaries.map(|it| row(&it, now)).collect::<Vec<_>>())
        }
    })
}

/// The outcome of a run in a few words.
pub(crate) fn outcome(run: &RunSummary) -> String {
    match run.outcome {
        Some(outcome) if run.interrupted && outcome == RunOutcome::Unknown => {
            format!("{} interrupted", summary::sign(outcome))
        }
        Some(outcome) => format!("{} {}", summary::sign(outcome), run.heading().unwrap_or_default()),
        None => "… not judged".into(),
    }
}

fn row(run: &RunSummary, now: SystemTime) -> [String; 6] {
    let faults = if run.nemesis.is_empty() { "no faults".to_string() } else { run.nemesis.join(",") };
    let bugs: String = run.bugs.iter().map(|bug| format!(" +{bug}")).collect();
    [
        run.path.clone(),
        outcome(run),
        elide(&format!("{}{bugs}", run.system), 30),
        elide(&faults, 40),
        format!("{} ops", count(run.ops)),
        ago(&run.started_utc, now),
    ]
}

/// A table whose columns are as wide as their widest cells.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}
