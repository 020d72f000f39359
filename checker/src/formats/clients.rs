//! Clients with names instead of numbers.
//!
//! A process that invokes is a client, whatever its name. A process that never invokes, such as `:nemesis`,
//! is not. A named client gets an unused number, and a new one after an operation of unknown outcome: such an
//! operation ends a process, but the name stays the same.

use std::collections::{HashMap, HashSet};

use crate::op::{Event, Kind, Op};

/// Never a client, even if it is recorded as one.
const NEMESIS: &str = "nemesis";

/// The named clients of a history, by provisional number during reading.
#[derive(Default)]
pub(super) struct Clients {
    known: HashMap<String, Named>,
    /// The name behind each number; the latest is last.
    names: Vec<String>,
}

struct Named {
    first: u64,
    now: u64,
    /// Whether the outcome of its last operation is unknown.
    has_ended: bool,
}

/// Provisional numbers start here; final ones are assigned when all are known.
const NAMED_MIN: u64 = 1 << 62;

impl Clients {
    /// Whether a process of this name is a client, as far as an event of this kind can show.
    pub(super) fn is_client(&self, name: &str, kind: Kind) -> bool {
        name != NEMESIS && (kind == Kind::Invoke || self.known.contains_key(name))
    }

    /// Assigns an event to the client of this name.
    pub(super) fn event(&mut self, name: &str, mut event: Event) -> Event {
        self.number_of(name);
        let named = self.known.get_mut(name).expect("it has a number");
        if event.kind == Kind::Invoke && named.has_ended {
            (named.now, named.has_ended) = (NAMED_MIN + self.names.len() as u64, false);
            self.names.push(name.to_owned());
        }
        named.has_ended |= event.kind == Kind::Info;
        event.process = named.now;
        event.client = (named.now != named.first).then_some(named.first);
        event
    }

    /// The provisional number of the client of this name.
    pub(super) fn number_of(&mut self, name: &str) -> u64 {
        if let Some(named) = self.known.get(name) {
            return named.first;
        }
        let next = NAMED_MIN + self.names.len() as u64;
        self.names.push(name.to_owned());
        self.known.insert(name.to_owned(), Named { first: next, now: next, has_ended: false });
        next
    }

    /// An error text with names in place of provisional numbers.
    pub(super) fn named(&self, complaint: String) -> String {
        let numbered = self.names.iter().enumerate().rev();
        numbered.fold(complaint, |said, (at, name)| said.replace(&(NAMED_MIN + at as u64).to_string(), name))
    }

    /// Gives the named clients the smallest free numbers. Returns a note for the user.
    pub(super) fn number(&self, ops: &mut [Op]) -> Option<String> {
        if self.names.is_empty() {
            return None;
        }
        let taken: HashSet<u64> = ops.iter().map(|op| op.process).collect();
        let mut free = (0..).filter(|process| !taken.contains(process));
        let numbers: Vec<u64> =
            self.names.iter().map(|_| free.next().expect("numbers do not run out")).collect();
        let numbered = |process: &mut u64| {
            if let Some(at) = process.checked_sub(NAMED_MIN) {
                *process = numbers[at as usize];
            }
        };
        for op in ops {
            numbered(&mut op.process);
            op.client.iter_mut().for_each(numbered);
        }
        let said = self.names.iter().zip(&numbers).take(8);
        let said: Vec<String> = said.map(|(name, number)| format!("`{name}` is process {number}")).collect();
        let more = if self.names.len() > said.len() { ", ..." } else { "" };
        Some(format!("clients with names: {}{more}", said.join(", ")))
    }
}
