//! Feeds long streams of events to the online check, like a test that runs for days, and prints its speed and
//! memory.
//!
//! ```text
//! cargo run --release -p tribunal-checker --example stream -- \
//!     [OPS] [MODEL] [KEYS] [OPS_PER_KEY] [INDETERMINATE] [CLIENTS]
//! ```
//!
//! Without MODEL it prints a table: each model with several numbers of keys and operations per key, each row
//! measured in its own process. With MODEL it prints only that row, with the memory at several points.
//!
//! MODEL is `register` or `cas-register` (clients read and write five values, or compare and set them),
//! `counter` (they add 1 to 5, and read) or `log` (they append numbers, and one time in eight read the whole
//! list, which needs OPS_PER_KEY). KEYS is the number of keys in use at a time. If OPS_PER_KEY is not 0, each
//! key is replaced after this many operations, as `tribunal run` does. INDETERMINATE is the number of
//! indeterminate operations. The events are generated in chunks of some thousands; the CPU time is that of
//! the check alone.
#![allow(clippy::print_stdout, reason = "this is a program")]

use std::process::{Command, ExitCode};
use std::time::Duration;

use hashbrown::HashMap;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tribunal_checker::generate::SplitMix64;
use tribunal_checker::limits::Limits;
use tribunal_checker::model::ModelKind;
use tribunal_checker::online::Online;
use tribunal_checker::op::{Event, F, Kind, Value};

/// Number of events that are generated at a time.
const CHUNK: usize = 4096;

