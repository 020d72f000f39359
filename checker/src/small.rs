//! Small random histories with every feature at once, for any model: the tests of the engines use them.
//!
//! Long realistic histories miss the bugs that matter. Many thousands of tiny ones find them, in which
//! everything happens: repeated values, refused operations, indeterminate operations with and without effect,
//! events at the same instant, results that are simply wrong. A handful of operations on two or three values
//! reproduces every known bug, and is small enough for [`by_definition`] to compute the truth.
//!
//! To test a model of your own in the same way, give a [`Menu`].

use crate::generate::SplitMix64;
use crate::history::History;
use crate::model::{FINAL, Model, ModelKind};
use crate::op::{Event, F, Kind, Op, Outcome, Value};
use crate::ties::precedes;

/// Draws one finished operation: its name, its input, and an output that may or may not be possible.
pub type Menu = fn(&mut SplitMix64) -> (F, Value, Value);

/// A random history of at most `ops_max` operations on one object of a built-in model. Roughly half of these
/// histories are linearizable.
pub fn history(random: &mut SplitMix64, kind: ModelKind, ops_max: u64) -> History {
    kind.judge().small_history(random, menu(kind), ops_max)
}

/// As [`history`], for a model of your own.
pub fn history_with<M: Model>(random: &mut SplitMix64, model: &M, menu: Menu, ops_max: u64) -> History {
    let clients = 1 + random.below(5) as usize;
    let mut ops: Vec<Op> = Vec::new();
    // Per client: its pending operation, with its outcome if it has already taken effect.
    let mut pending: Vec<Option<(usize, Option<Outcome>)>> = vec![None; clients];
    let mut process: Vec<u64> = (0..clients as u64).collect();
    let mut state = model.init();
    let (mut now, hurry, crashes, wrong) = (0, random.one_in(2), random.below(6), random.below(6));
    let target = 1 + random.below(ops_max) as usize;
    while ops.len() < target || pending.iter().any(Option::is_some) {
        now += if hurry { random.below(2) } else { 1 };
        let client = random.below(clients as u64) as usize;
        match pending[client].take() {
            None if ops.len() < target => {
                let (f, input, _) = menu(random);
                pending[client] = Some((ops.len(), None));
                ops.push(Op::new(process[client], now, f, input));
            }
            None => {}
            Some((at, None)) => {
                pending[client] = Some((at, Some(take_effect(random, model, menu, &mut state, &ops[at]))))
            }
            Some((at, Some(outcome))) => {
                let outcome = match random.below(16) {
                    roll if roll < crashes => Outcome::Info,
                    roll if roll >= 16 - wrong => Outcome::Ok(random_output(random, menu, &ops[at].f)),
                    _ => outcome,
                };
                if outcome == Outcome::Info {
                    process[client] += clients as u64;
                }
                let silent = outcome == Outcome::Info && random.one_in(2);
                ops[at].completed = (!silent).then_some(now);
                ops[at].outcome = outcome;
            }
        }
    }
    if random.one_in(3) {
        // One operation is moved in time, which often makes a legal history illegal, but not always.
        let at = random.below(ops.len() as u64) as usize;
        let span = ops[at].completed.unwrap_or(now) - ops[at].call;
        ops[at].call = random.below(now + 1);
        ops[at].completed = ops[at].completed.map(|_| ops[at].call + span);
    }
    ops.sort_by_key(|op| op.call);
    for (index, op) in (0..).zip(&mut ops) {
        op.invoke_index = index;
    }
    History { ops }
}

/// A random recording of at most `ops_max` operations on one log, in which few values are appended twice and
/// most reads are correct: as in a real test, its reads reveal its order.
pub fn log_recording(random: &mut SplitMix64, ops_max: u64) -> Vec<Event> {
    let clients = 1 + random.below(4);
    let (hurry, unknown, wrong) = (random.below(3), random.below(5), random.below(4));
    let (told, repeated) = (random.below(3), random.below(3));
    let mut processes: Vec<u64> = (0..clients).collect();
    // Per client: its pending operation, and its output if it has taken effect.
    let mut open: Vec<Option<(F, Value, Option<Value>)>> = vec![None; clients as usize];
    let (mut events, mut log, mut now, mut invoked) = (Vec::new(), Vec::new(), 0, 0);
    let target = 1 + random.below(ops_max);
    while invoked < target || open.iter().any(Option::is_some) {
        now += u64::from(random.below(3) >= hurry);
        let at = random.below(clients) as usize;
        let event = |kind, f: &F, value| Event::new(now, processes[at], kind, f.clone()).with(value);
        match open[at].take() {
            None if invoked < target => {
                invoked += 1;
                let value = if random.below(8) < repeated { 1 } else { invoked as i64 };
                let (f, input) = match random.below(5) {
                    0..3 => (F::Append, value.into()),
                    _ => (F::Read, Value::Nil),
                };
                events.push(event(Kind::Invoke, &f, input.clone()));
                open[at] = Some((f, input, None));
            }
            None => {}
            Some((f, input, None)) => {
                let answer = match f {
                    F::Append => {
                        log.push(input.clone());
                        let offset = Value::Int(log.len() as i64 - 1);
                        if random.below(4) < told { offset } else { Value::Nil }
                    }
                    _ => Value::List(log.as_slice().into()),
                };
                let lost = random.below(12) < unknown;
                if lost && random.one_in(2) && f == F::Append {
                    // It did not take effect.
                    log.pop();
                }
                if lost {
                    if random.one_in(2) {
                        events.push(event(Kind::Info, &f, Value::Nil));
                    }
                    processes[at] += clients;
                } else {
                    open[at] = Some((f, input, Some(answer)));
                }
            }
            Some((f, _, Some(answer))) => {
                let answer = if random.below(12) < wrong { falsified(random, answer) } else { answer };
                let fails = random.one_in(20);
                events.push(match fails {
                    true => event(Kind::Fail, &f, Value::Nil),
                    false => event(Kind::Ok, &f, answer),
                });
            }
        }
    }
    events
}

