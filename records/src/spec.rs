//! [`TrialSpec`]: the whole description of a trial, as plain data.
//!
//! The command line is one translation of it. The names of the fields are the names of the flags of `tribunal
//! run`. TOML and JSON files, run.json and [`TrialSpec::words`] (the command that runs the trial) all take
//! the names from here.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::boxed::Branch;
use crate::path;
use crate::quantity::{COUNTS, Concurrency, DURATION_MAX, Rate, SHARES, Size, duration, optional_duration};

/// Schema version of [`TrialSpec`]. It grows when a field changes its meaning, not when a field is added.
pub const SCHEMA_VERSION: u32 = 2;

/// The whole description of a trial. Names of systems, workloads and faults are looked up when the trial is
/// run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
pub struct TrialSpec {
    /// [`SCHEMA_VERSION`] at the time of writing.
    #[serde(deserialize_with = "known_version")]
    pub schema_version: u32,
    /// Name of the workload.
    pub workload: String,
    /// Name of the model that the run is checked against; `None`: the workload's default.
    pub model: Option<String>,
    /// Name of the system under test.
    pub system: String,
    /// Number of nodes.
    pub nodes: u8,
    /// Number of clients.
    pub concurrency: Concurrency,
    /// How fast the clients send operations.
    pub rate: Rate,
    /// Duration of the load.
    #[serde(with = "duration")]
    pub time_limit: Duration,
    /// Number of concurrent keys.
    pub keys: usize,
    /// Number of operations on a key before a new key replaces it.
    pub ops_per_key: usize,
    /// Share of reads among the operations of read/write clients, 0 to 1; `None`: the workload's default.
    pub reads: Option<f64>,
    /// How long a client waits for a response before the operation's outcome is unknown.
    #[serde(with = "duration")]
    pub op_timeout: Duration,
    /// How long the state of the healed nodes must stay unchanged before it counts as settled.
    #[serde(with = "duration")]
    pub settle: Duration,
    /// The faults to inject: names separated by commas (in a file also a list), `usual`, `all` or `none`.
    #[serde(deserialize_with = "joined")]
    pub nemesis: String,
    /// The disk under each node's data; `None`: `fuse` if a fault needs it, else `plain`.
    pub disk: Option<DiskKind>,
    /// Capacity of a `fuse` disk.
    pub disk_size: Size,
    /// Mean time between two faults.
    #[serde(with = "duration")]
    pub nemesis_interval: Duration,
    /// A file with the schedule of faults, used instead of `nemesis`: a schedule, or the faults.jsonl of a
    /// run.
    #[serde(with = "path::optional")]
    pub schedule: Option<PathBuf>,
    /// The only partition to inject, used instead of `nemesis`.
    pub grudge: Option<String>,
    /// How nodes reach each other, and so how links are cut.
    pub net: Net,
    /// Decides the fault plan and the operations; `None`: drawn at random and stored in run.json.
    pub seed: Option<u64>,
    /// Known bugs of the system to enable.
    #[serde(deserialize_with = "one_or_many")]
    pub bug: Vec<String>,
    /// Additional arguments for every node.
    #[serde(deserialize_with = "one_or_many")]
    pub node_arg: Vec<String>,
    /// Minimum success rate, 0 to 1; a run below it is unknown.
    pub availability: Option<f64>,
    /// Maximum p99 latency of the successful operations of any kind; a run above it is too slow.
    #[serde(with = "optional_duration")]
    pub max_p99: Option<Duration>,
    /// Maximum time from the end of a fault to the first success; a run above it is too slow.
    #[serde(with = "optional_duration")]
    pub max_recovery: Option<Duration>,
    /// Whether the run continues to its time limit after a violation was proved.
    pub no_fail_fast: bool,
    /// How long the cluster may take to serve all operations again, once all faults are healed.
    #[serde(with = "duration")]
    pub recovery_limit: Duration,
    /// Oracles to switch off, by name.
    #[serde(deserialize_with = "one_or_many")]
    pub skip_oracle: Vec<String>,
    /// The node whose system calls are recorded, by strace.
    pub trace: Option<String>,
    /// Whether the run happens in a box: a virtual machine in which it repeats.
    #[serde(rename = "box")]
    pub boxed: bool,
    /// Seed of a box's entropy and of small shifts of its timing: other interleavings of the same plan.
    pub box_seed: u64,
    /// Memory of a box.
    pub box_memory: Size,
    /// Further files and directories that a box contains.
    #[serde(deserialize_with = "one_or_many")]
    pub box_path: Vec<String>,
    /// Another way for a run in a box, from a moment on.
    pub box_branch: Option<Branch>,
    /// Directory in which run directories are created.
    #[serde(with = "path")]
    pub store: PathBuf,
    /// Time limit of the check.
    #[serde(with = "duration")]
    pub check_time_limit: Duration,
    /// Memory limit of the check, per key.
    pub check_memory_limit: Size,
    /// Maximum number of configurations that the check explores, per key.
    pub check_states_limit: u64,
    /// Whether the command of this trial ignores a tribunal.toml that it would find. For commands only: it changes
    /// nothing in the trial.
    pub no_config: bool,
}

