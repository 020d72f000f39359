//! The entry point: a history and a model go in, a verdict with its evidence comes out.
//!
//! ```text
//!   history ─▶ does every operation fit the model? ─▶ split by key ─▶ decide each part ─▶ explain ─▶ verdict
//! ```
//!
//! Linearizability is local (Herlihy and Wing, TOPLAS 1990, theorem 1): a history is linearizable exactly if
//! the operations on each object are. So every key is a separate part, and each part is decided alone.

use std::cmp::Reverse;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::decision::Decision;
use crate::explain;
use crate::history::History;
pub use crate::judge::{Algorithm, Engine};
use crate::judge::{Demand, Judge, PartResult};
use crate::limits::{Limit, Limits};
use crate::model::{Initial, Model, ModelKind, Objects};
use crate::op::{Op, Value};
use crate::parallel::run_until_final;
use crate::part::{Misfit, misfit};
use crate::tuning::tuning;
use crate::verdict::{Answer, Effort, Frontier, OpId, Part, Shrink, Undecided, Verdict, Violation};

/// Operations per thread: fewer do not pay for starting one more thread.
const OPS_PER_THREAD: usize = 5_000;

/// Growth of a part's budget after each attempt that it did not suffice for. With a factor of 8 the failed
/// attempts together cost about a seventh of the last one.
const BUDGET_GROWTH: u64 = 8;

/// The settings of a check.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// The maximum cost of the check.
    pub limits: Limits<'a>,
    /// The search engine to use.
    pub engine: Engine,
    /// Number of parts decided in parallel; 0: one per processor.
    pub threads: usize,
    /// Whether to replay the certificate of every linearizable part through the plain model and to store it
    /// in [`Part::linearization`].
    pub certify: bool,
    /// Whether to decide every part, instead of stopping at the first violation.
    pub all_parts: bool,
    /// The key to decide first, if the history has it. A violation on this key is the one that the verdict
    /// reports.
    pub first: Option<&'a Value>,
    /// Whether to search for the minimal counterexample of a violation and to explain it.
    pub explain: bool,
}

impl Default for Options<'_> {
    /// The default limits, all processors, with an explanation, and a stop at the first violation.
    fn default() -> Self {
        Options {
            limits: Limits::default(),
            engine: Engine::Auto,
            threads: 0,
            certify: false,
            all_parts: false,
            first: None,
            explain: true,
        }
    }
}

/// An operation that the model does not know: the history and the model do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {op} (event {event}), `{shown}`, does not fit the model {model}: expected {expected}")]
pub struct Unfit {
    /// The position of the operation in the history.
    pub op: OpId,
    /// The index of its invocation in the recorded events.
    pub event: u64,
    /// The operation in its short form, such as `write 3`.
    pub shown: String,
    /// The name of the model.
    pub model: String,
    /// What the model expected.
    pub expected: String,
}

/// Checks a history against one of the built-in models, or against those of mixed objects.
///
/// # Errors
/// If an operation has no meaning to the model. Nothing has been checked in that case.
pub fn check(
    history: &History,
    objects: impl Into<Objects>,
    options: &Options<'_>,
) -> Result<Verdict, Unfit> {
    check_from(history, &Initial::new(objects), options)
}

/// Checks a history of objects that hold a value before the first operation.
///
/// # Errors
/// If an operation has no meaning to the model. Nothing has been checked in that case.
pub fn check_from(history: &History, initial: &Initial, options: &Options<'_>) -> Result<Verdict, Unfit> {
    let (usual, of_keys) = initial.judges(history);
    let objects = initial.objects();
    let judge_of = |key: &Value| match of_keys.get(key).or(usual.as_ref()) {
        Some(judge) => Ok(&**judge),
        None => objects.of_key(key).map(ModelKind::judge),
    };
    check_by(history, objects.name(), judge_of, options)
}