/// A slightly wrong output of a log.
fn falsified(random: &mut SplitMix64, answer: Value) -> Value {
    match answer {
        Value::Int(offset) => Value::Int(offset + 1 - 2 * random.below(2) as i64),
        Value::List(items) if !items.is_empty() => {
            let mut items = items.to_vec();
            let (a, b) =
                (random.below(items.len() as u64) as usize, random.below(items.len() as u64) as usize);
            match random.below(3) {
                0 => items.swap(a, b),
                1 => drop(items.remove(a)),
                _ => items.push(items[a].clone()),
            }
            Value::List(items.into())
        }
        same => same,
    }
}

/// Lets the operation take effect now with some output that the model allows, or refuses it for good.
fn take_effect<M: Model>(
    random: &mut SplitMix64,
    model: &M,
    menu: Menu,
    state: &mut M::State,
    op: &Op,
) -> Outcome {
    if random.one_in(12) {
        return if random.one_in(2) { Outcome::Fail } else { Outcome::Info };
    }
    for _ in 0..100 {
        let finished = Op { outcome: Outcome::Ok(random_output(random, menu, &op.f)), ..op.clone() };
        if let Ok(Some(call)) = model.parse(&finished)
            && let Some(next) = model.step(state, &call).into_iter().next()
        {
            *state = next;
            return finished.outcome;
        }
    }
    Outcome::Fail
}

/// A random output that an operation of this name may have.
fn random_output(random: &mut SplitMix64, menu: Menu, f: &F) -> Value {
    loop {
        let (other, _, output) = menu(random);
        if other == *f {
            return output;
        }
    }
}

/// Whether the operations of one object are linearizable, straight from the definition (Herlihy and Wing,
/// TOPLAS 1990): tries every order of every choice of indeterminate operations. For a handful of operations.
pub fn by_definition(kind: ModelKind, ops: &[Op]) -> bool {
    kind.judge().by_definition(ops)
}

/// As [`by_definition`], for a model of your own.
pub fn by_definition_with<M: Model>(model: &M, ops: &[Op]) -> bool {
    let calls: Vec<(usize, &Op, M::Call)> = ops
        .iter()
        .enumerate()
        .filter(|(_, op)| !op.is_fail())
        .filter_map(|(at, op)| Some((at, op, model.parse(op).ok()??)))
        .collect();
    extend(model, &model.init(), &calls)
}

/// Whether some order of the remaining operations is legal from this state.
fn extend<M: Model>(model: &M, state: &M::State, left: &[(usize, &Op, M::Call)]) -> bool {
    if left.iter().all(|(_, op, _)| op.is_info()) {
        return true;
    }
    (0..left.len()).any(|i| {
        let (at, op, call) = &left[i];
        // No other remaining operation may have to come before this one.
        if left.iter().any(|(other_at, other, _)| precedes((*other_at, other), (*at, op))) {
            return false;
        }
        let mut rest = left.to_vec();
        rest.remove(i);
        model.step(state, call).into_iter().any(|next| extend(model, &next, &rest))
    })
}