impl Default for TrialSpec {
    fn default() -> Self {
        TrialSpec {
            schema_version: SCHEMA_VERSION,
            workload: String::new(),
            model: None,
            system: "raft".into(),
            nodes: 5,
            concurrency: Concurrency::PerNode(3),
            rate: Rate::Bursts,
            time_limit: Duration::from_secs(30),
            keys: 5,
            ops_per_key: 2_000,
            reads: None,
            op_timeout: Duration::from_secs(1),
            settle: Duration::from_secs(3),
            nemesis: "usual".into(),
            disk: None,
            disk_size: Size(1 << 30),
            nemesis_interval: Duration::from_secs(2),
            schedule: None,
            grudge: None,
            net: Net::Proxy,
            seed: None,
            bug: Vec::new(),
            node_arg: Vec::new(),
            availability: None,
            max_p99: None,
            max_recovery: None,
            no_fail_fast: false,
            recovery_limit: Duration::from_secs(30),
            skip_oracle: Vec::new(),
            trace: None,
            boxed: false,
            box_seed: 0,
            box_memory: Size(1 << 30),
            box_path: Vec::new(),
            box_branch: None,
            store: "store".into(),
            check_time_limit: Duration::from_secs(60),
            check_memory_limit: Size(2 << 30),
            check_states_limit: 1_000_000_000,
            no_config: false,
        }
    }
}

/// Times of faults are whole milliseconds.
const NEMESIS_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Range of the number of nodes.
pub const NODES: RangeInclusive<u8> = 1..=25;

/// Memory of a box, in bytes: below, the kernel and the programs do not fit.
const BOX_MEMORY: RangeInclusive<usize> = 256 << 20..=1 << 40;

/// Maximum timeout of an operation: the end of a run may have to wait that long.
pub const OP_TIMEOUT_MAX: Duration = Duration::from_secs(600);

impl TrialSpec {
    /// A trial of the default system with this workload; other fields as in [`TrialSpec::default`].
    pub fn new(workload: impl Into<String>) -> Self {
        TrialSpec { workload: workload.into(), ..TrialSpec::default() }
    }

    /// The same trial, changed: `TrialSpec::new("register").with(|spec| spec.nodes = 3)`.
    pub fn with(mut self, change: impl FnOnce(&mut TrialSpec)) -> Self {
        change(&mut self);
        self
    }

    fn has_traced_node(&self) -> bool {
        let number = |node: &str| node.strip_prefix('n')?.parse::<u8>().ok();
        self.trace.as_deref().is_none_or(|node| number(node).is_some_and(|n| (1..=self.nodes).contains(&n)))
    }

    /// The same trial with the faults of a schedule or of a recorded run.
    pub fn replaying(mut self, schedule: impl Into<PathBuf>) -> Self {
        let TrialSpec { nemesis, nemesis_interval, .. } = TrialSpec::default();
        (self.nemesis, self.nemesis_interval, self.grudge) = (nemesis, nemesis_interval, None);
        self.schedule = Some(schedule.into());
        self
    }

