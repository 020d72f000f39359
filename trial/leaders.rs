//! Who leads, asked ten times a second: for the status of the run, and for `leaders.jsonl`, from which the
//! report names the leaders around a violation.
//!
//! Like the journal of the links, the file is not evidence: a run without it gets the same verdict, and an
//! error while writing it ends only the file.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;
use tribunal_nemesis::NodeId;
use tribunal_records::leaders::{Leader, Leaders};

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::lines::LineFile;
use crate::lock::locked;

/// How often the nodes are asked.
const EVERY: Duration = Duration::from_millis(100);

/// The nodes that claim to lead, and the file with their changes.
pub(crate) struct LeaderLog {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    /// After an error it takes no more lines.
    file: LineFile,
    last: Option<Vec<(NodeId, u64)>>,
    /// Every leadership that was seen.
    seen: BTreeSet<(NodeId, u64)>,
}

impl LeaderLog {
    /// Creates the file.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn create(path: &Path, clock: Clock) -> Result<Self> {
        let file = LineFile::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(LeaderLog { clock, state: Mutex::new(State { file, last: None, seen: BTreeSet::new() }) })
    }

    /// Asks the nodes, until it is dropped.
    pub(crate) async fn watch(&self, cluster: &Cluster) {
        loop {
            let leaders = cluster.leaders().await;
            self.saw(cluster, leaders);
            sleep(EVERY).await;
        }
    }

    /// The most credible leader at the last look.
    pub(crate) fn current(&self) -> Option<(NodeId, u64)> {
        locked(&self.state).last.as_ref()?.first().copied()
    }

    /// How many times a node became the leader, as far as it was seen.
    pub(crate) fn count(&self) -> usize {
        locked(&self.state).seen.len()
    }

    /// Writes a line if something has changed.
    fn saw(&self, cluster: &Cluster, leaders: Vec<(NodeId, u64)>) {
        let mut state = locked(&self.state);
        if state.last.as_ref() == Some(&leaders) {
            return;
        }
        let leader = |(node, term): &(NodeId, u64)| Leader {
            node: cluster.nodes[node.0].place.name.clone(),
            term: *term,
        };
        let line = Leaders { t: self.clock.now(), leaders: leaders.iter().map(leader).collect() };
        let mut line = serde_json::to_vec(&line).expect("names and numbers have a JSON form");
        line.push(b'\n');
        let _ = state.file.append(&line);
        state.seen.extend(&leaders);
        state.last = Some(leaders);
    }
}
