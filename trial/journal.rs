//! The traffic on the links, in short samples: `links.jsonl`, from which the report draws the messages
//! between nodes.
//!
//! The proxies count bytes; the journal reads their counters every few milliseconds. The journal is not
//! evidence: a run without it gets the same verdict, and an error while writing it ends only the journal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tribunal_nemesis::{LinkCounters, Links, NodeId};
use tribunal_records::links::Sample;

use crate::clock::Clock;

/// Sampling interval.
const EVERY: Duration = Duration::from_millis(5);

/// A journal that is being written.
pub(crate) struct Journal {
    end: CancellationToken,
    writer: JoinHandle<std::io::Result<()>>,
}

impl Journal {
    /// Creates the file and starts sampling.
    pub(crate) fn begin(path: &Path, links: Arc<Links>, clock: Clock) -> std::io::Result<Self> {
        let file = BufWriter::new(File::create(path)?);
        let end = CancellationToken::new();
        let writer = tokio::spawn(write(file, links, clock, end.clone()));
        Ok(Journal { end, writer })
    }

    /// Ends the journal, and returns the error that interrupted it, if any.
    pub(crate) async fn end(self) -> std::io::Result<()> {
        self.end.cancel();
        self.writer.await.map_err(std::io::Error::other)?
    }
}

async fn write(
    mut file: BufWriter<File>,
    links: Arc<Links>,
    clock: Clock,
    end: CancellationToken,
) -> std::io::Result<()> {
    let nodes = (0..links.nodes()).map(NodeId);
    let pairs: Vec<(NodeId, NodeId)> = nodes
        .clone()
        .flat_map(|from| nodes.clone().map(move |to| (from, to)))
        .filter(|(a, b)| a != b)
        .collect();
    let read = || pairs.iter().map(|(from, to)| links.counters(*from, *to)).collect::<Vec<_>>();
    let (mut last, mut last_at) = (read(), clock.now());
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !end.is_cancelled() {
        tokio::select! { _ = ticks.tick() => {}, () = end.cancelled() => {} }
        let (now, now_at) = (read(), clock.now());
        let moved = |count: fn(&LinkCounters) -> u64| -> BTreeMap<String, u64> {
            let each = pairs.iter().zip(last.iter().zip(&now));
            let grown = each.map(|((from, to), (old, new))| {
                (format!("{from}>{to}"), count(new).saturating_sub(count(old)))
            });
            grown.filter(|(_, bytes)| *bytes > 0).collect()
        };
        let sample = Sample {
            from: last_at,
            to: now_at,
            carried: moved(|counters| counters.bytes_carried),
            withheld: moved(|counters| counters.bytes_withheld),
        };
        if !(sample.carried.is_empty() && sample.withheld.is_empty()) {
            serde_json::to_writer(&mut file, &sample)?;
            file.write_all(b"\n")?;
        }
        (last, last_at) = (now, now_at);
    }
    file.flush()
}
