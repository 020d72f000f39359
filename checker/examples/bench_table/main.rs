//! Prints the table of benchmarks: this checker and `porcupine-rs`, on the same histories.
//!
//! ```text
//! cargo run --release -p tribunal-checker --example bench_table -- --quick
//! cargo run --release -p tribunal-checker --example bench_table -- --object queue --ops 1000,100000 --timeout 60
//! cargo run --release -p tribunal-checker --example bench_table -- --every-combination > table.md
//! ```
//!
//! Every cell is measured in its own process (see `cell.rs`). Generating the history is not measured, and
//! parsing it has its own column. The right answer is known by construction; a different one is marked
//! **wrong**, and the exit code is 1. The ratio is that of the CPU times; `>` if the rival checker was
//! stopped.

#![expect(clippy::print_stdout, reason = "this program prints a table")]

mod cell;
mod recorded;
mod rival;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tribunal_checker::generate::{Object, Plan, generate};

use crate::cell::{Caps, Engine, Item, Measured, measure};

/// Benchmark this checker and porcupine-rs, and print a table
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
    /// Only these positions of a stale read, as fractions, or -1 for none (default -1, 0.1, 0.5, 0.95).
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true)]
    stale: Vec<f64>,
    /// Only one number of operations and of clients per object.
    #[arg(long)]
    quick: bool,
    /// Measure all combinations. By default indeterminate operations and stale reads come with 10 clients
    /// only.
    #[arg(long)]
    every_combination: bool,
    /// CPU time limit of a check, in seconds.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    /// Memory limit of a check, in MiB.
    #[arg(long, default_value_t = 6144.0)]
    memory: f64,
    /// Seed of the histories.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measure recorded histories instead of generated ones: all folders, or only this one.
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    recorded: Option<String>,
    /// Do not measure the rival checker.
    #[arg(long)]
    alone: bool,
    /// Measure the rival checker even if it was stopped on a shorter history of the same kind.
    #[arg(long)]
    no_skip: bool,
    /// Measure one cell of the only selected row, and print it as JSON.
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
    let rows = match &options.recorded {
        Some(folder) => match recorded_rows(folder) {
            Ok(rows) => rows,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        },
        None => plans(&options).into_iter().map(Row::generated).collect(),
    };
    if let (Some(engine), [row]) = (options.cell, &rows[..]) {
        cell::run(&row.items(), engine, caps);
    }
    print_table(&rows, &options)
}