    /// The same trial without faults.
    pub fn without_faults(mut self) -> Self {
        (self.nemesis, self.schedule, self.grudge) = ("none".into(), None, None);
        self
    }

    /// Checks that every value is within its range. Names are looked up when the trial is run.
    ///
    /// # Errors
    /// The key, and what was expected of its value.
    pub fn validate(&self) -> Result<(), String> {
        let usual = TrialSpec::default();
        let is_share = |share: Option<f64>| share.is_none_or(|share| SHARES.contains(&share));
        let is_time = |time: Duration| !time.is_zero() && time <= DURATION_MAX;
        let has_own_faults = self.nemesis != usual.nemesis;
        let among = |range: &RangeInclusive<usize>| format!("expected {} to {}", range.start(), range.end());
        let share = || "expected a share from 0 to 1".to_string();
        let time = || "expected more than zero and at most a year".to_string();
        let (keys, nodes) = (among(&COUNTS), format!("expected {} to {}", NODES.start(), NODES.end()));
        let rules = [
            ("workload", !self.workload.is_empty(), "expected the name of a workload".into()),
            ("nodes", NODES.contains(&self.nodes), nodes),
            ("keys", COUNTS.contains(&self.keys), keys.clone()),
            ("ops-per-key", COUNTS.contains(&self.ops_per_key), keys),
            ("reads", is_share(self.reads), share()),
            ("availability", is_share(self.availability), share()),
            ("time-limit", is_time(self.time_limit), time()),
            ("settle", is_time(self.settle), time()),
            ("recovery-limit", is_time(self.recovery_limit), time()),
            (
                "nemesis-interval",
                is_time(self.nemesis_interval) && self.nemesis_interval >= NEMESIS_INTERVAL_MIN,
                "expected 1ms or more, and at most a year".into(),
            ),
            ("check-time-limit", is_time(self.check_time_limit), time()),
            (
                "op-timeout",
                is_time(self.op_timeout) && self.op_timeout <= OP_TIMEOUT_MAX,
                "expected at most 10m".into(),
            ),
            (
                "box-memory",
                BOX_MEMORY.contains(&self.box_memory.0),
                "expected 256MiB or more, and at most 1TiB".into(),
            ),
            ("trace", self.has_traced_node(), format!("expected a node, n1 to n{}", self.nodes)),
            ("disk-size", self.disk_size.0 > 0, "expected more than zero".into()),
            ("check-memory-limit", self.check_memory_limit.0 > 0, "expected more than zero".into()),
            (
                "schedule",
                self.schedule.is_none() || !has_own_faults,
                "cannot be combined with --nemesis".into(),
            ),
            (
                "schedule",
                self.schedule.is_none() || self.grudge.is_none(),
                "cannot be combined with --grudge".into(),
            ),
            ("grudge", self.grudge.is_none() || !has_own_faults, "cannot be combined with --nemesis".into()),
        ];
        let broken = rules.into_iter().find(|(_, holds, _)| !holds);
        broken.map_or(Ok(()), |(key, _, expected)| Err(format!("{key}: {expected}")))
    }

    /// All keys with their values; `None` is null.
    pub fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => unreachable!("a struct of texts and numbers is an object"),
        }
    }

    /// The arguments after `tribunal` of the command that runs this trial. Default values are left out.
    pub fn words(&self) -> Vec<OsString> {
        let mut keys = self.to_map();
        ["workload", "schema-version"].iter().for_each(|key| drop(keys.remove(*key)));
        let words = ["run".into(), self.workload.clone().into()].into_iter();
        words.chain(flags(keys, &TrialSpec::default().to_map())).collect()
    }
}

/// The flags for some keys and values. Values equal to those in `usual` are left out.
pub fn flags(keys: Map<String, Value>, usual: &Map<String, Value>) -> Vec<OsString> {
    let changed = keys.into_iter().filter(|(key, value)| usual.get(key) != Some(value));
    let each = changed.flat_map(|(key, value)| {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        values.into_iter().flat_map(move |value| flag(&key, value))
    });
    each.collect()
}

