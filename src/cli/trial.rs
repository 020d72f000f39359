//! The flags of `tribunal run`: their names are the keys of [`TrialSpec`], their types are its types.
//!
//! [`TrialSpec`]: tribunal_records::TrialSpec

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tribunal_checker::model::Objects;
use tribunal_records::boxed::Branch;
use tribunal_records::path;
use tribunal_records::quantity::{
    duration, optional_duration, parse_count, parse_duration, parse_share, parse_within,
};
use tribunal_records::spec::{NODES, OP_TIMEOUT_MAX};
use tribunal_records::suggest::unknown;
use tribunal_records::{Concurrency, DiskKind, Net, Rate, Size};

use super::{LimitArgs, OutputFormat};

/// `tribunal run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(super) trial: TrialArgs,

    /// File with flags: TOML, JSON or a run.json; typed flags win
    ///
    /// For example: `workload = "register"`, `time-limit = "1m"`, `bug = ["stale-read"]`.
    #[arg(long, visible_alias = "spec", value_name = "FILE", help_heading = WHAT)]
    pub(super) config: Option<PathBuf>,

    /// Also take the flags of this profile of the file
    ///
    /// A profile is a table: `[profile.ci]`. Its keys override those of the file. Without --config the file is
    /// tribunal.toml in this directory or the nearest one above.
    #[arg(long, value_name = "NAME", help_heading = WHAT)]
    pub(super) profile: Option<String>,

    #[command(flatten)]
    pub(super) show: ShowArgs,
}

/// How often `--repeat` may run a trial.
pub(super) const REPEATS: RangeInclusive<u32> = 1..=100_000;

/// The groups of flags in the help, in this order.
const WHAT: &str = "What";
const LOAD: &str = "Load";
const FAULTS: &str = "Faults";
const CHECK: &str = "Check";
const OUTPUT: &str = "Output";

