//! The replicated state machine: a map from keys to values, and the last response to every client.
//!
//! Deterministic and pure: the same commands in the same order give the same state and the same outputs on
//! every node, under any protocol. The value of a key decides which operations fit it; a key that was never
//! written holds nil, which fits all of them.
//!
//! **Exactly once** (Ongaro's thesis, section 6.3). A node that does not know the outcome of its command
//! sends it again, so a command may be in the log twice. For every client the machine keeps the highest
//! applied sequence number and its output. The same number again returns the same output and changes nothing;
//! a lower number is too old to answer.
//!
//! Caveats: sessions are never dropped, because a command may arrive from a stalled connection at any time.
//! Memory and snapshots grow with the number of clients ever seen (about 100 bytes each).

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verb {
    Read,
    Write,
    Cas,
    Add,
    Generate,
    Append,
    AddElement,
    Contains,
    Delete,
    Enqueue,
    Dequeue,
    Pop,
    Acquire,
    Release,
}

/// One operation on one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Op {
    pub(crate) verb: Verb,
    pub(crate) key: Value,
    pub(crate) value: Value,
}

/// An operation that changes the state, with its client and sequence number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command {
    pub(crate) client: Arc<str>,
    pub(crate) seq: u64,
    pub(crate) op: Op,
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Output {
    /// It was applied.
    Value(Value),
    /// It does not fit the key's value: it was not applied.
    Refused(String),
    /// A later operation of the same client was applied before it. Nothing is done, and whether it was
    /// applied earlier is no longer known.
    Overtaken,
}

impl Op {
    /// Parses an operation of the wire protocol, and refuses one that could never be applied.
    pub(crate) fn parse(f: &str, key: Value, value: Value) -> Result<Op, String> {
        let verb = match f {
            "read" | "get" => Verb::Read,
            "write" | "put" => Verb::Write,
            "cas" => Verb::Cas,
            // The value decides between counter and set: an integer is an amount, anything else is an
            // element.
            "add" if !matches!(value, Value::Int(_)) => Verb::AddElement,
            "add" => Verb::Add,
            "generate" => Verb::Generate,
            "append" => Verb::Append,
            "add_element" => Verb::AddElement,
            "contains" => Verb::Contains,
            "delete" => Verb::Delete,
            "enqueue" | "push" => Verb::Enqueue,
            "dequeue" => Verb::Dequeue,
            "pop" => Verb::Pop,
            "acquire" => Verb::Acquire,
            "release" => Verb::Release,
            _ => return Err(format!("unknown f {f:?}")),
        };
        match (verb, &value) {
            (Verb::Cas, Value::List(pair)) if pair.len() == 2 => {}
            (Verb::Cas, _) => return Err("cas needs the value [from, to]".into()),
            (Verb::AddElement, Value::Nil) => return Err(format!("{f} needs a value")),
            _ => {}
        }
        Ok(Op { verb, key, value })
    }

    /// Whether it changes nothing, so that it needs no log entry.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self.verb, Verb::Read | Verb::Contains)
    }
}

/// The last response to a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Session {
    seq: u64,
    output: Output,
}

/// The state, which is the same at every node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    data: BTreeMap<Value, Value>,
    sessions: BTreeMap<Arc<str>, Session>,
    /// The number of entries that led to this state, those without a command included.
    position: u64,
    /// The sum of the hashes of all keys with their values, and of all sessions: equal on nodes with equal
    /// states.
    #[serde(skip)]
    digest: u64,
}