/// Numbers of operations after which a line is printed.
const POINTS: [u64; 6] = [10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 100_000_000];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| {
        args.get(at).and_then(|text| text.replace('_', "").parse().ok()).unwrap_or(default)
    };
    let ops = number(0, 1_000_000);
    println!(
        "{:<13} {:>6} {:>8} {:>12} {:>9} {:>11} {:>10} {:>12} {:>9}",
        "model",
        "keys",
        "per key",
        "operations",
        "CPU s",
        "per second",
        "check KiB",
        "process KiB",
        "given up"
    );
    let Some(name) = args.get(1) else { return table(ops) };
    let Ok(model @ (ModelKind::Register | ModelKind::CasRegister | ModelKind::Counter | ModelKind::Log)) =
        name.parse()
    else {
        println!("MODEL is register, cas-register, counter or log");
        return ExitCode::FAILURE;
    };
    let (keys, ops_per_key) = (number(2, 1), number(3, 0));
    let plan = Plan { model, keys, ops_per_key, ops, indeterminate: number(4, 3), clients: number(5, 10) };
    match row(&plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table. Each row is the last line of its own process.
fn table(ops: u64) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for model in ["register", "cas-register", "counter", "log"] {
        for (keys, ops_per_key) in [(1, 0), (1_000, 0), (1, 500), (100, 500), (100, 5)] {
            if model == "log" && ops_per_key == 0 {
                continue;
            }
            let args = [ops.to_string(), model.into(), keys.to_string(), ops_per_key.to_string()];
            let program = std::env::current_exe().expect("this program has a path");
            let output = Command::new(program).args(args).output().expect("this program can be started");
            println!("{}", String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default());
            if !output.status.success() {
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// Parameters of a row.
struct Plan {
    model: ModelKind,
    keys: u64,
    /// 0 for no maximum.
    ops_per_key: u64,
    ops: u64,
    indeterminate: u64,
    clients: u64,
}

fn row(plan: &Plan) -> Result<(), String> {
    let mut online = Online::new(plan.model, Limits::default());
    let mut load = Load::new(plan);
    let mut events = Vec::new();
    let mut busy = Duration::ZERO;
    let mut points = POINTS.into_iter().filter(|&point| point < plan.ops).chain([plan.ops]).peekable();
    while let Some(&point) = points.peek() {
        events.clear();
        while events.len() < CHUNK && load.done < point {
            events.push(load.event());
        }
        let start = cpu_time();
        for event in &events {
            if let Some(proved) = online.feed(event).map_err(|malformed| malformed.to_string())? {
                return Err(format!("a violation in a legal stream: {}", proved.witness));
            }
        }
        if load.done == plan.ops
            && let Some(proved) = online.finish().first()
        {
            return Err(format!("a violation in a legal stream: {}", proved.witness));
        }
        busy += cpu_time() - start;
        if load.done == point {
            points.next();
            let Plan { model, keys, ops_per_key, .. } = plan;
            println!(
                "{:<13} {keys:>6} {ops_per_key:>8} {point:>12} {:>9.2} {:>11.0} {:>10} {:>12} {:>9}",
                model.name(),
                busy.as_secs_f64(),
                point as f64 / busy.as_secs_f64(),
                online.bytes() >> 10,
                resident_kib(),
                online.given_up()
            );
        }
    }
    if online.given_up() > 0 { Err(format!("{} keys were given up", online.given_up())) } else { Ok(()) }
}

/// Simulated clients, each with one operation at a time, and the objects that they use.
struct Load<'a> {
    plan: &'a Plan,
    rng: SplitMix64,
    objects: HashMap<i64, Object>,
    /// Keys in use.
    current: Vec<i64>,
    keys: i64,
    clients: Vec<Client>,
    processes: u64,
    events: u64,
    done: u64,
}

struct Object {
    value: Value,
    list: Vec<Value>,
    invoked: u64,
    open: u64,
}

struct Client {
    process: u64,
    key: i64,
    state: ClientState,
}

enum ClientState {
    Idle,
    Invoked(F, Value),
    Applied(F, Value),
}

impl<'a> Load<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut load = Load {
            plan,
            rng: SplitMix64::new(1),
            objects: HashMap::new(),
            current: Vec::new(),
            keys: 0,
            clients: (0..plan.clients)
                .map(|process| Client { process, key: 0, state: ClientState::Idle })
                .collect(),
            processes: plan.clients,
            events: 0,
            done: 0,
        };
        load.current = (0..plan.keys).map(|_| load.new_key()).collect();
        load
    }

    fn new_key(&mut self) -> i64 {
        let value = if self.plan.model == ModelKind::Counter { 0.into() } else { Value::Nil };
        self.objects.insert(self.keys, Object { value, list: Vec::new(), invoked: 0, open: 0 });
        self.keys += 1;
        self.keys - 1
    }

    /// The next event. Operations take effect between their events.
    fn event(&mut self) -> Event {
        loop {
            let at = self.rng.below(self.clients.len() as u64) as usize;
            match std::mem::replace(&mut self.clients[at].state, ClientState::Idle) {
                ClientState::Idle => {
                    let slot = self.rng.below(self.current.len() as u64) as usize;
                    let key = self.current[slot];
                    let object = self.objects.get_mut(&key).expect("it is in use");
                    (object.invoked, object.open) = (object.invoked + 1, object.open + 1);
                    if object.invoked == self.plan.ops_per_key {
                        self.current[slot] = self.new_key();
                    }
                    let (f, input) = self.draw_operation();
                    self.clients[at].key = key;
                    self.clients[at].state = ClientState::Invoked(f.clone(), input.clone());
                    return self.record(at, Kind::Invoke, f, input);
                }
                ClientState::Invoked(f, input) => {
                    let object = self.objects.get_mut(&self.clients[at].key).expect("it is in use");
                    let output = object.apply(self.plan.model, &f, input);
                    self.clients[at].state = ClientState::Applied(f, output);
                }
                ClientState::Applied(f, output) => {
                    self.done += 1;
                    let key = self.clients[at].key;
                    let object = self.objects.get_mut(&key).expect("it is in use");
                    object.open -= 1;
                    if object.open == 0 && !self.current.contains(&key) {
                        self.objects.remove(&key);
                    }
                    if self.done.is_multiple_of(self.plan.ops / (self.plan.indeterminate + 1)) {
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
        match (self.plan.model, self.rng.below(8)) {
            (ModelKind::Log, 0) => (F::Read, Value::Nil),
            (ModelKind::Log, _) => (F::Append, Value::Int(self.events as i64)),
            (_, 0..3) => (F::Read, Value::Nil),
            (ModelKind::Counter, _) => (F::Add, Value::Int(1 + self.rng.below(5) as i64)),
            (ModelKind::CasRegister, 6..) => {
                (F::Cas, Value::pair(value(&mut self.rng), value(&mut self.rng)))
            }
            _ => (F::Write, value(&mut self.rng)),
        }
    }

    fn record(&mut self, client: usize, kind: Kind, f: F, value: Value) -> Event {
        self.events += 1;
        let Client { process, key, .. } = self.clients[client];
        Event { index: self.events, ..Event::new(self.events, process, kind, f).on(key).with(value) }
    }
}

impl Object {
    fn apply(&mut self, model: ModelKind, f: &F, input: Value) -> Value {
        match (f, input.as_pair()) {
            (F::Read, _) if model == ModelKind::Log => Value::List(self.list.as_slice().into()),
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
                self.list.push(input);
                Value::Nil
            }
            _ => {
                self.value = input;
                Value::Nil
            }
        }
    }
}

/// CPU time of this process so far.
fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process can ask that of itself");
    Duration::from_micros((usage.user_time() + usage.system_time()).num_microseconds() as u64)
}

/// Resident memory of this process in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
