//! Synthetic histories with known verdicts: for benchmarks, for tests, for trying out a model.
//!
//! A [`Plan`] gives the number of operations and clients, the number of unknown outcomes, and whether there
//! is a violation; [`generate`] simulates a linearizable object under that load. Every operation takes effect
//! at one instant between its invocation and its return, so the history is linearizable by construction. A
//! violation is then inserted by changing one result such that the contradiction can be *proved* (see the
//! arms of `Simulation::spoil`), so the verdict is known too.
//!
//! The same plan gives the same history on every machine and in every version: it uses its own random number
//! generator, SplitMix64.
//!
//! ```
//! use tribunal_checker::generate::{Object, Plan, generate};
//!
//! let plan = Plan { clients: 10, stale_at: Some(0.5), ..Plan::new(Object::Register, 1_000) };
//! let made = generate(&plan);
//! assert_eq!(made.history.ops.len(), 1_000);
//! assert!(!made.linearizable);
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};

use crate::history::History;
use crate::op::{F, Nanos, Op, Outcome, Value};

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): small, fast, and the same everywhere.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        SplitMix64(seed)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is at least 1. (Biased by less than n/2⁶⁴.)
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The object that the simulated clients share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// A register of five values, read, written, and compared-and-set with random expectations.
    Register,
    /// A register in which no value is written twice; compare-and-set from the value last seen.
    UniqueRegister,
    /// A counter: additions of 1, and reads.
    Counter,
    /// A FIFO queue of distinct values.
    Queue,
    /// A set of twenty elements, added, deleted and looked up.
    Set,
    /// A set of distinct elements that only grows: additions, look-ups, and about ten reads of the whole set.
    GrowingSet,
    /// A lock; acquiring it when it is held fails.
    Mutex,
    /// An append-only list that returns offsets, with about ten reads of the whole list.
    Log,
    /// Ten keys of a key-value store: put and append of short strings, and get.
    Kv,
}

impl Object {
    /// All of them.
    pub const ALL: [Object; 9] = [
        Object::Register,
        Object::UniqueRegister,
        Object::Counter,
        Object::Queue,
        Object::Set,
        Object::GrowingSet,
        Object::Mutex,
        Object::Log,
        Object::Kv,
    ];

    /// Its name in kebab-case.
    pub fn name(self) -> &'static str {
        match self {
            Object::Register => "register",
            Object::UniqueRegister => "unique-register",
            Object::Counter => "counter",
            Object::Queue => "queue",
            Object::Set => "set",
            Object::GrowingSet => "growing-set",
            Object::Mutex => "mutex",
            Object::Log => "log",
            Object::Kv => "kv",
        }
    }
}

/// The description of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The object under load.
    pub object: Object,
    /// The number of operations.
    pub ops: usize,
    /// The number of concurrent clients, each with one operation at a time. At least 1.
    pub clients: usize,
    /// The number of indeterminate operations; about half of them took effect.
    pub indeterminate: usize,
    /// If set, one result at about this fraction of the history (0 to 1) is stale: a violation.
    pub stale_at: Option<f64>,
    /// The seed of the random choices.
    pub seed: u64,
}

impl Plan {
    /// Five clients, no unknown outcomes, no violation, seed 1.
    pub fn new(object: Object, ops: usize) -> Self {
        Plan { object, ops, clients: 5, indeterminate: 0, stale_at: None, seed: 1 }
    }
}

/// A history and its correct verdict.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The operations by time of invocation.
    pub history: History,
    /// Whether it is linearizable: always without a planned violation, and also if the history was too short
    /// for one.
    pub linearizable: bool,
}

/// Generates a history.
pub fn generate(plan: &Plan) -> Generated {
    let mut simulation = Simulation::new(plan);
    simulation.run();
    let spoilt = plan.stale_at.is_some() && simulation.spoil().is_some();
    Generated { history: History { ops: simulation.ops }, linearizable: !spoilt }
}

/// A value that is never drawn at random.
const MARKER: i64 = 99;
/// A string that is never drawn at random.
const MARKER_TEXT: &str = "!";
/// The mean times from invocation to effect, and from effect to return, are half of this.
const HALF_NS_MAX: u64 = 1_000;
/// The mean pause of a client is half of this.
const PAUSE_NS_MAX: u64 = 100;
/// The mean time that a client holds the lock is half of this.
const HOLD_NS_MAX: u64 = 10_000;
const KEYS: u64 = 10;
const ELEMENTS: u64 = 20;
const WHOLE_READS: u64 = 10;