/// The hash of anything, the same on every node that runs this program.
pub(crate) fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl Machine {
    /// The number of applied entries.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Counts an entry.
    pub(crate) fn advance(&mut self) {
        self.position += 1;
    }

    /// The hash of the state. The position is no part of it.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    fn hash_all(&self) -> u64 {
        let data = self.data.iter().map(hash);
        data.chain(self.sessions.iter().map(hash)).fold(0, u64::wrapping_add)
    }

    /// Applies a command, unless it was applied before.
    pub(crate) fn apply(&mut self, command: &Command) -> Output {
        if let Some(session) = self.sessions.get(&command.client) {
            if command.seq == session.seq {
                return session.output.clone();
            }
            if command.seq < session.seq {
                return Output::Overtaken;
            }
        }
        let output = self.change(command);
        let session = Session { seq: command.seq, output: output.clone() };
        self.digest = self.digest.wrapping_add(hash((&command.client, &session)));
        if let Some(before) = self.sessions.insert(command.client.clone(), session) {
            self.digest = self.digest.wrapping_sub(hash((&command.client, &before)));
        }
        output
    }

    /// Applies a command even if it was applied before (for seeded bugs).
    pub(crate) fn apply_again(&mut self, command: &Command) -> Output {
        if let Some(before) = self.sessions.remove(&command.client) {
            self.digest = self.digest.wrapping_sub(hash((&command.client, &before)));
        }
        self.apply(command)
    }

    /// Answers an operation that changes nothing.
    pub(crate) fn read(&self, op: &Op) -> Output {
        let held = self.data.get(&op.key).unwrap_or(&Value::Nil);
        match (op.verb, held) {
            (Verb::Read, held) => Output::Value(held.clone()),
            (Verb::Contains, Value::Nil) => Output::Value(false.into()),
            (Verb::Contains, Value::List(items)) => Output::Value(items.contains(&op.value).into()),
            (verb, held) => misfit(verb, held),
        }
    }

    fn change(&mut self, Command { client, op, .. }: &Command) -> Output {
        if op.is_read_only() {
            return self.read(op);
        }
        let before = self.hash_of(&op.key);
        let held = self.data.entry(op.key.clone()).or_default();
        let output = match (op.verb, &op.value) {
            (Verb::Acquire | Verb::Release, Value::Nil) => {
                change_value(held, op.verb, &Value::Str(client.clone()))
            }
            (verb, value) => change_value(held, verb, value),
        };
        if held == &Value::Nil {
            self.data.remove(&op.key);
        }
        self.digest = self.digest.wrapping_sub(before).wrapping_add(self.hash_of(&op.key));
        match output {
            Some(value) => Output::Value(value),
            None => misfit(op.verb, self.data.get(&op.key).unwrap_or(&Value::Nil)),
        }
    }

    /// The part of the digest that a key contributes.
    fn hash_of(&self, key: &Value) -> u64 {
        self.data.get_key_value(key).map_or(0, hash)
    }

    /// Serializes the whole state.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a machine holds only what postcard can write")
    }

    /// As [`Machine::snapshot`], without the sessions (for a seeded bug).
    pub(crate) fn snapshot_without_sessions(&self) -> Vec<u8> {
        Machine { sessions: BTreeMap::new(), ..self.clone() }.snapshot()
    }

    /// Restores a state written by [`Machine::snapshot`].
    pub(crate) fn restore(bytes: &[u8]) -> Result<Self, postcard::Error> {
        let mut machine: Machine = postcard::from_bytes(bytes)?;
        machine.digest = machine.hash_all();
        Ok(machine)
    }
}