/// Checks a history against a model of your own.
///
/// # Errors
/// If an operation has no meaning to the model. Nothing has been checked in that case.
pub fn check_with<M: Model>(history: &History, model: &M, options: &Options<'_>) -> Result<Verdict, Unfit> {
    check_by(history, Model::name(model), |_| Ok(model), options)
}

/// Checks a history by the judge of each key. `model` is the name of all of them.
fn check_by<'j>(
    history: &History,
    model: &str,
    judge_of: impl Fn(&Value) -> Result<&'j dyn Judge, String>,
    options: &Options<'_>,
) -> Result<Verdict, Unfit> {
    let keys = history.by_key();
    let ops: Vec<Vec<&Op>> =
        keys.iter().map(|(_, ids)| ids.iter().map(|&id| &history.ops[id]).collect()).collect();
    let judge_of = |(key, ids): &(Value, Vec<OpId>)| {
        judge_of(key).map_err(|expected| unfit(history, ids[0], model, expected))
    };
    let judges: Vec<&dyn Judge> = keys.iter().map(judge_of).collect::<Result<_, _>>()?;
    let progress = options.limits.progress;
    if let Some(progress) = progress {
        progress.keys.store(keys.len(), Ordering::Relaxed);
    }
    let first = keys.iter().position(|(key, _)| Some(key) == options.first);
    let decided = decide_all(&judges, &ops, first, options, threads(options, history.ops.len()));
    if let Some((part, at, expected)) = first_misfit(&judges, &keys, &ops, &decided) {
        return Err(unfit(history, at, judges[part].name(), expected));
    }
    let all = keys.iter().zip(&judges).zip(&decided);
    let earliest = all.filter_map(|(((_, ids), judge), decided)| match &decided.decision {
        Decision::Illegal { conflict } => Some((*judge, ids, conflict, decided.states)),
        _ => None,
    });
    let is_first = |ids: &[OpId]| Some(&history.ops[ids[0]].key) == options.first;
    let earliest =
        earliest.min_by_key(|(_, ids, conflict, _)| (!is_first(ids), history.ops[ids[conflict[0]]].ret()));
    let violation = earliest.map(|(judge, ids, conflict, states)| {
        if options.explain {
            if let Some(progress) = progress {
                progress.shrinking.store(true, Ordering::Relaxed);
            }
            explain::violation(judge, options, history, ids, conflict, states)
        } else {
            violation(history, ids, conflict)
        }
    });
    let frontier = hardest(&keys, &decided);
    let parts: Vec<Part> = keys
        .iter()
        .zip(decided)
        .map(|((key, ids), decided)| part(key.clone(), ids, decided, options))
        .collect();
    let any = |answer: Answer| parts.iter().any(|part| part.answer == answer);
    Ok(Verdict {
        answer: match (any(Answer::Violation), any(Answer::Unknown)) {
            (true, _) => Answer::Violation,
            (false, true) => Answer::Unknown,
            (false, false) => Answer::Linearizable,
        },
        model: model.to_owned(),
        ops: history.ops.len(),
        violation,
        effort: Effort {
            states: parts.iter().map(|part| part.states).sum(),
            frontier_max: parts.iter().map(|part| part.frontier_max).max().unwrap_or(0),
            limits: options.limits.in_words(),
            frontier,
        },
        parts,
    })
}

