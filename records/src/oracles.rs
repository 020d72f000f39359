//! The oracles of a trial, and their findings. Each oracle looks for one kind of mistake; a run is clean if
//! none of them finds any.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::suggest::unknown;

/// One row per oracle: variant, name, what it looks for.
macro_rules! oracles {
    ($($oracle:ident = $name:literal, $about:literal;)*) => {
        /// A judge of a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Oracle {
            $(#[doc = $about] $oracle,)*
        }

        impl Oracle {
            /// All oracles, in the order of the reports.
            pub const ALL: &[Oracle] = &[$(Oracle::$oracle),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Oracle::$oracle => $name,)* }
            }

            /// What it looks for.
            pub fn about(self) -> &'static str {
                match self { $(Oracle::$oracle => $about,)* }
            }
        }
    };
}

oracles! {
    Model = "model", "Answers to clients that contradict the model.";
    Divergence = "divergence", "Nodes that applied the same entries and hold different states.";
    Agreement = "agreement", "Nodes that applied different entries at one position, share a term as leaders, or go back to an earlier term.";
    Crash = "crash", "A node that answered and then ended by itself.";
    Restart = "restart", "A node that does not start again on its own data.";
    Log = "log", "A log line that a correct node never writes.";
    Recovery = "recovery", "Operations that do not succeed through every node once all faults are healed.";
}

impl Display for Oracle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Oracle {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Oracle::ALL.iter().find(|oracle| oracle.name() == name);
        let names: Vec<&str> = Oracle::ALL.iter().map(|oracle| oracle.name()).collect();
        found.copied().ok_or_else(|| unknown("oracle", name, &names))
    }
}

/// What the sentence of a finding of [`Oracle::Agreement`] contains if two nodes applied different entries.
pub const DIFFERENT_ENTRIES: &str = "different entries at position";

/// A mistake that an oracle found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The oracle.
    pub oracle: Oracle,
    /// When it was found, in nanoseconds since the start of the run.
    pub t: u64,
    /// The nodes that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// What is wrong, in one sentence without its period.
    pub sentence: String,
    /// The evidence, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The injected fault that may legitimately cause it: then it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excuse: Option<String>,
}

/// How often an oracle looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// The oracle.
    pub oracle: Oracle,
    /// How often: see `what`.
    pub times: u64,
    /// What was counted, such as `applied entries compared`.
    pub what: String,
    /// Why it could not look, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_oracle_has_the_name_that_files_use() {
        for oracle in Oracle::ALL {
            assert_eq!(serde_json::to_value(oracle).unwrap(), oracle.name());
            assert_eq!(oracle.name().parse(), Ok(*oracle));
        }
        assert_eq!("crsh".parse::<Oracle>().unwrap_err(), "there is no oracle `crsh`: did you mean `crash`?");
    }
}
