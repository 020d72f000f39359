//! `run.json`: everything that was decided about a run before it began, and the little that is known only after.
//!
//! The controller writes it once when the run starts and once more when it ends. What is known only at the end is
//! an `Option` or an empty list, so that the run directory of a controller that was killed can still be read.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};
use tribunal_checker::op::{Nanos, Value};
use tribunal_records::TrialSpec;

use crate::judgement::HarnessFailure;
use crate::wording::is_unseen;

/// The version of the shape of `run.json`, and of history.jsonl and faults.jsonl beside it. It grows when a field changes its
/// meaning, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;

/// The contents of `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInfo {
    /// [`SCHEMA_VERSION`] at the time of writing.
    pub schema_version: u32,
    /// The program that ran it.
    pub tool: Tool,
    /// The command line, without the program's own name.
    pub args: Vec<String>,
    /// The trial that was run; `None`: no run of ours, or one of before this was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<TrialSpec>,
    /// The name of the workload.
    pub workload: String,
    /// The name of the system under test.
    pub system: String,
    /// The version that the system reports of itself, if it does.
    pub system_version: Option<String>,
    /// The name of the model that the history is judged by.
    pub model: String,
    /// The kinds of operation that the workload sends before the final reads, such as `read` and `write`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// The nodes, in the order of their names.
    pub nodes: Vec<Node>,
    /// How many clients ran at a time.
    pub concurrency: usize,
    /// Operations per second over all clients; `None`: as fast as they go, unless they ask in `spells`.
    pub rate: Option<f64>,
    /// Whether they ask at full speed and calmly by turns.
    #[serde(default)]
    pub spells: bool,
    /// How long clients were driven, in milliseconds.
    pub time_limit_ms: u64,
    /// How many independent keys there were at a time.
    pub keys: usize,
    /// After how many operations a key is given up for a new one; `None`: never.
    pub ops_per_key: Option<usize>,
    /// The faults that were asked for, such as `kill`, `pause`, `partition`; empty: none.
    pub nemesis: Vec<String>,
    /// The mean time between two faults, in milliseconds.
    pub nemesis_interval_ms: u64,
    /// The seed that the plan was drawn from.
    pub seed: u64,
    /// The bugs that were switched on in the system, if it has such switches.
    pub bugs: Vec<String>,
    /// The share of operations that ought to succeed, between 0 and 1, if one was asked for.
    pub availability_target: Option<f64>,
    /// When the run started, as RFC 3339 text in UTC. The zero of every `t` in the run directory.
    pub started_utc: String,
    /// The operating system and its version.
    pub os: String,
    /// How many processor cores the machine has.
    pub cores: usize,
    /// The machine's load average over a minute, when the run began and when it ended, as far as known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load: Vec<f64>,
    /// The clock that every time in the run directory was read from, such as `CLOCK_MONOTONIC`.
    pub clock: String,
    /// The phases of the run, in order; those not reached are missing.
    pub phases: Vec<Phase>,
    /// What phases of a schedule asked for and had no room for, a clause each, such as `phase 2 was too short for clock`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undrawn: Vec<String>,
    /// How the trial ended. `None`: it is under way, or Tribunal was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What came of the final reads; `None` when the run ended before them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_reads: Option<FinalReads>,
    /// How long the nodes of an eventual system were waited for, in milliseconds, if they had not settled then: there were no
    /// final reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsettled_ms: Option<u64>,
    /// Connections to nodes that no node made, and that no cut held up, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strangers: Option<Strangers>,
    /// The violation that the check beside the run found, and that ended the run, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_live: Option<SeenLive>,
}

/// What the check beside the run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenLive {
    /// The key that it was found on. The check of the whole history looks at this one first.
    pub key: Value,
    /// The operation whose completion nothing survived, as people read it.
    pub operation: String,
    /// Its process.
    pub process: u64,
    /// When it completed.
    pub t: Nanos,
}

/// How a trial ended. It is on disk before anything is checked, so that every later check knows what the first one knew, and
/// can tell whether evidence has been lost since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// How many events history.jsonl has.
    pub events: u64,
    /// How many lines faults.jsonl has.
    pub fault_lines: u64,
    /// Whether the user cut the run short.
    pub interrupted: bool,
    /// The first thing that broke in the harness, if anything did.
    pub harness_failure: Option<HarnessFailure>,
}

