//! Feeds a long stream of events to the online check, like a test that runs for days, and prints the memory
//! in use.
//!
//! ```text
//! cargo run --release -p tribunal-checker --example stream -- \
//!     [OPS] [CLIENTS] [INDETERMINATE] [OPS_PER_KEY] [MODEL]
//! ```
//!
//! MODEL is `cas-register` (clients read, write and compare-and-set five values), `counter` (they add 1 to 5,
//! and read) or `log` (they append numbers, and one time in eight read the whole list, which needs
//! OPS_PER_KEY). INDETERMINATE is the number of indeterminate operations. With OPS_PER_KEY a key is retired
//! after this many operations, as `tribunal run` does; without it, all operations use one key. The events are
//! generated one by one, so the process's memory is that of the check. The time for generating them is
//! printed first.
#![allow(clippy::print_stdout, reason = "this is a program")]

use std::process::ExitCode;
use std::time::Instant;

use tribunal_checker::generate::SplitMix64;
use tribunal_checker::limits::Limits;
use tribunal_checker::model::ModelKind;
use tribunal_checker::online::Online;
use tribunal_checker::op::{Event, F, Kind, Value};

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|text| text.replace('_', "").parse().ok());
    let mut number = |default: u64| numbers.next().flatten().unwrap_or(default);
    let (ops, clients) = (number(10_000_000), number(10));
    let (indeterminate, ops_per_key) = (number(3), number(u64::MAX));
    let model = std::env::args().nth(5).map_or(Ok(ModelKind::CasRegister), |name| name.parse());
    let Ok(model @ (ModelKind::CasRegister | ModelKind::Counter | ModelKind::Log)) = model else {
        println!("MODEL is cas-register, counter or log");
        return ExitCode::FAILURE;
    };
    let object = || Object::new(model, clients, ops / (indeterminate + 1), ops_per_key);
    let (mut alone, start) = (object(), Instant::now());
    while alone.done < ops / 10 {
        std::hint::black_box(alone.event());
    }
    println!(
        "generating the events of {} operations took {:.1} s",
        alone.done,
        start.elapsed().as_secs_f64()
    );
    let mut online = Online::new(model, Limits::default());
    let mut object = object();
    let start = Instant::now();
    println!(
        "{:>12} {:>9} {:>12} {:>12} {:>10}",
        "operations", "seconds", "check KiB", "process KiB", "given up"
    );
    while object.done < ops {
        let event = object.event();
        match online.feed(&event) {
            Ok(None) => {}
            Ok(Some(proved)) => {
                println!("a violation in a legal stream: {}", proved.witness);
                return ExitCode::FAILURE;
            }
            Err(malformed) => {
                println!("{malformed}");
                return ExitCode::FAILURE;
            }
        }
        if event.kind != Kind::Invoke && object.done.is_multiple_of((ops / 10).max(1)) {
            println!(
                "{:>12} {:>9.1} {:>12} {:>12} {:>10}",
                object.done,
                start.elapsed().as_secs_f64(),
                online.bytes() >> 10,
                resident_kib(),
                online.given_up()
            );
        }
    }
    if online.finish().is_empty() && online.given_up() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A simulated object and its clients, each with one operation at a time.
struct Object {
    model: ModelKind,
    rng: SplitMix64,
    value: Value,
    key: i64,
    ops_per_key: u64,
    /// One of this many operations stays indeterminate.
    ops_per_info: u64,
    clients: Vec<Client>,
    processes: u64,
    events: u64,
    invoked: u64,
    done: u64,
}

struct Client {
    process: u64,
    state: ClientState,
}

enum ClientState {
    Idle,
    Invoked(F, Value),
    Applied(F, Value),
}

impl Object {
    fn new(model: ModelKind, clients: u64, ops_per_info: u64, ops_per_key: u64) -> Self {
        Object {
            model,
            rng: SplitMix64::new(1),
            value: initial(model),
            key: 0,
            ops_per_key,
            ops_per_info,
            clients: (0..clients).map(|process| Client { process, state: ClientState::Idle }).collect(),
            processes: clients,
            events: 0,
            invoked: 0,
            done: 0,
        }
    }

    /// The next event. Operations take effect between their events.
    fn event(&mut self) -> Event {
        loop {
            let at = self.rng.below(self.clients.len() as u64) as usize;
            match std::mem::replace(&mut self.clients[at].state, ClientState::Idle) {
                ClientState::Idle if self.invoked > 0 && self.invoked.is_multiple_of(self.ops_per_key) => {
                    // All clients must be idle before the key changes.
                    if self.clients.iter().all(|client| matches!(client.state, ClientState::Idle)) {
                        (self.key, self.value, self.invoked) = (self.key + 1, initial(self.model), 0);
                    }
                }
                ClientState::Idle => {
                    self.invoked += 1;
                    let (f, input) = self.draw_operation();
                    self.clients[at].state = ClientState::Invoked(f.clone(), input.clone());
                    return self.record(at, Kind::Invoke, f, input);
                }
                ClientState::Invoked(f, input) => {
                    let output = self.apply(&f, input);
                    self.clients[at].state = ClientState::Applied(f, output);
                }
                ClientState::Applied(f, output) => {
                    self.done += 1;
                    if self.done.is_multiple_of(self.ops_per_info) {
                        let event = self.record(at, Kind::Info, f, Value::Nil);
                        self.clients[at].process = self.processes;
                        self.processes += 1;
                        return event;
                    }
                    return self.record(at, Kind::Ok, f, output);
                }
            }
        }
    }

    fn draw_operation(&mut self) -> (F, Value) {
        let value = |rng: &mut SplitMix64| Value::Int(rng.below(5) as i64);
        match (self.model, self.rng.below(8)) {
            (ModelKind::Log, 0) => (F::Read, Value::Nil),
            (ModelKind::Log, _) => (F::Append, Value::Int(self.events as i64)),
            (_, 0..3) => (F::Read, Value::Nil),
            (ModelKind::Counter, _) => (F::Add, Value::Int(1 + self.rng.below(5) as i64)),
            (_, 3..6) => (F::Write, value(&mut self.rng)),
            _ => (F::Cas, Value::pair(value(&mut self.rng), value(&mut self.rng))),
        }
    }

    fn apply(&mut self, f: &F, input: Value) -> Value {
        match (f, input.as_pair()) {
            (F::Read, _) => self.value.clone(),
            (F::Cas, Some((from, to))) => {
                let holds = self.value == *from;
                if holds {
                    self.value = to.clone();
                }
                holds.into()
            }
            (F::Add, _) => {
                self.value = (self.value.as_int().unwrap_or(0) + input.as_int().unwrap_or(0)).into();
                Value::Nil
            }
            (F::Append, _) => {
                let Value::List(items) = &self.value else { unreachable!("a log is a list") };
                self.value = Value::List(items.iter().cloned().chain([input]).collect());
                Value::Nil
            }
            _ => {
                self.value = input;
                Value::Nil
            }
        }
    }

    fn record(&mut self, client: usize, kind: Kind, f: F, value: Value) -> Event {
        self.events += 1;
        let process = self.clients[client].process;
        Event { index: self.events, ..Event::new(self.events, process, kind, f).on(self.key).with(value) }
    }
}

/// The initial value of an object.
fn initial(model: ModelKind) -> Value {
    match model {
        ModelKind::Counter => 0.into(),
        ModelKind::Log => Value::List([].into()),
        _ => Value::Nil,
    }
}

/// Resident memory of this process in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
