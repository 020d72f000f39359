//! Linearizability by its definition, written a second time: it shares nothing with the engines but the models' own
//! `parse` and `step`, and with the library's other reference not even the generator of histories.
//!
//! A history is random events of a few clients on a few keys: instants repeat, outcomes are unknown, operations fail,
//! values repeat, answers are wrong. Every order of the operations of a key is tried that keeps the two rules:
//!
//! - whatever returned before another operation was called comes before it;
//! - what a process did comes before what it called in the very instant in which that returned.

use tribunal_checker::check::{Options, check};
use tribunal_checker::generate::SplitMix64;
use tribunal_checker::history::History;
use tribunal_checker::limits::Limits;
use tribunal_checker::model::{
    CasRegister, ConvergentSet, Counter, FencingLock, Ids, Kv, Log, Model, ModelKind, MultiRegister, Mutex,
    OrderedIds, Queue, Register, Semaphore, Set, Stack, UnorderedQueue,
};
use tribunal_checker::online::Online;
use tribunal_checker::op::{Event, F, Kind, Op, Outcome, Value};
use tribunal_checker::small;
use tribunal_checker::verdict::Answer;

/// What was found out about one history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Keys that were judged.
    pub(crate) keys: u64,
    /// Those of them that are not linearizable.
    pub(crate) violations: u64,
    /// Those in which a process goes on in the instant in which its last operation returned.
    pub(crate) tied: u64,
}

impl Tally {
    /// Adds another.
    pub(crate) fn add(&mut self, other: Tally) {
        self.keys += other.keys;
        self.violations += other.violations;
        self.tied += other.tied;
    }
}

/// Makes a random history of a model, and holds the check, whole and online, against the definition.
pub(crate) fn compare(random: &mut SplitMix64, kind: ModelKind) -> Result<Tally, String> {
    match kind {
        ModelKind::Register => compare_by(random, kind, &Register),
        ModelKind::CasRegister => compare_by(random, kind, &CasRegister),
        ModelKind::MultiRegister => compare_by(random, kind, &MultiRegister),
        ModelKind::Kv => compare_by(random, kind, &Kv),
        ModelKind::Counter => compare_by(random, kind, &Counter),
        ModelKind::Mutex => compare_by(random, kind, &Mutex),
        ModelKind::FencingLock => compare_by(random, kind, &FencingLock),
        ModelKind::Semaphore => compare_by(random, kind, &Semaphore { permits: 2 }),
        ModelKind::Set => compare_by(random, kind, &Set),
        ModelKind::UnorderedQueue => compare_by(random, kind, &UnorderedQueue),
        ModelKind::Queue => compare_by(random, kind, &Queue),
        ModelKind::Stack => compare_by(random, kind, &Stack),
        ModelKind::Log => compare_by(random, kind, &Log),
        ModelKind::Ids => compare_by(random, kind, &Ids),
        ModelKind::OrderedIds => compare_by(random, kind, &OrderedIds),
        ModelKind::ConvergentSet => compare_by(random, kind, &ConvergentSet),
    }
}

fn compare_by<M: Model>(random: &mut SplitMix64, kind: ModelKind, model: &M) -> Result<Tally, String> {
    let events = events(random, kind, model);
    let history = History::from_events(events.clone()).map_err(|malformed| malformed.to_string())?;
    let options = Options { explain: false, all_parts: true, threads: 1, ..Options::default() };
    let verdict = check(&history, kind, &options).map_err(|unfit| unfit.to_string())?;
    let mut online = Online::new(kind, Limits::default());
    let mut proved = Vec::new();
    for event in &events {
        let found = online.feed(event).map_err(|malformed| malformed.to_string())?;
        proved.extend(found.map(|proved| proved.witness.key));
    }
    proved.extend(online.finish().into_iter().map(|proved| proved.witness.key));
    let mut tally = Tally::default();
    for part in verdict.parts {
        let ops: Vec<&Op> = history.ops.iter().filter(|op| op.key == part.key).collect();
        let legal = is_linearizable(model, &ops);
        let wrong = |who: &str| {
            let events: Vec<String> =
                events.iter().map(|event| serde_json::to_string(event).expect("events are JSON")).collect();
            format!("{who}: {kind}, key {}, linearizable: {legal}\n{}", part.key, events.join("\n"))
        };
        if (part.answer == Answer::Linearizable) != legal || part.answer == Answer::Unknown {
            return Err(wrong("the check of the whole"));
        }
        if proved.contains(&part.key) == legal {
            return Err(wrong("the online check"));
        }
        tally.keys += 1;
        tally.violations += u64::from(!legal);
        tally.tied += u64::from(ops.iter().enumerate().any(|(b, later)| {
            ops[..b].iter().any(|op| op.process == later.process && op.ret() == later.call)
        }));
    }
    Ok(tally)
}

