//! `tribunal branch`: from a moment before a violation, the run is continued many ways. How many of them show a violation
//! says when it was decided.
//!
//! The box is paused at the moment, once, and each way is continued from that snapshot with another seed: of the entropy,
//! and of the timing. What came before is the recorded run, to the bit.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;
use tribunal::Registry;
use tribunal::boxed::search::{Booted, Candidate, Search};
use tribunal_records::boxed::Branch;
use tribunal_records::quantity::{duration_text, parse_duration};
use tribunal_reports::judgement::RunOutcome;
use tribunal_reports::wording::counted;

use super::{AFTERWARDS, SearchArgs, ended, interruptible};
use crate::doctor::not_started;
use crate::exit;

/// `tribunal branch`
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    search: SearchArgs,

    /// How long before the violation the ways part; several, separated by commas, tell when it was decided
    #[arg(long, value_name = "TIMES", default_value = "1s", value_delimiter = ',', value_parser = parse_duration)]
    before: Vec<Duration>,

    /// Number of ways from each moment
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    ways: u32,
}

/// What came of the ways from one moment.
#[derive(Debug, Default, Serialize)]
struct Ways {
    /// The moment, in the run's time.
    #[serde(serialize_with = "as_text")]
    at: Duration,
    /// How long before the violation that is.
    #[serde(serialize_with = "as_text")]
    before: Duration,
    /// The number of ways that were judged.
    judged: usize,
    /// The number of those that show a violation, by its class.
    violations: BTreeMap<String, usize>,
    /// The number of ways whose outcome is unknown.
    unknown: usize,
    /// A way that shows a violation.
    example: Option<Branch>,
}

fn as_text<S: serde::Serializer>(time: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&humantime::format_duration(*time))
}

/// Exits with 1 if a way shows a violation, and with 2 if none does.
pub(crate) fn run(args: &Args) -> ExitCode {
    ended(branch(args))
}

fn branch(args: &Args) -> Result<ExitCode> {
    let (recorded, stop, registry) = (args.search.recorded()?, interruptible()?, Registry::built_in());
    let shown = args.search.run.display();
    ensure!(recorded.is_boxed, "{shown}: only a run in a box can be branched: tribunal convict {shown}");
    let last = recorded.last.ok_or_else(|| anyhow!("{shown}: its violation has no moment"))?;
    let last = Duration::from_millis(last / 1_000_000);
    let moments = args.before.iter().map(|before| {
        let at = last.checked_sub(*before).filter(|at| !at.is_zero());
        let at =
            at.ok_or_else(|| anyhow!("--before {}: the violation is at {last:?}", duration_text(*before)));
        Ok((*before, at?))
    });
    let moments: Vec<(Duration, Duration)> = moments.collect::<Result<_>>()?;
    exit::eprint_line(&format!("branching: {}", recorded.judgement.sentence));

    let mut all = Vec::new();
    for (before, at) in moments {
        let ways = Mutex::new(Ways { at, before, ..Ways::default() });
        let told = |booted: &Booted<'_>| {
            say(booted);
            count(&mut ways.lock().unwrap_or_else(std::sync::PoisonError::into_inner), booted);
        };
        let search: Search<'_> = args.search.search(&registry, &stop, &told);
        let candidates = (1..=u64::from(args.ways)).map(|seed| {
            let branch = Branch { at, seed, end: last + AFTERWARDS };
            Candidate::from(recorded.spec.clone().with(|spec| spec.box_branch = Some(branch)))
        });
        let searched = search.find(candidates, |_| false);
        if stop.count() > 0 {
            return Ok(ExitCode::from(exit::INTERRUPTED));
        }
        if let Err(error) = searched {
            return Ok(not_started(error));
        }
        let ways = ways.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        exit::print_text(&format!("{}\n", said(&ways)));
        all.push(ways);
    }
    let file = args.search.run.join("branches.json");
    let text = serde_json::to_string_pretty(&all).expect("it is plain data");
    std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    let example = all.iter().find_map(|ways| ways.example);
    if let Some(example) = example {
        let spec = args.search.run.join("run.json");
        exit::print_text(&format!(
            "one of them: tribunal run --spec {} --box-branch {example}\n",
            spec.display()
        ));
    }
    Ok(ExitCode::from(if example.is_some() { 1 } else { 2 }))
}

fn say(booted: &Booted<'_>) {
    let judgement = &booted.run.judgement;
    let (mark, what) = match judgement.class() {
        Some(class) => ("✗", class),
        None => ("–", judgement.outcome.name()),
    };
    let seed = booted.candidate.spec.box_branch.map_or(0, |branch| branch.seed);
    exit::eprint_line(&format!("{mark} way {seed}: {what}, {} operations", judgement.stats.tally.all()));
}

fn count(ways: &mut Ways, booted: &Booted<'_>) {
    let judgement = &booted.run.judgement;
    match judgement.outcome {
        RunOutcome::Unknown | RunOutcome::HarnessFailure => ways.unknown += 1,
        RunOutcome::Violation => {
            ways.judged += 1;
            *ways.violations.entry(judgement.class().unwrap_or("violation").to_owned()).or_default() += 1;
            ways.example = ways.example.or(booted.candidate.spec.box_branch);
        }
        RunOutcome::Linearizable | RunOutcome::Convergent | RunOutcome::TooSlow => ways.judged += 1,
    }
}

/// `1 s before, from 6.2 s: 37 of 100 ways show a violation (30 stale-read, 7 lost-write)`
fn said(ways: &Ways) -> String {
    let Ways { at, before, judged, violations, unknown, .. } = ways;
    let shown: usize = violations.values().sum();
    let classes: Vec<String> = violations.iter().map(|(class, count)| format!("{count} {class}")).collect();
    let (before, at) = (humantime::format_duration(*before), at.as_secs_f64());
    let mut text =
        format!("{before} before, from {at:.3} s: {shown} of {} show a violation", counted(*judged, "way"));
    if !classes.is_empty() {
        text += &format!(" ({})", classes.join(", "));
    }
    if *unknown > 0 {
        text += &format!("; {unknown} unknown");
    }
    text
}
