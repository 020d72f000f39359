//! `tribunal convict`: looks for a violation that was seen once outside, until a box shows it; that box shows it every
//! time.
//!
//! Each boot has another box seed. Most repeat the recorded faults, moved by some milliseconds: what matters is where a
//! fault falls among the operations, and inside, these come at other times. Every fourth draws the faults from the seed,
//! as the original run did.

use std::process::ExitCode;

use anyhow::{Result, anyhow, ensure};
use chacha20::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng};
use tribunal::Registry;
use tribunal::boxed::search::Candidate;
use tribunal_reports::wording::counted;

use super::{Recorded, SearchArgs, ended, interruptible, print_report, shows, tell};
use crate::doctor::not_started;
use crate::exit;

/// `tribunal convict`
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    search: SearchArgs,

    /// Maximum number of boots
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    boots: u32,
}

/// How far the recorded faults are moved, at most, in milliseconds.
const MOVED_MS: i64 = 300;

/// Exits with 1 if a box shows the violation, and with 2 if none did.
pub(crate) fn run(args: &Args) -> ExitCode {
    ended(convict(args))
}

fn convict(args: &Args) -> Result<ExitCode> {
    let (recorded, stop, registry) = (args.search.recorded()?, interruptible()?, Registry::built_in());
    ensure!(!recorded.is_boxed, "{}: this run was in a box: it repeats already", args.search.run.display());
    exit::eprint_line(&format!("looking for: {}", recorded.judgement.sentence));
    let search = args.search.search(&registry, &stop, &tell);
    let outcome = match search.find((0..args.boots).map(|nth| candidate(&recorded, nth)), shows) {
        Ok(outcome) => outcome,
        Err(error) => return Ok(not_started(error)),
    };
    let Some((found, sentence)) = &outcome.found else {
        exit::print_text(&format!("not convicted: {} did not show it\n", counted(outcome.boots, "boot")));
        return Ok(ExitCode::from(if stop.count() > 0 { exit::INTERRUPTED } else { 2 }));
    };
    let run = match args.search.run(found, &stop) {
        Ok(run) => run,
        Err(error) => return Ok(not_started(error)),
    };
    if run.judgement.sentence != *sentence {
        let why = anyhow!("the box did not repeat: first {sentence}, then {}", run.judgement.sentence);
        return Ok(exit::harness(why));
    }
    print_report(&run);
    if run.judgement.class() != recorded.judgement.class() {
        exit::print_text(&format!("recorded was: {}\n", recorded.judgement.sentence));
    }
    exit::print_text(&format!(
        "convicted after {}: booted again, this box shows the same\n  replay   tribunal replay {}/failure.tribunal\n",
        counted(outcome.boots, "boot"),
        run.name
    ));
    Ok(ExitCode::from(1))
}

/// The trial of one boot.
fn candidate(recorded: &Recorded, nth: u32) -> Candidate {
    let spec = recorded.spec.clone().with(|spec| spec.box_seed += u64::from(nth));
    if recorded.faults.is_empty() || nth % 4 == 3 {
        return spec.into();
    }
    let by_ms = match nth {
        0 => 0,
        nth => ChaCha8Rng::seed_from_u64(u64::from(nth)).random_range(-MOVED_MS..=MOVED_MS),
    };
    Candidate { faults: Some(recorded.faults.moved(by_ms)), ..spec.into() }
}