/// Tries every order.
fn is_linearizable<M: Model>(model: &M, ops: &[&Op]) -> bool {
    let calls: Vec<Option<M::Call>> = ops
        .iter()
        .map(|op| if op.is_fail() { None } else { model.parse(op).expect("the menu fits the model") })
        .collect();
    // For each operation a set of others, as bits: what must come before it, if it comes at all.
    let before: Vec<u64> = (0..ops.len())
        .map(|b| {
            let precedes = |a: usize| {
                let (first, second) = (ops[a], ops[b]);
                let ended = match first.outcome {
                    Outcome::Ok(_) => first.completed.expect("it was completed"),
                    Outcome::Fail | Outcome::Info => return false,
                };
                ended < second.call || ended == second.call && first.process == second.process && a < b
            };
            (0..ops.len()).filter(|&a| a != b && precedes(a)).fold(0, |bits, a| bits | 1 << a)
        })
        .collect();
    let said: u64 = (0..ops.len()).filter(|&at| calls[at].is_some()).fold(0, |bits, at| bits | 1 << at);
    let must: u64 = (0..ops.len())
        .filter(|&at| said >> at & 1 == 1 && ops[at].is_ok())
        .fold(0, |bits, at| bits | 1 << at);
    extend(model, &calls, &before, said, must, model.init(), 0)
}

fn extend<M: Model>(
    model: &M,
    calls: &[Option<M::Call>],
    before: &[u64],
    said: u64,
    must: u64,
    state: M::State,
    placed: u64,
) -> bool {
    if must & !placed == 0 {
        return true;
    }
    (0..calls.len()).any(|next| {
        let Some(call) = &calls[next] else { return false };
        placed >> next & 1 == 0
            && before[next] & said & !placed == 0
            && model
                .step(&state, call)
                .into_iter()
                .any(|state| extend(model, calls, before, said, must, state, placed | 1 << next))
    })
}

/// Some events of a few clients. Roughly half of what comes out is linearizable.
fn events<M: Model>(random: &mut SplitMix64, kind: ModelKind, model: &M) -> Vec<Event> {
    let menu = small::menu(kind);
    let keys = 1 + random.below(3);
    let clients = 1 + random.below(4);
    let (ops, coarse) = (1 + random.below(4 + 3 * keys), 1 + random.below(4));
    let (wrong, unknown) = (random.below(8), random.below(6));
    let mut states: Vec<M::State> = (0..keys).map(|_| model.init()).collect();
    let mut processes: Vec<u64> = (0..clients).collect();
    let mut fresh = clients;
    // Per client: its open operation; its outcome, once that is decided.
    let mut open: Vec<Option<(usize, Option<Outcome>)>> = vec![None; clients as usize];
    let mut events: Vec<Event> = Vec::new();
    let (mut now, mut invoked) = (0, 0);
    while invoked < ops || open.iter().any(Option::is_some) {
        now += u64::from(random.one_in(coarse));
        let client = random.below(clients) as usize;
        let process = processes[client];
        let event = |kind: Kind, f: F, key: Value, value: Value, index: usize| Event {
            index: index as u64,
            time: now,
            process,
            kind,
            f,
            key,
            value,
            node: None,
            error: None,
            client: None,
        };
        match open[client].take() {
            None if invoked < ops => {
                let (f, input, _) = menu(random);
                open[client] = Some((events.len(), None));
                let key = if keys == 1 { Value::Nil } else { Value::Int(random.below(keys) as i64) };
                events.push(event(Kind::Invoke, f, key, input, events.len()));
                invoked += 1;
            }
            None => {}
            Some((at, None)) => {
                let outcome = effect(random, kind, model, &mut states, &events[at]);
                open[client] = Some((at, Some(outcome)));
            }
            Some((at, Some(outcome))) => {
                let Event { f, key, .. } = events[at].clone();
                let outcome = match random.below(16) {
                    roll if roll < unknown => Outcome::Info,
                    roll if roll >= 16 - wrong => Outcome::Ok(answer(random, kind, &f)),
                    _ => outcome,
                };
                let (kind, value) = match outcome {
                    Outcome::Ok(value) => (Kind::Ok, value),
                    Outcome::Fail => (Kind::Fail, Value::Nil),
                    Outcome::Info => (Kind::Info, Value::Nil),
                };
                if kind == Kind::Info {
                    processes[client] = fresh;
                    fresh += 1;
                }
                // Nobody need have noted that the outcome is unknown.
                if kind != Kind::Info || random.one_in(2) {
                    events.push(event(kind, f, key, value, events.len()));
                }
            }
        }
    }
    events
}

/// The operation takes effect, with some answer that is possible.
fn effect<M: Model>(
    random: &mut SplitMix64,
    kind: ModelKind,
    model: &M,
    states: &mut [M::State],
    invoked: &Event,
) -> Outcome {
    if random.one_in(10) {
        return if random.one_in(2) { Outcome::Fail } else { Outcome::Info };
    }
    let state = &mut states[invoked.key.as_int().unwrap_or(0) as usize];
    for _ in 0..60 {
        let output = answer(random, kind, &invoked.f);
        let [invoke, complete] =
            [invoked.clone(), Event { kind: Kind::Ok, value: output.clone(), ..invoked.clone() }];
        let history = History::from_events([invoke, complete]).expect("an operation is a history");
        if let Ok(Some(call)) = model.parse(&history.ops[0])
            && let Some(next) = model.step(state, &call).into_iter().next()
        {
            *state = next;
            return Outcome::Ok(output);
        }
    }
    Outcome::Fail
}

/// Some answer to an operation of this name.
fn answer(random: &mut SplitMix64, kind: ModelKind, f: &F) -> Value {
    loop {
        let (other, _, output) = small::menu(kind)(random);
        if other == *f {
            return output;
        }
    }
}
