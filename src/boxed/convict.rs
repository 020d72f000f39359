//! `tribunal convict`: looks for a violation that was seen once outside, until a box shows it; that box shows it every
//! time.
//!
//! Each boot has another box seed. Most repeat the recorded faults, moved by some milliseconds: what matters is where a
//! fault falls among the operations, and inside, these come at other times. Every fourth draws the faults from the seed,
//! as the original run did.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use chacha20::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng};
use tribunal::boxed::search::Candidate;
use tribunal::{Registry, TrialError, TrialSpec};

use super::{Recorded, SearchArgs, failed, interruptible, print_report, run_here, shows, tell};
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
    match convict(args) {
        Ok(code) => code,
        Err(error) => exit::usage(error),
    }
}

fn convict(args: &Args) -> Result<ExitCode> {
    let (recorded, stop, registry) = (args.search.recorded()?, interruptible()?, Registry::built_in());
    ensure!(!recorded.is_boxed, "{}: this run was in a box: it repeats already", args.search.run.display());
    let specs = (0..args.boots).map(|nth| candidate(args, &recorded, nth)).collect::<Result<Vec<_>>>()?;
    exit::eprint_line(&format!("looking for: {}", recorded.judgement.sentence));
    let search = args.search.search(&registry, &stop, &tell);
    let outcome = search.find(specs.into_iter().map(Candidate::from), shows);
    let convicted = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return Ok(failed(error)),
    };
    let Some(found) = &convicted.found else {
        exit::print_text(&format!("not convicted: {} boots did not show it\n", convicted.boots));
        return Ok(ExitCode::from(if stop.count() > 0 { exit::INTERRUPTED } else { 2 }));
    };
    match run_here(&found.spec, &args.search.store, &stop) {
        Ok(run) if shows(&run) => {
            print_report(&run);
            let boots = convicted.boots;
            exit::print_text(&format!(
                "convicted after {boots} boots: this box shows it every time\n  replay   tribunal replay {}/failure.tribunal\n",
                run.name
            ));
            Ok(ExitCode::from(1))
        }
        Ok(run) => {
            let error = format!("the box did not repeat: {}", run.judgement.sentence);
            Ok(failed(TrialError::Harness(error)))
        }
        Err(error) => Ok(failed(error)),
    }
}

/// The trial of one boot.
fn candidate(args: &Args, recorded: &Recorded, nth: u32) -> Result<TrialSpec> {
    let spec = recorded.spec.clone().with(|spec| spec.box_seed += u64::from(nth));
    if recorded.faults.is_empty() || nth % 4 == 3 {
        return Ok(spec);
    }
    let by_ms = match nth {
        0 => 0,
        nth => ChaCha8Rng::seed_from_u64(u64::from(nth)).random_range(-MOVED_MS..=MOVED_MS),
    };
    let name = format!("{}-{by_ms}ms", recorded.name);
    let file = args.search.keep_schedule(&name, &recorded.faults.moved(by_ms))?;
    Ok(recorded.with_faults(Some(&file), &spec))
}