/// One flag with its value: two words, or one word if the value could be mistaken for a flag.
fn flag(key: &str, value: Value) -> Vec<OsString> {
    let mut flag = OsString::from(format!("--{key}"));
    if value == Value::Bool(true) {
        return vec![flag];
    }
    let value = path::word(value);
    if !value.is_empty() && !value.as_bytes().starts_with(b"-") {
        return vec![flag, value];
    }
    flag.push("=");
    flag.push(value);
    vec![flag]
}

impl Serialize for TrialSpec {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        TrialSpec::serialize(self, out)
    }
}

impl<'de> Deserialize<'de> for TrialSpec {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut keys = Map::deserialize(from)?;
        upgrade(&mut keys);
        TrialSpec::deserialize(Value::Object(keys)).map_err(D::Error::custom)
    }
}

/// Translates the keys of an older schema version. Version 1 called `usual` faults `all`, and `bursts`
/// `spells`.
pub fn upgrade(keys: &mut Map<String, Value>) {
    if keys.get("schema-version") != Some(&1.into()) {
        return;
    }
    keys.insert("schema-version".into(), SCHEMA_VERSION.into());
    for (key, old, new) in [("nemesis", "all", "usual"), ("rate", "spells", "bursts")] {
        keys.entry(key).and_modify(|value| {
            if value == old {
                *value = new.into();
            }
        });
    }
}

fn known_version<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        version @ 1..=SCHEMA_VERSION => Ok(version),
        version => Err(D::Error::custom(format!(
            "schema-version is {version}, and this tribunal knows up to {SCHEMA_VERSION}"
        ))),
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, or a list of texts")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}

fn joined<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(one_or_many(from)?.join(","))
}

/// An enum of named choices.
macro_rules! choice {
    ($(#[$doc:meta])* $kind:ident { $($(#[$about:meta])* $choice:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind { $($(#[$about])* $choice),* }

        impl $kind {
            /// All choices.
            pub const ALL: &[$kind] = &[$($kind::$choice),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $($kind::$choice => $name),* }
            }
        }

        impl Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.name().fmt(f)
            }
        }

        impl FromStr for $kind {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let names = || $kind::ALL.iter().map(|it| it.name()).collect::<Vec<_>>().join(", ");
                let found = $kind::ALL.iter().find(|it| it.name() == text);
                found.copied().ok_or_else(|| format!("expected one of {}", names()))
            }
        }

        impl Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(|why: String| D::Error::custom(format!("`{text}`: {why}")))
            }
        }
    };
}

choice! {
    /// The disk under a node's data.
    DiskKind {
        /// The host's own file system.
        Plain = "plain",
        /// An in-memory file system that can lose power, fill up, return errors and be slow; as durable as
        /// ext4.
        Fuse = "fuse",
        /// The same, but only as durable as POSIX demands: an entry is durable once its directory is synced.
        FuseStrict = "fuse-strict",
        /// A real ext4 on a loop device, which can lose power (needs root).
        Ext4 = "ext4",
    }
}

