//! Compares what the nodes applied: the oracles `divergence` and `agreement`.
//!
//! Every node says what it applied, position by position: a hash of the entry, and a hash of its whole state
//! after it. At one position all nodes must have applied the same entry, now and after any restart, and then
//! hold the same state. So the first position at which two nodes differ is known exactly, even if no client
//! ever reads from the wrong one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tribunal_checker::op::Value;
use tribunal_records::oracles::{DIFFERENT_ENTRIES, Oracle};
use tribunal_records::wire::{Applied, AppliedEntry};

use super::Oracles;
use crate::cluster::Cluster;
use crate::lock::locked;

/// How often the nodes are asked.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long a node that is about to be killed may take to answer.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_millis(50);
/// How many positions are remembered.
const POSITIONS_MAX: usize = 1 << 18;
/// How many entries before a difference are shown.
const ENTRIES_BEFORE: u64 = 3;

/// Watches the nodes of a cluster.
pub(crate) struct ReplicaWatch {
    cluster: Arc<Cluster>,
    oracles: Arc<Oracles>,
    ledger: Mutex<Ledger>,
}

impl ReplicaWatch {
    /// A watch, if one of its oracles is on and the nodes can be asked.
    pub(crate) fn new(cluster: &Arc<Cluster>, oracles: &Arc<Oracles>) -> Option<Arc<Self>> {
        let wanted = [Oracle::Divergence, Oracle::Agreement].map(|oracle| oracles.is_on(oracle));
        if wanted == [false, false] {
            return None;
        }
        if cluster.system.replicas().is_none() {
            let why = format!("the nodes of {} do not say what they applied", cluster.system.name());
            oracles.cannot_look(Oracle::Divergence, why.clone());
            oracles.cannot_look(Oracle::Agreement, why);
            return None;
        }
        let ledger = Mutex::new(Ledger::new(cluster.nodes.len()));
        Some(Arc::new(ReplicaWatch { cluster: cluster.clone(), oracles: oracles.clone(), ledger }))
    }

