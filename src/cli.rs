//! The command line: types and their help, nothing else.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tribunal_checker::model::ModelKind;
use tribunal_nodes::NodeCommand;

/// What every verb exits with.
const EXIT_CODES: &str = "\
Exit codes:
  0    linearizable (or convergent), and every requested fault was covered
  1    violation found (wins over everything else)
  2    unknown: a limit was reached, nothing or less than asked for succeeded, or a fault never bit
  3    harness failure: the trial itself broke
  64   bad arguments or malformed input
  130  interrupted; what exists was saved and checked (1 if it proves a violation)";

const RUN_EXAMPLES: &str = "\
Examples:
  tribunal run register                                  five nodes, every fault, 30 seconds
  tribunal run counter --nemesis kill --time-limit 1m    only kills, for a minute
  tribunal run register --bug stale-read --seed 7        a Raft with a classic mistake in it
  tribunal run register --system etcd --nodes 3          a real etcd, if it is installed
  tribunal run register --nodes 3 --nemesis none --rate 500
  tribunal run register --repeat 20 --availability 0.9   twenty runs, each of which must answer nine of ten
  tribunal run register --junit out/register.xml -q      for CI: the verdict, and JUnit's XML
  tribunal run --config nightly.toml --time-limit 5m     flags from a file; those on the command line win
  tribunal run register --schedule store/latest/faults.jsonl    the same faults at the same times";

const CHECK_EXAMPLES: &str = "\
Examples:
  tribunal check store/latest                                the last run, from what is on disk
  tribunal check --model cas-register history.edn *.log      many at once; the format is recognised
  tribunal check --model queue --report out history.jsonl    with report.html and the rest in out/
  tribunal check --model register store/etcd/latest          a Jepsen store directory, compared with its results.edn
  tribunal check --model kv --merge client-*.jsonl           one file per client; --map and --time-unit: docs/histories.md
  tribunal check --model cas-register --junit out.xml *.log  for CI: a test suite per history
  some-test | tribunal check --model counter -               from standard input";

const VERIFY_EXAMPLES: &str = "\
Examples:
  tribunal verify store/latest       replays each linearization, or tries every order of the counterexample

Exit codes:
  0    the verdict is shown by what it carries, be it good or bad
  1    it is not: verdict.json or history.jsonl was changed, or a judge is wrong
  2    it claims nothing, or carries nothing to show it by
  64   bad arguments, or no run directory";

const LIST_EXAMPLES: &str = "\
Examples:
  tribunal list models
  tribunal list runs --format json | jq -r 'select(.outcome == \"violation\") | .path'";

const SERVE_EXAMPLES: &str = "\
Examples:
  tribunal serve                                      the runs in ./store, at http://127.0.0.1:7400/
  ssh -L 7400:127.0.0.1:7400 build tribunal serve     those of another machine";

const MATRIX_EXAMPLES: &str = "\
Examples:
  tribunal matrix --system raft                          every bug of the built-in Raft, ten runs of at most a minute
  tribunal matrix --bug stale-read --nemesis kill --nemesis pause --nemesis partition    one bug, a column per fault
  tribunal matrix --only correct --seeds 200 --budget 15s     false alarms, if there are any
  tribunal matrix --resume matrix/20261121T093015Z

Exit codes:
  0    every flaw was found in a run or more, and no correct system was accused
  1    a correct system was accused
  2    a flaw was not found, or a run of a correct system was not decided
  3    the harness broke in a run
  64   bad arguments
  130  interrupted: --resume goes on";

const CONVERT_EXAMPLES: &str = "\
Examples:
  tribunal convert store/latest/history.jsonl history.edn        for Knossos and Elle
  tribunal convert --from log etcd_000.log history.jsonl";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(tribunal completions bash)
  tribunal completions fish > ~/.config/fish/completions/tribunal.fish";