/// Changes a value and returns the output; returns `None` and changes nothing if the operation does not fit
/// it.
fn change_value(held: &mut Value, verb: Verb, value: &Value) -> Option<Value> {
    use Value::{Int, List, Nil};

    if matches!((verb, &*held), (Verb::Append | Verb::AddElement | Verb::Enqueue, Nil)) {
        *held = List(Vec::new());
    }
    Some(match (verb, &mut *held) {
        (Verb::Write, held) => {
            *held = value.clone();
            Nil
        }
        (Verb::Cas, held) => {
            let List(pair) = value else { return None };
            let [from, to] = pair.as_slice() else { return None };
            let holds = held == from;
            if holds {
                *held = to.clone();
            }
            holds.into()
        }
        (Verb::Add, Nil) => {
            *held = value.clone();
            value.clone()
        }
        (Verb::Add, Int(total)) => {
            let Int(delta) = value else { return None };
            *total = total.wrapping_add(*delta);
            Int(*total)
        }
        (Verb::Generate, Nil) => {
            *held = Int(1);
            Int(1)
        }
        (Verb::Generate, Int(last)) => {
            *last = last.wrapping_add(1);
            Int(*last)
        }
        (Verb::Append | Verb::Enqueue, List(items)) => {
            items.push(value.clone());
            Nil
        }
        (Verb::AddElement, List(items)) => {
            let new = !items.contains(value);
            if new {
                items.push(value.clone());
            }
            new.into()
        }
        (Verb::Delete, Nil) => false.into(),
        (Verb::Delete, held) if *value == Nil => {
            *held = Nil;
            true.into()
        }
        (Verb::Delete, List(items)) => {
            let before = items.len();
            items.retain(|item| item != value);
            (items.len() < before).into()
        }
        (Verb::Dequeue | Verb::Pop, Nil) => Nil,
        (Verb::Dequeue, List(items)) if items.is_empty() => Nil,
        (Verb::Dequeue, List(items)) => items.remove(0),
        (Verb::Pop, List(items)) => items.pop().unwrap_or(Nil),
        // A lock is [owner or nil, last token]. The token outlives the owner, so it only grows.
        (Verb::Acquire, Nil) => {
            *held = List(vec![value.clone(), Int(1)]);
            Int(1)
        }
        (Verb::Acquire, List(lock)) => match lock.as_mut_slice() {
            [owner, Int(token)] if *owner == Nil => {
                *owner = value.clone();
                *token += 1;
                Int(*token)
            }
            [_, Int(_)] => false.into(),
            _ => return None,
        },
        (Verb::Release, Nil) => false.into(),
        (Verb::Release, List(lock)) => match lock.as_mut_slice() {
            [owner, Int(_)] => {
                let held_by_them = owner == value;
                if held_by_them {
                    *owner = Nil;
                }
                held_by_them.into()
            }
            _ => return None,
        },
        _ => return None,
    })
}

