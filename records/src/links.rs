//! `links.jsonl`: how many bytes each directed link between nodes carried and withheld, in short samples.
//!
//! ```json
//! {"from":12465000000,"to":12470123000,"carried":{"n1>n2":812,"n2>n1":96},"withheld":{"n1>n3":812}}
//! ```
//!
//! Samples without traffic are left out. There is no journal if the kernel carries the links (`--net netns`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The traffic in a time interval, in bytes by link, such as `n1>n2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// Its beginning, in nanoseconds since the start of the run.
    pub from: u64,
    /// Its end, likewise.
    pub to: u64,
    /// Bytes delivered.
    pub carried: BTreeMap<String, u64>,
    /// Bytes sent and not delivered, because the link was cut. They may be delivered when the link is healed.
    pub withheld: BTreeMap<String, u64>,
}