/// The trial. Flags that were not typed have the default of `TrialSpec`; the defaults here are for the help.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TrialArgs {
    /// Operations to send: register, counter, set, queue, lock, ... (tribunal list workloads)
    workload: Option<String>,

    /// System under test (tribunal list systems), or your own as a TOML file
    #[arg(long, default_value = "raft", value_name = "NAME", help_heading = WHAT)]
    system: String,

    /// Number of nodes, 1 to 25
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = parse_nodes, allow_hyphen_values = true, help_heading = WHAT)]
    nodes: u8,

    /// Known bug of the system to enable; may be repeated
    ///
    /// The built-in systems have bugs that were built in on purpose; etcd has serializable-reads.
    #[arg(long, value_name = "NAME", help_heading = WHAT)]
    bug: Vec<String>,

    /// Additional argument for every node; may be repeated
    ///
    /// For example --node-arg=--election-timeout=300-600. The argument is passed unchanged.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, help_heading = WHAT, hide_short_help = true)]
    node_arg: Vec<String>,

    /// Duration of the load
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, help_heading = LOAD)]
    #[serde(with = "duration")]
    time_limit: Duration,

    /// Operations per second over all clients, or full, or bursts
    ///
    /// `full`: no limit. `bursts`: alternate full speed and a low rate.
    #[arg(long, default_value = "bursts", value_name = "HZ", allow_hyphen_values = true, help_heading = LOAD)]
    rate: Rate,

    /// Number of concurrent clients; 3n: three per node
    #[arg(long, default_value = "3n", value_name = "N|Nn", allow_hyphen_values = true, help_heading = LOAD)]
    concurrency: Concurrency,

    /// Number of concurrent keys (fewer: more contention)
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = parse_count, allow_hyphen_values = true, help_heading = LOAD)]
    keys: usize,

    /// Number of operations on a key before a new key replaces it
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = parse_count, allow_hyphen_values = true, help_heading = LOAD, hide_short_help = true)]
    ops_per_key: usize,

    /// Share of reads among read/write clients, 0 to 1 [default: the workload's own]
    ///
    /// A third of the clients are read-only; the share does not apply to them.
    #[arg(long, value_name = "SHARE", value_parser = parse_share, allow_hyphen_values = true, help_heading = LOAD, hide_short_help = true)]
    reads: Option<f64>,

    /// Timeout of an operation, at most 10m; after it the outcome is unknown
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_op_timeout, allow_hyphen_values = true, help_heading = LOAD, hide_short_help = true)]
    #[serde(with = "duration")]
    op_timeout: Duration,

    /// Time without changes after which healed nodes count as settled
    ///
    /// Only for models that judge the final state of the nodes (convergent-set).
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, help_heading = LOAD, hide_short_help = true)]
    #[serde(with = "duration")]
    settle: Duration,

    /// Faults to inject: comma-separated names, usual, all or none
    ///
    /// `usual`: kill, pause and partition.
    ///
    /// `all`: every fault that this machine, the system and --net allow; those left out are named.
    /// This includes faults that few systems claim to survive: corrupt, wipe, restore.
    ///
    /// A name may be narrowed to some kinds: kill,partition:bridge+halves (tribunal list faults).
    #[arg(long, default_value = "usual", value_name = "FAULTS", help_heading = FAULTS)]
    nemesis: String,

    /// Mean time from one fault to the next
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, help_heading = FAULTS)]
    #[serde(with = "duration")]
    nemesis_interval: Duration,

    /// File with a schedule of faults, or the faults.jsonl of a run to replay
    ///
    /// A schedule is TOML or JSON: docs/schedules.md.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nemesis", "nemesis_interval", "grudge"], help_heading = FAULTS)]
    #[serde(with = "path::optional")]
    schedule: Option<PathBuf>,

    /// Repeat only this partition, e.g. "n1>n2": n2 receives nothing from n1
    ///
    /// Other forms: "n1>n2,n3|n4" and "{n1,n2 | n3,n4,n5}".
    #[arg(long, value_name = "GRUDGE", conflicts_with = "nemesis", help_heading = FAULTS, hide_short_help = true)]
    grudge: Option<String>,

    /// How nodes reach each other, and so how links are cut
    #[arg(long, default_value = "proxy", value_name = "HOW", value_parser = net_parser(), help_heading = FAULTS, hide_short_help = true)]
    net: Net,

    /// Disk under each node's data [default: fuse if a fault needs it, else plain]
    #[arg(long, value_name = "KIND", value_parser = disk_parser(), help_heading = FAULTS, hide_short_help = true)]
    disk: Option<DiskKind>,

    /// Capacity of a fuse disk, which uses memory as it fills
    #[arg(long, default_value = "1GiB", value_name = "SIZE", allow_hyphen_values = true, help_heading = FAULTS, hide_short_help = true)]
    disk_size: Size,

    /// Seed of the faults and the operations [default: random, and printed]
    #[arg(long, value_name = "N", value_parser = parse_seed, allow_hyphen_values = true, help_heading = FAULTS)]
    seed: Option<u64>,

    /// Model that judges the run [default: the workload's own]
    ///
    /// It has to fit the workload (tribunal list workloads).
    #[arg(long, value_name = "NAME", value_parser = parse_model, help_heading = CHECK)]
    model: Option<String>,

    /// Minimum success rate, 0 to 1; a run below it is unknown
    #[arg(long, value_name = "SHARE", value_parser = parse_share, allow_hyphen_values = true, help_heading = CHECK)]
    availability: Option<f64>,

    /// Maximum p99 latency; a run above it fails (exit code 1)
    ///
    /// It applies to the successful operations of each kind.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, help_heading = CHECK, hide_short_help = true)]
    #[serde(with = "optional_duration")]
    max_p99: Option<Duration>,

    /// Maximum time to recover from a fault; a run above it fails (exit code 1)
    ///
    /// From the end of a fault to the first success of an operation that was sent after it.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, help_heading = CHECK, hide_short_help = true)]
    #[serde(with = "optional_duration")]
    max_recovery: Option<Duration>,

    /// Continue to the time limit after a violation has been proved
    #[arg(long, help_heading = CHECK, hide_short_help = true)]
    no_fail_fast: bool,

    /// How long the cluster may take to serve all operations again, once all faults are healed
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, help_heading = CHECK, hide_short_help = true)]
    #[serde(with = "duration")]
    recovery_limit: Duration,

    /// Switch an oracle off: divergence, agreement, crash, restart, log or recovery; may be repeated
    #[arg(long, value_name = "ORACLE", help_heading = CHECK, hide_short_help = true)]
    skip_oracle: Vec<String>,

    /// Record the system calls of a node with strace, beside its log: nodes/NODE.strace
    #[arg(long, value_name = "NODE", help_heading = OUTPUT, hide_short_help = true)]
    trace: Option<String>,

    /// Run in a box: a virtual machine in which everything repeats bit for bit
    ///
    /// It needs QEMU and a kernel: `tribunal box setup` brings them, without root.
    #[arg(id = "box", long = "box", help_heading = WHAT)]
    #[serde(rename = "box")]
    boxed: bool,

    /// Seed of a box: other interleavings of the same plan
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = parse_seed, allow_hyphen_values = true, help_heading = WHAT, hide_short_help = true)]
    box_seed: u64,

    /// Memory of a box
    #[arg(long, default_value = "1GiB", value_name = "SIZE", allow_hyphen_values = true, help_heading = WHAT, hide_short_help = true)]
    box_memory: Size,

    /// A further file or directory that a box contains; may be repeated
    #[arg(long, value_name = "PATH", help_heading = WHAT, hide_short_help = true)]
    box_path: Vec<String>,

    /// From a moment on, another seed: MOMENT,SEED,END; printed by `tribunal branch`
    #[arg(long, value_name = "BRANCH", allow_hyphen_values = true, help_heading = WHAT, hide_short_help = true)]
    box_branch: Option<Branch>,

    /// Directory in which run directories are created
    #[arg(long, default_value = "store", value_name = "DIR", help_heading = OUTPUT)]
    #[serde(with = "path")]
    store: PathBuf,

    /// Ignore tribunal.toml in this directory and those above
    #[arg(long, help_heading = WHAT, hide_short_help = true, conflicts_with = "profile")]
    no_config: bool,

    #[command(flatten)]
    #[serde(flatten)]
    limits: LimitArgs,
}