/// The final reads of a run: how many there were to be answered, each by any node, or by every node where the model judges what
/// every node shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FinalReads {
    /// How many.
    pub asked: usize,
    /// How many of them were answered.
    pub answered: usize,
}

impl FinalReads {
    /// Whether all of them were.
    pub fn all_answered(self) -> bool {
        self.answered == self.asked
    }
}

/// Connections to nodes that no node made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strangers {
    /// How many.
    pub connections: u64,
    /// The first of them in words.
    pub first: String,
}

/// The program that made the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tool {
    /// Its version, such as `0.1.0`.
    pub version: String,
    /// The revision it was built from, with `-dirty` when it had changes, if known.
    pub git: Option<String>,
}

/// One node of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its name, such as `n1`.
    pub name: String,
    /// The command line it was started with.
    pub command: Vec<String>,
}

/// A stretch of the run: `starting`, `running`, `healing`, `final-reads`, `stopping`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// When it began.
    pub start_ns: Nanos,
    /// When it ended; `None` when the run ended first.
    pub end_ns: Option<Nanos>,
}

impl RunInfo {
    /// Whether this is no run of ours but a history that somebody else recorded: without nodes, faults or a seed.
    pub fn is_history(&self) -> bool {
        self.nodes.is_empty() && self.system.is_empty()
    }

    /// The command that runs the same again, with the seed made explicit. Timing is not repeated.
    pub fn rerun_command(&self) -> String {
        match &self.spec {
            Some(spec) => command(spec.words()),
            None => command(self.args.iter().map(OsString::from)),
        }
    }

    /// The command that runs the same again with the faults that `record`, a faults.jsonl, gives.
    pub fn replay_command(&self, record: &str) -> String {
        match &self.spec {
            Some(spec) => command(spec.clone().replaying(record).words()),
            None => format!("{} --schedule {}", self.rerun_command(), shell_quoted(record)),
        }
    }
}

/// A command of `tribunal` as a shell reads it.
pub(crate) fn command(words: impl IntoIterator<Item = OsString>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quoted(&word)).collect();
    format!("tribunal {}", words.join(" "))
}

/// A word as a shell reads it back, in quotes only where it needs them; what cannot be seen is written as its bytes.
pub(crate) fn shell_quoted(word: &str) -> String {
    quoted(OsStr::new(word))
}

fn quoted(word: &OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let text = word.to_str().filter(|text| !text.chars().any(is_unseen));
    match text {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_string(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        None => {
            let chunks = word.as_bytes().utf8_chunks();
            let escaped = chunks.flat_map(|chunk| {
                let seen = chunk.valid().chars().map(|c| match c {
                    c if is_unseen(c) => in_bytes(c.to_string().as_bytes()),
                    '\'' | '\\' => format!("\\{c}"),
                    c => c.to_string(),
                });
                seen.chain([in_bytes(chunk.invalid())])
            });
            format!("$'{}'", escaped.collect::<String>())
        }
    }
}

fn in_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_can_be_had_again() {
        let spec = TrialSpec::new("register").with(|spec| {
            (spec.seed, spec.nodes, spec.nemesis) = (Some(7), 3, "kill,a b".into());
        });
        let info = RunInfo { spec: Some(spec), ..RunInfo::default() };
        assert_eq!(info.rerun_command(), "tribunal run register --nemesis 'kill,a b' --nodes 3 --seed 7");
        let replay = "tribunal run register --nodes 3 --schedule 'a b/faults.jsonl' --seed 7";
        assert_eq!(info.replay_command("a b/faults.jsonl"), replay);
        let old = RunInfo { args: vec!["run".into(), "queue".into()], ..RunInfo::default() };
        assert_eq!(old.rerun_command(), "tribunal run queue");
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(shell_quoted("60s"), "60s");
        assert_eq!(shell_quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell_quoted("it's \u{1b}[31m\u{202e}"), r"$'it\'s \x1b[31m\xe2\x80\xae'");
        assert_eq!(quoted(OsStr::from_bytes(b"a\xffb")), r"$'a\xffb'");
    }

    #[test]
    fn a_run_that_was_cut_short_can_be_read() {
        let info: RunInfo = serde_json::from_str(r#"{"schema_version":1,"workload":"register"}"#).unwrap();
        assert_eq!(info.workload, "register");
        assert!(info.phases.is_empty());
    }
}
