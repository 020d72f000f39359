//! Tests the limits: checks hard histories of every model under several limits on memory and time, each in
//! its own process, and prints what the search and the explanation used.
//!
//! ```text
//! cargo run --release -p tribunal-checker --example limits
//! cargo run --release -p tribunal-checker --example limits -- --model queue,kv --mib 64 --seconds 0.5
//! ```
//!
//! The histories are those of `examples/grid`, with many clients, many unknown outcomes and a wrong response
//! near the end, and long ones of `tribunal_checker::small`. Memory is the peak of the process minus its
//! memory after reading the history. Time and its limit are CPU time, so other load on the machine does not
//! matter. The exit code is 1 if a limit was exceeded by more than a factor of two.

#![expect(clippy::print_stdout, reason = "this program prints a table")]

#[path = "../grid/generator.rs"]
mod generator;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};
use tribunal_checker::check::{Options, check};
use tribunal_checker::formats::{self, Format};
use tribunal_checker::generate::SplitMix64;
use tribunal_checker::history::History;
use tribunal_checker::limits::{Limits, TimeLimit};
use tribunal_checker::model::ModelKind;
use tribunal_checker::small;
use tribunal_checker::verdict::Answer;

use crate::generator::{OBJECTS, Plan, history};

/// Measure checks under limits
#[derive(Parser)]
struct Arguments {
    /// Only histories of these models.
    #[arg(long, value_delimiter = ',')]
    model: Vec<String>,
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    ops: Vec<usize>,
    #[arg(long, default_value_t = 50)]
    clients: usize,
    #[arg(long, default_value_t = 300)]
    unknown: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Memory limits, in MiB.
    #[arg(long, value_delimiter = ',', default_value = "64,2048")]
    mib: Vec<usize>,
    /// CPU time limits, in seconds.
    #[arg(long, value_delimiter = ',', default_value = "0.5,5")]
    seconds: Vec<f64>,
    /// Check one file with a model, in the child process.
    #[arg(long, num_args = 2, hide = true)]
    child: Option<Vec<String>>,
}

/// Resources that one check used.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cost {
    answer: String,
    /// CPU time of the search alone; `all` includes the explanation.
    search_ms: f64,
    all_ms: f64,
    search_mib: f64,
    all_mib: f64,
    /// Number of operations of the counterexample, and whether it is minimal.
    counterexample: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some([model, file]) = arguments.child.as_deref() {
        child(model, Path::new(file), &arguments);
    }
    let directory = std::env::temp_dir().join(format!("tribunal-limits-{}", std::process::id()));
    if let Err(error) = fs::create_dir_all(&directory) {
        eprintln!("{}: {error}", directory.display());
        return ExitCode::FAILURE;
    }
    println!(
        "| history | operations | limits | answer | search CPU ms | MiB | with explanation CPU ms | MiB | counterexample | overrun |"
    );
    println!("|---|--:|---|---|--:|--:|--:|--:|---|--:|");
    let mut overruns = 0;
    for (title, model, text) in histories(&arguments) {
        let path = directory.join("history.jsonl");
        if let Err(error) = fs::write(&path, text) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        for &mib in &arguments.mib {
            for &seconds in &arguments.seconds {
                let took = measured(&model, &path, mib, seconds);
                let overrun = (took.all_ms / 1e3 / seconds).max(took.all_mib / mib as f64);
                overruns += usize::from(overrun > 2.0);
                println!(
                    "| {title} | {mib} MiB, {seconds} s | {} | {:.1} | {:.0} | {:.1} | {:.0} | {} | {} |",
                    took.answer,
                    took.search_ms,
                    took.search_mib,
                    took.all_ms,
                    took.all_mib,
                    took.counterexample,
                    if overrun > 1.0 { format!("{overrun:.2}") } else { String::new() },
                );
            }
        }
    }
    let _ = fs::remove_dir_all(&directory);
    println!("\n{overruns} limits were exceeded by more than a factor of two.");
    if overruns == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The hard histories: title, model, text.