/// How a trial is shown, and how often it is run: nothing that changes what happens in it.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ShowArgs {
    /// Run N times with consecutive seeds; the exit code is the worst one
    ///
    /// From worst: violation, harness failure, unknown.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = parse_repeat, allow_hyphen_values = true, help_heading = OUTPUT)]
    pub(crate) repeat: u32,

    /// Also write JUnit XML here; it reports an error until the run has finished
    #[arg(long, value_name = "PATH", conflicts_with = "repeat", help_heading = OUTPUT)]
    #[serde(with = "path::optional")]
    pub(crate) junit: Option<PathBuf>,

    /// How progress is shown
    ///
    /// Press t and Enter, or send SIGUSR1, to print the status.
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW", help_heading = OUTPUT, hide_short_help = true)]
    pub(crate) progress: ProgressMode,

    /// Format of the outcome on standard output
    #[arg(long, value_enum, default_value = "text", value_name = "HOW", help_heading = OUTPUT, hide_short_help = true)]
    pub(crate) format: OutputFormat,

    /// Print only the verdict
    #[arg(short, long, conflicts_with = "verbose", help_heading = OUTPUT)]
    pub(crate) quiet: bool,

    /// Print every operation as it completes
    #[arg(short, long, help_heading = OUTPUT, hide_short_help = true)]
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
    /// A line every ten seconds, and one for every event
    Plain,
    /// No progress
    None,
}

fn disk_parser() -> impl TypedValueParser<Value = DiskKind> {
    let about = |disk: DiskKind| match disk {
        DiskKind::Plain => "The machine's own file system",
        DiskKind::Fuse => {
            "An in-memory file system that can lose power, fill up, return errors and be slow; as durable as ext4"
        }
        DiskKind::FuseStrict => {
            "The same, but only as durable as POSIX demands: an entry is durable once its directory is synced"
        }
        DiskKind::Ext4 => "A real ext4 on a loop device, which can lose power (needs root)",
    };
    let values = DiskKind::ALL.iter().map(move |disk| PossibleValue::new(disk.name()).help(about(*disk)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<DiskKind>())
}

fn net_parser() -> impl TypedValueParser<Value = Net> {
    let about = |net: Net| match net {
        Net::Proxy => {
            "On loopback, through proxies whose addresses are given to the nodes; needs no privileges"
        }
        Net::Transparent => {
            "In network namespaces, through a proxy that nodes do not see; needs root or user namespaces"
        }
        Net::Netns => {
            "In network namespaces, without a proxy: the packet filter cuts links; needs root or user namespaces"
        }
    };
    let values = Net::ALL.iter().map(move |net| PossibleValue::new(net.name()).help(about(*net)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Net>())
}

/// Parses the name of a model.
pub(crate) fn parse_model(text: &str) -> Result<String, String> {
    let found = text.parse::<Objects>().map(|model| model.name().into());
    found.map_err(|_| unknown("model", text, &Objects::all().map(Objects::name).collect::<Vec<_>>()))
}

fn parse_op_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        timeout if timeout > OP_TIMEOUT_MAX => Err("expected at most 10m".into()),
        timeout => Ok(timeout),
    }
}

fn parse_nodes(text: &str) -> Result<u8, String> {
    parse_within(text, &NODES)
}

fn parse_repeat(text: &str) -> Result<u32, String> {
    parse_within(text, &REPEATS)
}

fn parse_seed(text: &str) -> Result<u64, String> {
    parse_within(text, &(0..=u64::MAX))
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