/// Decides every part, or enough of them. It is unknown in advance which part is hard and which one has a
/// violation that is easy to find. So each part first gets a small budget of configurations; the parts that
/// need more get a larger budget, repeatedly.
///
/// Parts that are decided at the same time share the memory. A part that ran out of memory is tried once
/// more, alone.
fn decide_all(
    judges: &[&dyn Judge],
    ops: &[Vec<&Op>],
    first: Option<usize>,
    options: &Options<'_>,
    threads: usize,
) -> Vec<PartResult> {
    let limits = &options.limits;
    let mut decided: Vec<PartResult> = vec![PartResult::not_started(); ops.len()];
    let is_final =
        |decided: &PartResult| !options.all_parts && matches!(decided.decision, Decision::Illegal { .. });
    // The largest part first, so that no thread still works on it when all others are done.
    let mut open: Vec<usize> = (0..ops.len()).collect();
    open.sort_by_key(|&part| (Some(part) != first, Reverse(ops[part].len())));
    let mut budget = match options.engine {
        Engine::Auto | Engine::Search => tuning().first_budget,
        Engine::Frontier | Engine::DepthFirst => u64::MAX,
    };
    let mut threads = threads;
    while !open.is_empty() {
        threads = threads.min(open.len());
        let results = run_until_final(
            open.len(),
            threads,
            |job, unwanted| {
                let ops = &ops[open[job]];
                let limits = Limits {
                    states_max: limits
                        .states_max
                        .min(budget.saturating_add(tuning().budget_per_op * ops.len() as u64)),
                    memory_bytes_max: limits.memory_bytes_max / threads,
                    ..limits.clone()
                };
                let decided =
                    decide(judges[open[job]], ops, &Options { limits, ..options.clone() }, unwanted);
                if let (Some(progress), None) = (options.limits.progress, &decided.stopped) {
                    progress.keys_done.fetch_add(1, Ordering::Relaxed);
                }
                decided
            },
            is_final,
        );
        let mut wants_memory = false;
        let mut left = Vec::new();
        for (result, &part) in results.into_iter().zip(&open) {
            let Some(mut result) = result else { continue };
            let states_max =
                limits.states_max.min(budget.saturating_add(tuning().budget_per_op * ops[part].len() as u64));
            match result.stopped {
                Some((Limit::States, _)) if states_max < limits.states_max => left.push(part),
                Some((Limit::Memory, _)) if threads > 1 => {
                    wants_memory = true;
                    left.push(part);
                }
                _ => {}
            }
            result.states += decided[part].states;
            decided[part] = result;
        }
        if decided.iter().any(is_final) {
            for &part in &open {
                if let Some((limit @ (Limit::States | Limit::Memory), _)) = &mut decided[part].stopped {
                    *limit = Limit::Cancelled;
                }
            }
            break;
        }
        if wants_memory {
            threads = 1;
        }
        open = left;
        budget = budget.saturating_mul(BUDGET_GROWTH);
    }
    let undecided = decided.iter().filter(|decided| decided.stopped.is_some()).count();
    if let Some(progress) = limits.progress {
        progress.keys_done.fetch_add(undecided, Ordering::Relaxed);
    }
    decided
}

/// The frontier of the part that took the most work. One part only, to keep verdicts small.
fn hardest(keys: &[(Value, Vec<OpId>)], decided: &[PartResult]) -> Option<Frontier> {
    let with_frontier = keys.iter().zip(decided).filter(|(_, decided)| !decided.frontier.is_empty());
    let ((key, _), decided) =
        with_frontier.max_by_key(|(_, decided)| (decided.states, decided.frontier_max))?;
    Some(Frontier { key: key.clone(), sizes: decided.frontier.clone() })
}

/// The first operation of the history that does not fit its model: its part, itself, and what was expected.
/// For decided parts the engine has looked for it; the other parts are searched here.
fn first_misfit(
    judges: &[&dyn Judge],
    keys: &[(Value, Vec<OpId>)],
    ops: &[Vec<&Op>],
    decided: &[PartResult],
) -> Option<(usize, OpId, String)> {
    let misfits = (0..keys.len()).filter_map(|part| {
        let Misfit { at, expected } = match decided[part].engine {
            Algorithm::None if decided[part].misfit.is_none() => {
                misfit(&ops[part], |op| judges[part].fits(op))?
            }
            _ => decided[part].misfit.clone()?,
        };
        Some((part, keys[part].1[at], expected))
    });
    misfits.min_by_key(|&(_, at, _)| at)
}

