//! The flags of `tribunal run`: their names are the keys of [`TrialSpec`], their types are its types.
//!
//! [`TrialSpec`]: tribunal_records::TrialSpec

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tribunal_checker::model::ModelKind;
use tribunal_records::path;
use tribunal_records::quantity::{duration, parse_count, parse_duration, parse_share};
use tribunal_records::spec::OP_TIMEOUT_MAX;
use tribunal_records::{Concurrency, DiskKind, Net, Rate, Size};

use super::{LimitArgs, OutputFormat};

/// `tribunal run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(super) trial: TrialArgs,

    /// A TOML or JSON file with flags: `workload = "register"`, `time-limit = "1m"`, `bug = ["stale-read"]`; or the run.json
    /// of a run. Those on the command line win
    #[arg(long, visible_alias = "spec", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    #[command(flatten)]
    pub(super) show: ShowArgs,
}

/// The trial. What was not typed has the default of `TrialSpec`; those here are for the help.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TrialArgs {
    /// What to ask of the system: register, counter, set, queue, lock, ... (tribunal list workloads)
    workload: Option<String>,

    /// What judges the run, if not the workload's own model: another that fits it (tribunal list workloads)
    #[arg(long, value_name = "NAME", value_parser = parse_model)]
    model: Option<String>,

    /// The system under test: raft, abd, gossip, ..., or etcd as it is installed (tribunal list systems)
    #[arg(long, default_value = "raft", value_name = "NAME")]
    system: String,

    /// How many nodes
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=25))]
    nodes: u8,

    /// How many clients ask at once: a number, or a multiple of the nodes such as 3n
    #[arg(long, default_value = "3n", value_name = "N|Nn")]
    concurrency: Concurrency,

    /// Operations per second over all clients; full: as fast as they are answered; spells: full and calm by turns
    #[arg(long, default_value = "spells", value_name = "HZ")]
    rate: Rate,

    /// How long to ask
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = parse_duration)]
    #[serde(with = "duration")]
    time_limit: Duration,

    /// How many keys are in use at once: few of them make operations contend
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = parse_count)]
    keys: usize,

    /// After this many operations a key is retired and a fresh one takes its place
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = parse_count)]
    ops_per_key: usize,

    /// How many of the operations of clients that also write are reads, from 0 to 1; a third of the clients reads only
    /// [default: the workload's own]
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    reads: Option<f64>,

    /// How long a client waits for an answer before the outcome counts as unknown; at most 10m
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_op_timeout)]
    #[serde(with = "duration")]
    op_timeout: Duration,

    /// How long nothing may change in what the healed nodes show before they count as settled, where a model (convergent-set)
    /// judges what they show in the end
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = parse_duration)]
    #[serde(with = "duration")]
    settle: Duration,

    /// Which faults to inject: kill, pause, partition (separated by commas), all, or none
    #[arg(long, default_value = "all", value_name = "FAULTS")]
    nemesis: String,

    /// The disk under each node's data [default: fuse if a fault needs it, else plain]
    #[arg(long, value_name = "KIND", value_parser = disk_parser())]
    disk: Option<DiskKind>,

    /// How much a disk of our own (fuse) holds; it takes up memory as it is used
    #[arg(long, default_value = "1GiB", value_name = "SIZE")]
    disk_size: Size,

    /// The mean time from one fault to the next
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = parse_duration)]
    #[serde(with = "duration")]
    nemesis_interval: Duration,

    /// Faults exactly as a file says: a schedule (TOML or JSON, see docs/schedules.md), or the faults.jsonl of a run, which is
    /// replayed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nemesis", "nemesis_interval", "grudge"])]
    #[serde(with = "path::optional")]
    schedule: Option<PathBuf>,

    /// Only this partition, again and again: who does not hear whom, such as "n1>n2,n3|n4" or "{n1,n2 | n3,n4,n5}"
    #[arg(long, value_name = "GRUDGE", conflicts_with = "nemesis")]
    grudge: Option<String>,

    /// How nodes reach each other, and so how links are cut
    #[arg(long, default_value = "proxy", value_name = "HOW", value_parser = net_parser())]
    net: Net,

    /// Decides the plan of faults and the operations [default: drawn, and printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Switch on a mistake of the system: a seeded one of a built-in system, or serializable-reads of etcd (may be repeated)
    #[arg(long, value_name = "NAME")]
    bug: Vec<String>,

    /// A further argument for every node, as it is (may be repeated), such as --node-arg=--election-timeout=300-600
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    node_arg: Vec<String>,

    /// Which share of the operations has to succeed, such as 0.9; a run in which less do does not show what it should
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    availability: Option<f64>,

    /// Go on to the time limit after a violation has been proved
    #[arg(long)]
    no_fail_fast: bool,

    /// Where runs are kept
    #[arg(long, default_value = "store", value_name = "DIR")]
    #[serde(with = "path")]
    store: PathBuf,

    #[command(flatten)]
    #[serde(flatten)]
    limits: LimitArgs,
}

