//! Random small histories for the tests of this module: simulated objects that are linearizable by
//! construction, the same with a falsified result, and a plain decision by trying every order.

use std::collections::HashSet;

use super::subject::{Subject, is_refused};
use crate::op::{F, Op, Outcome, Value};
use crate::ties::precedes;

/// A deterministic stream of random numbers (splitmix64, Steele, Lea and Flood 2014).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The objects of the histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Register,
    Counter,
    Set,
    Queue,
    Stack,
    Log,
    NumberedLog,
    Mutex,
    /// Two permits, acquired and released one or two at a time.
    Permits,
    /// A register whose values can be deleted. An absent value may be read as the empty text.
    Key,
    /// As [`Object::Key`], with appends; some deletes return whether there was a value.
    Text,
}

impl Object {
    pub(super) const ALL: [Object; 11] = {
        use Object::*;
        [Register, Counter, Set, Queue, Stack, Log, NumberedLog, Mutex, Permits, Key, Text]
    };

    pub(super) fn subject(self) -> Subject {
        match self {
            Object::Register => Subject::Register,
            Object::Counter => Subject::Counter,
            Object::Set => Subject::Set,
            Object::Queue => Subject::Queue,
            Object::Stack => Subject::Bag,
            Object::Log => Subject::Log,
            Object::NumberedLog => Subject::NumberedLog,
            Object::Mutex => Subject::Lock,
            Object::Permits => Subject::Permits(2),
            Object::Key => Subject::Register,
            Object::Text => Subject::Text,
        }
    }

    /// Whether an operation, with its result, leaves every state unchanged.
    pub(super) fn changes_nothing(self, op: &Op) -> bool {
        match op.f {
            F::Read | F::Get | F::Contains => true,
            F::Dequeue | F::Pop => op.output() == Some(&Value::Nil),
            _ => is_refused(op),
        }
    }

    /// A random operation of a client.
    fn ask(self, dice: &mut Dice) -> (F, Value) {
        let value = |dice: &mut Dice| Value::Int(dice.below(4) as i64);
        let text = |dice: &mut Dice| Value::str(["", "a", "b"][dice.below(3) as usize]);
        match (self, dice.below(6)) {
            (Object::Register, 0..2) => (F::Write, value(dice)),
            (Object::Register, 2..4) => (F::Cas, Value::pair(value(dice), value(dice))),
            (Object::Counter, 0..3) => (F::Add, value(dice)),
            (Object::Set, 0..2) => (F::Add, value(dice)),
            (Object::Set, 2) => (F::Delete, value(dice)),
            (Object::Set, 3) => (F::Contains, value(dice)),
            (Object::Queue, 0..3) => (F::Enqueue, value(dice)),
            (Object::Queue, _) => (F::Dequeue, Value::Nil),
            (Object::Stack, 0..3) => (F::Push, value(dice)),
            (Object::Stack, _) => (F::Pop, Value::Nil),
            (Object::Log | Object::NumberedLog, 0..3) => (F::Append, value(dice)),
            (Object::Permits, 0..3) => (F::Acquire, Value::Int(1 + dice.below(2) as i64)),
            (Object::Permits, _) => (F::Release, Value::Int(1 + dice.below(2) as i64)),
            (Object::Key, 0) => (F::Cas, Value::pair(text(dice), text(dice))),
            (Object::Text, 0) => (F::Append, text(dice)),
            (Object::Key | Object::Text, 1..3) => (F::Put, text(dice)),
            (Object::Key | Object::Text, 3) => (F::Delete, Value::Nil),
            (Object::Key | Object::Text, _) => (F::Get, Value::Nil),
            (Object::Mutex, 0..3) => (F::Acquire, Value::Nil),
            (Object::Mutex, _) => (F::Release, Value::Nil),
            _ => (F::Read, Value::Nil),
        }
    }