fn unfit(history: &History, at: OpId, model: &str, expected: String) -> Unfit {
    let op = &history.ops[at];
    Unfit { op: at, event: op.invoke_index, shown: op.to_string(), model: model.to_owned(), expected }
}

/// The number of threads worth starting.
fn threads(options: &Options<'_>, ops: usize) -> usize {
    let wanted = match options.threads {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        threads => threads,
    };
    wanted.min(1 + ops / OPS_PER_THREAD)
}

/// Decides one part. Replays the certificate if the options ask for it, and always in builds with debug
/// assertions.
fn decide(judge: &dyn Judge, ops: &[&Op], options: &Options<'_>, unwanted: &AtomicBool) -> PartResult {
    let certify = options.certify || cfg!(debug_assertions);
    let demand =
        Demand { engine: options.engine, limits: &options.limits, cancelled: Some(unwanted), order: certify };
    let decided = judge.decide(ops, demand);
    if let Decision::Legal { order } = &decided.decision
        && certify
        && let Err(why) = judge.certify(ops, order)
    {
        debug_assert!(false, "{} gave a wrong certificate: {why}", decided.engine);
        return judge.decide(ops, Demand { engine: Engine::DepthFirst, ..demand });
    }
    decided
}

/// One part's entry in the verdict.
fn part(key: Value, ids: &[OpId], decided: PartResult, options: &Options<'_>) -> Part {
    let mut part = Part {
        key,
        ops: ids.len(),
        answer: Answer::Unknown,
        engine: decided.engine,
        states: decided.states,
        frontier_max: decided.frontier_max,
        undecided: None,
        linearization: None,
    };
    match decided.decision {
        Decision::Legal { order } => {
            part.answer = Answer::Linearizable;
            part.linearization = options.certify.then(|| order.into_iter().collect());
        }
        Decision::Illegal { .. } => part.answer = Answer::Violation,
        Decision::Declined => {
            part.undecided = decided.stopped.map(|(limit, reached)| Undecided {
                limit: limit.words(&options.limits),
                by: limit,
                reached,
                of: if decided.definite == 0 { ids.len() } else { decided.definite },
            });
        }
    }
    part
}

