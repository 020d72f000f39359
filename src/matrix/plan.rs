//! The plan of a matrix: the known bugs and correct workloads of the registry, each with the requested
//! faults.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use tribunal::TrialSpec;
use tribunal::tool::tool;
use tribunal_records::suggest::unknown;
use tribunal_reports::matrix::{Matrix, Row, SCHEMA_VERSION};
use tribunal_systems::{Entry, Flaw, SYSTEMS, Switches};
use tribunal_workloads::{Entry as Workload, WORKLOADS};

use super::Args;
use crate::exit;

/// Part of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Only {
    /// Known bugs, and systems with a flawed design
    Flaws,
    /// Systems that must be linearizable
    Correct,
}

/// Name of the default faults of `tribunal run`.
const DEFAULT: &str = "default";

/// The plan: a matrix without results.
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
    let workload = args.workload.as_deref().map(workload).transpose()?;
    for system in &systems {
        for flaw in (system.flaws)().iter().filter(|flaw| wants(flaw)) {
            let trial = match workload {
                None => flaw.trial(system.name),
                Some(workload) if !system.answers(workload) => continue,
                Some(workload) => {
                    Flaw { workload: workload.name, change: |_| {}, ..flaw.clone() }.trial(system.name)
                }
            };
            flaws.extend(rows(&trial, Some(flaw), &nemeses));
        }
        let such = |other: &&Workload| workload.is_none_or(|workload| workload.name == other.name);
        for workload in WORKLOADS.iter().filter(such).filter(|workload| system.holds(workload)) {
            let trial = TrialSpec::new(workload.name).with(|spec| spec.system = system.name.into());
            correct.extend(rows(&trial, None, &nemeses));
        }
    }
    if let Some(bug) = args.bug.iter().find(|bug| flaws.iter().all(|row| row.bug.as_ref() != Some(bug))) {
        let names = systems.iter().flat_map(|system| (system.flaws)()).filter_map(|flaw| flaw.bug);
        let names: Vec<String> = names.collect();
        bail!("--bug: {}", unknown("bug", bug, &names.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    let (wants_flaws, wants_correct) = match args.only {
        Some(only) => (only == Only::Flaws, only == Only::Correct),
        None => (true, args.bug.is_empty()),
    };
    flaws.retain(|_| wants_flaws);
    flaws.extend(correct.into_iter().filter(|_| wants_correct));
    for row in &mut flaws {
        row.spec.time_limit = args.budget;
        row.summarise();
    }
    ensure!(!flaws.is_empty(), "nothing to run: the requested systems have no such bug or correct version");
    Ok(Matrix {
        schema_version: SCHEMA_VERSION,
        tool: tool(),
        budget_ms: args.budget.as_millis() as u64,
        seeds: args.seeds,
        rows: flaws,
    })
}

fn workload(name: &str) -> Result<&'static Workload> {
    let names = || WORKLOADS.iter().map(|workload| workload.name).collect::<Vec<_>>();
    tribunal_workloads::find(name)
        .with_context(|| format!("--workload: {}", unknown("workload", name, &names())))
}

/// The requested systems; by default all that can run on this machine.
fn systems(args: &Args, tribunal: &Path) -> Result<Vec<&'static Entry>> {
    let switches = Switches { tribunal: tribunal.to_path_buf(), ..Switches::default() };
    let mut systems = Vec::new();
    for name in &args.system {
        let Some(entry) = tribunal_systems::find(name) else {
            let names: Vec<&str> = SYSTEMS.iter().map(|entry| entry.name).collect();
            bail!("--system: {}", unknown("system", name, &names));
        };
        entry.make(&switches)?;
        systems.push(entry);
    }
    if args.system.is_empty() {
        let is_wanted = |entry: &Entry| {
            let names = |flaw: &Flaw| flaw.bug.as_ref().is_some_and(|bug| args.bug.contains(bug));
            args.bug.is_empty() || (entry.flaws)().iter().any(names)
        };
        for entry in SYSTEMS {
            match entry.make(&switches) {
                Ok(_) => systems.push(entry),
                Err(_) if !is_wanted(entry) => {}
                Err(why) => exit::eprint_line(&format!("skipped: {}: {why}", entry.name)),
            }
        }
    }
    Ok(systems)
}

/// One row per nemesis; a single row if the trial defines its own faults.
fn rows(trial: &TrialSpec, flaw: Option<&Flaw>, nemeses: &[String]) -> Vec<Row> {
    let has_own = trial.nemesis != TrialSpec::default().nemesis;
    let nemeses = if has_own { std::slice::from_ref(&trial.nemesis) } else { nemeses };
    let row = |nemesis: &String| Row {
        system: trial.system.clone(),
        bug: flaw.and_then(|flaw| flaw.bug.clone()),
        rule: flaw.map(|flaw| flaw.rule.clone()),
        workload: trial.workload.clone(),
        nemesis: nemesis.clone(),
        spec: match nemesis.as_str() {
            DEFAULT => trial.clone(),
            nemesis => trial.clone().with(|spec| spec.nemesis = nemesis.into()),
        },
        ..Row::default()
    };
    nemeses.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use tribunal_reports::matrix::words::command;

    use super::*;

    #[test]
    fn every_nemesis_is_a_row_unless_the_flaw_names_its_own() {
        let nemeses = ["default".to_string(), "kill".to_string()];
        let flaw = Flaw::seeded("stale-read", "a rule", "register");
        let rows_of = |flaw: &Flaw| {
            let rows = rows(&flaw.trial("raft"), Some(flaw), &nemeses).into_iter();
            rows.map(|row| (row.nemesis.clone(), command(&row))).collect::<Vec<_>>()
        };
        let usual = "tribunal run register --bug stale-read";
        let expected = [("default".into(), usual.into()), ("kill".into(), format!("{usual} --nemesis kill"))];
        assert_eq!(rows_of(&flaw), expected);
        let expected = [("power".into(), format!("{usual} --nemesis power --nodes 3"))];
        assert_eq!(rows_of(&flaw.with(|spec| (spec.nodes, spec.nemesis) = (3, "power".into()))), expected);
    }

    #[test]
    fn every_flaw_names_an_existing_workload() {
        for system in SYSTEMS {
            let flaws = (system.flaws)();
            for flaw in &flaws {
                assert!(
                    tribunal_workloads::find(flaw.workload).is_some(),
                    "{}: {}",
                    system.name,
                    flaw.workload
                );
            }
            let is_known = !flaws.is_empty() || WORKLOADS.iter().any(|workload| system.holds(workload));
            assert!(is_known, "{}: nothing is known of it", system.name);
        }
    }
}