/// Tribunal puts a distributed system on trial: it starts the real processes, drives concurrent clients, injects
/// faults, and hands down a verdict on the recorded history, with the evidence.
#[derive(Parser)]
#[command(name = "tribunal", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// Show nothing but ASCII characters in the terminal
    #[arg(long, global = true)]
    pub(crate) ascii: bool,

    /// Whether to use colours: auto obeys NO_COLOR and CLICOLOR_FORCE, and else asks whether there is a terminal
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: Color,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Put a system on trial
    #[command(after_help = format!("{RUN_EXAMPLES}\n\n{EXIT_CODES}"))]
    Run(Box<RunArgs>),
    /// Judge histories that exist: run directories, or files
    #[command(after_help = format!("{CHECK_EXAMPLES}\n\n{EXIT_CODES}"))]
    Check(crate::check::Args),
    /// Hold the verdict of a run against its history once more, by a second judge without the engines
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(crate::verify::Args),
    /// Render the reports of a run again, without checking it again
    Report(crate::report::Args),
    /// What there is: runs, workloads, systems, faults, models
    #[command(after_help = LIST_EXAMPLES)]
    List(crate::list::Args),
    /// Show all runs in a browser: on this machine only, and to read only
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(crate::serve::Args),
    /// Try every seeded mistake and every correct system, many times, and say how often each was found out
    #[command(after_help = MATRIX_EXAMPLES)]
    Matrix(crate::matrix::Args),
    /// Write a history in another format
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(crate::convert::Args),
    /// Run one node of a built-in system in the foreground
    #[command(subcommand)]
    Node(NodeCommand),
    /// Print what makes a shell complete tribunal's commands
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(crate::manual::CompletionsArgs),
    /// Print the manual page, or write one per command
    Man(crate::manual::ManArgs),
    /// Clean up after a controller that was killed; never started by hand
    #[command(hide = true)]
    Guard,
}

/// How many clients ask at once: a number, or a multiple of the nodes such as `3n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concurrency {
    Fixed(usize),
    PerNode(usize),
}

impl Concurrency {
    pub(crate) fn workers(self, nodes: usize) -> usize {
        match self {
            Concurrency::Fixed(workers) => workers,
            Concurrency::PerNode(factor) => factor * nodes,
        }
    }
}

fn parse_concurrency(text: &str) -> Result<Concurrency, String> {
    let (number, make): (_, fn(usize) -> Concurrency) = match text.strip_suffix('n') {
        Some(factor) => (factor, Concurrency::PerNode),
        None => (text, Concurrency::Fixed),
    };
    match number.parse() {
        Ok(number) if (1..=1_000).contains(&number) => Ok(make(number)),
        _ => Err("expected a number from 1 to 1000, or a multiple of the nodes such as 3n".into()),
    }
}

/// The most of anything that is counted on the command line.
const COUNT_MAX: usize = 1_000_000;

fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=COUNT_MAX).contains(&count) => Ok(count),
        _ => Err(format!("expected a whole number from 1 to {COUNT_MAX}")),
    }
}

/// How fast the clients ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// By turns as fast as they are answered and calmly.
    Spells,
    /// As fast as they are answered.
    Full,
    /// So many operations per second over all clients.
    PerSecond(f64),
}

impl Rate {
    /// The operations per second over all clients, where they are always the same.
    pub(crate) fn per_second(self) -> Option<f64> {
        if let Rate::PerSecond(rate) = self { Some(rate) } else { None }
    }
}

/// From one operation in a quarter of an hour to more than any system answers.
const RATES: RangeInclusive<f64> = 0.001..=1e9;

fn parse_rate(text: &str) -> Result<Rate, String> {
    match (text, text.parse::<f64>()) {
        ("spells", _) => Ok(Rate::Spells),
        ("full", _) => Ok(Rate::Full),
        (_, Ok(rate)) if RATES.contains(&rate) => Ok(Rate::PerSecond(rate)),
        _ => Err(format!(
            "expected operations per second, from {} to {}, or full, or spells",
            RATES.start(),
            RATES.end()
        )),
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share of the operations, from 0 to 1, such as 0.9".into()),
    }
}

