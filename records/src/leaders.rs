//! `leaders.jsonl`: which nodes claimed to lead, one line for each change.
//!
//! ```json
//! {"t":12465000000,"leaders":[{"node":"n3","term":5},{"node":"n1","term":4}]}
//! ```
//!
//! The nodes are asked ten times a second, so a change is recorded up to 100 ms late, or later if a node does
//! not answer. A node that was cut off may claim to lead after another has been elected.

use serde::{Deserialize, Serialize};

/// The nodes that claimed to lead at some time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Leaders {
    /// When all nodes had answered, in nanoseconds since the start of the run.
    pub t: u64,
    /// The nodes that claimed to lead, the highest term first; empty if none did.
    pub leaders: Vec<Leader>,
}

/// A node that claims to lead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Leader {
    /// Its name, such as `n3`.
    pub node: String,
    /// Its term, epoch or ballot; 0 if the system has none.
    pub term: u64,
}
