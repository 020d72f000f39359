//! Prints the table of measurements: this checker against `porcupine-rs`, on the same histories.
//!
//! ```text
//! cargo run --release -p tribunal-checker --example bench_table -- --quick
//! cargo run --release -p tribunal-checker --example bench_table -- --object queue --ops 1000,100000 --timeout 60
//! cargo run --release -p tribunal-checker --example bench_table -- --every-combination > table.md
//! ```
//!
//! Every cell is measured in a process of its own (see `cell.rs`). Making the history is not measured, and
//! parsing it has a column of its own. An answer that is not the one by construction is marked **wrong**, and ends
//! the program with exit code 1. The ratio is of CPU times; `>` where the other checker was stopped.

#![expect(clippy::print_stdout, reason = "printing a table is what it is for")]

mod cell;
mod rival;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tribunal_checker::generate::{Object, Plan};

use crate::cell::{Caps, Engine, Measured, measure};

/// Measures this checker against porcupine-rs and prints a table.
#[derive(Parser)]
struct Options {
    /// Only these objects: register, unique-register, counter, queue, set, growing-set, mutex, log, kv.
    #[arg(long, value_delimiter = ',', value_parser = object)]
    object: Vec<Object>,
    /// Only histories of these lengths (default 1000, 10000, 100000, 1000000).
    #[arg(long, value_delimiter = ',')]
    ops: Vec<usize>,
    /// Only these numbers of clients (default 5, 10, 20, 50).
    #[arg(long, value_delimiter = ',')]
    clients: Vec<usize>,
    /// Only these numbers of indeterminate operations (default 0, 30, 300).
    #[arg(long, value_delimiter = ',')]
    indeterminate: Vec<usize>,
    /// Only these places of a stale read, as fractions, or -1 for none (default -1, 0.1, 0.5, 0.95).
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true)]
    stale: Vec<f64>,
    /// One number of operations and clients per object.
    #[arg(long)]
    quick: bool,
    /// Every combination. Without it, indeterminate operations and stale reads are tried with 10 clients only.
    #[arg(long)]
    every_combination: bool,
    /// Seconds that a check may take.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    /// MiB that a check may take.
    #[arg(long, default_value_t = 6144.0)]
    memory: f64,
    /// Which of all such histories.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Do not measure the other checker.
    #[arg(long)]
    alone: bool,
    /// Measure the other checker even where it was stopped on a shorter history of the same kind.
    #[arg(long)]
    no_skip: bool,
    /// Measures one cell of the only row left, and prints it as JSON.
    #[arg(long, hide = true)]
    cell: Option<Engine>,
}

fn object(name: &str) -> Result<Object, String> {
    Object::ALL
        .into_iter()
        .find(|object| object.name() == name)
        .ok_or_else(|| format!("no object is called {name}"))
}