/// The menu of a built-in model: few values, every result.
pub fn menu(kind: ModelKind) -> Menu {
    match kind {
        ModelKind::Register => |random| match random.below(2) {
            0 => (F::Read, Value::Nil, any(random, 3)),
            _ => (F::Write, some(random, 2), Value::Nil),
        },
        ModelKind::CasRegister => |random| match random.below(3) {
            0 => (F::Read, Value::Nil, any(random, 4)),
            1 => (F::Write, some(random, 3), Value::Nil),
            _ => (F::Cas, Value::pair(any(random, 4), any(random, 4)), flag(random)),
        },
        ModelKind::MultiRegister => |random| {
            let access = |random: &mut SplitMix64| {
                let f = Value::str(if random.one_in(2) { "r" } else { "w" });
                Value::List([f, some(random, 2), any(random, 3)].into())
            };
            let accesses: Vec<Value> = (0..1 + random.below(2)).map(|_| access(random)).collect();
            let accesses = Value::List(accesses.into());
            (F::from("txn"), accesses.clone(), accesses)
        },
        ModelKind::Kv => |random| match random.below(6) {
            0 | 1 => (F::Get, Value::Nil, text(random, 5)),
            2 => (F::Put, text(random, 3), Value::Nil),
            3 => (F::Append, Value::str(if random.one_in(2) { "a" } else { "b" }), Value::Nil),
            4 => (F::Cas, Value::pair(text(random, 4), text(random, 4)), flag(random)),
            _ => (F::Delete, Value::Nil, if random.one_in(2) { Value::Nil } else { flag(random) }),
        },
        ModelKind::Counter => |random| match random.below(3) {
            0 => (F::Read, Value::Nil, Value::Int(random.below(5) as i64)),
            1 => (F::Add, Value::Int(random.below(3) as i64 - 1), Value::Nil),
            _ => (F::Add, Value::Int(1), if random.one_in(2) { Value::Nil } else { some(random, 4) }),
        },
        ModelKind::Mutex => |random| match random.below(2) {
            0 => (F::Acquire, Value::Nil, if random.one_in(3) { flag(random) } else { Value::Nil }),
            _ => (F::Release, Value::Nil, if random.one_in(3) { flag(random) } else { Value::Nil }),
        },
        ModelKind::FencingLock => |random| match random.below(2) {
            0 => (F::Acquire, Value::Nil, if random.one_in(4) { false.into() } else { some(random, 4) }),
            _ => (F::Release, Value::Nil, if random.one_in(3) { flag(random) } else { Value::Nil }),
        },
        ModelKind::Semaphore => |random| match random.below(2) {
            0 => (F::Acquire, some(random, 2), if random.one_in(3) { flag(random) } else { Value::Nil }),
            _ => (F::Release, some(random, 2), if random.one_in(3) { flag(random) } else { Value::Nil }),
        },
        ModelKind::Set => |random| match random.below(7) {
            0 | 1 => (F::Add, some(random, 2), if random.one_in(2) { Value::Nil } else { flag(random) }),
            2 => (F::Delete, some(random, 2), if random.one_in(2) { Value::Nil } else { flag(random) }),
            3 | 4 => (F::Contains, some(random, 2), flag(random)),
            _ => (F::Read, Value::Nil, list(random, 2, 2)),
        },
        ModelKind::UnorderedQueue | ModelKind::Queue => |random| match random.below(2) {
            0 => (F::Enqueue, some(random, 3), Value::Nil),
            _ => (F::Dequeue, Value::Nil, any(random, 4)),
        },
        ModelKind::Stack => |random| match random.below(2) {
            0 => (F::Push, some(random, 3), Value::Nil),
            _ => (F::Pop, Value::Nil, any(random, 4)),
        },
        ModelKind::Log => |random| match random.below(2) {
            0 => (
                F::Append,
                some(random, 2),
                if random.one_in(2) { Value::Nil } else { Value::Int(random.below(4) as i64) },
            ),
            _ => (F::Read, Value::Nil, list(random, 2, 3)),
        },
        ModelKind::Ids | ModelKind::OrderedIds => |random| (F::Generate, Value::Nil, some(random, 6)),
        ModelKind::ConvergentSet => |random| match random.below(3) {
            0 => (F::Add, some(random, 3), Value::Nil),
            1 => (F::Read, Value::Nil, list(random, 3, 2)),
            _ => (F::Read, FINAL.into(), list(random, 3, 3)),
        },
    }
}

/// One of the integers 1 to `n`.
fn some(random: &mut SplitMix64, n: u64) -> Value {
    Value::Int(1 + random.below(n) as i64)
}

/// `nil`, or one of the first integers: `n` values in all.
fn any(random: &mut SplitMix64, n: u64) -> Value {
    match random.below(n) {
        0 => Value::Nil,
        i => Value::Int(i as i64),
    }
}

fn flag(random: &mut SplitMix64) -> Value {
    Value::Bool(random.one_in(2))
}

/// `nil`, or one of the shortest texts: `n` values in all.
fn text(random: &mut SplitMix64, n: u64) -> Value {
    let texts = [Value::Nil, "a".into(), "b".into(), "ab".into(), "".into()];
    texts[random.below(n) as usize].clone()
}

/// At most `length_max` values, of the first `n` integers.
fn list(random: &mut SplitMix64, n: u64, length_max: u64) -> Value {
    let values: Vec<Value> = (0..random.below(length_max + 1)).map(|_| some(random, n)).collect();
    Value::List(values.into())
}