choice! {
    /// How nodes reach each other, and so how links are cut.
    Net {
        /// On loopback, through proxies whose addresses are given to the nodes; needs no privileges.
        Proxy = "proxy",
        /// In network namespaces, through a proxy that nodes do not see; needs root or user namespaces.
        Transparent = "transparent",
        /// In network namespaces, without a proxy: links are cut by the packet filter; needs root or user
        /// namespaces.
        Netns = "netns",
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn words(spec: &TrialSpec) -> String {
        spec.words().join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn the_words_leave_out_default_values() {
        assert_eq!(words(&TrialSpec::new("counter")), "run counter");
        let spec = TrialSpec::new("register").with(|spec| {
            spec.nodes = 3;
            spec.time_limit = Duration::from_secs(90);
            spec.bug = vec!["stale-read".into(), "no-step-down".into()];
            spec.node_arg = vec!["--heartbeat=20".into()];
            spec.no_fail_fast = true;
            spec.rate = Rate::PerSecond(60.0);
            spec.disk = Some(DiskKind::FuseStrict);
        });
        let flags = "run register --bug stale-read --bug no-step-down --disk fuse-strict --no-fail-fast \
                     --node-arg=--heartbeat=20 --nodes 3 --rate 60 --time-limit 1m30s";
        assert_eq!(words(&spec), flags);
    }

    #[test]
    fn a_replay_has_one_source_of_faults() {
        let spec = TrialSpec::new("register").with(|spec| {
            (spec.nemesis, spec.grudge) = ("kill".into(), Some("n1|n2".into()));
            spec.nemesis_interval = Duration::from_secs(1);
        });
        assert_eq!(words(&spec.replaying("a b/faults.jsonl")), "run register --schedule a b/faults.jsonl");
    }

    #[test]
    fn a_written_spec_reads_back_equal() {
        let spec = TrialSpec::new("queue").with(|spec| (spec.seed, spec.net) = (Some(u64::MAX), Net::Netns));
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<TrialSpec>(&text).unwrap(), spec);
        assert_eq!(serde_json::from_str::<TrialSpec>("{}").unwrap(), TrialSpec::default());
        let odd = spec.with(|spec| spec.store = OsString::from_vec(b"a\xff".into()).into());
        let text = serde_json::to_string(&odd).unwrap();
        assert_eq!(serde_json::from_str::<TrialSpec>(&text).unwrap(), odd);
        assert!(odd.words().contains(&OsString::from_vec(b"a\xff".into())));
    }

    #[test]
    fn an_older_spec_keeps_its_meaning() {
        let old = r#"{"schema-version": 1, "workload": "queue", "nemesis": "all", "rate": "spells"}"#;
        assert_eq!(serde_json::from_str::<TrialSpec>(old).unwrap(), TrialSpec::new("queue"));
        let new = r#"{"workload": "queue", "nemesis": "all"}"#;
        assert_eq!(serde_json::from_str::<TrialSpec>(new).unwrap().nemesis, "all");
        let why = serde_json::from_str::<TrialSpec>(r#"{"rate": "spells"}"#).unwrap_err().to_string();
        assert!(why.contains("now called `bursts`"), "{why}");
    }

    #[test]
    fn a_file_accepts_lists_and_numbers() {
        let text = r#"{"nemesis": ["kill", "pause"], "bug": "a", "nodes": 3, "rate": 0.5, "concurrency": 4}"#;
        let spec: TrialSpec = serde_json::from_str(text).unwrap();
        assert_eq!(words(&spec), "run  --bug a --concurrency 4 --nemesis kill,pause --nodes 3 --rate 0.5");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let why =
            |change: fn(&mut TrialSpec)| TrialSpec::new("register").with(change).validate().unwrap_err();
        assert_eq!(TrialSpec::new("register").validate(), Ok(()));
        assert_eq!(why(|spec| spec.workload.clear()), "workload: expected the name of a workload");
        assert_eq!(why(|spec| spec.nodes = 26), "nodes: expected 1 to 25");
        assert_eq!(why(|spec| spec.keys = 0), "keys: expected 1 to 1000000");
        assert_eq!(why(|spec| spec.reads = Some(f64::NAN)), "reads: expected a share from 0 to 1");
        assert_eq!(why(|spec| spec.op_timeout *= 601), "op-timeout: expected at most 10m");
        let both = |spec: &mut TrialSpec| (spec.nemesis, spec.grudge) = ("kill".into(), Some("n1|n2".into()));
        assert_eq!(why(both), "grudge: cannot be combined with --nemesis");
        let short = |spec: &mut TrialSpec| spec.nemesis_interval = Duration::from_micros(100);
        assert_eq!(why(short), "nemesis-interval: expected 1ms or more, and at most a year");
    }

    #[test]
    fn unknown_keys_are_refused() {
        let why = |text: &str| serde_json::from_str::<TrialSpec>(text).unwrap_err().to_string();
        assert!(why(r#"{"time-limt": "5s"}"#).starts_with("unknown field `time-limt`"));
        assert!(why(r#"{"net": "wifi"}"#).starts_with("`wifi`: expected one of proxy, transparent, netns"));
        assert!(why(r#"{"schema-version": 3}"#).contains("knows up to 2"));
        assert!(why(r#"{"time-limit": "soon"}"#).contains("such as 500ms"));
    }
}