    /// Asks all nodes again and again, until `stop` is cancelled.
    pub(crate) async fn watch(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            self.look().await;
            tokio::select! { () = sleep(INTERVAL) => {}, () = stop.cancelled() => {} }
        }
    }

    /// Whether any node has installed a snapshot in place of entries.
    pub(crate) fn has_installed(&self) -> bool {
        locked(&self.ledger).has_installed
    }

    /// Asks all nodes once.
    pub(crate) async fn look(&self) {
        join_all((0..self.cluster.nodes.len()).map(|node| self.look_at(node))).await;
    }

    /// Asks a node that is about to be killed: a restart may wipe out what is wrong in its memory.
    pub(crate) async fn last_look_at(&self, node: usize) {
        let _ = timeout(LAST_ANSWER_TIMEOUT, self.look_at(node)).await;
    }

    async fn look_at(&self, node: usize) {
        let Some(replicas) = self.cluster.system.replicas() else { return };
        let place = &self.cluster.nodes[node].place;
        if !self.cluster.system.is_honest(&place.name) {
            return;
        }
        // Until there is nothing new: an answer holds a limited number of rows.
        loop {
            let after = locked(&self.ledger).last(node);
            let Some(applied) = replicas.applied(place, after).await else { return };
            let (compared, found) = {
                let mut ledger = locked(&self.ledger);
                let before = ledger.compared;
                let found = ledger.take(node, &applied);
                (ledger.compared - before, found)
            };
            self.oracles.looked(Oracle::Divergence, compared, "states compared");
            self.oracles.looked(Oracle::Agreement, compared, "applied entries compared");
            for difference in found {
                self.report(difference).await;
            }
            if applied.rows.last().is_none_or(|row| row.0 == applied.last) {
                return;
            }
        }
    }

    async fn report(&self, difference: Difference) {
        let name = |node: usize| self.cluster.nodes[node].place.name.as_str();
        match difference {
            Difference::State { position, nodes: [a, b] } => {
                let entries = self.entries(a, position).await;
                let key = entries
                    .last()
                    .filter(|entry| entry.position == position)
                    .and_then(|entry| entry.key.clone());
                let mut evidence: Vec<String> = entries.iter().map(line).collect();
                let mut differ = String::new();
                if let Some(key) = key.and_then(|key| serde_json::from_value::<Value>(key).ok()) {
                    let [held_a, held_b] = [self.peek(a, &key).await, self.peek(b, &key).await];
                    for (node, held) in
                        [(a, &held_a), (b, &held_b)].into_iter().take(if a == b { 1 } else { 2 })
                    {
                        if let Some((after, value)) = held {
                            evidence.push(format!(
                                "{} now, after position {after}: {key} holds {value}",
                                name(node)
                            ));
                        }
                    }
                    differ = match (held_a, held_b) {
                        (Some((_, x)), Some((_, y))) if x != y => {
                            format!(": {key} holds {x} on {}, {y} on {}", name(a), name(b))
                        }
                        (Some(_), Some(_)) if a != b => {
                            format!(": {key} holds the same, so they remember different answers to clients")
                        }
                        _ => format!(": its key is {key}"),
                    };
                }
                let sentence = if a == b {
                    format!(
                        "{} holds another state after position {position} than before its restart, though it applied the same entries{differ}",
                        name(a)
                    )
                } else {
                    format!(
                        "{} and {} applied the same entries up to position {position} and hold different states after it{differ}",
                        name(a),
                        name(b)
                    )
                };
                self.oracles.find(Oracle::Divergence, &[name(a), name(b)], sentence, evidence, None);
            }
            Difference::Entry { position, nodes: [a, b] } => {
                let [of_a, of_b] = [self.entries(a, position).await, self.entries(b, position).await];
                let what = |entries: &[AppliedEntry]| {
                    let entry = entries.last().filter(|entry| entry.position == position);
                    entry.map_or_else(|| "an entry that it no longer has".into(), |entry| entry.what.clone())
                };
                let sentence = if a == b {
                    format!(
                        "{} applied two {DIFFERENT_ENTRIES} {position}: before its restart another than {}",
                        name(a),
                        what(&of_a)
                    )
                } else {
                    format!(
                        "{} and {} applied {DIFFERENT_ENTRIES} {position}: {}: {}; {}: {}",
                        name(a),
                        name(b),
                        name(a),
                        what(&of_a),
                        name(b),
                        what(&of_b)
                    )
                };
                let lines = |node, entries: &[AppliedEntry]| {
                    entries.iter().map(|entry| format!("{}: {}", name(node), line(entry))).collect::<Vec<_>>()
                };
                let evidence = [lines(a, &of_a), lines(b, &of_b)].concat();
                self.oracles.find(Oracle::Agreement, &[name(a), name(b)], sentence, evidence, None);
            }
            Difference::Leadership { led, nodes: [a, b] } => {
                let sentence = if a == b {
                    format!("{} won {led} twice, before and after a restart", name(a))
                } else {
                    format!("{} and {} both won {led}", name(a), name(b))
                };
                self.oracles.find(Oracle::Agreement, &[name(a), name(b)], sentence, Vec::new(), None);
            }
            Difference::Term { node, from, to } => {
                let sentence = format!("{}'s term went back from {from} to {to}", name(node));
                self.oracles.find(Oracle::Agreement, &[name(node)], sentence, Vec::new(), None);
            }
        }
    }

    /// The entries up to a position.
    async fn entries(&self, node: usize, position: u64) -> Vec<AppliedEntry> {
        let Some(replicas) = self.cluster.system.replicas() else { return Vec::new() };
        replicas
            .entries(&self.cluster.nodes[node].place, position.saturating_sub(ENTRIES_BEFORE), position)
            .await
    }

    async fn peek(&self, node: usize, key: &Value) -> Option<(u64, Value)> {
        self.cluster.system.replicas()?.peek(&self.cluster.nodes[node].place, key).await
    }
}

fn line(entry: &AppliedEntry) -> String {
    format!("position {}: {}", entry.position, entry.what)
}