fn misfit(verb: Verb, held: &Value) -> Output {
    Output::Refused(format!("{verb:?} does not fit {}", held.to_json()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(client: &str, seq: u64, f: &str, value: &str) -> Command {
        let value = Value::from_json(serde_json::from_str(value).unwrap()).unwrap();
        Command { client: client.into(), seq, op: Op::parse(f, "k".into(), value).unwrap() }
    }

    /// Runs `f value -> output` lines on one key, each as a new operation.
    fn check(script: &str) {
        let mut machine = Machine::default();
        for (seq, line) in script.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
            let (call, expected) = line.split_once(" -> ").unwrap();
            let (f, value) = call.split_once(' ').unwrap_or((call, "null"));
            let output = match machine.apply(&command("c", seq as u64, f, value)) {
                Output::Value(value) => value.to_json().to_string(),
                other => format!("{other:?}"),
            };
            assert_eq!(output, expected, "line {seq}: {line}");
        }
    }

    #[test]
    fn a_register() {
        check(
            "read -> null
             cas [null,1] -> true
             cas [2,3] -> false
             write 2 -> null
             cas [2,3] -> true
             read -> 3
             delete -> true
             delete -> false
             read -> null",
        );
    }

    #[test]
    fn a_counter_and_a_source_of_ids() {
        check("add 5 -> 5\nadd -7 -> -2\nread -> -2\ngenerate -> -1");
        check("generate -> 1\ngenerate -> 2");
    }

    #[test]
    fn lists_sets_queues_and_stacks() {
        check("append 1 -> null\nappend 1 -> null\nread -> [1,1]");
        check(
            "add_element 1 -> true\nadd_element 1 -> false\ncontains 1 -> true\ndelete 1 -> true\nread -> []",
        );
        check(
            r#"add "e1" -> true
               add "e1" -> false
               read -> ["e1"]
               add 1 -> Refused("Add does not fit [\"e1\"]")"#,
        );
        check(
            "contains 1 -> false\ndequeue -> null\nenqueue 1 -> null\nenqueue 2 -> null\ndequeue -> 1\npop -> 2\npop -> null",
        );
    }

    #[test]
    fn a_lock_hands_out_growing_tokens() {
        check(
            r#"release "a" -> false
               acquire "a" -> 1
               acquire "b" -> false
               acquire "a" -> false
               release "b" -> false
               release "a" -> true
               acquire "b" -> 2"#,
        );
    }

    #[test]
    fn whoever_names_no_owner_owns_a_lock_himself() {
        let mut machine = Machine::default();
        let mut apply = |client, seq, f| machine.apply(&command(client, seq, f, "null"));
        assert_eq!(apply("a", 1, "acquire"), Output::Value(1.into()));
        assert_eq!(apply("b", 1, "acquire"), Output::Value(false.into()));
        assert_eq!(apply("b", 2, "release"), Output::Value(false.into()));
        assert_eq!(apply("a", 2, "release"), Output::Value(true.into()));
        assert_eq!(apply("b", 3, "acquire"), Output::Value(2.into()));
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        check(
            r#"write "x" -> null
               add 1 -> Refused("Add does not fit \"x\"")
               enqueue 1 -> Refused("Enqueue does not fit \"x\"")
               read -> "x""#,
        );
    }

    #[test]
    fn a_command_put_in_order_twice_is_carried_out_once() {
        let mut machine = Machine::default();
        let add = command("c", 1, "add", "5");
        assert_eq!(machine.apply(&add), Output::Value(5.into()));
        assert_eq!(machine.apply(&command("d", 1, "add", "1")), Output::Value(6.into()));
        assert_eq!(
            machine.apply(&add),
            Output::Value(5.into()),
            "the same output again, and no second effect"
        );
        assert_eq!(machine.apply(&command("c", 2, "add", "1")), Output::Value(7.into()));
        assert_eq!(machine.apply(&add), Output::Overtaken);
        assert_eq!(machine.read(&command("c", 0, "read", "null").op), Output::Value(7.into()));
    }

    #[test]
    fn the_digest_depends_on_the_state_alone() {
        let of = |script: &[(u64, &str, &str)]| {
            let mut machine = Machine::default();
            script.iter().for_each(|(seq, f, value)| drop(machine.apply(&command("c", *seq, f, value))));
            assert_eq!(machine.digest(), machine.hash_all());
            assert_eq!(Machine::restore(&machine.snapshot()).unwrap().digest(), machine.digest());
            machine.digest()
        };
        let direct = of(&[(3, "write", "2")]);
        assert_eq!(of(&[(1, "write", "1"), (2, "delete", "null"), (3, "write", "2")]), direct);
        assert_ne!(of(&[(3, "write", "1")]), direct, "another value");
        assert_ne!(of(&[(4, "write", "2")]), direct, "another session");
        assert_eq!(of(&[]), 0);
    }

    #[test]
    fn sessions_survive_a_snapshot() {
        let mut machine = Machine::default();
        let add = command("c", 1, "add", "5");
        machine.apply(&add);
        let mut restored = Machine::restore(&machine.snapshot()).unwrap();
        assert_eq!(restored, machine);
        assert_eq!(restored.apply(&add), Output::Value(5.into()));
        assert_eq!(restored, machine);
    }

    #[test]
    fn requests_that_can_never_fit_are_refused_before_they_are_ordered() {
        for (f, value) in [("cas", Value::Int(1)), ("add", Value::Nil), ("frob", Value::Nil)] {
            assert!(Op::parse(f, Value::Nil, value).is_err(), "{f}");
        }
    }
}