fn histories(arguments: &Arguments) -> impl Iterator<Item = (String, String, Vec<u8>)> {
    let &Arguments { clients, unknown, seed, .. } = arguments;
    let wanted =
        |model: &str| arguments.model.is_empty() || arguments.model.iter().any(|wanted| wanted == model);
    let shared =
        OBJECTS.into_iter().filter(move |(_, model, _)| wanted(model)).flat_map(move |(object, model, _)| {
            arguments.ops.iter().map(move |&ops| {
                let plan = Plan { object, ops, clients, unknown, wrong: Some(0.95), seed };
                (format!("{object} | {ops}"), model.to_owned(), history(&plan).into_bytes())
            })
        });
    let random = ModelKind::ALL.into_iter().filter(move |kind| wanted(kind.name())).flat_map(move |kind| {
        arguments.ops.iter().map(move |&ops| {
            let history = small::history(&mut SplitMix64::new(seed), kind, 2 * ops as u64);
            let mut text = Vec::new();
            formats::write(&mut text, &history, Format::Finished).expect("a vector takes everything");
            (format!("random {kind} | {}", history.ops.len()), kind.name().to_owned(), text)
        })
    });
    shared.chain(random)
}

fn measured(model: &str, path: &Path, mib: usize, seconds: f64) -> Cost {
    let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
    command.args(["--child", model]).arg(path);
    command.args(["--mib", &mib.to_string(), "--seconds", &seconds.to_string()]);
    let said = command.output().ok().and_then(|output| serde_json::from_slice(&output.stdout).ok());
    said.unwrap_or_else(|| Cost { answer: "crashed".into(), ..Cost::default() })
}

fn child(model: &str, file: &Path, arguments: &Arguments) -> ! {
    let kind: ModelKind = model.parse().expect("the parent names a model");
    let read = || -> History {
        let bytes = fs::read(file).expect("the history was just written");
        let reading = formats::read(&bytes[..], Some(Format::Finished), &formats::Options::default());
        reading.expect("the history was just written").history
    };
    let history = read();
    let limit = Duration::from_secs_f64(arguments.seconds[0]);
    let took = |explain: bool| {
        let (start, held) = (cpu(), held("VmRSS:"));
        let expired = || cpu() - start >= limit;
        let limits = Limits {
            memory_bytes_max: arguments.mib[0] << 20,
            time: Some(TimeLimit { label: format!("{} s", arguments.seconds[0]), expired: &expired }),
            ..Limits::default()
        };
        let options = Options { explain, threads: 1, limits, ..Options::default() };
        let verdict = check(&history, kind, &options).expect("the generator knows the model");
        ((cpu() - start).as_secs_f64() * 1e3, self::held("VmHWM:") - held, verdict)
    };
    // The search alone comes first, because its peak is the lower one.
    let (search_ms, search_mib, verdict) = took(false);
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (all_ms, all_mib, verdict) = match verdict.answer {
        Answer::Violation => took(true),
        _ => (search_ms, search_mib, verdict),
    };
    let counterexample = verdict.violation.map(|violation| {
        let all = if violation.shrink.complete { "" } else { ", not minimal" };
        format!("{}{all}", violation.minimal.len())
    });
    let answer = match verdict.answer {
        Answer::Linearizable => "legal".into(),
        Answer::Violation => "illegal".into(),
        Answer::Unknown => {
            let limits = verdict.parts.iter().filter_map(|part| part.undecided.as_ref());
            let limit = limits.map(|undecided| undecided.by.to_string()).next().unwrap_or_default();
            format!("unknown ({limit})")
        }
    };
    let took = Cost {
        answer,
        search_ms,
        all_ms,
        search_mib,
        all_mib,
        counterexample: counterexample.unwrap_or_default(),
    };
    println!("{}", serde_json::to_string(&took).expect("numbers and text are always JSON"));
    std::process::exit(0)
}

/// CPU time of all threads of this process.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask for its own usage");
    Duration::from_micros((usage.user_time() + usage.system_time()).num_microseconds() as u64)
}

/// A memory field of `/proc/self/status`, in MiB.
fn held(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
