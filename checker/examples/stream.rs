//! Feeds long streams of events to the online check, as a test that runs for days would, and says how fast that is and what
//! the process holds.
//!
//! ```text
//! cargo run --release -p tribunal-checker --example stream -- [OPS] [MODEL] [KEYS] [OPS_PER_KEY] [INDETERMINATE] [CLIENTS]
//! ```
//!
//! Without MODEL, a table: each model with one key, with 1,000, and with keys that are retired after 500 operations, each
//! row in a process of its own. With MODEL that row alone, with the memory along the way.
//!
//! MODEL is `register` or `cas-register` (clients read and write five values, or compare and set them), `counter` (they add 1
//! to 5, and read) or `log` (they append numbers, and one time in eight read the whole list, which needs OPS_PER_KEY). KEYS are
//! in use at once; with an OPS_PER_KEY other than 0 each is replaced after so many operations, as `tribunal run` does. So many
//! operations stay INDETERMINATE. The events are made as they are needed, some thousand at a time; the processor
//! time is that of the check alone.
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

/// How many events are made at a time.
const CHUNK: usize = 4096;

/// After so many operations the memory is printed.
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

/// Every row in a process of its own, of which the last line is shown.
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

/// What is asked.
struct Plan {
    model: ModelKind,
    keys: u64,
    /// 0: no end.
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
        let start = processor_time();
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
        busy += processor_time() - start;
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

/// Clients, each on one operation after the other, and the objects they are about.
struct Load<'a> {
    plan: &'a Plan,
    random: SplitMix64,
    objects: HashMap<i64, Object>,
    /// The keys in use.
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
    doing: Doing,
}

enum Doing {
    Nothing,
    Asked(F, Value),
    Answered(F, Value),
}

impl<'a> Load<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut load = Load {
            plan,
            random: SplitMix64::new(1),
            objects: HashMap::new(),
            current: Vec::new(),
            keys: 0,
            clients: (0..plan.clients)
                .map(|process| Client { process, key: 0, doing: Doing::Nothing })
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

    /// The next event; effects happen in between.
    fn event(&mut self) -> Event {
        loop {
            let at = self.random.below(self.clients.len() as u64) as usize;
            match std::mem::replace(&mut self.clients[at].doing, Doing::Nothing) {
                Doing::Nothing => {
                    let slot = self.random.below(self.current.len() as u64) as usize;
                    let key = self.current[slot];
                    let object = self.objects.get_mut(&key).expect("it is in use");
                    (object.invoked, object.open) = (object.invoked + 1, object.open + 1);
                    if object.invoked == self.plan.ops_per_key {
                        self.current[slot] = self.new_key();
                    }
                    let (f, input) = self.ask();
                    self.clients[at].key = key;
                    self.clients[at].doing = Doing::Asked(f.clone(), input.clone());
                    return self.record(at, Kind::Invoke, f, input);
                }
                Doing::Asked(f, input) => {
                    let object = self.objects.get_mut(&self.clients[at].key).expect("it is in use");
                    let output = object.apply(self.plan.model, &f, input);
                    self.clients[at].doing = Doing::Answered(f, output);
                }
                Doing::Answered(f, output) => {
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

    fn ask(&mut self) -> (F, Value) {
        let value = |random: &mut SplitMix64| Value::Int(random.below(5) as i64);
        match (self.plan.model, self.random.below(8)) {
            (ModelKind::Log, 0) => (F::Read, Value::Nil),
            (ModelKind::Log, _) => (F::Append, Value::Int(self.events as i64)),
            (_, 0..3) => (F::Read, Value::Nil),
            (ModelKind::Counter, _) => (F::Add, Value::Int(1 + self.random.below(5) as i64)),
            (ModelKind::CasRegister, 6..) => {
                (F::Cas, Value::pair(value(&mut self.random), value(&mut self.random)))
            }
            _ => (F::Write, value(&mut self.random)),
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

/// The processor time of this process so far.
fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process can ask that of itself");
    Duration::from_micros((usage.user_time() + usage.system_time()).num_microseconds() as u64)
}

/// What this process holds in memory, as the kernel counts it.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