/// The longest duration on the command line: longer than any run, and short enough to be added to any time.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// A duration with its unit, such as `300ms`, `30s` or `2m`; not zero, and no more than a year.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() || duration > DURATION_MAX => {
            Err("expected more than nothing and at most a year".into())
        }
        Ok(duration) => Ok(duration),
        Err(_) => Err("expected a duration with its unit, such as 500ms, 30s or 2m".into()),
    }
}

/// The longest wait for one answer: the end of a run may have to wait as long.
const OP_TIMEOUT_MAX: Duration = Duration::from_secs(600);

fn parse_op_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        timeout if timeout > OP_TIMEOUT_MAX => Err("expected at most 10m".into()),
        timeout => Ok(timeout),
    }
}

/// A number of bytes with its unit, such as `512MiB` or `2GiB`; not zero.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit {
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        _ => None,
    };
    let bytes =
        number.parse::<usize>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected a size with its unit, such as 512MiB or 2GiB".into())
}

/// The disk under a node's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Disk {
    /// The machine's own file system
    Plain,
    /// A file system of ours, in memory, which can lose power, fill up, fail and be slow; keeps the promises of ext4
    Fuse,
    /// The same with no more promises than POSIX: an entry is durable when its directory is synced
    FuseStrict,
    /// A real ext4 on a loop device, which can lose power (needs root)
    Ext4,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// Six live lines on a terminal, plain lines elsewhere
    Auto,
    /// Six live lines
    Bar,
    /// A line every ten seconds, and one for every change
    Plain,
    /// Nothing
    None,
}

/// How nodes reach each other, and so how links are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Net {
    /// On loopback, through proxies whose addresses the nodes are told; no privileges
    Proxy,
    /// In network namespaces, through a proxy that the nodes do not know of; root or user namespaces
    Transparent,
    /// In network namespaces, without a proxy: the kernel's packet filter cuts; root or user namespaces
    Netns,
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_possible_value().expect("none is skipped").get_name().fmt(f)
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// What to ask of the system: register, counter, set, queue, lock, ... (tribunal list workloads)
    pub(crate) workload: String,

    /// What judges the run, if not the workload's own model: another that fits it (tribunal list workloads)
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<ModelKind>,

    /// The system under test: raft, abd, gossip, ..., or etcd as it is installed (tribunal list systems)
    #[arg(long, default_value = "raft", value_name = "NAME")]
    pub(crate) system: String,

    /// How many nodes
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=25))]
    pub(crate) nodes: u8,

    /// How many clients ask at once: a number, or a multiple of the nodes such as 3n
    #[arg(long, default_value = "3n", value_name = "N|Nn", value_parser = parse_concurrency)]
    pub(crate) concurrency: Concurrency,

    /// Operations per second over all clients; full: as fast as they are answered; spells: full and calm by turns
    #[arg(long, default_value = "spells", value_name = "HZ", value_parser = parse_rate)]
    pub(crate) rate: Rate,

    /// How long to ask
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) time_limit: Duration,

    /// How many keys are in use at once: few of them make operations contend
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = parse_count)]
    pub(crate) keys: usize,

    /// After this many operations a key is retired and a fresh one takes its place
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = parse_count)]
    pub(crate) ops_per_key: usize,

    /// How many of the operations of clients that also write are reads, from 0 to 1; a third of the clients reads only
    /// [default: the workload's own]
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub(crate) reads: Option<f64>,

    /// How long a client waits for an answer before the outcome counts as unknown; at most 10m
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_op_timeout)]
    pub(crate) op_timeout: Duration,

    /// How long nothing may change in what the healed nodes show before they count as settled, where a model (convergent-set)
    /// judges what they show in the end
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) settle: Duration,

    /// Which faults to inject: kill, pause, partition (separated by commas), all, or none
    #[arg(long, default_value = "all", value_name = "FAULTS")]
    pub(crate) nemesis: String,

    /// The disk under each node's data [default: fuse if a fault needs it, else plain]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) disk: Option<Disk>,

    /// How much a disk of our own (fuse) holds; it takes up memory as it is used
    #[arg(long, default_value = "1GiB", value_name = "SIZE", value_parser = parse_size)]
    pub(crate) disk_size: usize,

    /// The mean time from one fault to the next
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) nemesis_interval: Duration,

    /// Faults exactly as a file says: a schedule (TOML or JSON, see docs/schedules.md), or the faults.jsonl of a run, which is
    /// replayed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nemesis", "nemesis_interval", "grudge"])]
    pub(crate) schedule: Option<PathBuf>,

    /// Only this partition, again and again: who does not hear whom, such as "n1>n2,n3|n4" or "{n1,n2 | n3,n4,n5}"
    #[arg(long, value_name = "GRUDGE", conflicts_with = "nemesis")]
    pub(crate) grudge: Option<String>,

    /// How nodes reach each other, and so how links are cut
    #[arg(long, value_enum, default_value = "proxy", value_name = "HOW")]
    pub(crate) net: Net,

    /// Decides the plan of faults and the operations [default: drawn, and printed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Switch on a mistake of the system: a seeded one of a built-in system, or serializable-reads of etcd (may be repeated)
    #[arg(long = "bug", value_name = "NAME")]
    pub(crate) bugs: Vec<String>,

    /// A further argument for every node, as it is (may be repeated), such as --node-arg=--election-timeout=300-600
    #[arg(long = "node-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) node_args: Vec<String>,

    /// Which share of the operations has to succeed, such as 0.9; a run in which less do does not show what it should
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub(crate) availability: Option<f64>,

    /// So many runs, one after the other, each with the seed after that of the one before; exits with the worst: a
    /// violation, then a harness failure, then unknown
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) repeat: u32,

    /// A TOML file with flags: `workload = "register"`, `time-limit = "1m"`, `bug = ["stale-read"]`. Those on the
    /// command line win
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Go on to the time limit after a violation has been proved
    #[arg(long)]
    pub(crate) no_fail_fast: bool,

    /// Where runs are kept
    #[arg(long, default_value = "store", value_name = "DIR")]
    pub(crate) store: PathBuf,

    #[command(flatten)]
    pub(crate) limits: crate::limits::LimitArgs,

    /// Write junit.xml to this file, too: from the beginning, so that a run that is cut off is no success
    #[arg(long, value_name = "PATH", conflicts_with = "repeat")]
    pub(crate) junit: Option<PathBuf>,

    /// How progress is shown; t and enter, or SIGUSR1, print the status to stay
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW")]
    pub(crate) progress: Progress,

    /// How the outcome is printed to standard output: for people, or verdict.json as one line
    #[arg(long, value_enum, default_value = "text", value_name = "HOW")]
    pub(crate) format: Style,

    /// Print the verdict only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print every operation as it completes
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// The command line, without the program's name, as if the file of `--config` had been typed.
    #[arg(skip)]
    pub(crate) typed: Vec<String>,
}