    /// The effect on the object's content, and the output.
    fn apply(self, held: &mut Vec<Value>, op: &Op) -> Value {
        let first = held.first().cloned();
        let input = op.input.clone();
        match (&op.f, self) {
            (F::Read, Object::Register) => return first.unwrap_or_default(),
            (F::Read, Object::Counter) => return first.unwrap_or(Value::Int(0)),
            (F::Read, _) => return Value::List(held.clone().into()),
            // Odd processes read an absent value as the empty text, and get a result from delete.
            (F::Get, _) if op.process % 2 == 1 => return first.unwrap_or(Value::str("")),
            (F::Get, _) => return first.unwrap_or_default(),
            (F::Put, _) => *held = vec![input],
            (F::Delete, Object::Key | Object::Text) => {
                let told =
                    (self == Object::Text && op.process % 2 == 1).then_some(Value::Bool(first.is_some()));
                held.clear();
                return told.unwrap_or_default();
            }
            (F::Append, Object::Text) => {
                let text = |value: Value| if let Value::Str(text) = value { text } else { "".into() };
                *held = vec![Value::str(&format!("{}{}", text(first.unwrap_or_default()), text(input)))];
            }
            (F::Append, Object::NumberedLog) => {
                held.push(input);
                return Value::Int(held.len() as i64 - 1);
            }
            (F::Acquire | F::Release, Object::Permits) => {
                let mine = Value::Int(op.process as i64);
                let (wanted, had) =
                    (input.as_int().unwrap_or(1) as usize, held.iter().filter(|held| **held == mine).count());
                match op.f {
                    F::Acquire if held.len() + wanted <= 2 => held.extend(std::iter::repeat_n(mine, wanted)),
                    F::Release if had >= wanted => {
                        held.retain(|held| *held != mine);
                        held.extend(std::iter::repeat_n(mine, had - wanted));
                    }
                    _ => return Value::Bool(false),
                }
                held.sort();
            }
            (F::Write, _) => *held = vec![input],
            (F::Cas, _) => {
                let (from, to) = op.input.as_pair().expect("asked with a pair");
                if first.unwrap_or_default() != *from {
                    return Value::Bool(false);
                }
                *held = vec![to.clone()];
                return Value::Bool(true);
            }
            (F::Add, Object::Counter) => {
                let sum = first.and_then(|sum| sum.as_int()).unwrap_or(0) + input.as_int().unwrap_or(0);
                *held = vec![Value::Int(sum)];
                // Odd processes get the sum.
                if op.process % 2 == 1 {
                    return Value::Int(sum);
                }
            }
            (F::Add, _) => {
                held.push(input);
                held.sort();
                held.dedup();
            }
            (F::Delete, _) => held.retain(|element| *element != input),
            (F::Contains, _) => return Value::Bool(held.contains(&input)),
            (F::Dequeue, _) if first.is_some() => return held.remove(0),
            (F::Pop, _) => return held.pop().unwrap_or_default(),
            (F::Enqueue | F::Push | F::Append, _) => held.push(input),
            (F::Acquire, _) if first.is_some() => return Value::Bool(false),
            (F::Acquire, _) => *held = vec![Value::Int(op.process as i64)],
            (F::Release, _) if first != Some(Value::Int(op.process as i64)) => return Value::Bool(false),
            (F::Release, _) => held.clear(),
            _ => {}
        }
        Value::Nil
    }

    /// A history of at most `size` operations, linearizable by construction. Operations take effect at random
    /// instants within their intervals; some end in info, with or without effect.
    pub(super) fn history(self, dice: &mut Dice, size: u64) -> Vec<Op> {
        let (mut ops, mut held): (Vec<Op>, Vec<Value>) = (Vec::new(), Vec::new());
        // Per client: its open operation, whether it took effect, and its output.
        let mut clients: Vec<Option<(usize, Option<Value>)>> = vec![None; 2 + dice.below(3) as usize];
        let mut processes: Vec<u64> = (0..clients.len() as u64).collect();
        for step in 0.. {
            let client = dice.below(clients.len() as u64) as usize;
            let now = step * 10 + dice.below(12);
            let now = ops.iter().map(|op| op.completed.unwrap_or(op.call)).max().unwrap_or(0).max(now);
            match clients[client].take() {
                None if ops.len() as u64 >= size => {
                    if clients.iter().all(Option::is_none) {
                        break;
                    }
                }
                None => {
                    let (f, input) = self.ask(dice);
                    let process = processes[client];
                    ops.push(op(process, f, input, now));
                    clients[client] = Some((ops.len() - 1, None));
                }
                Some((at, None)) if dice.below(12) == 0 => {
                    processes[client] += 10;
                    ops[at].completed = (dice.below(2) == 0).then_some(now);
                }
                Some((at, None)) => clients[client] = Some((at, Some(self.apply(&mut held, &ops[at])))),
                Some((at, Some(_))) if dice.below(12) == 0 => {
                    processes[client] += 10;
                    ops[at].completed = (dice.below(2) == 0).then_some(now);
                }
                Some((at, Some(output))) => {
                    ops[at].completed = Some(now);
                    ops[at].outcome = Outcome::Ok(output);
                }
            }
        }
        ops
    }

