//! Checks many small random histories with every engine, and compares the verdicts.
//!
//! `cargo run --release -p tribunal-checker --example soak -- MODEL|all COUNT SEED`
//!
//! The reference is the plain depth-first search. Every hundredth history, if it is short enough, is also
//! checked by the definition of linearizability. Every certificate is replayed. A mismatch is printed and
//! ends the run.
#![allow(clippy::print_stdout, reason = "this is a program")]

use std::process::ExitCode;

use tribunal_checker::check::{Engine, Options, check};
use tribunal_checker::generate::SplitMix64;
use tribunal_checker::history::History;
use tribunal_checker::model::ModelKind;
use tribunal_checker::small;
use tribunal_checker::verdict::Answer;
use tribunal_checker::verify::verify;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let model = args.next().unwrap_or_else(|| "all".into());
    let count: u64 = args.next().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let seed: u64 = args.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let kinds: Vec<ModelKind> =
        ModelKind::ALL.into_iter().filter(|kind| model == "all" || model == kind.name()).collect();
    for kind in kinds {
        match soak(kind, count, seed) {
            Ok(violations) => {
                println!("{kind}: {count} histories from seed {seed}, {violations} violations, 0 mismatches")
            }
            Err(mismatch) => {
                println!("{kind}: MISMATCH\n{mismatch}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Number of violations among the histories.
///
/// # Errors
/// The first history on which the engines disagree.
fn soak(kind: ModelKind, count: u64, seed: u64) -> Result<u64, String> {
    let mut rng = SplitMix64::new(seed);
    let mut violations = 0;
    for round in 0..count {
        let history = small::history(&mut rng, kind, 4 + round % 9);
        let answer = |engine: Engine| {
            let options = Options { engine, certify: true, explain: false, threads: 1, ..Options::default() };
            check(&history, kind, &options).expect("the menu of a model fits it").answer
        };
        let engines = [Engine::DepthFirst, Engine::Frontier, Engine::Search, Engine::Auto];
        let mut answers = engines.map(answer).to_vec();
        if round % 100 == 0 && history.ops.len() <= 8 {
            let truth = small::by_definition(kind, &history.ops);
            answers.push(if truth { Answer::Linearizable } else { Answer::Violation });
        }
        if History::from_ops(history.ops.iter().cloned()).is_ok() {
            let options = Options { certify: true, all_parts: true, threads: 1, ..Options::default() };
            let verdict = check(&history, kind, &options).expect("the menu of a model fits it");
            let shown = verify(&history, kind, &verdict, 1 << 20);
            shown.map_err(|why| format!("round {round}: the second judge: {why}\n{:?}", history.ops))?;
        }
        if answers.iter().any(|answer| *answer != answers[0]) {
            let ops: Vec<String> = history.ops.iter().map(|op| format!("{op:?}")).collect();
            return Err(format!("round {round}: {answers:?}\n{}", ops.join("\n")));
        }
        violations += u64::from(answers[0] == Answer::Violation);
    }
    Ok(violations)
}