/// How a trial is shown, and how often it is held: nothing that changes what happens in it.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ShowArgs {
    /// So many runs, one after the other, each with the seed after that of the one before; exits with the worst: a
    /// violation, then a harness failure, then unknown
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) repeat: u32,

    /// Write junit.xml to this file, too: from the beginning, so that a run that is cut off is no success
    #[arg(long, value_name = "PATH", conflicts_with = "repeat")]
    #[serde(with = "path::optional")]
    pub(crate) junit: Option<PathBuf>,

    /// How progress is shown; t and enter, or SIGUSR1, print the status to stay
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW")]
    pub(crate) progress: ProgressMode,

    /// How the outcome is printed to standard output: for people, or verdict.json as one line
    #[arg(long, value_enum, default_value = "text", value_name = "HOW")]
    pub(crate) format: OutputFormat,

    /// Print the verdict only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print every operation as it completes
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

impl Default for ShowArgs {
    fn default() -> Self {
        ShowArgs {
            repeat: 1,
            junit: None,
            progress: ProgressMode::Auto,
            format: OutputFormat::Text,
            quiet: false,
            verbose: false,
        }
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProgressMode {
    /// Six live lines on a terminal, plain lines elsewhere
    Auto,
    /// Six live lines
    Bar,
    /// A line every ten seconds, and one for every change
    Plain,
    /// Nothing
    None,
}

fn disk_parser() -> impl TypedValueParser<Value = DiskKind> {
    let about = |disk: DiskKind| match disk {
        DiskKind::Plain => "The machine's own file system",
        DiskKind::Fuse => {
            "A file system of ours, in memory, which can lose power, fill up, fail and be slow; keeps the promises of ext4"
        }
        DiskKind::FuseStrict => {
            "The same with no more promises than POSIX: an entry is durable when its directory is synced"
        }
        DiskKind::Ext4 => "A real ext4 on a loop device, which can lose power (needs root)",
    };
    let values = DiskKind::ALL.iter().map(move |disk| PossibleValue::new(disk.name()).help(about(*disk)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<DiskKind>())
}

fn net_parser() -> impl TypedValueParser<Value = Net> {
    let about = |net: Net| match net {
        Net::Proxy => "On loopback, through proxies whose addresses the nodes are told; no privileges",
        Net::Transparent => {
            "In network namespaces, through a proxy that the nodes do not know of; root or user namespaces"
        }
        Net::Netns => {
            "In network namespaces, without a proxy: the kernel's packet filter cuts; root or user namespaces"
        }
    };
    let values = Net::ALL.iter().map(move |net| PossibleValue::new(net.name()).help(about(*net)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Net>())
}

fn parse_model(text: &str) -> Result<String, String> {
    text.parse::<ModelKind>().map(|model| model.name().into()).map_err(|why| why.to_string())
}

fn parse_op_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        timeout if timeout > OP_TIMEOUT_MAX => Err("expected at most 10m".into()),
        timeout => Ok(timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_waits_for_ten_minutes_at_most() {
        assert_eq!(parse_op_timeout("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_op_timeout("11m"), Err("expected at most 10m".into()));
    }
}