/// What nodes must never do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Difference {
    /// Different entries at one position.
    Entry { position: u64, nodes: [usize; 2] },
    /// The same entries, and different states.
    State { position: u64, nodes: [usize; 2] },
    /// One leadership, won twice.
    Leadership { led: String, nodes: [usize; 2] },
    /// A term that goes back.
    Term { node: usize, from: u64, to: u64 },
}

/// The entry and the state at one position, and the node that showed them first.
#[derive(Clone, Copy, Debug)]
struct Seen {
    entry: u64,
    state: u64,
    node: usize,
}

/// What is known about one node.
#[derive(Clone, Debug, Default)]
struct Known {
    boot: u64,
    /// The last position that it has shown since its start.
    last: u64,
    /// Its term, and the highest term in which it led.
    term: u64,
    led: u64,
    /// How many of its leaderships are in the ledger.
    leaderships: usize,
    /// Whether it has differed before: it does for ever after.
    has_differed: bool,
}

/// Everything that any node has applied.
#[derive(Debug)]
struct Ledger {
    nodes: Vec<Known>,
    /// The position of the first of `seen`.
    first: u64,
    seen: VecDeque<Option<Seen>>,
    leaders: BTreeMap<String, usize>,
    /// How many rows were compared with the row of another node.
    compared: u64,
    /// Whether any node has installed a snapshot in place of entries.
    has_installed: bool,
}

impl Ledger {
    fn new(nodes: usize) -> Self {
        let nodes = vec![Known::default(); nodes];
        Ledger {
            nodes,
            first: 1,
            seen: VecDeque::new(),
            leaders: BTreeMap::new(),
            compared: 0,
            has_installed: false,
        }
    }

    /// The last position that a node has shown.
    fn last(&self, node: usize) -> u64 {
        self.nodes[node].last
    }

    /// Adds a node's answer. Returns what contradicts earlier answers.
    fn take(&mut self, node: usize, applied: &Applied) -> Vec<Difference> {
        let mut found = Vec::new();
        let known = &mut self.nodes[node];
        if known.boot != applied.boot {
            // What it applies again after a restart is compared again.
            let led = known.led;
            let is_back = known.boot != 0 && applied.term < led;
            found.extend(is_back.then_some(Difference::Term { node, from: led, to: applied.term }));
            *known = Known { boot: applied.boot, led, has_differed: known.has_differed, ..Known::default() };
        } else if applied.term < known.term {
            found.push(Difference::Term { node, from: known.term, to: applied.term });
        }
        known.term = applied.term;
        for (led, term) in applied.led.iter().skip(known.leaderships) {
            known.led = known.led.max(*term);
            if let Some(other) = self.leaders.insert(led.clone(), node) {
                found.push(Difference::Leadership { led: led.clone(), nodes: [other, node] });
            }
        }
        known.leaderships = applied.led.len();
        self.has_installed |= applied.installed > 0;
        if applied.installed > known.last {
            known.last = applied.installed;
        }
        for &(position, entry, state) in &applied.rows {
            if position <= self.nodes[node].last {
                continue;
            }
            self.nodes[node].last = position;
            found.extend(self.compare(node, position, Seen { entry, state, node }));
        }
        found
    }

    fn compare(&mut self, node: usize, position: u64, row: Seen) -> Option<Difference> {
        let at = usize::try_from(position.checked_sub(self.first)?).ok()?;
        if at >= self.seen.len() {
            self.seen.resize(at + 1, None);
        }
        let Some(other) = self.seen[at] else {
            self.seen[at] = Some(row);
            self.forget();
            return None;
        };
        self.compared += 1;
        let nodes = [other.node, node];
        let difference = if other.entry != row.entry {
            Difference::Entry { position, nodes }
        } else if other.state != row.state {
            Difference::State { position, nodes }
        } else {
            return None;
        };
        if nodes.iter().any(|node| self.nodes[*node].has_differed) {
            return None;
        }
        self.nodes[node].has_differed = true;
        Some(difference)
    }