/// How an outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// For people
    Text,
    /// One JSON object and line
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn concurrency_counts_clients_or_multiplies_nodes() {
        assert_eq!(parse_concurrency("3n").unwrap().workers(5), 15);
        assert_eq!(parse_concurrency("4").unwrap().workers(5), 4);
        for wrong in ["", "n", "0", "-1", "3m", "0n"] {
            assert!(parse_concurrency(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        for wrong in ["", "2", "GiB", "0MiB", "2gib", "99999999999GiB", "-1MiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "30", "0s", "-1s", "soon", "2years", "99999999999999999999s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_op_timeout("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_op_timeout("11m"), Err("expected at most 10m".into()));
    }

    #[test]
    fn numbers_have_a_range() {
        assert_eq!(parse_rate("0.001"), Ok(Rate::PerSecond(0.001)));
        for wrong in ["0", "-1", "1e-300", "0.0009", "1e300", "inf", "NaN", "fast"] {
            let error = parse_rate(wrong).expect_err(wrong);
            assert!(error.contains("from 0.001 to 1000000000"), "{error}");
        }
        for wrong in ["0", "-1", "1000001", "18446744073709551616", "1.5"] {
            let error = parse_count(wrong).expect_err(wrong);
            assert_eq!(error, "expected a whole number from 1 to 1000000");
        }
        for wrong in ["NaN", "-0.1", "1.1", "inf"] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }
}