/// The next step of an operation; the order breaks ties within one instant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Invoke,
    TakeEffect(usize),
    Return(usize),
}

/// The state of the object; each plan uses the field of its object.
#[derive(Default)]
struct State {
    register: Value,
    counter: i64,
    queue: VecDeque<i64>,
    set: BTreeSet<i64>,
    holder: Option<u64>,
    log: Vec<Value>,
    kv: HashMap<i64, Option<String>>,
}

struct Simulation<'a> {
    plan: &'a Plan,
    rng: SplitMix64,
    state: State,
    ops: Vec<Op>,
    agenda: BinaryHeap<Reverse<(Nanos, u64, Phase, usize)>>,
    agenda_len: u64,
    /// Per client: its current process, and the value it saw last.
    clients: Vec<(u64, Value)>,
    next_process: u64,
    next_value: i64,
    unknown_left: usize,
    /// The operation whose effect the violation will hide.
    marked: Option<usize>,
}

impl<'a> Simulation<'a> {
    fn new(plan: &'a Plan) -> Self {
        let clients = plan.clients.max(1);
        Simulation {
            plan,
            rng: SplitMix64::new(plan.seed),
            state: State::default(),
            ops: Vec::with_capacity(plan.ops),
            agenda: BinaryHeap::new(),
            agenda_len: 0,
            clients: (0..clients as u64).map(|process| (process, Value::Nil)).collect(),
            next_process: clients as u64,
            next_value: 0,
            unknown_left: plan.indeterminate.min(plan.ops),
            marked: None,
        }
    }

    fn plan_phase(&mut self, time: Nanos, phase: Phase, client: usize) {
        self.agenda_len += 1;
        self.agenda.push(Reverse((time, self.agenda_len, phase, client)));
    }

    fn run(&mut self) {
        for client in 0..self.clients.len() {
            let start = self.rng.below(HALF_NS_MAX);
            self.plan_phase(start, Phase::Invoke, client);
        }
        while let Some(Reverse((now, _, phase, client))) = self.agenda.pop() {
            match phase {
                Phase::Invoke if self.ops.len() < self.plan.ops => self.invoke(now, client),
                Phase::Invoke => {}
                Phase::TakeEffect(at) => {
                    let output = self.state.apply(self.plan.object, &self.ops[at]);
                    if self.ops[at].is_ok() {
                        self.ops[at].outcome = Outcome::Ok(output);
                    }
                }
                Phase::Return(at) => self.complete(now, client, at),
            }
        }
    }

    fn invoke(&mut self, now: Nanos, client: usize) {
        let at = self.ops.len();
        let process = self.clients[client].0;
        let marks = self.marked.is_none()
            && self.plan.stale_at.is_some_and(|fraction| at as f64 >= fraction * self.plan.ops as f64);
        let (f, key, input) = if marks { self.marker(client) } else { self.ask(client) };
        let left = (self.plan.ops - at) as u64;
        let is_unknown = !marks && self.rng.below(left) < self.unknown_left as u64;
        if marks {
            self.marked = Some(at);
        }
        // A lock taken by an operation without a known outcome would block all others forever.
        let happens = match (is_unknown, &f) {
            (false, _) | (_, F::Release) => true,
            (_, F::Acquire) => false,
            _ => self.rng.one_in(2),
        };
        let effect = now + 1 + self.rng.below(HALF_NS_MAX);
        let mut end = effect + 1 + self.rng.below(HALF_NS_MAX);
        let mut outcome = Outcome::Ok(Value::Nil);
        if is_unknown {
            self.unknown_left -= 1;
            outcome = Outcome::Info;
            end = now + 1 + self.rng.below(HALF_NS_MAX);
        }
        if happens {
            self.plan_phase(effect, Phase::TakeEffect(at), client);
        }
        self.plan_phase(end, Phase::Return(at), client);
        self.ops.push(Op { key, outcome, ..Op::new(process, now, f, input) });
    }

