//! What a matrix tries: the flaws and the correct workloads of the registry, by the nemeses that were asked for.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use tribunal_reports::matrix::{Matrix, Row, SCHEMA_VERSION};
use tribunal_systems::{Entry, Flaw, SYSTEMS, Switches};

use super::Args;
use crate::exit;
use crate::record::tool;

/// Half of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Only {
    /// Seeded mistakes, and systems that fail by design
    Flaws,
    /// Systems that have to be found linearizable
    Correct,
}

/// What the faults are called that `tribunal run` chooses by itself.
const DEFAULT: &str = "default";

/// The plan: a matrix without runs.
pub(super) fn of(args: &Args, tribunal: &Path) -> Result<Matrix> {
    let systems = systems(args, tribunal)?;
    let nemeses = if args.nemesis.is_empty() { vec![DEFAULT.to_string()] } else { args.nemesis.clone() };
    let mut flaws: Vec<Row> = Vec::new();
    let mut correct: Vec<Row> = Vec::new();
    let wants = |flaw: &Flaw| match &flaw.bug {
        _ if args.bug.is_empty() => true,
        Some(bug) => args.bug.contains(bug),
        None => false,
    };
    for system in &systems {
        for flaw in (system.flaws)().iter().filter(|flaw| wants(flaw)) {
            flaws.extend(rows(system, flaw.workload, Some(flaw), &nemeses));
        }
        for workload in system.holds {
            correct.extend(rows(system, workload, None, &nemeses));
        }
    }
    if let Some(bug) = args.bug.iter().find(|bug| flaws.iter().all(|row| row.bug.as_ref() != Some(bug))) {
        let names = systems.iter().flat_map(|system| (system.flaws)()).filter_map(|flaw| flaw.bug);
        bail!("--bug: there is no bug `{bug}`: expected one of {}", names.collect::<Vec<_>>().join(", "));
    }
    let (wants_flaws, wants_correct) = match args.only {
        Some(only) => (only == Only::Flaws, only == Only::Correct),
        None => (true, args.bug.is_empty()),
    };
    flaws.retain(|_| wants_flaws);
    flaws.extend(correct.into_iter().filter(|_| wants_correct));
    let budget = humantime::format_duration(args.budget).to_string().replace(' ', "");
    for row in &mut flaws {
        row.args.extend(["--time-limit".into(), budget.clone()]);
        row.summarise();
    }
    ensure!(!flaws.is_empty(), "nothing to try: the systems that were asked for have none of it");
    Ok(Matrix {
        schema_version: SCHEMA_VERSION,
        tool: tool(),
        budget_ms: args.budget.as_millis() as u64,
        seeds: args.seeds,
        rows: flaws,
    })
}

/// The systems that were asked for; all that can be run here, when none was.
fn systems(args: &Args, tribunal: &Path) -> Result<Vec<&'static Entry>> {
    let switches = Switches { tribunal: tribunal.to_path_buf(), ..Switches::default() };
    let mut systems = Vec::new();
    for name in &args.system {
        let Some(entry) = tribunal_systems::find(name) else {
            let names: Vec<&str> = SYSTEMS.iter().map(|entry| entry.name).collect();
            bail!("--system: there is no system `{name}`: expected one of {}", names.join(", "));
        };
        (entry.make)(&switches)?;
        systems.push(entry);
    }
    if args.system.is_empty() {
        for entry in SYSTEMS {
            match (entry.make)(&switches) {
                Ok(_) => systems.push(entry),
                Err(why) => exit::complain(&format!("skipped: {}: {why}", entry.name)),
            }
        }
    }
    Ok(systems)
}

/// A row for every nemesis; only one where the flaw says itself which faults it takes.
fn rows(system: &Entry, workload: &str, flaw: Option<&Flaw>, nemeses: &[String]) -> Vec<Row> {
    let own: Vec<String> = flaw.map_or(&[][..], |flaw| flaw.args).iter().map(ToString::to_string).collect();
    let named = own.iter().position(|arg| arg == "--nemesis").and_then(|at| own.get(at + 1).cloned());
    let (nemeses, given) = match named {
        Some(nemesis) => (vec![nemesis], true),
        None => (nemeses.to_vec(), false),
    };
    let row = |nemesis: String| {
        let mut args = own.clone();
        if !given && nemesis != DEFAULT {
            args.extend(["--nemesis".into(), nemesis.clone()]);
        }
        Row {
            system: system.name.into(),
            bug: flaw.and_then(|flaw| flaw.bug.clone()),
            rule: flaw.map(|flaw| flaw.rule.clone()),
            workload: workload.into(),
            nemesis,
            args,
            ..Row::default()
        }
    };
    nemeses.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> &'static Entry {
        tribunal_systems::find("raft").unwrap()
    }

    #[test]
    fn every_nemesis_is_a_row_unless_the_flaw_names_its_own() {
        let nemeses = ["default".to_string(), "kill".to_string()];
        let flaw = Flaw::seeded("stale-read", "a rule", "register");
        let rows_of = |flaw: &Flaw| {
            let rows = rows(entry(), "register", Some(flaw), &nemeses).into_iter();
            rows.map(|row| (row.nemesis, row.args.join(" "))).collect::<Vec<_>>()
        };
        let expected = [("default".into(), String::new()), ("kill".into(), "--nemesis kill".into())];
        assert_eq!(rows_of(&flaw), expected);
        let expected = [("power".into(), "--nodes 3 --nemesis power".into())];
        assert_eq!(rows_of(&flaw.with(&["--nodes", "3", "--nemesis", "power"])), expected);
    }

    #[test]
    fn every_flaw_is_looked_for_by_a_workload_that_there_is() {
        for system in SYSTEMS {
            let flaws = (system.flaws)();
            let workloads = flaws.iter().map(|flaw| flaw.workload).chain(system.holds.iter().copied());
            for workload in workloads {
                assert!(tribunal_workloads::find(workload).is_some(), "{}: {workload}", system.name);
            }
            assert!(!system.holds.is_empty() || !flaws.is_empty(), "{}: nothing is known of it", system.name);
        }
    }
}
