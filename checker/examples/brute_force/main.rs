//! Compares the offline and the online check with the definition of linearizability, on many small histories.
//!
//! `cargo run --release -p tribunal-checker --example brute_force -- COUNT SEED [MODEL|all]`
//!
//! COUNT is the number of histories, spread evenly over the models. The first mismatch is printed as JSON
//! lines and ends the run.
#![allow(clippy::print_stdout, reason = "this is a program")]

mod definition;

use std::process::ExitCode;

use definition::{Tally, compare};
use tribunal_checker::generate::SplitMix64;
use tribunal_checker::model::ModelKind;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().and_then(|text| text.replace('_', "").parse().ok()).unwrap_or(100_000);
    let seed: u64 = args.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let model = args.next().unwrap_or_else(|| "all".into());
    let kinds: Vec<ModelKind> =
        ModelKind::ALL.into_iter().filter(|kind| model == "all" || model == kind.name()).collect();
    for &kind in &kinds {
        let mut rng = SplitMix64::new(seed);
        let mut tally = Tally::default();
        for round in 0..count.div_ceil(kinds.len() as u64) {
            match compare(&mut rng, kind) {
                Ok(more) => tally.add(more),
                Err(mismatch) => {
                    println!("history {round} of seed {seed}: MISMATCH: {mismatch}");
                    return ExitCode::FAILURE;
                }
            }
        }
        let Tally { keys, violations, tied } = tally;
        println!("{kind}: {keys} keys, {violations} violations, {tied} with ties in a process, 0 mismatches");
    }
    ExitCode::SUCCESS
}
