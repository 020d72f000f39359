//! Prints the classes of violations and the sizes of their counterexamples, one row for each model.
//!
//! `cargo run --release -p tribunal-checker --example classes -- VIOLATIONS SEED [MODEL]`
//!
//! *Small* histories are random, with at most ten operations and many errors. *Long* histories have 1,000
//! operations of ten clients, 10 of them unknown, and one stale response at a random place. With MODEL, the
//! violations of that model without a class are printed.
#![allow(clippy::print_stdout, reason = "this is a program")]

#[path = "../grid/generator.rs"]
mod generator;

use std::collections::BTreeMap;

use generator::{OBJECTS, Plan, history};
use tribunal_checker::check::{Options, check};
use tribunal_checker::formats::{self, Format};
use tribunal_checker::generate::SplitMix64;
use tribunal_checker::history::History;
use tribunal_checker::limits::Limits;
use tribunal_checker::model::ModelKind;
use tribunal_checker::op::Outcome;
use tribunal_checker::small;
use tribunal_checker::verdict::Violation;

/// Maximum number of histories that are generated to get one violation.
const TRIES_MAX: usize = 10;

#[derive(Default)]
struct Row {
    sizes: Vec<usize>,
    classes: BTreeMap<String, usize>,
    unfinished: usize,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |otherwise| {
        args.next().and_then(|text| text.replace('_', "").parse::<u64>().ok()).unwrap_or(otherwise)
    };
    let (count, seed) = (number(200) as usize, number(1));
    let shown: Option<ModelKind> = args.next().and_then(|name| name.parse().ok());
    println!("| history | violations | no class | operations: median, 90 %, most | not minimal | classes |");
    println!("|---|--:|--:|--:|--:|---|");
    for kind in ModelKind::ALL.into_iter().filter(|kind| shown.is_none_or(|shown| *kind == shown)) {
        let mut rng = SplitMix64::new(seed);
        let small = || small::history(&mut rng, kind, 10);
        print(&format!("{kind}, small"), &row(count, kind, small, shown.is_some()));
    }
    for (object, model, _) in OBJECTS {
        let Ok(kind) = model.parse::<ModelKind>() else { continue };
        if shown.is_some_and(|shown| shown != kind) {
            continue;
        }
        let mut rng = SplitMix64::new(seed);
        let long = || {
            let wrong = Some(rng.below(1000) as f64 / 1000.0);
            let plan = Plan { object, ops: 1_000, clients: 10, unknown: 10, wrong, seed: rng.next_u64() };
            let text = history(&plan);
            let reading =
                formats::read(text.as_bytes(), Some(Format::Finished), &formats::Options::default());
            reading.expect("a generated history is well-formed").history
        };
        print(&format!("{object}, long"), &row(count, kind, long, shown.is_some()));
    }
}

/// Explains `count` violations.
fn row(count: usize, kind: ModelKind, mut generate: impl FnMut() -> History, show: bool) -> Row {
    let limits = Limits { states_max: 100_000, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let mut row = Row::default();
    for _ in 0..count * TRIES_MAX {
        if row.sizes.len() == count {
            break;
        }
        let history = generate();
        let verdict = check(&history, kind, &options).expect("the operations fit the model");
        let Some(violation) = verdict.violation else { continue };
        if show && violation.class == "no-order" {
            print_violation(&history, &violation);
        }
        row.sizes.push(violation.minimal.len());
        row.unfinished += usize::from(!violation.shrink.complete);
        *row.classes.entry(violation.class).or_default() += 1;
    }
    row
}

fn print_violation(history: &History, violation: &Violation) {
    println!("{}", violation.sentence);
    for &id in &violation.minimal {
        let op = &history.ops[id];
        let end = match op.outcome {
            Outcome::Ok(_) => op.completed.unwrap_or_default().to_string(),
            _ => String::new(),
        };
        println!("    process {} {op} @ {}..{end}", op.process, op.call);
    }
}

fn print(name: &str, row: &Row) {
    let Row { sizes, classes, unfinished } = row;
    let mut sizes = sizes.clone();
    sizes.sort_unstable();
    let at = |share: usize| {
        sizes.get((sizes.len() * share / 100).min(sizes.len().saturating_sub(1))).unwrap_or(&0)
    };
    let mut by_count: Vec<(&String, &usize)> = classes.iter().collect();
    by_count.sort_by_key(|&(class, count)| (std::cmp::Reverse(*count), class));
    let listed: Vec<String> = by_count.iter().map(|(class, count)| format!("{class} {count}")).collect();
    println!(
        "| {name} | {} | {} | {}, {}, {} | {unfinished} | {} |",
        sizes.len(),
        classes.get("no-order").unwrap_or(&0),
        at(50),
        at(90),
        at(100),
        listed.join(", ")
    );
}
