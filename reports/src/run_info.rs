//! `run.json`: the configuration of a run, and the few facts known only at its end.
//!
//! The controller writes it once when the run starts and once more when it ends. Facts known only at the end
//! are an `Option` or an empty list, so that the run directory of a killed controller can still be read.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};
use tribunal_checker::op::{Nanos, Value};
use tribunal_records::TrialSpec;
use tribunal_records::boxed::BoxIdentity;
use tribunal_records::oracles::{Finding, Looked};

use crate::judgement::HarnessFailure;
use crate::wording::is_unseen;

/// The version of the format of `run.json`, and of history.jsonl and faults.jsonl beside it. It increases
/// when a field changes its meaning, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;

/// The contents of `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInfo {
    /// [`SCHEMA_VERSION`] at the time of writing.
    pub schema_version: u32,
    /// The program that made the run.
    pub tool: Tool,
    /// The command line, without the program name.
    pub args: Vec<String>,
    /// The trial; `None`: an imported history, or a run from before this field existed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<TrialSpec>,
    /// The name of the workload.
    pub workload: String,
    /// The name of the system under test.
    pub system: String,
    /// The version that the system reports, if any.
    pub system_version: Option<String>,
    /// The name of the model that the history is judged by.
    pub model: String,
    /// The kinds of operation that the workload sends before the final reads, such as `read` and `write`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// The nodes, in the order of their names.
    pub nodes: Vec<Node>,
    /// The number of concurrent clients.
    pub concurrency: usize,
    /// Operations per second over all clients; `None`: no limit, except with `bursts`.
    pub rate: Option<f64>,
    /// Whether the clients alternate between full speed and a low rate.
    #[serde(default, alias = "spells")]
    pub bursts: bool,
    /// The duration of the load, in milliseconds.
    pub time_limit_ms: u64,
    /// The number of concurrent keys.
    pub keys: usize,
    /// The number of operations after which a key is replaced by a new one; `None`: never.
    pub ops_per_key: Option<usize>,
    /// The requested faults, such as `kill`, `pause`, `partition`; empty: none.
    pub nemesis: Vec<String>,
    /// The mean time between two faults, in milliseconds.
    pub nemesis_interval_ms: u64,
    /// The seed of the plan.
    pub seed: u64,
    /// The bugs enabled in the system.
    pub bugs: Vec<String>,
    /// The requested minimum success rate, 0 to 1.
    pub availability_target: Option<f64>,
    /// The start of the run, as RFC 3339 text in UTC: the zero of every `t` in the run directory.
    pub started_utc: String,
    /// The operating system and its version.
    pub os: String,
    /// The number of processor cores.
    pub cores: usize,
    /// The machine's load average over one minute, at the start and the end of the run, as far as known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load: Vec<f64>,
    /// The clock of every time in the run directory, such as `CLOCK_MONOTONIC`.
    pub clock: String,
    /// The phases of the run, in order; those not reached are missing.
    pub phases: Vec<Phase>,
    /// How the trial ended. `None`: it is in progress, or Tribunal was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// The result of the final reads; `None` if the run ended before them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_reads: Option<FinalReads>,
    /// The nodes that led while the final reads were answered, if leaders were changed for that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub led: Vec<String>,
    /// What never happened during the run, of what most bugs need: `no snapshot was installed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<String>,
    /// How long Tribunal waited for the nodes of an eventually consistent system to converge, in
    /// milliseconds, if they had not converged then: there were no final reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsettled_ms: Option<u64>,
    /// Connections from outside the cluster, which bypassed the partitions, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strangers: Option<OutsideConnections>,
    /// The violation that the live check found, and that ended the run, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_live: Option<LiveViolation>,
    /// The mistakes that oracles beside the model found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The box that the run happened in, if it did.
    #[serde(rename = "box", skip_serializing_if = "Option::is_none")]
    pub boxed: Option<BoxIdentity>,
    /// How often each of these oracles looked; those that were switched off are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub oracles: Vec<Looked>,
}

/// A violation found by the live check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveViolation {
    /// Its key. The final check looks at this key first.
    pub key: Value,
    /// The operation, as text, whose completion left no configuration.
    pub operation: String,
    /// Its process.
    pub process: u64,
    /// Its completion time.
    pub t: Nanos,
}

/// How a trial ended. It is on disk before anything is checked, so that every later check has the same
/// information as the first, and can detect lost evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The number of events in history.jsonl.
    pub events: u64,
    /// The number of lines in faults.jsonl.
    pub fault_lines: u64,
    /// Whether the user interrupted the run.
    pub interrupted: bool,
    /// The first failure of the harness, if any.
    pub harness_failure: Option<HarnessFailure>,
}

/// The final reads of a run: each is answered by any node, or by every node if the model judges the final
/// state of every node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FinalReads {
    /// The number of final reads.
    pub asked: usize,
    /// The number of successful ones.
    pub answered: usize,
}

impl FinalReads {
    /// Whether all of them succeeded.
    pub fn all_answered(self) -> bool {
        self.answered == self.asked
    }
}

/// Connections to nodes from outside the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideConnections {
    /// Their number.
    pub connections: u64,
    /// A description of the first.
    pub first: String,
}

/// The program that made the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tool {
    /// Its version, such as `0.1.0`.
    pub version: String,
    /// The revision that it was built from, with `-dirty` for uncommitted changes, if known.
    pub git: Option<String>,
}

/// One node of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its name, such as `n1`.
    pub name: String,
    /// The command line that started it.
    pub command: Vec<String>,
}

/// A phase of the run: `starting`, `running`, `healing`, `final-reads`, `stopping`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// When it began.
    pub start_ns: Nanos,
    /// When it ended; `None` if the run ended first.
    pub end_ns: Option<Nanos>,
}

impl RunInfo {
    /// Whether this is an imported history: without nodes, faults or a seed.
    pub fn is_history(&self) -> bool {
        self.nodes.is_empty() && self.system.is_empty()
    }

    /// The seed of the box that the run happened in, if it did.
    pub fn box_seed(&self) -> Option<u64> {
        self.boxed.as_ref().and(self.spec.as_ref()).map(|spec| spec.box_seed)
    }

    /// The command that repeats the run, with an explicit seed. Timing is not repeated.
    pub fn rerun_command(&self) -> String {
        match &self.spec {
            Some(spec) => command(spec.words()),
            None => command(self.args.iter().map(OsString::from)),
        }
    }

    /// The command that repeats the run with the faults in `record`, a faults.jsonl.
    pub fn replay_command(&self, record: &str) -> String {
        match &self.spec {
            Some(spec) => command(spec.clone().replaying(record).words()),
            None => format!("{} --schedule {}", self.rerun_command(), shell_quoted(record)),
        }
    }
}

/// A command of `tribunal`, quoted for a shell.
pub(crate) fn command(words: impl IntoIterator<Item = OsString>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quoted(&word)).collect();
    format!("tribunal {}", words.join(" "))
}

/// A word quoted for a shell, only if needed; invisible characters are written as their bytes.
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