    fn complete(&mut self, now: Nanos, client: usize, at: usize) {
        let op = &mut self.ops[at];
        op.completed = Some(now);
        match &op.outcome {
            Outcome::Ok(seen) if op.f == F::Read => self.clients[client].1 = seen.clone(),
            Outcome::Ok(Value::Bool(true)) if op.f == F::Cas => {
                self.clients[client].1 = op.input.as_pair().map(|(_, to)| to.clone()).unwrap_or_default();
            }
            Outcome::Ok(_) if op.f == F::Write => self.clients[client].1 = op.input.clone(),
            Outcome::Ok(_) => {}
            Outcome::Fail | Outcome::Info => {
                // A process with an operation of unknown outcome never invokes again.
                self.clients[client].0 = self.next_process;
                self.next_process += 1;
            }
        }
        let holds =
            self.plan.object == Object::Mutex && op.f == F::Acquire && op.output() == Some(&true.into());
        let pause = 1 + self.rng.below(if holds { HOLD_NS_MAX } else { PAUSE_NS_MAX });
        self.plan_phase(now + pause, Phase::Invoke, client);
    }

    fn fresh(&mut self) -> i64 {
        self.next_value += 1;
        self.next_value
    }

    /// The next operation of a client: name, key, input.
    fn ask(&mut self, client: usize) -> (F, Value, Value) {
        let one_of = |rng: &mut SplitMix64, n: u64| Value::Int(rng.below(n) as i64);
        let (f, input) = match self.plan.object {
            Object::Register => match self.rng.below(3) {
                0 => (F::Read, Value::Nil),
                1 => (F::Write, one_of(&mut self.rng, 5)),
                _ => {
                    let from = one_of(&mut self.rng, 5);
                    (F::Cas, Value::pair(from, one_of(&mut self.rng, 5)))
                }
            },
            Object::UniqueRegister => match self.rng.below(4) {
                0 | 1 => (F::Read, Value::Nil),
                2 => (F::Write, self.fresh().into()),
                _ => {
                    let seen = self.clients[client].1.clone();
                    (F::Cas, Value::pair(seen, self.fresh()))
                }
            },
            Object::Counter => match self.rng.below(3) {
                0 => (F::Read, Value::Nil),
                _ => (F::Add, Value::Int(1)),
            },
            Object::Queue => match self.rng.below(2) {
                0 => (F::Enqueue, self.fresh().into()),
                _ => (F::Dequeue, Value::Nil),
            },
            Object::Set => match self.rng.below(3) {
                0 => (F::Add, one_of(&mut self.rng, ELEMENTS)),
                1 => (F::Delete, one_of(&mut self.rng, ELEMENTS)),
                _ if self.marked.is_some() && self.rng.one_in(ELEMENTS / 2) => (F::Contains, MARKER.into()),
                _ => (F::Contains, one_of(&mut self.rng, ELEMENTS)),
            },
            Object::GrowingSet => match self.rng.below(3) {
                _ if self.rng.one_in(1 + self.plan.ops as u64 / WHOLE_READS) => (F::Read, Value::Nil),
                0 => {
                    let recent = 1 + self.rng.below(10 * self.clients.len() as u64) as i64;
                    (F::Contains, (self.next_value - recent).max(1).into())
                }
                _ => (F::Add, self.fresh().into()),
            },
            Object::Mutex => match self.state.holder {
                Some(process) if process == self.clients[client].0 => (F::Release, Value::Nil),
                _ => (F::Acquire, Value::Nil),
            },
            Object::Log => match self.rng.one_in(1 + self.plan.ops as u64 / WHOLE_READS) {
                true => (F::Read, Value::Nil),
                false => (F::Append, self.fresh().into()),
            },
            Object::Kv => {
                let letter = Value::str(["a", "b", "c", "d", "e"][self.rng.below(5) as usize]);
                let (f, input) = match self.rng.below(4) {
                    0 => (F::Put, letter),
                    1 => (F::Append, letter),
                    _ => (F::Get, Value::Nil),
                };
                return (f, one_of(&mut self.rng, KEYS), input);
            }
        };
        (f, Value::Nil, input)
    }

    /// The operation whose effect the violation will hide: like the others, but with a unique value.
    fn marker(&mut self, client: usize) -> (F, Value, Value) {
        match self.plan.object {
            Object::Register => (F::Write, Value::Nil, MARKER.into()),
            Object::UniqueRegister => (F::Write, Value::Nil, self.fresh().into()),
            Object::Set => (F::Add, Value::Nil, MARKER.into()),
            Object::GrowingSet => (F::Add, Value::Nil, self.fresh().into()),
            Object::Kv => (F::Put, Value::Int(0), Value::str(MARKER_TEXT)),
            Object::Counter | Object::Queue | Object::Mutex | Object::Log => self.ask(client),
        }
    }