fn main() -> ExitCode {
    let options = Options::parse();
    let caps = Caps { time: Duration::from_secs(options.timeout), memory_mib: options.memory };
    let plans = plans(&options);
    if let (Some(engine), [plan]) = (options.cell, &plans[..]) {
        cell::run(plan, engine, caps);
    }
    println!(
        "| object | ops | clients | unknown | stale | parse ms | answer | by | CPU ms | wall ms | peak MiB (own) | porcupine-rs | CPU ms | wall ms | peak MiB (own) | ratio |"
    );
    println!("|---|--:|--:|--:|--:|--:|---|---|--:|--:|--:|---|--:|--:|--:|--:|");
    let mut stopped: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = 0;
    for plan in &plans {
        let run = |engine: &str| measure(&arguments(plan, engine, &options));
        let parse = run("parse");
        let ours = run("tribunal");
        let kind = format!("{:?} {} {} {:?}", plan.object, plan.clients, plan.indeterminate, plan.stale_at);
        let hopeless = !options.no_skip && stopped.contains_key(&kind);
        let theirs = (!options.alone && !hopeless).then(|| run("porcupine"));
        if theirs.as_ref().is_some_and(|theirs| !theirs.has_answer()) {
            stopped.insert(kind, plan.ops);
        }
        // A history too short for a violation has none; both checkers then say so.
        let expected = if plan.stale_at.is_some() { "illegal" } else { "legal" };
        for measured in [Some(&ours), theirs.as_ref()].into_iter().flatten() {
            wrong += usize::from(measured.has_answer() && measured.answer != expected);
        }
        println!("{}", row(plan, expected, &parse, &ours, theirs.as_ref(), hopeless));
    }
    println!("\n{} rows, {wrong} wrong answers.", plans.len());
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The rows that are asked for, short histories first within each kind.
fn plans(options: &Options) -> Vec<Plan> {
    let or =
        |given: &[usize], default: &[usize]| if given.is_empty() { default.to_vec() } else { given.to_vec() };
    let objects = if options.object.is_empty() { Object::ALL.to_vec() } else { options.object.clone() };
    let ops = or(&options.ops, if options.quick { &[10_000] } else { &[1_000, 10_000, 100_000, 1_000_000] });
    let clients = or(&options.clients, if options.quick { &[10] } else { &[5, 10, 20, 50] });
    let unknown = or(&options.indeterminate, if options.quick { &[0, 30] } else { &[0, 30, 300] });
    let stale = match &options.stale[..] {
        [] if options.quick => vec![-1.0, 0.5],
        [] => vec![-1.0, 0.1, 0.5, 0.95],
        given => given.to_vec(),
    };
    let mut plans = Vec::new();
    for &object in &objects {
        for &clients in &clients {
            for &indeterminate in &unknown {
                for stale_at in
                    stale.iter().map(|&fraction| Some(fraction).filter(|fraction| *fraction >= 0.0))
                {
                    let plain = indeterminate == 0 && stale_at.is_none();
                    let asked =
                        options.every_combination || options.cell.is_some() || !options.clients.is_empty();
                    if !(plain || asked || clients == 10) {
                        continue;
                    }
                    for &ops in &ops {
                        plans.push(Plan {
                            object,
                            ops,
                            clients,
                            indeterminate,
                            stale_at,
                            seed: options.seed,
                        });
                    }
                }
            }
        }
    }
    plans
}

/// How the child is told to measure one cell.
fn arguments(plan: &Plan, engine: &str, options: &Options) -> Vec<String> {
    let fields = [
        ("--object", plan.object.name().to_owned()),
        ("--ops", plan.ops.to_string()),
        ("--clients", plan.clients.to_string()),
        ("--indeterminate", plan.indeterminate.to_string()),
        ("--stale", plan.stale_at.unwrap_or(-1.0).to_string()),
        ("--seed", plan.seed.to_string()),
        ("--timeout", options.timeout.to_string()),
        ("--memory", options.memory.to_string()),
        ("--cell", engine.to_owned()),
    ];
    fields.into_iter().map(|(flag, value)| format!("{flag}={value}")).collect()
}

fn row(
    plan: &Plan,
    expected: &str,
    parse: &Measured,
    ours: &Measured,
    theirs: Option<&Measured>,
    hopeless: bool,
) -> String {
    let answer = |measured: &Measured| match measured.has_answer() {
        true if measured.answer != expected => format!("**wrong: {}**", measured.answer),
        true => measured.answer.clone(),
        false => format!("✗ {}", measured.answer),
    };
    let cost = |measured: &Measured| {
        let Measured { cpu_ms, wall_ms, peak_mib, own_mib, .. } = measured;
        format!("{} | {} | {peak_mib:.0} ({own_mib:.0})", digits(*cpu_ms), digits(*wall_ms))
    };
    let (rival, ratio) = match theirs {
        None => (format!("{} | | | ", if hopeless { "✗ as above" } else { "" }), String::new()),
        Some(theirs) => {
            let times = theirs.cpu_ms / ours.cpu_ms.max(0.001);
            let ratio = match (ours.has_answer(), theirs.has_answer()) {
                (true, true) => format!("{}×", digits(times)),
                (true, false) => format!("> {}×", digits(times)),
                (false, _) => "✗".to_owned(),
            };
            (format!("{} | {}", answer(theirs), cost(theirs)), ratio)
        }
    };
    let stale = plan.stale_at.map(|fraction| fraction.to_string()).unwrap_or_default();
    format!(
        "| {} | {} | {} | {} | {stale} | {} | {} | {} | {} | {rival} | {ratio} |",
        plan.object.name(),
        plan.ops,
        plan.clients,
        plan.indeterminate,
        digits(parse.wall_ms),
        answer(ours),
        ours.engine,
        cost(ours),
    )
}

/// As many digits as mean something.
fn digits(number: f64) -> String {
    match number {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 1.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}
