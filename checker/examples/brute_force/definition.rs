//! A second implementation of the definition of linearizability. With the engines it shares only `parse` and
//! `step` of the models; with the library's other reference implementation not even the generator of
//! histories.
//!
//! A history consists of random events of a few clients on a few keys. Timestamps repeat, outcomes are
//! unknown, operations fail, values repeat, responses are wrong. All orders of the operations on a key are
//! tried that follow two rules:
//!
//! - An operation that returned before another one was called comes before it.
//! - An operation of a process comes before the next one of that process, even if one returns and the other
//!   is called at the same time.

use hashbrown::HashMap;
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

/// Counts for one or more histories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Number of checked keys.
    pub(crate) keys: u64,
    /// Number of keys whose histories are not linearizable.
    pub(crate) violations: u64,
    /// Number of keys on which a process calls an operation at the time at which its last one returned.
    pub(crate) tied: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Tally) {
        self.keys += other.keys;
        self.violations += other.violations;
        self.tied += other.tied;
    }
}

/// Generates a random history of a model, and compares the offline and the online check with the definition.
///
/// # Errors
/// The history on which they differ.
pub(crate) fn compare(rng: &mut SplitMix64, kind: ModelKind) -> Result<Tally, String> {
    match kind {
        ModelKind::Register => compare_by(rng, kind, &Register),
        ModelKind::CasRegister => compare_by(rng, kind, &CasRegister),
        ModelKind::MultiRegister => compare_by(rng, kind, &MultiRegister),
        ModelKind::Kv => compare_by(rng, kind, &Kv),
        ModelKind::Counter => compare_by(rng, kind, &Counter),
        ModelKind::Mutex => compare_by(rng, kind, &Mutex),
        ModelKind::FencingLock => compare_by(rng, kind, &FencingLock),
        ModelKind::Semaphore => compare_by(rng, kind, &Semaphore { permits: 2 }),
        ModelKind::Set => compare_by(rng, kind, &Set),
        ModelKind::UnorderedQueue => compare_by(rng, kind, &UnorderedQueue),
        ModelKind::Queue => compare_by(rng, kind, &Queue),
        ModelKind::Stack => compare_by(rng, kind, &Stack),
        ModelKind::Log => compare_by(rng, kind, &Log),
        ModelKind::Ids => compare_by(rng, kind, &Ids),
        ModelKind::OrderedIds => compare_by(rng, kind, &OrderedIds),
        ModelKind::ConvergentSet => compare_by(rng, kind, &ConvergentSet),
    }
}

fn compare_by<M: Model>(rng: &mut SplitMix64, kind: ModelKind, model: &M) -> Result<Tally, String> {
    let events = match kind {
        ModelKind::Log if rng.one_in(2) => small::log_recording(rng, 8),
        _ => events(rng, kind, model),
    };
    let history = History::from_events(events.clone()).map_err(|malformed| malformed.to_string())?;
    let options = Options { explain: false, all_parts: true, threads: 1, ..Options::default() };
    let verdict = check(&history, kind, &options).map_err(|unfit| unfit.to_string())?;
    // The online check compacts quiet keys at once, after a while, or not at all.
    let quiet = [usize::MAX, 1, 2, 5][rng.below(4) as usize];
    let mut online = Online::new(kind, Limits::default()).put_away_after(quiet);
    // For each key, the event at which a violation was proved.
    let mut proved: HashMap<Value, usize> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        let found = online.feed(event).map_err(|malformed| malformed.to_string())?;
        proved.extend(found.map(|proved| (proved.witness.key, at)));
    }
    proved.extend(online.finish().into_iter().map(|proved| (proved.witness.key, events.len())));
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
            return Err(wrong("the offline check"));
        }
        if proved.contains_key(&part.key) == legal {
            return Err(wrong("the online check"));
        }
        // A violation of a log may be proved only by a later read.
        if !legal && kind != ModelKind::Log && proved[&part.key] > due(model, &events, &part.key) {
            return Err(wrong("the online check is late"));
        }
        tally.keys += 1;
        tally.violations += u64::from(!legal);
        tally.tied += u64::from(ops.iter().enumerate().any(|(b, later)| {
            ops[..b].iter().any(|op| op.process == later.process && op.ret() == later.call)
        }));
    }
    Ok(tally)
}

/// Index of the event by which the online check must have proved a violation. That is the first event with a
/// later timestamp than the first timestamp at whose end the history was illegal and no operation on the key
/// was pending.
fn due<M: Model>(model: &M, events: &[Event], key: &Value) -> usize {
    let mut open: Vec<u64> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match event.kind {
            Kind::Invoke if event.key == *key => open.push(event.process),
            Kind::Invoke => {}
            Kind::Ok | Kind::Fail | Kind::Info => open.retain(|process| *process != event.process),
        }
        let ends = events.get(at + 1).is_none_or(|next| next.time > event.time);
        if ends && open.is_empty() {
            let history = History::from_events(events[..=at].to_vec()).expect("a beginning of a history");
            let ops: Vec<&Op> = history.ops.iter().filter(|op| op.key == *key).collect();
            if !is_linearizable(model, &ops) {
                // One timestamp may prove several violations, which are reported one per event.
                return at + 3;
            }
        }
    }
    events.len()
}

