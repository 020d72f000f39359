//! What decides everything that happens in a box: a virtual machine in which a run repeats.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::quantity::{duration_text, parse_duration};

/// The identity of a box: two boots with the same identity do the same, instruction by instruction. Hashes are
/// SHA-256, in hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BoxIdentity {
    /// QEMU's version, as it prints it.
    pub qemu_version: String,
    /// Hash of QEMU's executable.
    pub qemu: String,
    /// Hash of the kernel.
    pub kernel: String,
    /// Hash of the image: the programs of the guest, and their files.
    pub image: String,
    /// Hash of the job: the trial and its seeds.
    pub job: String,
    /// QEMU's arguments, without descriptors and paths of the host.
    pub command: String,
}

impl BoxIdentity {
    /// The names of the parts in which two identities differ.
    pub fn differences(&self, other: &BoxIdentity) -> Vec<&'static str> {
        let parts = [
            ("the version of QEMU", &self.qemu_version, &other.qemu_version),
            ("QEMU's executable", &self.qemu, &other.qemu),
            ("the kernel", &self.kernel, &other.kernel),
            ("the image", &self.image, &other.image),
            ("the trial", &self.job, &other.job),
            ("QEMU's arguments", &self.command, &other.command),
        ];
        parts.iter().filter(|(_, here, there)| here != there).map(|(name, ..)| *name).collect()
    }
}

/// Another way for a run: from a moment on, the guest gets another seed, and everything before stays as it was. As
/// text: `6.2s,17,8s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Branch {
    /// The moment, in the run's time.
    pub at: Duration,
    /// The seed of entropy and timing from then on.
    pub seed: u64,
    /// When the run is interrupted, in the run's time.
    pub end: Duration,
}

impl FromStr for Branch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').collect();
        let [at, seed, end] = parts[..] else {
            return Err("expected a moment, a seed and an end, such as 6.2s,17,8s".into());
        };
        let seed = seed.parse().map_err(|_| format!("`{seed}`: expected a seed, a whole number"))?;
        let (at, end) = (moment(at)?, moment(end)?);
        if end <= at {
            return Err("expected an end after the moment, such as 6.2s,17,8s".into());
        }
        Ok(Branch { at, seed, end })
    }
}

fn moment(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|why| format!("`{text}`: {why}"))
}

impl Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", duration_text(self.at), self.seed, duration_text(self.end))
    }
}

impl TryFrom<String> for Branch {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Branch> for String {
    fn from(branch: Branch) -> String {
        branch.to_string()
    }
}

/// Name of a file in a run directory: how far its trial was shrunk, a [`Shrunk`].
pub const SHRUNK: &str = "shrunk.json";

/// What `tribunal shrink` came to: the smallest trial that shows a violation, and why no fault of it can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shrunk {
    /// The trial at first.
    pub recorded: Extent,
    /// The smallest one.
    pub smallest: Extent,
    /// Whether every trial that is a step smaller was tried.
    pub is_complete: bool,
    /// Each fault of the smallest trial left out, once.
    pub proof: Vec<LeftOut>,
}

/// How large a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The number of faults.
    pub faults: usize,
    /// The number of nodes.
    pub nodes: usize,
    /// The number of clients.
    pub clients: usize,
    /// The number of keys at a time.
    pub keys: usize,
    /// The time limit, in milliseconds.
    pub time_limit_ms: u64,
}

/// What boots without one of the faults showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The fault.
    pub fault: String,
    /// The number of boots.
    pub boots: usize,
    /// The number of those that were judged: an unknown outcome says nothing.
    pub judged: usize,
    /// Whether one of them still showed a violation.
    pub is_shown: bool,
}

impl LeftOut {
    /// Whether the fault is needed: all boots were judged, and none showed a violation.
    pub fn is_needed(&self) -> bool {
        !self.is_shown && self.boots > 0 && self.judged == self.boots
    }
}
