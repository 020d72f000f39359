//! What this node applied last, so that an observer can compare nodes: the requests `applied`, `entries` and
//! `peek` of [`crate::wire`].

use std::collections::VecDeque;

use serde_json::{Value as Json, json};
use tribunal_records::wire::{Applied, AppliedEntry};

use super::Payload;
use super::service::decode;
use crate::machine::{Machine, Op, Output, Verb, hash};
use crate::value::Value;

/// How many entries are remembered: several seconds at full speed.
const ENTRIES_MAX: usize = 1 << 14;
/// The maximum number of rows of one answer.
const ROWS_MAX: usize = 4096;

/// The latest applied entries, with the hash of the state after each.
#[derive(Debug)]
pub(super) struct AppliedLog {
    boot: u64,
    led: Vec<(String, u64)>,
    installed: u64,
    /// The position of the last entry.
    last: u64,
    entries: VecDeque<(Payload, u64)>,
}

impl AppliedLog {
    /// A log that begins after what `machine` holds. `boot` must differ between the processes of a node.
    pub(super) fn new(boot: u64, machine: &Machine) -> Self {
        let entries = VecDeque::new();
        AppliedLog { boot, led: Vec::new(), installed: 0, last: machine.position(), entries }
    }

    /// Adds an entry that `machine` has just applied.
    pub(super) fn add(&mut self, payload: &Payload, machine: &Machine) {
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.last = machine.position();
        self.entries.push_back((payload.clone(), machine.digest()));
    }

    /// The machine was replaced by a snapshot.
    pub(super) fn install(&mut self, machine: &Machine) {
        self.entries.clear();
        (self.last, self.installed) = (machine.position(), machine.position());
    }

    /// This node has won a leadership.
    pub(super) fn lead(&mut self, leadership: String, term: u64) {
        self.led.push((leadership, term));
    }

    /// The answer to `applied`.
    pub(super) fn after(&self, position: Option<&Json>, term: u64) -> Applied {
        let position = position.and_then(Json::as_u64).unwrap_or_default();
        let (first, rows) = self.from(position.saturating_add(1));
        let row =
            |(position, (payload, digest)): (u64, &(Payload, u64))| (position, entry_hash(payload), *digest);
        let (boot, last, installed, led) = (self.boot, self.last, self.installed, self.led.clone());
        Applied {
            boot,
            term,
            led,
            last,
            installed,
            rows: (first..).zip(rows).take(ROWS_MAX).map(row).collect(),
        }
    }

    /// The answer to `entries`.
    pub(super) fn entries(&self, range: Option<&Json>) -> Vec<AppliedEntry> {
        let bound =
            |at: usize| range.and_then(|range| range.get(at)).and_then(Json::as_u64).unwrap_or_default();
        let (first, rows) = self.from(bound(0));
        let rows = (first..).zip(rows).take_while(|(position, _)| *position <= bound(1)).take(ROWS_MAX);
        rows.map(|(position, (payload, _))| {
            let (key, what) = describe(payload);
            AppliedEntry { position, key, what }
        })
        .collect()
    }

    /// The remembered entries from a position on, and the position of the first of them.
    fn from(&self, position: u64) -> (u64, impl Iterator<Item = &(Payload, u64)>) {
        let oldest = self.last + 1 - self.entries.len() as u64;
        let skipped = position.saturating_sub(oldest);
        (oldest.max(position), self.entries.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX)))
    }
}

/// The answer to `peek`.
pub(super) fn peek(machine: &Machine, key: Option<Json>) -> Result<Json, String> {
    let op = Op { verb: Verb::Read, key: Value::given(key)?, value: Value::Nil };
    let held = if let Output::Value(value) = machine.read(&op) { value.to_json() } else { Json::Null };
    Ok(json!([machine.position(), held]))
}

fn entry_hash(payload: &Payload) -> u64 {
    match payload {
        Payload::Noop => 0,
        Payload::Command(bytes) => hash(bytes),
        Payload::Members(members) => hash(members),
    }
}

fn describe(payload: &Payload) -> (Option<Json>, String) {
    match payload {
        Payload::Noop => (None, "nothing (it fills a position)".into()),
        Payload::Members(members) => (None, format!("the members become {members:?}")),
        Payload::Command(_) => match decode(payload) {
            Some(command) => {
                let (op, key) = (&command.op, command.op.key.to_json());
                let verb = format!("{:?}", op.verb).to_lowercase();
                let value =
                    if op.value == Value::Nil { String::new() } else { format!(" {}", op.value.to_json()) };
                let what =
                    format!("{verb}{value} on {key} (operation {} of {})", command.seq, command.client);
                (Some(key), what)
            }
            None => (None, "a command that cannot be read".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(applied: &Applied) -> Vec<u64> {
        applied.rows.iter().map(|row| row.0).collect()
    }

    #[test]
    fn an_observer_gets_what_it_has_not_seen_yet() {
        let mut machine = Machine::default();
        let mut log = AppliedLog::new(7, &machine);
        for _ in 0..5 {
            machine.advance();
            log.add(&Payload::Noop, &machine);
        }
        let after = |log: &AppliedLog, position: u64| positions(&log.after(Some(&json!(position)), 1));
        assert_eq!(after(&log, 0), [1, 2, 3, 4, 5]);
        assert_eq!(after(&log, 3), [4, 5]);
        assert_eq!(after(&log, 9), [0; 0]);
        assert_eq!(log.entries(Some(&json!([2, 3]))).len(), 2);
        log.install(&machine);
        assert_eq!((after(&log, 0), log.after(None, 1).installed), (Vec::new(), 5));
        machine.advance();
        log.add(&Payload::Noop, &machine);
        assert_eq!(after(&log, 0), [6]);
    }

    #[test]
    fn only_the_latest_entries_are_kept() {
        let mut machine = Machine::default();
        let mut log = AppliedLog::new(7, &machine);
        for _ in 0..ENTRIES_MAX + 10 {
            machine.advance();
            log.add(&Payload::Noop, &machine);
        }
        let rows = positions(&log.after(Some(&json!(0)), 1));
        assert_eq!((rows[0], rows.len()), (11, ROWS_MAX));
    }
}