    /// Changes one result after the marked operation so that no order is legal; `None` if no result can be
    /// changed.
    fn spoil(&mut self) -> Option<()> {
        let marked = self.marked?;
        let marker = self.ops[marked].clone();
        let later = marked + 1..self.ops.len();
        let ops = &mut self.ops;
        match self.plan.object {
            // The marker is written, overwritten and read, one after the other, and no other operation writes
            // it.
            Object::Register | Object::UniqueRegister | Object::Kv => {
                let (read, write) =
                    if self.plan.object == Object::Kv { (F::Get, F::Put) } else { (F::Read, F::Write) };
                let next = |from: usize, f: &F, after: Nanos| {
                    let found = |op: &Op| op.is_ok() && op.f == *f && op.key == marker.key && op.call > after;
                    (from..ops.len()).find(|&at| found(&ops[at]))
                };
                let overwrite = next(marked, &write, marker.ret())?;
                let stale = next(overwrite, &read, ops[overwrite].ret())?;
                ops[stale].outcome = Outcome::Ok(marker.input);
            }
            // A read of less than the sum of all additions that returned before it was invoked.
            Object::Counter => {
                let stale = later.into_iter().find(|&at| ops[at].is_ok() && ops[at].f == F::Read)?;
                let call = ops[stale].call;
                let added = ops.iter().filter(|op| op.is_ok() && op.f == F::Add && op.ret() < call).count();
                ops[stale].outcome = Outcome::Ok((added as i64).checked_sub(1).filter(|n| *n >= 0)?.into());
            }
            // Two values that were enqueued one after the other are dequeued one after the other in the wrong
            // order.
            Object::Queue => {
                let enqueues: HashMap<Value, (Nanos, Nanos)> = ops
                    .iter()
                    .filter(|op| op.f == F::Enqueue)
                    .map(|op| (op.input.clone(), (op.call, op.ret())))
                    .collect();
                let dequeues: Vec<usize> = later
                    .filter(|&at| ops[at].f == F::Dequeue && ops[at].output().is_some_and(|v| !v.is_nil()))
                    .collect();
                let value = |at: usize| ops[at].output().cloned().unwrap_or_default();
                let wrong_way = |&(a, b): &(usize, usize)| {
                    ops[a].ret() < ops[b].call && enqueues[&value(a)].1 < enqueues[&value(b)].0
                };
                let pairs = dequeues.iter().enumerate().flat_map(|(i, &a)| {
                    dequeues[i + 1..].iter().take(4 * self.plan.clients).map(move |&b| (a, b))
                });
                let (a, b) = pairs.into_iter().find(wrong_way)?;
                let (first, second) = (ops[a].outcome.clone(), ops[b].outcome.clone());
                ops[a].outcome = second;
                ops[b].outcome = first;
            }
            // An element that was added, is never deleted, and is not found.
            Object::Set | Object::GrowingSet => {
                let looks = |op: &Op| op.is_ok() && op.f == F::Contains && op.call > marker.ret();
                let stale = later.into_iter().find(|&at| {
                    looks(&ops[at])
                        && (self.plan.object == Object::GrowingSet || ops[at].input == marker.input)
                })?;
                ops[stale].input = marker.input;
                ops[stale].outcome = Outcome::Ok(false.into());
            }
            // A lock that is granted while another process certainly held it.
            Object::Mutex => {
                let granted: Vec<usize> = later
                    .clone()
                    .filter(|&at| ops[at].f == F::Acquire && ops[at].output() == Some(&true.into()))
                    .collect();
                let stale = granted.into_iter().find_map(|acquire| {
                    let holder = ops[acquire].process;
                    let release = (acquire + 1..ops.len()).find(|&at| ops[at].process == holder)?;
                    (acquire + 1..release).find(|&at| {
                        ops[at].f == F::Acquire
                            && ops[at].is_ok()
                            && ops[acquire].ret() < ops[at].call
                            && ops[at].ret() < ops[release].call
                    })
                })?;
                ops[stale].outcome = Outcome::Ok(true.into());
            }
            // Two appends, one after the other, with swapped offsets.
            Object::Log => {
                let appended = |at: usize| ops[at].is_ok() && ops[at].f == F::Append;
                let first = later.clone().find(|&at| appended(at))?;
                let second = later.into_iter().find(|&at| appended(at) && ops[at].call > ops[first].ret())?;
                let (a, b) = (ops[first].outcome.clone(), ops[second].outcome.clone());
                ops[first].outcome = b;
                ops[second].outcome = a;
            }
        }
        Some(())
    }
}

