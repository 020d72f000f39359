//! Compares every exact algorithm with the definition of linearizability, on small random histories full of
//! ties, unknown outcomes, failed comparisons and corruptions; also with one rule disabled at a time, which
//! must be detected.
//!
//! `TRIBUNAL_FUZZ=1000000 cargo test -p tribunal-checker --release fast::` runs that many histories per
//! algorithm.

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::generate::SplitMix64;
use crate::model::FINAL;
use crate::op::{F, Nanos, Outcome, Value};

thread_local! {
    /// The rule that is disabled in this thread.
    pub(super) static BROKEN: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The object of an algorithm, one operation at a time: the state after `op`, if `op` is possible.
fn step(path: FastPath, state: &[Value], op: &Op) -> Option<Vec<Value>> {
    let mut next = state.to_vec();
    let first = state.first().cloned().unwrap_or_default();
    let output = op.output();
    let answers = |value: Value| output.is_none_or(|output| *output == value);
    let possible = match (path, &op.f) {
        (FastPath::UniqueRegister, F::Read) => answers(first),
        (FastPath::UniqueRegister, F::Write) => {
            next = vec![op.input.clone()];
            true
        }
        (FastPath::Texts, F::Get) => answers(first),
        (FastPath::Texts, F::Put) => {
            next = vec![op.input.clone()];
            true
        }
        (FastPath::Texts, F::Append) => {
            let begin = if first.is_nil() { String::new() } else { first.to_string() };
            next = vec![Value::str(&format!("{begin}{}", op.input))];
            true
        }
        (FastPath::Registers, _) => {
            return transaction(state, op.output().unwrap_or(&op.input), output.is_some());
        }
        (FastPath::UniqueRegister | FastPath::Texts, _) => {
            let (from, to) = op.input.as_pair().unwrap();
            if output == Some(&false.into()) {
                *from != first
            } else {
                next = vec![to.clone()];
                *from == first
            }
        }
        (FastPath::Counter, F::Read) => answers(first.as_int().unwrap_or(0).into()),
        (FastPath::Counter, _) => {
            next = vec![Value::Int(first.as_int().unwrap_or(0) + op.input.as_int().unwrap())];
            output.is_none_or(|output| output.is_nil() || *output == next[0])
        }
        (FastPath::UnorderedQueue, F::Dequeue) => match output {
            Some(Value::Nil) => state.is_empty(),
            value => {
                let at = state.iter().position(|held| Some(held) == value);
                at.is_some_and(|at| next.remove(at) != Value::Nil)
            }
        },
        (FastPath::Queue | FastPath::UnorderedQueue, F::Enqueue) | (FastPath::Stack, F::Push) => {
            next.push(op.input.clone());
            true
        }
        (FastPath::Stack, _) => {
            let top = next.pop().unwrap_or_default();
            answers(top)
        }
        (FastPath::Queue | FastPath::UnorderedQueue, _) => {
            next = state.iter().skip(1).cloned().collect();
            answers(first)
        }
        (FastPath::Set | FastPath::ConvergentSet, F::Add) => {
            next.push(op.input.clone());
            next.sort();
            next.dedup();
            true
        }
        (FastPath::Set, F::Contains) => answers(state.contains(&op.input).into()),
        (FastPath::Mutex, F::Acquire) => {
            if output != Some(&false.into()) {
                next = vec![Value::Int(op.process as i64)];
                state.is_empty()
            } else {
                !state.is_empty()
            }
        }
        (FastPath::Mutex, _) => {
            let held = first == Value::Int(op.process as i64) && !state.is_empty();
            if output != Some(&false.into()) {
                next.clear();
                held
            } else {
                !held
            }
        }
        (FastPath::FencingLock, f) => {
            // The holder, and the last token.
            let (holder, last) = (&first, state.get(1).and_then(Value::as_int).unwrap_or(0));
            let me = Value::Int(op.process as i64);
            let refused = output == Some(&false.into());
            let (possible, token) = match f {
                F::Acquire => (holder.is_nil(), output.and_then(Value::as_int).unwrap_or(last + 1)),
                _ => (*holder == me, last),
            };
            if refused {
                return (!possible).then_some(next);
            }
            next = vec![if *f == F::Acquire { me } else { Value::Nil }, token.into()];
            possible && (*f != F::Acquire || token > last)
        }
        (FastPath::Log, F::Append) => {
            next.push(op.input.clone());
            output.is_none_or(|output| output.is_nil() || *output == Value::Int(state.len() as i64))
        }
        (FastPath::OrderedIds, _) => {
            next = output.map_or(next, |number| vec![number.clone()]);
            output.is_none_or(|number| state.is_empty() || first < *number)
        }
        (FastPath::ConvergentSet, _) if is_vacuous(op) => true,
        (FastPath::Set | FastPath::Log | FastPath::ConvergentSet, _) => answers(Value::List(state.into())),
    };
    possible.then_some(next)
}

/// The states after `op`. A dequeue of unknown outcome takes any value from an unordered queue.
fn steps(path: FastPath, state: &[Value], op: &Op) -> Vec<Vec<Value>> {
    if path == FastPath::UnorderedQueue && op.f == F::Dequeue && op.is_info() {
        let without = |at: usize| [&state[..at], &state[at + 1..]].concat();
        return (0..state.len()).map(without).collect();
    }
    step(path, state, op).into_iter().collect()
}

/// The registers 0 and 1 after a transaction, whose reads count if its output is known.
fn transaction(state: &[Value], accesses: &Value, known: bool) -> Option<Vec<Value>> {
    let mut next =
        vec![state.first().cloned().unwrap_or_default(), state.get(1).cloned().unwrap_or_default()];
    let Value::List(accesses) = accesses else { panic!("{accesses}") };
    for access in accesses.iter() {
        let Value::List(access) = access else { panic!("{access}") };
        let register = &mut next[access[1].as_int().unwrap() as usize];
        if access[0] == "w".into() {
            *register = access[2].clone();
        } else if known && *register != access[2] {
            return None;
        }
    }
    Some(next)
}

/// Linearizability by its definition: some order of all completed operations and some of the indeterminate
/// ones.
fn is_linearizable(path: FastPath, ops: &[&Op]) -> bool {
    fn search(
        path: FastPath,
        ops: &[&Op],
        done: u32,
        state: Vec<Value>,
        seen: &mut HashSet<(u32, Vec<Value>)>,
    ) -> bool {
        let open = |at: &usize| done & (1 << at) == 0 && !ops[*at].is_fail();
        if !(0..ops.len()).filter(open).any(|at| ops[at].is_ok()) {
            return true;
        }
        if !seen.insert((done, state.clone())) {
            return false;
        }
        let first_return = (0..ops.len()).filter(open).map(|at| ops[at].ret()).min().unwrap_or(Nanos::MAX);
        (0..ops.len()).filter(open).filter(|&at| ops[at].call <= first_return).any(|at| {
            let next = steps(path, &state, ops[at]);
            next.into_iter().any(|next| search(path, ops, done | 1 << at, next, seen))
        })
    }
    search(path, ops, 0, Vec::new(), &mut HashSet::new())
}

/// Whether a certificate is valid: every completed operation once, no failed operation, real time, every
/// result.
fn is_legal_order(path: FastPath, ops: &[&Op], order: &[usize]) -> bool {
    let distinct: HashSet<usize> = order.iter().copied().collect();
    let vacuous = |op: &Op| path == FastPath::ConvergentSet && is_vacuous(op);
    let complete = (0..ops.len()).all(|at| !ops[at].is_ok() || vacuous(ops[at]) || distinct.contains(&at));
    let in_time =
        (0..order.len()).all(|i| order[i..].iter().all(|&later| ops[later].ret() >= ops[order[i]].call));
    let replay = order.iter().fold(vec![Vec::new()], |states: Vec<Vec<Value>>, &at| {
        states.iter().flat_map(|state| steps(path, state, ops[at])).collect()
    });
    distinct.len() == order.len()
        && complete
        && in_time
        && !replay.is_empty()
        && order.iter().all(|&at| !ops[at].is_fail())
}

/// A small history: simulated first, then changed in a few places.
fn small_history(path: FastPath, rng: &mut SplitMix64) -> Vec<Op> {
    let is_lock = matches!(path, FastPath::Mutex | FastPath::FencingLock);
    let len = 2 + rng.below(8) as usize;
    let span = [8, 16, 32][rng.below(3) as usize];
    let unknown_one_in = [2, 4, 1_000][rng.below(3) as usize];
    let mut free_from = [0; 3];
    let mut plans: Vec<(Nanos, Op)> = Vec::new();
    for at in 0..len {
        let (mut process, mut call) = (at as u64, rng.below(span));
        if is_lock {
            process = rng.below(3);
            call = free_from[process as usize] + rng.below(4);
        }
        let ret = call + rng.below(6);
        let point = call + rng.below(ret - call + 1);
        let outcome = match rng.below(unknown_one_in) {
            0 => Outcome::Info,
            _ => Outcome::Ok(Value::Nil),
        };
        let unknown = outcome == Outcome::Info;
        if is_lock {
            free_from[process as usize] = if unknown { 1_000 } else { ret + 1 };
            if call >= 1_000 {
                continue;
            }
        }
        let point = if unknown && rng.one_in(2) { point + rng.below(span) } else { point };
        let op = Op {
            process,
            f: F::Read,
            key: Value::Nil,
            input: Value::Nil,
            outcome,
            call,
            completed: Some(ret),
            node: None,
            error: None,
            invoke_index: 0,
            complete_index: None,
            client: None,
        };
        plans.push((point, op));
    }
    plans.sort_by_key(|(point, _)| *point);

    let style = rng.below(12);
    let mut state: Vec<Value> = Vec::new();
    let mut fresh = 0;
    for (_, op) in &mut plans {
        fresh += 1;
        (op.f, op.input) = ask(path, rng, style, fresh, &state);
        let told = path != FastPath::Log || style < 4 || (style < 8 && rng.one_in(2));
        let offset = if told { Value::Int(state.len() as i64) } else { Value::Nil };
        let outputs: Vec<Value> = match (path, &op.f) {
            (FastPath::Registers, _) => vec![with_results(&state, &op.input)],
            (FastPath::UniqueRegister | FastPath::Queue | FastPath::Texts, F::Read | F::Dequeue | F::Get) => {
                vec![state.first().cloned().unwrap_or_default()]
            }
            (FastPath::UnorderedQueue, F::Dequeue) if !state.is_empty() => {
                vec![state[rng.below(state.len() as u64) as usize].clone()]
            }
            (FastPath::UnorderedQueue, F::Dequeue) => vec![Value::Nil],
            (FastPath::Stack, F::Pop) => vec![state.last().cloned().unwrap_or_default()],
            (FastPath::Counter, F::Read) => {
                vec![Value::Int(state.first().and_then(Value::as_int).unwrap_or(0))]
            }
            (FastPath::Counter, F::Add) if style >= 6 => {
                vec![Value::Int(
                    state.first().and_then(Value::as_int).unwrap_or(0) + op.input.as_int().unwrap(),
                )]
            }
            (FastPath::OrderedIds, _) => {
                let last = state.first().and_then(Value::as_int).unwrap_or(0);
                vec![Value::Int(last + 1 + rng.below(2) as i64)]
            }
            (FastPath::FencingLock, F::Acquire) => {
                let last = state.get(1).and_then(Value::as_int).unwrap_or(0);
                vec![Value::Int(last + 1 + rng.below(2) as i64), false.into()]
            }
            (_, F::Read) => vec![Value::List(state.as_slice().into())],
            (FastPath::Log, F::Append) => vec![offset],
            _ if rng.one_in(2) => vec![true.into(), Value::Nil, false.into()],
            _ => vec![Value::Nil, true.into(), false.into()],
        };
        let happens = op.is_ok() || rng.one_in(2);
        let known = op.is_ok();
        let answer = outputs.into_iter().find_map(|output| {
            op.outcome = Outcome::Ok(output);
            step(path, &state, op)
        });
        if let Some(next) = answer.filter(|_| happens) {
            state = next;
        }
        if !known {
            op.outcome = Outcome::Info;
        } else if op.output() == Some(&false.into()) && rng.one_in(4) {
            op.outcome = Outcome::Fail;
        }
    }
    let mut ops: Vec<Op> = plans.into_iter().map(|(_, op)| op).collect();
    for _ in 0..rng.below(4) {
        corrupt(path, rng, &mut ops);
    }
    ops.sort_by_key(|op| op.call);
    ops
}

/// The output of a transaction in this state: its accesses, with the values read.
fn with_results(state: &[Value], asked: &Value) -> Value {
    let Value::List(asked) = asked else { panic!("{asked}") };
    let mut answer: Vec<Value> = Vec::new();
    for access in asked.iter() {
        let Value::List(access) = access else { panic!("{access}") };
        let now = transaction(state, &Value::List(answer.as_slice().into()), true).unwrap();
        let value =
            if access[0] == "w".into() { &access[2] } else { &now[access[1].as_int().unwrap() as usize] };
        answer.push(Value::List([access[0].clone(), access[1].clone(), value.clone()].into()));
    }
    Value::List(answer.into())
}

/// The next operation on the object.
fn ask(path: FastPath, rng: &mut SplitMix64, style: u64, fresh: i64, state: &[Value]) -> (F, Value) {
    let old = Value::Int(rng.below(fresh as u64) as i64 + 1);
    match (path, rng.below(5)) {
        (FastPath::UniqueRegister, 0 | 1) => (F::Read, Value::Nil),
        (FastPath::UniqueRegister, 2) => (F::Write, fresh.into()),
        (FastPath::UniqueRegister, _) => {
            let now = state.first().cloned().unwrap_or_default();
            let from = if rng.one_in(3) { old } else { now };
            (F::Cas, Value::pair(from, fresh))
        }
        (FastPath::Texts, 0 | 1) => (F::Get, Value::Nil),
        // Sometimes a text that is also appended.
        (FastPath::Texts, 2) if style == 7 => (F::Put, Value::str(&format!("a{};", fresh / 2))),
        (FastPath::Texts, 2) => (F::Put, Value::str(&format!("p{fresh};"))),
        // Texts for comparisons, or longer texts to append.
        (FastPath::Texts, _) if style < 4 => {
            let now = state.first().cloned().unwrap_or_default();
            let from =
                if rng.one_in(3) { Value::str(&format!("p{};", 1 + rng.below(fresh as u64))) } else { now };
            (F::Cas, Value::pair(from, Value::str(&format!("p{fresh};"))))
        }
        // Sometimes the same text twice.
        (FastPath::Texts, _) => {
            (F::Append, Value::str(&format!("a{};", if (4..8).contains(&style) { fresh / 2 } else { fresh })))
        }
        (FastPath::Registers, _) => {
            let access = |rng: &mut SplitMix64, register: i64, fresh: i64| match rng.below(2) {
                0 => Value::List(["r".into(), register.into(), Value::Nil].into()),
                _ => Value::List(["w".into(), register.into(), fresh.into()].into()),
            };
            let register = rng.below(2) as i64;
            let mut accesses = vec![access(rng, register, 2 * fresh)];
            if rng.one_in(2) {
                let other = if style < 9 { register } else { 1 - register };
                accesses.push(access(rng, other, 2 * fresh + 1));
            }
            (F::from("txn"), Value::List(accesses.into()))
        }
        (FastPath::Counter, 0 | 1) => (F::Read, Value::Nil),
        (FastPath::Counter, _) => {
            let n = match style {
                0..3 | 6..8 => 1,
                3 => 1 + rng.below(3) as i64,
                4 => 3,
                5 => -2,
                _ => 1 + rng.below(2) as i64,
            };
            (F::Add, n.into())
        }
        (FastPath::Stack, 0..3) => (F::Push, fresh.into()),
        (FastPath::Stack, _) => (F::Pop, Value::Nil),
        (FastPath::Queue | FastPath::UnorderedQueue, 0..3) => (F::Enqueue, fresh.into()),
        (FastPath::Queue | FastPath::UnorderedQueue, _) => (F::Dequeue, Value::Nil),
        (FastPath::Set, 0 | 1) | (FastPath::ConvergentSet, 0..3) => (F::Add, fresh.into()),
        (FastPath::ConvergentSet, _) if rng.one_in(4) => (F::Read, Value::Nil),
        (FastPath::ConvergentSet, _) => (F::Read, FINAL.into()),
        (FastPath::OrderedIds, _) => (F::Generate, Value::Nil),
        (FastPath::Set, 2 | 3) => (F::Contains, old),
        (FastPath::Log, 0..3) => (F::Append, fresh.into()),
        (FastPath::Set | FastPath::Log, _) => (F::Read, Value::Nil),
        (FastPath::Mutex | FastPath::FencingLock, 0..3) => (F::Acquire, Value::Nil),
        (FastPath::Mutex | FastPath::FencingLock, _) => (F::Release, Value::Nil),
    }
}

/// Changes one result or one interval.
fn corrupt(path: FastPath, rng: &mut SplitMix64, ops: &mut [Op]) {
    if ops.is_empty() {
        return;
    }
    let at = rng.below(ops.len() as u64) as usize;
    let donors: Vec<Outcome> =
        ops.iter().filter(|op| op.is_ok() && op.f == ops[at].f).map(|op| op.outcome.clone()).collect();
    let op = &mut ops[at];
    let shift = rng.below(20);
    let bent = match op.output() {
        Some(Value::List(seen)) if !seen.is_empty() && path != FastPath::Registers => {
            let mut seen = seen.to_vec();
            let gone = seen.remove(rng.below(seen.len() as u64) as usize);
            if path == FastPath::Log && rng.one_in(2) {
                seen.extend([gone.clone(), gone]);
            }
            Some(Outcome::Ok(Value::List(seen.into())))
        }
        _ => None,
    };
    match rng.below(4) {
        0 if bent.is_some() => op.outcome = bent.expect("just seen"),
        0 | 1 if op.is_ok() && op.f == F::Acquire && path == FastPath::FencingLock => {
            op.outcome = donors[rng.below(donors.len() as u64) as usize].clone();
        }
        0 | 1 if op.is_ok() && matches!(op.f, F::Cas | F::Contains | F::Acquire | F::Release) => {
            op.outcome = Outcome::Ok((op.output() == Some(&false.into())).into());
        }
        0 | 1 if op.is_ok() && donors.len() > 1 => {
            op.outcome = donors[rng.below(donors.len() as u64) as usize].clone();
        }
        _ if matches!(path, FastPath::Mutex | FastPath::FencingLock) => {}
        2 => {
            op.call += shift;
            op.completed = op.completed.map(|ret| ret + shift);
        }
        _ => {
            op.call = op.call.saturating_sub(shift);
            op.completed = op.completed.map(|ret| ret.saturating_sub(shift));
        }
    }
}

/// The decisions about the histories of one run.
#[derive(Default)]
struct Tally {
    legal: usize,
    illegal: usize,
    declined: usize,
}

/// Compares an algorithm with the definition, up to the first history on which they differ.
fn compare(path: FastPath, seed: u64, histories: usize) -> Result<Tally, String> {
    let mut rng = SplitMix64::new(seed);
    let mut tally = Tally::default();
    for _ in 0..histories {
        let history = small_history(path, &mut rng);
        let ops: Vec<&Op> = history.iter().collect();
        let decision = path.decide(&ops);
        let truth = || is_linearizable(path, &ops);
        let right = match &decision {
            Decision::Legal { order } => {
                tally.legal += 1;
                is_legal_order(path, &ops, order) && truth()
            }
            Decision::Illegal { conflict } => {
                tally.illegal += 1;
                !conflict.is_empty() && conflict.iter().all(|&at| at < ops.len()) && !truth()
            }
            Decision::Declined => {
                tally.declined += 1;
                true
            }
        };
        if !right {
            let shown = history.iter().map(|op| {
                let ret = if op.is_ok() { op.ret().to_string() } else { format!("{:?}", op.outcome) };
                format!("  p{} [{}, {ret}] {op}\n", op.process, op.call)
            });
            return Err(format!("{path:?} decides {decision:?}\n{}", shown.collect::<String>()));
        }
    }
    Ok(tally)
}

#[test]
fn every_fast_path_agrees_with_the_definition() {
    let histories = std::env::var("TRIBUNAL_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(30_000);
    for path in FastPath::ALL {
        let tally = compare(path, 7, histories).unwrap_or_else(|wrong| panic!("{wrong}"));
        eprintln!("{path:?}: {} legal, {} illegal, {} declined", tally.legal, tally.illegal, tally.declined);
        let share = |n: usize| n as f64 / histories as f64;
        // If transactions connect registers it can only refute.
        let (illegal, declined) = match path {
            FastPath::Registers => (0.1, 0.4),
            // Unequal additions may not make a sum in the order of their deadlines.
            FastPath::Counter => (0.15, 0.02),
            // An unordered queue has fewer violations.
            FastPath::UnorderedQueue => (0.1, 0.25),
            _ => (0.15, 0.25),
        };
        assert!(share(tally.legal) > 0.2 && share(tally.illegal) > illegal, "{path:?} is hardly tested");
        assert!(share(tally.declined) < declined, "{path:?} declines {} of {histories}", tally.declined);
    }
}

#[test]
fn every_rule_is_needed() {
    let sources = [
        (FastPath::UniqueRegister, include_str!("unique_register.rs")),
        (FastPath::UniqueRegister, include_str!("unique_register/comparisons.rs")),
        (FastPath::Texts, include_str!("texts.rs")),
        (FastPath::Counter, include_str!("counter.rs")),
        (FastPath::Queue, include_str!("queue.rs")),
        (FastPath::UnorderedQueue, include_str!("unordered_queue.rs")),
        (FastPath::Stack, include_str!("stack.rs")),
        (FastPath::Set, include_str!("set.rs")),
        (FastPath::Mutex, include_str!("mutex.rs")),
        (FastPath::FencingLock, include_str!("fencing_lock.rs")),
        (FastPath::Log, include_str!("log.rs")),
        (FastPath::OrderedIds, include_str!("ordered_ids.rs")),
    ];
    for (path, source) in sources {
        let rules: Vec<&str> =
            source.split("broken(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!rules.is_empty(), "{path:?} has rules to break");
        for rule in rules {
            BROKEN.set(Some(rule));
            let outcome = catch_unwind(AssertUnwindSafe(|| compare(path, 7, 100_000)));
            BROKEN.set(None);
            assert!(!matches!(outcome, Ok(Ok(_))), "nothing notices that this rule is broken: {rule}");
        }
    }
}

#[test]
fn a_history_out_of_order_is_declined() {
    let mut rng = SplitMix64::new(3);
    for path in FastPath::ALL {
        let mut history = small_history(path, &mut rng);
        while history.first().map(|op| op.call) == history.last().map(|op| op.call) {
            history = small_history(path, &mut rng);
        }
        let backwards: Vec<&Op> = history.iter().rev().collect();
        assert_eq!(path.decide(&backwards), Decision::Declined);
    }
}