    /// As [`Object::history`], with one or two results falsified: usually not linearizable any more.
    pub(super) fn falsified(self, dice: &mut Dice, size: u64) -> Vec<Op> {
        let mut ops = self.history(dice, size);
        for _ in 0..1 + dice.below(2) {
            let at = dice.below(ops.len() as u64) as usize;
            let Outcome::Ok(output) = &ops[at].outcome else { continue };
            let other = match output {
                _ if matches!(ops[at].f, F::Acquire | F::Release) => match output {
                    Value::Nil => Value::Bool(false),
                    _ => Value::Nil,
                },
                Value::Bool(b) => Value::Bool(!b),
                Value::List(items) if items.is_empty() => {
                    Value::List([Value::Int(dice.below(4) as i64)].into())
                }
                Value::List(items) => Value::List(items[1..].into()),
                _ if ops[at].f == F::Get => Value::str(["a", "b", "ab"][dice.below(3) as usize]),
                _ if matches!(ops[at].f, F::Read | F::Dequeue | F::Pop) => Value::Int(dice.below(5) as i64),
                Value::Int(_) if self == Object::Counter => Value::Int(dice.below(5) as i64),
                _ => continue,
            };
            ops[at].outcome = Outcome::Ok(other);
        }
        ops
    }

    /// Whether some order is legal, by trying every one.
    pub(super) fn linearizable(self, ops: &[Op]) -> bool {
        let ops: Vec<&Op> = ops.iter().filter(|op| !op.is_fail()).collect();
        assert!(ops.len() <= 32, "the reference is for small histories");
        let (mut seen, mut stack) = (HashSet::new(), vec![(0u32, Vec::new())]);
        while let Some((placed, held)) = stack.pop() {
            let open = || ops.iter().enumerate().filter(|(at, _)| placed & (1 << at) == 0);
            if open().all(|(_, op)| !op.is_ok()) {
                return true;
            }
            let comes_first = |&(at, op): &(usize, &&Op)| {
                !open().any(|(other, earlier)| precedes((other, earlier), (at, op)))
            };
            for (at, op) in open().filter(comes_first) {
                let mut held = held.clone();
                let output = self.apply(&mut held, op);
                // An absent value may be read as the empty text.
                let fits = |told: &Value| {
                    *told == output
                        || output.is_nil() && op.f == F::Get && *told == Value::str("")
                        || self == Object::Counter && op.f == F::Add && told.is_nil()
                };
                if op.output().is_none_or(fits) {
                    let next = (placed | 1 << at, held);
                    if seen.insert(next.clone()) {
                        stack.push(next);
                    }
                }
            }
        }
        false
    }
}

/// A history from lines such as `3 read -> 3 @ 470..481`, `1 cas 2 5 -> true @ 3..7`, `2 write 9 @ 5..9 fail`
/// and `7 write 5 @ 433..`: process, f, input, output, invocation and completion in ms. All on key `k`.
pub(super) fn history(lines: &str) -> Vec<Op> {
    let value = |text: &str| match text.parse() {
        _ if text == "nil" => Value::Nil,
        Ok(int) => Value::Int(int),
        Err(_) => text.parse().map_or_else(|_| Value::str(text), Value::Bool),
    };
    let values = |text: &str| {
        let list: Option<&str> = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let mut items: Vec<Value> = list.unwrap_or(text).split_whitespace().map(value).collect();
        match (list, items.len()) {
            (None, 0) => Value::Nil,
            (None, 1) => items.remove(0),
            _ => Value::List(items.into()),
        }
    };
    let line = |line: &str| -> Option<Op> {
        let (what, when) = line.split_once('@')?;
        let (asked, got) = what.split_once("->").map_or((what, None), |(asked, got)| (asked, Some(got)));
        let (process, asked) = asked.trim().split_once(' ')?;
        let (f, input) = asked.split_once(' ').unwrap_or((asked, ""));
        let (call, rest) = when.trim().split_once("..")?;
        let (end, fail) = rest.split_once(' ').map_or((rest, false), |(end, word)| (end, word == "fail"));
        let mut op =
            op(process.parse().ok()?, f.into(), values(input), call.parse::<u64>().ok()? * 1_000_000);
        op.key = Value::str("k");
        op.completed = end.parse::<u64>().ok().map(|end| end * 1_000_000);
        op.outcome = match op.completed {
            None => Outcome::Info,
            Some(_) if fail => Outcome::Fail,
            Some(_) => Outcome::Ok(got.map_or(Value::Nil, values)),
        };
        Some(op)
    };
    let lines = lines.lines().filter(|text| !text.trim().is_empty());
    let mut ops: Vec<Op> =
        lines.map(|text| line(text).unwrap_or_else(|| panic!("not an operation: {text}"))).collect();
    ops.sort_by_key(|op| op.call);
    ops
}

/// A pending operation.
pub(super) fn op(process: u64, f: F, input: Value, call: u64) -> Op {
    Op::new(process, call, f, input)
}