impl State {
    /// Lets an operation take effect and returns its output.
    fn apply(&mut self, object: Object, op: &Op) -> Value {
        let number = op.input.as_int().unwrap_or_default();
        match (object, &op.f) {
            (Object::Register | Object::UniqueRegister, F::Read) => self.register.clone(),
            (Object::Register | Object::UniqueRegister, F::Write) => {
                self.register = op.input.clone();
                Value::Nil
            }
            (Object::Register | Object::UniqueRegister, _) => {
                let (from, to) = op.input.as_pair().expect("a cas is asked with a pair");
                let holds = self.register == *from;
                if holds {
                    self.register = to.clone();
                }
                holds.into()
            }
            (Object::Counter, F::Read) => self.counter.into(),
            (Object::Counter, _) => {
                self.counter += number;
                Value::Nil
            }
            (Object::Queue, F::Enqueue) => {
                self.queue.push_back(number);
                Value::Nil
            }
            (Object::Queue, _) => self.queue.pop_front().map(Value::Int).unwrap_or_default(),
            (Object::Set | Object::GrowingSet, F::Add) => {
                self.set.insert(number);
                Value::Nil
            }
            (Object::Set | Object::GrowingSet, F::Delete) => {
                self.set.remove(&number);
                Value::Nil
            }
            (Object::Set | Object::GrowingSet, F::Contains) => self.set.contains(&number).into(),
            (Object::Set | Object::GrowingSet, _) => {
                Value::List(self.set.iter().map(|&element| Value::Int(element)).collect())
            }
            (Object::Mutex, F::Acquire) => {
                let free = self.holder.is_none();
                self.holder = self.holder.or(Some(op.process));
                free.into()
            }
            (Object::Mutex, _) => {
                let held = self.holder == Some(op.process);
                self.holder = self.holder.filter(|_| !held);
                held.into()
            }
            (Object::Log, F::Append) => {
                self.log.push(op.input.clone());
                Value::Int(self.log.len() as i64 - 1)
            }
            (Object::Log, _) => Value::List(self.log.as_slice().into()),
            (Object::Kv, f) => {
                let held = self.kv.entry(op.key.as_int().unwrap_or_default()).or_default();
                match (f, &op.input) {
                    (F::Put, Value::Str(text)) => *held = Some(text.to_string()),
                    (F::Append, Value::Str(text)) => held.get_or_insert_default().push_str(text),
                    _ => return held.as_deref().map(Value::str).unwrap_or_default(),
                }
                Value::Nil
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(object: Object, clients: usize, stale_at: Option<f64>) -> Generated {
        generate(&Plan { clients, indeterminate: 20, stale_at, ..Plan::new(object, 1_000) })
    }

    #[test]
    fn a_plan_gives_what_it_says() {
        for object in Object::ALL {
            let made = made(object, 7, None);
            let ops = &made.history.ops;
            assert!(made.linearizable);
            assert_eq!((ops.len(), ops.iter().filter(|op| op.is_info()).count()), (1_000, 20), "{object:?}");
            assert!(ops.is_sorted_by_key(|op| op.call), "{object:?}");
            let open =
                |at: usize| ops[..at].iter().filter(|op| op.is_ok() && op.ret() >= ops[at].call).count();
            assert!((0..ops.len()).all(|at| open(at) < 7), "{object:?} has more clients than planned");
        }
    }

    #[test]
    fn the_same_plan_gives_the_same_history() {
        for object in Object::ALL {
            assert_eq!(made(object, 5, Some(0.5)).history, made(object, 5, Some(0.5)).history);
        }
        assert_eq!(SplitMix64::new(1234567).next_u64(), 6457827717110365317, "the published test vector");
    }

    #[test]
    fn a_violation_is_put_where_it_is_planned() {
        for object in Object::ALL {
            for fraction in [0.1, 0.5, 0.9] {
                let (legal, spoilt) = (made(object, 5, None), made(object, 5, Some(fraction)));
                assert!(!spoilt.linearizable, "{object:?} at {fraction}");
                let same =
                    legal.history.ops.iter().zip(&spoilt.history.ops).take_while(|(a, b)| a == b).count();
                assert!(same as f64 >= fraction * 800.0, "{object:?} differs from operation {same} on");
            }
        }
    }
}
