//! Compares partitions made by proxies with partitions made by the kernel's packet filter.
//!
//! ```text
//! cargo build --release && cargo run --release --example proxy_and_iptables -- [--system NAME] [--seeds N] [--time-limit TIME] [--store DIR] [ARGS]
//! ```
//!
//! Runs `tribunal run register --nemesis partition` with the same seeds, and thus the same plans, in every
//! mode of `--net`, and prints a table. Further arguments are passed to every run. docs/proxy-and-iptables.md
//! explains the columns.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Parser;
use tribunal_checker::op::{Nanos, Op};
use tribunal_reports::faults::Fault;
use tribunal_reports::run_dir::RunDir;

#[derive(Parser)]
struct Args {
    #[arg(long, default_value = "raft")]
    system: String,
    /// How many seeds, from 1
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    #[arg(long, default_value = "20s")]
    time_limit: String,
    /// Where runs are kept; those of the same system, mode and seed are not done again [default: a temporary directory]
    #[arg(long)]
    store: Option<PathBuf>,
    /// Handed to every run as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    further: Vec<String>,
}

const MODES: [&str; 3] = ["proxy", "transparent", "netns"];

/// Length of the slices of time for which availability is computed.
const SLICE: Nanos = 100_000_000;

/// Measurements of one run.
struct Row {
    verdict: String,
    ok: usize,
    cuts: usize,
    bit: usize,
    /// Share of slices within partitions in which some operation succeeded, and mean share of nodes on which
    /// one succeeded.
    available: f64,
    available_nodes: f64,
    /// For each heal: time until an operation invoked after it had succeeded on every node.
    recoveries: Vec<Nanos>,
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn main() -> Result<()> {
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let store = args.store.as_deref().unwrap_or(temporary.path());
    println!(
        "| seed | --net | verdict | ok operations | partitions, effective | some node answers | nodes that answer | recovery median | worst |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut sums: Vec<Vec<Row>> = MODES.iter().map(|_| Vec::new()).collect();
    for seed in 1..=args.seeds {
        for (mode, sum) in MODES.iter().zip(&mut sums) {
            let row = run(&args, store, mode, seed)?;
            println!("| {seed} | {mode} | {}", line(&[&row]));
            sum.push(row);
        }
    }
    for (mode, rows) in MODES.iter().zip(&sums) {
        println!("| **all** | **{mode}** | {}", line(&rows.iter().collect::<Vec<_>>()));
    }
    Ok(())
}

/// Runs one trial and measures it.
fn run(args: &Args, store: &Path, mode: &str, seed: u64) -> Result<Row> {
    // target/release/examples/proxy_and_iptables
    let own = std::env::current_exe()?;
    let tribunal = own.ancestors().nth(2).context("an example lies in examples/")?.join("tribunal");
    let store = store.join(format!("{}-{mode}-{seed}", args.system));
    if !store.exists() {
        let mut command = Command::new(&tribunal);
        command.args(["run", "register", "--nemesis", "partition", "--quiet", "--progress", "none"]);
        command.args(["--system", &args.system, "--net", mode, "--seed", &seed.to_string()]);
        command.args(["--time-limit", &args.time_limit]).args(&args.further).arg("--store").arg(&store);
        let status = command.stdout(Stdio::null()).status();
        status.with_context(|| format!("cannot run {}", tribunal.display()))?;
    }
    let run = RunDir::load(&run_directory(&store)?)?;
    let faults: Vec<&Fault> = run.evidence.faults.iter().filter(|fault| fault.was_in_force()).collect();
    let ops = &run.evidence.history.ops;
    let nodes: Vec<&str> = run.evidence.info.nodes.iter().map(|node| node.name.as_str()).collect();
    let (available, available_nodes) = availability(ops, &faults, nodes.len());
    Ok(Row {
        verdict: run.judgement.outcome.name().into(),
        ok: ops.iter().filter(|op| op.is_ok()).count(),
        cuts: faults.len(),
        bit: faults.iter().filter(|fault| fault.effective == Some(true)).count(),
        available,
        available_nodes,
        recoveries: faults
            .iter()
            .filter_map(|fault| fault.healed_ns)
            .filter_map(|healed| recovery(ops, healed, &nodes))
            .collect(),
    })
}

fn run_directory(store: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(store.join("register"))?.filter_map(|entry| entry.ok());
    let mut runs = entries.map(|entry| entry.path()).filter(|path| !path.is_symlink());
    runs.next().context("the run left no directory")
}

/// Share of slices within partitions in which some operation succeeded, and mean share of nodes on which one
/// succeeded.
fn availability(ops: &[Op], faults: &[&Fault], nodes: usize) -> (f64, f64) {
    let (mut slices, mut some, mut at_nodes) = (0, 0, 0);
    for fault in faults {
        let mut from = fault.applied_ns;
        while from + SLICE <= fault.end_or(0) {
            let within =
                |op: &&Op| op.is_ok() && op.completed.is_some_and(|t| (from..from + SLICE).contains(&t));
            let mut answering: Vec<_> =
                ops.iter().filter(within).filter_map(|op| op.node.as_deref()).collect();
            answering.sort_unstable();
            answering.dedup();
            slices += 1;
            some += usize::from(!answering.is_empty());
            at_nodes += answering.len();
            from += SLICE;
        }
    }
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    (share(some, slices), share(at_nodes, slices * nodes))
}

/// Time from a heal until an operation invoked after it had succeeded on every node; `None` if that did not
/// happen.
fn recovery(ops: &[Op], healed: Nanos, nodes: &[&str]) -> Option<Nanos> {
    let first_at = |node: &&str| {
        let after =
            ops.iter().filter(|op| op.call >= healed && op.is_ok() && op.node.as_deref() == Some(*node));
        after.filter_map(|op| op.completed).min()
    };
    let firsts: Option<Vec<Nanos>> = nodes.iter().map(first_at).collect();
    firsts?.into_iter().max().map(|last| last - healed)
}

/// One line of the table: sums, means, and the median and maximum of all recovery times.
fn line(rows: &[&Row]) -> String {
    let count = rows.len();
    let mean = |of: fn(&Row) -> f64| rows.iter().map(|row| of(row)).sum::<f64>() / count as f64 * 100.0;
    let mut recoveries: Vec<Nanos> = rows.iter().flat_map(|row| &row.recoveries).copied().collect();
    recoveries.sort_unstable();
    let ms = |nanos: Option<&Nanos>| nanos.map_or("-".into(), |nanos| format!("{} ms", nanos / 1_000_000));
    let mut verdicts: Vec<&str> = rows.iter().map(|row| row.verdict.as_str()).collect();
    verdicts.sort_unstable();
    verdicts.dedup();
    format!(
        "{} | {} | {}, {} | {:.0} % | {:.0} % | {} | {} |",
        verdicts.join(", "),
        rows.iter().map(|row| row.ok).sum::<usize>(),
        rows.iter().map(|row| row.cuts).sum::<usize>(),
        rows.iter().map(|row| row.bit).sum::<usize>(),
        mean(|row| row.available),
        mean(|row| row.available_nodes),
        ms(recoveries.get(recoveries.len() / 2)),
        ms(recoveries.last()),
    )
}