/// Tries all orders.
fn is_linearizable<M: Model>(model: &M, ops: &[&Op]) -> bool {
    let calls: Vec<Option<M::Call>> = ops
        .iter()
        .map(|op| if op.is_fail() { None } else { model.parse(op).expect("the menu fits the model") })
        .collect();
    // For each operation, as bits: the operations that must come before it.
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
    let known: u64 = (0..ops.len()).filter(|&at| calls[at].is_some()).fold(0, |bits, at| bits | 1 << at);
    let must: u64 = (0..ops.len())
        .filter(|&at| known >> at & 1 == 1 && ops[at].is_ok())
        .fold(0, |bits, at| bits | 1 << at);
    extend(model, &calls, &before, known, must, model.init(), 0)
}

fn extend<M: Model>(
    model: &M,
    calls: &[Option<M::Call>],
    before: &[u64],
    known: u64,
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
            && before[next] & known & !placed == 0
            && model
                .step(&state, call)
                .into_iter()
                .any(|state| extend(model, calls, before, known, must, state, placed | 1 << next))
    })
}

/// Random events of a few clients. Roughly half of the histories are linearizable.
fn events<M: Model>(rng: &mut SplitMix64, kind: ModelKind, model: &M) -> Vec<Event> {
    let menu = small::menu(kind);
    let keys = 1 + rng.below(3);
    let clients = 1 + rng.below(4);
    let (ops, coarse) = (1 + rng.below(4 + 3 * keys), 1 + rng.below(4));
    let (wrong, unknown) = (rng.below(8), rng.below(6));
    let mut states: Vec<M::State> = (0..keys).map(|_| model.init()).collect();
    let mut processes: Vec<u64> = (0..clients).collect();
    let mut next_process = clients;
    // For each client: its pending operation, with its outcome once it has taken effect.
    let mut open: Vec<Option<(usize, Option<Outcome>)>> = vec![None; clients as usize];
    let mut events: Vec<Event> = Vec::new();
    let (mut now, mut invoked) = (0, 0);
    while invoked < ops || open.iter().any(Option::is_some) {
        now += u64::from(rng.one_in(coarse));
        let client = rng.below(clients) as usize;
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
                let (f, input, _) = menu(rng);
                open[client] = Some((events.len(), None));
                let key = if keys == 1 { Value::Nil } else { Value::Int(rng.below(keys) as i64) };
                events.push(event(Kind::Invoke, f, key, input, events.len()));
                invoked += 1;
            }
            None => {}
            Some((at, None)) => {
                let outcome = effect(rng, kind, model, &mut states, &events[at]);
                open[client] = Some((at, Some(outcome)));
            }
            Some((at, Some(outcome))) => {
                let Event { f, key, .. } = events[at].clone();
                let outcome = match rng.below(16) {
                    roll if roll < unknown => Outcome::Info,
                    roll if roll >= 16 - wrong => Outcome::Ok(answer(rng, kind, &f)),
                    _ => outcome,
                };
                let (kind, value) = match outcome {
                    Outcome::Ok(value) => (Kind::Ok, value),
                    Outcome::Fail => (Kind::Fail, Value::Nil),
                    Outcome::Info => (Kind::Info, Value::Nil),
                };
                if kind == Kind::Info {
                    processes[client] = next_process;
                    next_process += 1;
                }
                // The record of an unknown outcome may be missing.
                if kind != Kind::Info || rng.one_in(2) {
                    events.push(event(kind, f, key, value, events.len()));
                }
            }
        }
    }
    events
}

/// Applies an operation, with a random legal response.
fn effect<M: Model>(
    rng: &mut SplitMix64,
    kind: ModelKind,
    model: &M,
    states: &mut [M::State],
    invoked: &Event,
) -> Outcome {
    if rng.one_in(10) {
        return if rng.one_in(2) { Outcome::Fail } else { Outcome::Info };
    }
    let state = &mut states[invoked.key.as_int().unwrap_or(0) as usize];
    for _ in 0..60 {
        let output = answer(rng, kind, &invoked.f);
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

/// A random response to an operation with this name.
fn answer(rng: &mut SplitMix64, kind: ModelKind, f: &F) -> Value {
    loop {
        let (other, _, output) = small::menu(kind)(rng);
        if other == *f {
            return output;
        }
    }
}