/// A violation without an explanation: it names only the operation whose completion no configuration
/// survived.
pub(crate) fn violation(history: &History, ids: &[OpId], conflict: &[usize]) -> Violation {
    let witness = ids[conflict[0]];
    let op = &history.ops[witness];
    Violation {
        key: op.key.clone(),
        witness,
        detected: op.ret(),
        sentence: format!(
            "no legal order of the operations before it allows process {}'s `{op}`",
            op.process
        ),
        class: "no-order".into(),
        minimal: ids.iter().copied().filter(|&id| history.ops[id].call <= op.ret()).collect(),
        order: Vec::new(),
        states: Vec::new(),
        before: Vec::new(),
        context: Vec::new(),
        impossible: Vec::new(),
        configurations: Vec::new(),
        explanations: Vec::new(),
        shrink: Shrink::default(),
        named: Vec::new(),
        missing: None,
        elements: None,
        sums: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::generate::SplitMix64;
    use crate::limits::TimeLimit;
    use crate::model::MIXED_KEYS;
    use crate::model::script::{self, illegal, legal};
    use crate::op::F;
    use crate::small;
    use crate::tuning::tests::as_usual;

    #[test]
    fn an_easy_violation_is_found_despite_a_hard_part() {
        let (mut ops, mut now) = (Vec::new(), 0);
        let mut ask = |key: i64, f: F, input: Value, output: Value, call: u64, ret: u64| {
            ops.push(Op::new(ops.len() as u64, call, f, input).on(key).returned(ret, output));
        };
        for (key, pairs) in [(1, 3_000), (2, 2_000)] {
            for _ in 0..pairs {
                ask(key, F::Enqueue, 1.into(), Value::Nil, now, now + 1);
                ask(key, F::Dequeue, Value::Nil, 1.into(), now + 2, now + 3);
                now += 4;
            }
        }
        // A cheap stand-in for a hard search: eleven orders of magnitude of possible orders.
        (0..14).for_each(|value| ask(1, F::Enqueue, value.into(), Value::Nil, now, now + 1));
        ask(1, F::Dequeue, Value::Nil, Value::Nil, now + 2, now + 3);
        ask(2, F::Dequeue, Value::Nil, 7.into(), now + 2, now + 3);
        let looks = AtomicUsize::new(0);
        let expired = || looks.fetch_add(1, Ordering::Relaxed) > 1_000;
        let time = Some(TimeLimit { label: "1,000 looks".into(), expired: &expired });
        let limits = Limits { time, ..Limits::default() };
        let options =
            Options { limits, engine: Engine::Search, threads: 1, explain: false, ..Options::default() };
        let verdict = check(&History { ops }, ModelKind::Queue, &options).unwrap();
        assert_eq!(verdict.answer, Answer::Violation);
        assert_eq!(verdict.violation.unwrap().key, Value::Int(2));
    }

    /// The verdict of every engine, and of the online check.
    fn assert_everywhere(kind: ModelKind, script: &str, answer: Answer) {
        match answer {
            Answer::Violation => illegal(kind, script),
            _ => legal(kind, script),
        }
        let history = script::history(script);
        let events = crate::online::tests::events(&history);
        let mut online = crate::online::Online::new(kind, Limits::default());
        let found = crate::online::tests::first_violation(&mut online, &events).unwrap();
        assert_eq!(found.is_some(), answer == Answer::Violation, "online: {script}");
    }

    #[test]
    fn only_operations_of_one_process_are_ordered_within_an_instant() {
        use Answer::{Linearizable, Violation};
        let register = ModelKind::Register;
        assert_everywhere(register, "0..5 p0 write 1; 5..6 p0 read -> null", Violation);
        assert_everywhere(register, "0..5 p0 write 1; 5..6 p1 read -> null", Linearizable);
        assert_everywhere(register, "0..5 p0 write 1; 5..5 p0 write 2; 5..6 p0 read -> 1", Violation);
        assert_everywhere(register, "0..5 p0 write 1; 5..5 p1 write 2; 5..6 p0 read -> 1", Linearizable);
        // Two processes continue in the same instant: each keeps its own order, and either may be first.
        let two = "0..5 p0 write 1; 0..5 p1 write 2; 5..9 p0 read -> A; 5..9 p1 read -> B";
        for (a, b, answer) in [
            ("1", "2", Linearizable),
            ("2", "2", Linearizable),
            ("2", "1", Violation),
            ("null", "1", Violation),
            ("1", "null", Violation),
        ] {
            assert_everywhere(register, &two.replace('A', a).replace('B', b), answer);
        }
        assert_everywhere(
            ModelKind::Counter,
            "0..5 p0 add 1; 0..5 p1 add 1; 5..9 p0 read -> 1; 5..9 p1 read -> 1",
            Violation,
        );
        assert_everywhere(
            ModelKind::Set,
            "0..5 p0 add 1; 0..5 p1 add 2; 5..6 p0 contains 2 -> false; 5..6 p1 contains 1 -> false",
            Violation,
        );
    }

    /// `TRIBUNAL_FUZZ=1000000` tests that many histories of every model. Tests use narrow beams and small
    /// budgets, so that every branch of the search is taken.
    #[test]
    fn every_engine_agrees_with_the_definition() {
        every_engine_agrees(0x5EED);
    }

    #[test]
    fn every_engine_agrees_with_the_definition_under_release_tuning() {
        as_usual(|| every_engine_agrees(0xFEED));
    }

    /// Objects of three models in one history: every part has the verdict of its own model, in the check of the
    /// whole history, live, and for the second judge.
    #[test]
    fn mixed_objects_are_judged_each_by_its_own_model() {
        let mut random = SplitMix64::new(12);
        let mut seen = [0, 0];
        for round in 0..3_000 {
            let mut truth = true;
            let mut ops = Vec::new();
            for (number, (prefix, kind)) in (0..).zip(MIXED_KEYS) {
                let one = small::history(&mut random, kind, 5);
                truth &= small::by_definition(kind, &one.ops);
                let name = |op: Op| Op {
                    key: Value::str(&format!("{prefix}{}", op.key)),
                    process: op.process * MIXED_KEYS.len() as u64 + number,
                    ..op
                };
                ops.extend(one.ops.into_iter().map(name));
            }
            ops.sort_by_key(|op| op.call);
            (0..).zip(&mut ops).for_each(|(index, op)| op.invoke_index = index);
            if History::from_ops(ops.iter().cloned()).is_err() {
                continue; // a process does two things at once, which a recording cannot have
            }
            let history = History { ops };
            let options = Options { certify: true, ..Options::default() };
            let verdict = check(&history, Objects::Mixed, &options).unwrap();
            let expected = if truth { Answer::Linearizable } else { Answer::Violation };
            assert_eq!(verdict.answer, expected, "history {round}: {history:#?}");
            let verified = crate::verify::verify(&history, Objects::Mixed, &verdict, 1 << 16);
            assert!(verified.is_ok(), "history {round}: {verified:?}");
            let mut online = crate::online::Online::new(Objects::Mixed, Limits::default());
            let events = crate::online::tests::events(&history);
            let found = crate::online::tests::first_violation(&mut online, &events).unwrap();
            assert_eq!(found.is_none(), truth, "live, history {round}: {history:#?}");
            seen[usize::from(truth)] += 1;
        }
        assert!(seen[0] > 200 && seen[1] > 200, "one-sided: {seen:?}");
    }

    #[test]
    fn a_key_without_a_model_and_an_operation_of_another_model_are_refused() {
        let refused = |key: &str, f: F| {
            let history =
                History { ops: vec![Op::new(0, 0, f, 1).on(Value::str(key)).returned(1, Value::Nil)] };
            let unfit = check(&history, Objects::Mixed, &Options::default()).unwrap_err();
            (unfit.model, unfit.expected)
        };
        let (model, expected) = refused("k1", F::Write);
        assert_eq!(model, "mixed");
        assert_eq!(expected, "a key that begins with register- or counter- or list-");
        assert_eq!(refused("counter-1", F::Write).0, "counter");
    }

    fn every_engine_agrees(seed: u64) {
        let rounds = std::env::var("TRIBUNAL_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500);
        for kind in ModelKind::ALL {
            let mut random = SplitMix64::new(seed);
            let mut seen = [0, 0];
            for round in 0..rounds {
                let history = small::history(&mut random, kind, 7);
                let truth = small::by_definition(kind, &history.ops);
                let expected = if truth { Answer::Linearizable } else { Answer::Violation };
                for engine in [Engine::Auto, Engine::Search, Engine::Frontier, Engine::DepthFirst] {
                    let options = Options { engine, certify: true, explain: false, ..Options::default() };
                    let verdict = check(&history, kind, &options).unwrap();
                    assert_eq!(
                        verdict.answer, expected,
                        "history {round} of {kind} by {engine:?}: {history:#?}"
                    );
                    if engine == Engine::Frontier && verdict.effort.frontier_max > 1 {
                        let frontier = verdict.effort.frontier.expect("it was more than one configuration");
                        let largest = frontier.sizes.iter().map(|front| front.size).max();
                        let held = verdict.parts.iter().find(|part| part.key == frontier.key);
                        assert_eq!(largest, held.map(|part| part.frontier_max), "{history:#?}");
                        assert!(frontier.sizes.is_sorted_by_key(|front| front.at), "{history:#?}");
                    }
                }
                seen[usize::from(truth)] += 1;
            }
            assert!(seen[0] > rounds / 25 && seen[1] > rounds / 25, "one-sided: {seen:?}");
        }
    }
}