    /// Forgets the earliest positions, if there are too many.
    fn forget(&mut self) {
        let surplus = self.seen.len().saturating_sub(POSITIONS_MAX);
        self.seen.drain(..surplus);
        self.first += surplus as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(boot: u64, rows: &[(u64, u64, u64)]) -> Applied {
        let last = rows.last().map_or(0, |row| row.0);
        Applied { boot, last, rows: rows.to_vec(), ..Applied::default() }
    }

    #[test]
    fn nodes_that_agree_are_compared_and_not_accused() {
        let mut ledger = Ledger::new(3);
        assert_eq!(ledger.take(0, &applied(1, &[(1, 10, 100), (2, 20, 200)])), []);
        assert_eq!(ledger.take(1, &applied(2, &[(1, 10, 100)])), []);
        assert_eq!(ledger.take(1, &applied(2, &[(2, 20, 200), (3, 30, 300)])), []);
        assert_eq!((ledger.compared, ledger.last(0), ledger.last(1)), (2, 2, 3));
        // A node that restarts applies its log again; one that installs a snapshot starts after it.
        assert_eq!(ledger.take(0, &applied(5, &[(1, 10, 100)])), []);
        let installed = Applied { installed: 2, ..applied(3, &[(3, 30, 300)]) };
        assert_eq!(ledger.take(2, &installed), []);
        assert_eq!((ledger.compared, ledger.last(0)), (4, 1));
    }

    #[test]
    fn the_first_difference_is_named_once() {
        let mut ledger = Ledger::new(3);
        ledger.take(0, &applied(1, &[(1, 10, 100), (2, 20, 200), (3, 30, 300)]));
        let state = Difference::State { position: 2, nodes: [0, 1] };
        assert_eq!(ledger.take(1, &applied(2, &[(1, 10, 100), (2, 20, 201), (3, 30, 301)])), [state]);
        let entry = Difference::Entry { position: 2, nodes: [0, 2] };
        assert_eq!(ledger.take(2, &applied(3, &[(1, 10, 100), (2, 21, 200), (3, 30, 300)])), [entry]);
    }

    #[test]
    fn a_node_contradicts_itself_after_a_restart() {
        let mut ledger = Ledger::new(1);
        ledger.take(0, &applied(1, &[(1, 10, 100)]));
        let entry = Difference::Entry { position: 1, nodes: [0, 0] };
        assert_eq!(ledger.take(0, &applied(2, &[(1, 11, 100)])), [entry]);
    }

    #[test]
    fn leaderships_are_won_once_and_terms_only_grow() {
        let mut ledger = Ledger::new(2);
        let leads = |boot, term, led: &[u64]| {
            let led = led.iter().map(|term| (format!("term {term}"), *term)).collect();
            Applied { boot, term, led, ..Applied::default() }
        };
        assert_eq!(ledger.take(0, &leads(1, 5, &[3, 5])), []);
        assert_eq!(ledger.take(0, &leads(1, 5, &[3, 5])), [], "the same answer again");
        let both = Difference::Leadership { led: "term 5".into(), nodes: [0, 1] };
        assert_eq!(ledger.take(1, &leads(2, 6, &[5])), [both]);
        assert_eq!(ledger.take(1, &leads(2, 4, &[5])), [Difference::Term { node: 1, from: 6, to: 4 }]);
        assert_eq!(ledger.take(0, &leads(7, 4, &[])), [Difference::Term { node: 0, from: 5, to: 4 }]);
        assert_eq!(ledger.take(0, &leads(8, 5, &[])), [], "the term in which it led is enough");
    }

    #[test]
    fn old_positions_are_forgotten() {
        let mut ledger = Ledger::new(2);
        let many: Vec<_> = (1..=POSITIONS_MAX as u64 + 5).map(|position| (position, 1, 1)).collect();
        ledger.take(0, &applied(1, &many));
        assert_eq!((ledger.first, ledger.seen.len()), (6, POSITIONS_MAX));
        assert_eq!(ledger.take(1, &applied(2, &[(1, 9, 9)])), [], "nobody remembers");
    }
}