/// Measures every row and prints it as soon as it is complete.
fn print_table(rows: &[Row], options: &Options) -> ExitCode {
    println!("{HEAD}");
    let mut stopped: BTreeSet<String> = BTreeSet::new();
    let mut wrong = 0;
    for row in rows {
        let run = |engine: &str| {
            let limits = [format!("--timeout={}", options.timeout), format!("--memory={}", options.memory)];
            let cell = format!("--cell={engine}");
            measure(&[&row.arguments[..], &limits[..], &[cell]].concat())
        };
        let parse = run("parse");
        let ours = run("tribunal");
        let skipped = !options.no_skip && stopped.contains(&row.kind);
        let theirs = (!options.alone && !skipped).then(|| run("porcupine"));
        if theirs.as_ref().is_some_and(|theirs| !theirs.has_answer()) {
            stopped.insert(row.kind.clone());
        }
        for measured in [Some(&ours), theirs.as_ref()].into_iter().flatten() {
            wrong += usize::from(measured.is_wrong());
        }
        println!("{}", row.render(&parse, &ours, theirs.as_ref(), skipped));
    }
    println!("\n{} rows, {wrong} wrong answers.", rows.len());
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const HEAD: &str = "\
| history | ops | clients | unknown | stale | parse ms | answer | by | CPU ms | wall ms | peak MiB (own) | porcupine-rs \
| CPU ms | wall ms | peak MiB (own) | ratio |
|---|--:|--:|--:|--:|--:|---|---|--:|--:|--:|---|--:|--:|--:|--:|";

/// The histories of one row.
struct Row {
    /// The first five columns.
    title: String,
    /// Equal for rows that differ only in the number of operations.
    kind: String,
    /// Arguments that select these histories in the child process.
    arguments: Vec<String>,
    source: Source,
}

enum Source {
    Generated(Plan),
    Recorded(String),
}

impl Row {
    fn generated(plan: Plan) -> Row {
        let stale = plan.stale_at.map(|fraction| fraction.to_string());
        let numbers = [plan.ops, plan.clients, plan.indeterminate].map(|number| number.to_string());
        let fields = [
            ("--object", plan.object.name().to_owned()),
            ("--ops", numbers[0].clone()),
            ("--clients", numbers[1].clone()),
            ("--indeterminate", numbers[2].clone()),
            ("--stale", stale.clone().unwrap_or("-1".to_owned())),
            ("--seed", plan.seed.to_string()),
        ];
        Row {
            title: format!(
                "{} | {} | {}",
                plan.object.name(),
                numbers.join(" | "),
                stale.unwrap_or_default()
            ),
            kind: format!("{:?} {} {} {:?}", plan.object, plan.clients, plan.indeterminate, plan.stale_at),
            arguments: fields.into_iter().map(|(flag, value)| format!("{flag}={value}")).collect(),
            source: Source::Generated(plan),
        }
    }

    /// The histories. Called only in the child process, so that the parent's memory stays small.
    fn items(&self) -> Vec<Item> {
        match &self.source {
            Source::Generated(plan) => {
                let made = generate(plan);
                vec![Item { history: made.history, object: plan.object, legal: made.linearizable }]
            }
            Source::Recorded(folder) => {
                recorded::folders().ok().and_then(|mut folders| folders.remove(folder)).unwrap_or_default()
            }
        }
    }

    fn render(&self, parse: &Measured, ours: &Measured, theirs: Option<&Measured>, skipped: bool) -> String {
        let answer = |measured: &Measured| match measured.has_answer() {
            true if measured.is_wrong() => format!("**wrong: {}**", measured.answer),
            true => measured.answer.clone(),
            false => format!("✗ {}", measured.answer),
        };
        let cost = |measured: &Measured| {
            let Measured { cpu_ms, wall_ms, peak_mib, own_mib, .. } = measured;
            format!("{} | {} | {peak_mib:.0} ({own_mib:.0})", digits(*cpu_ms), digits(*wall_ms))
        };
        let (rival, ratio) = match theirs {
            None => (format!("{} | | | ", if skipped { "✗ as above" } else { "" }), String::new()),
            Some(theirs) => {
                let times = digits(theirs.cpu_ms / ours.cpu_ms.max(0.001));
                let ratio = match (ours.has_answer(), theirs.has_answer()) {
                    (true, true) => format!("{times}×"),
                    (true, false) => format!("> {times}×"),
                    (false, _) => "✗".to_owned(),
                };
                (format!("{} | {}", answer(theirs), cost(theirs)), ratio)
            }
        };
        let (title, parse, by) = (&self.title, digits(parse.wall_ms), &ours.engine);
        format!("| {title} | {parse} | {} | {by} | {} | {rival} | {ratio} |", answer(ours), cost(ours))
    }
}

/// One row for each folder of recorded histories, or only for one folder.
fn recorded_rows(only: &str) -> Result<Vec<Row>, String> {
    let folders = recorded::folders()?.into_iter().filter(|(folder, _)| only.is_empty() || only == folder);
    let row = |(folder, items): (String, Vec<Item>)| {
        let ops: usize = items.iter().map(|item| item.history.ops.len()).sum();
        let unknown = items.iter().flat_map(|item| &item.history.ops).filter(|op| op.is_info()).count();
        Row {
            title: format!("{folder}: {} files | {ops} | | {unknown} | ", items.len()),
            kind: folder.clone(),
            arguments: vec![format!("--recorded={folder}")],
            source: Source::Recorded(folder),
        }
    };
    Ok(folders.map(row).collect())
}

/// The selected rows, short histories first within each kind.
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
                    let selected =
                        options.every_combination || options.cell.is_some() || !options.clients.is_empty();
                    if !(plain || selected || clients == 10) {
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

/// Formats a number with the significant digits only.
fn digits(number: f64) -> String {
    match number {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 1.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}
