//! The second judge: tests whether the certificate of a verdict proves the verdict.
//!
//! It shares with the engines only the models and the rule which operation precedes which: no search order,
//! no pruning, no exact algorithm, no rule for minimising a counterexample. It applies Herlihy and Wing's
//! definition (TOPLAS 1990, section 2.2) directly:
//!
//! ```text
//!   linearizable   each part's linearization is replayed
//!   violation      no order of the counterexample is legal: all are tried .......... it is one
//!                  nor is any order of all operations on its key .................. and the history has it
//! ```
//!
//! The second test of a violation is needed because removing operations can turn a legal history into an
//! illegal one, and the argument that this did not happen belongs to the engines. A counterexample cannot
//! carry that proof, so the larger history is enumerated as far as a budget allows.

use std::collections::HashSet;

use crate::explain::counterexample;
use crate::history::History;
use crate::judge::Judge;
use crate::model::{Model, Objects};
use crate::op::{Op, Outcome, Value};
use crate::ties::precedes;
use crate::verdict::{Answer, Verdict, Violation};

/// The maximum number of operations to enumerate, because precedence is computed for each pair.
const OPS_MAX: usize = 4_096;
/// The maximum number of bytes of an enumeration, without those that the states own.
const BYTES_MAX: usize = 256 << 20;

/// What a certificate proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// This many parts have linearizations, with this many operations in total.
    Linearizable {
        /// The number of parts.
        parts: usize,
        /// The number of operations that took effect.
        ops: usize,
    },
    /// No order of the counterexample is legal.
    Violation {
        /// The number of operations in the counterexample.
        counterexample: usize,
        /// No order of this many operations on its key is legal: of those invoked by then, or of all. `None`
        /// if there are too many orders to try.
        whole: Option<usize>,
    },
}

/// Why a certificate does not prove its verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    /// The verdict claims nothing, or carries no certificate.
    #[error("{0}")]
    Nothing(String),
    /// The certificate is wrong.
    #[error("{0}")]
    Refuted(String),
}

/// Tests a verdict against its history. `configurations_max` limits the configurations held by each
/// enumeration.
///
/// # Errors
/// If the verdict claims nothing, or its certificate does not prove the claim.
pub fn verify(
    history: &History,
    objects: impl Into<Objects>,
    verdict: &Verdict,
    configurations_max: usize,
) -> Result<Shown, NotShown> {
    let objects = objects.into();
    if verdict.ops != history.ops.len() {
        let (of, here) = (verdict.ops, history.ops.len());
        return Err(refuted(format!("it is about {of} operations, and the history has {here}")));
    }
    match (verdict.answer, &verdict.violation) {
        (Answer::Linearizable, None) => linearizable(history, objects, verdict),
        (Answer::Violation, Some(violation)) => is_violation(history, objects, violation, configurations_max),
        (Answer::Unknown, None) => Err(NotShown::Nothing("the verdict is unknown: it claims nothing".into())),
        _ => Err(refuted("its answer and its violation do not belong together")),
    }
}

fn refuted(why: impl Into<String>) -> NotShown {
    NotShown::Refuted(why.into())
}

fn judge_of(objects: Objects, key: &Value) -> Result<&'static dyn Judge, NotShown> {
    let kind = objects.of_key(key).map_err(|expected| refuted(format!("key {key}: expected {expected}")))?;
    Ok(kind.judge())
}

fn linearizable(history: &History, objects: Objects, verdict: &Verdict) -> Result<Shown, NotShown> {
    let keys = history.by_key();
    if !keys.iter().map(|(key, _)| key).eq(verdict.parts.iter().map(|part| &part.key)) {
        return Err(refuted("its parts are not the keys of the history"));
    }
    let mut ops_in_all = 0;
    for ((key, ids), part) in keys.iter().zip(&verdict.parts) {
        let ops: Vec<&Op> = ids.iter().map(|&id| &history.ops[id]).collect();
        let order = part.linearization.as_ref().ok_or_else(|| {
            NotShown::Nothing(format!("key {key}: it carries no linearization (judge it again with `check`)"))
        })?;
        if order.len() > ops.len() {
            return Err(refuted(format!(
                "key {key}: its linearization has more operations than the history"
            )));
        }
        let order: Vec<usize> = order.positions().collect();
        if let Some(at) = order.iter().find(|&&at| at >= ops.len()) {
            return Err(refuted(format!("key {key}: there is no operation {at}")));
        }
        judge_of(objects, key)?.certify(&ops, &order).map_err(|why| refuted(format!("key {key}: {why}")))?;
        ops_in_all += order.len();
    }
    Ok(Shown::Linearizable { parts: keys.len(), ops: ops_in_all })
}

fn is_violation(
    history: &History,
    objects: Objects,
    violation: &Violation,
    configurations_max: usize,
) -> Result<Shown, NotShown> {
    let judge = judge_of(objects, &violation.key)?;
    let of_key = |id: &usize| history.ops.get(*id).is_some_and(|op| op.key == violation.key);
    if let Some(id) = violation.minimal.iter().chain([&violation.witness]).find(|id| !of_key(id)) {
        return Err(refuted(format!(
            "operation {id} of the counterexample is none on key {}",
            violation.key
        )));
    }
    let alone = History::from_events(counterexample(history, violation));
    let alone = alone.map_err(|why| refuted(format!("its counterexample is no history: {why}")))?;
    match judge.enumerate(&alone.ops.iter().collect::<Vec<_>>(), configurations_max) {
        Some(false) => {}
        Some(true) => return Err(refuted("its counterexample has a legal order")),
        None => return Err(NotShown::Nothing("its counterexample has too many orders to try".into())),
    }
    let on_key: Vec<&Op> = history.ops.iter().filter(|op| op.key == violation.key).collect();
    let known_then = |op: &&&Op| op.call <= violation.detected;
    let until = |op: &&Op| {
        let known = op.completed.is_some_and(|end| end <= violation.detected);
        Op { outcome: if known { op.outcome.clone() } else { Outcome::Info }, ..(*op).clone() }
    };
    let then: Vec<Op> = on_key.iter().filter(known_then).map(until).collect();
    let shown = |whole| Ok(Shown::Violation { counterexample: alone.ops.len(), whole });
    match judge.enumerate(&then.iter().collect::<Vec<_>>(), configurations_max) {
        Some(false) => return shown(Some(then.len())),
        // A later result may be part of the proof.
        Some(true) => {}
        None => return shown(None),
    }
    match judge.enumerate(&on_key, configurations_max) {
        Some(false) => shown(Some(on_key.len())),
        Some(true) => Err(refuted(format!(
            "all {} operations on key {} have a legal order, though {} of them have none",
            on_key.len(),
            violation.key,
            alone.ops.len()
        ))),
        None => shown(None),
    }
}

/// The positions of the operations that may have happened, by invocation.
fn by_call(ops: &[&Op]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..ops.len()).filter(|&at| !ops[at].is_fail()).collect();
    positions.sort_by_key(|&at| (ops[at].call, at));
    positions
}

/// Whether the operations of one object have a legal order, by enumeration. `None` if there are too many
/// operations or configurations.
pub(crate) fn enumerate<M: Model>(model: &M, ops: &[&Op], configurations_max: usize) -> Option<bool> {
    // Operations that certainly did not happen, or that the model ignores, have no place in an order.
    let calls = by_call(ops).into_iter().filter_map(|at| Some((at, model.parse(ops[at]).ok()??)));
    let calls: Vec<(usize, M::Call)> = calls.collect();
    if calls.len() > OPS_MAX {
        return None;
    }
    let op = |i: usize| (calls[i].0, ops[calls[i].0]);
    let words = calls.len().div_ceil(64);
    let each = size_of::<(Vec<u64>, M::State)>() + words * size_of::<u64>();
    // Each configuration is met once, and may be open at the same time.
    let configurations_max = configurations_max.min(BYTES_MAX / (2 * each));
    let start = (vec![0_u64; words], model.init());
    let mut met = HashSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some((placed, state)) = open.pop() {
        let unplaced = || (0..calls.len()).filter(|i| placed[i / 64] >> (i % 64) & 1 == 0);
        // The first return that no order may pass: later invocations have to wait for it.
        let Some(end) = unplaced().map(op).filter(|(_, op)| op.is_ok()).map(|(_, op)| op.ret()).min() else {
            return Some(true);
        };
        let window: Vec<usize> = unplaced().take_while(|&i| op(i).1.call <= end).collect();
        let may_come = |i: &&usize| window.iter().all(|j| j == *i || !precedes(op(*j), op(**i)));
        // Operations that were invoked first are tried first.
        for &i in window.iter().rev().filter(may_come) {
            for next in model.step(&state, &calls[i].1) {
                let mut placed = placed.clone();
                placed[i / 64] |= 1 << (i % 64);
                if met.insert((placed.clone(), next.clone())) {
                    open.push((placed, next));
                }
            }
            if met.len() > configurations_max {
                return None;
            }
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Options, check};
    use crate::generate::SplitMix64;
    use crate::model::ModelKind;
    use crate::op::{F, Value};
    use crate::small;

    fn judged(history: &History, kind: ModelKind) -> Verdict {
        check(history, kind, &Options { certify: true, all_parts: true, ..Options::default() })
            .expect("it fits")
    }

    /// Both judges agree on small random histories of every model.
    #[test]
    fn both_judges_agree() {
        let random = &mut SplitMix64::new(7);
        for kind in ModelKind::ALL {
            let (mut legal, mut illegal) = (0, 0);
            for _ in 0..400 {
                let history = small::history(random, kind, 8);
                if History::from_ops(history.ops.iter().cloned()).is_err() {
                    continue; // a process does two things at once, which the counterexample cannot
                }
                let verdict = judged(&history, kind);
                let ops: Vec<&Op> = history.ops.iter().collect();
                let by_definition = kind.judge().enumerate(&ops, 1 << 20).expect("it is small");
                assert_eq!(by_definition, verdict.answer == Answer::Linearizable, "{kind}: {history:?}");
                match verify(&history, kind, &verdict, 1 << 20) {
                    Ok(Shown::Linearizable { .. }) => legal += 1,
                    Ok(Shown::Violation { whole, .. }) => {
                        assert_eq!(whole, Some(whole.expect("it is small")));
                        illegal += 1;
                    }
                    Err(why) => panic!("{kind}: {why}: {history:?}"),
                }
            }
            assert!(legal > 20 && illegal > 20, "{kind}: {legal} legal, {illegal} not");
        }
    }

    fn register() -> History {
        let read =
            |process, call: u64, value: i64| Op::new(process, call, F::Read, ()).returned(call + 5, value);
        let write =
            |process, call: u64, value: i64| Op::new(process, call, F::Write, value).returned(call + 5, ());
        History::from_ops([write(0, 0, 1), read(1, 10, 1), write(0, 20, 2), read(1, 30, 2), read(2, 31, 2)])
            .expect("a history")
    }

    fn refutation(history: &History, verdict: &Verdict) -> String {
        match verify(history, ModelKind::Register, verdict, 1 << 20) {
            Err(NotShown::Refuted(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_broken_linearization_is_refused() {
        let history = register();
        let sound = judged(&history, ModelKind::Register);
        assert_eq!(
            verify(&history, ModelKind::Register, &sound, 0),
            Ok(Shown::Linearizable { parts: 1, ops: 5 })
        );
        let with = |order: &str| {
            let mut verdict = sound.clone();
            verdict.parts[0].linearization = Some(order.parse().expect("an order"));
            refutation(&history, &verdict)
        };
        assert!(with("0-3").contains("is missing"), "{}", with("0-3"));
        assert!(with("0-4 4").contains("more operations"), "{}", with("0-4 4"));
        assert!(with("0 1 2 3 9").contains("no operation 9"), "{}", with("0 1 2 3 9"));
        assert!(with("1 0 2 3 4").contains("had returned"), "real time: {}", with("1 0 2 3 4"));
        assert!(with("0 0 1 2 3").contains("twice"), "{}", with("0 0 1 2 3"));
        let mut none = sound.clone();
        none.parts[0].linearization = None;
        let nothing = verify(&history, ModelKind::Register, &none, 0);
        assert!(matches!(nothing, Err(NotShown::Nothing(_))), "{nothing:?}");
        let mut other_key = sound.clone();
        other_key.parts[0].key = Value::Int(3);
        assert!(refutation(&history, &other_key).contains("keys of the history"));
        let mut longer = history.clone();
        longer.ops.pop();
        assert!(refutation(&longer, &sound).contains("5 operations, and the history has 4"));
    }

    /// A stale read among a hundred thousand operations: the counterexample is small, but the whole is too
    /// large to enumerate.
    #[test]
    fn a_long_history_is_not_enumerated() {
        let write = |n: u64| Op::new(0, 10 * n, F::Write, n as i64).returned(10 * n + 5, ());
        let stale = Op::new(1, 2_000_000, F::Read, ()).returned(2_000_005, 7);
        let history = History::from_ops((1..100_000).map(write).chain([stale])).expect("a history");
        let verdict = judged(&history, ModelKind::Register);
        let shown = verify(&history, ModelKind::Register, &verdict, usize::MAX).expect("it is shown");
        assert!(matches!(shown, Shown::Violation { whole: None, .. }), "{shown:?}");
    }

    #[test]
    fn a_broken_counterexample_is_refused() {
        let mut history = register();
        history.ops[4].outcome = Outcome::Ok(1.into());
        let sound = judged(&history, ModelKind::Register);
        assert_eq!(
            verify(&history, ModelKind::Register, &sound, 1 << 10),
            Ok(Shown::Violation { counterexample: 3, whole: Some(5) })
        );
        let shown = |max: usize| verify(&history, ModelKind::Register, &sound, max);
        assert!(matches!(shown(0), Err(NotShown::Nothing(_))), "{:?}", shown(0));
        let first = (0..100).find_map(|max| shown(max).ok());
        assert_eq!(
            first,
            Some(Shown::Violation { counterexample: 3, whole: None }),
            "as far as a budget goes"
        );
        let with = |change: &dyn Fn(&mut Violation)| {
            let mut verdict = sound.clone();
            change(verdict.violation.as_mut().expect("a violation"));
            refutation(&history, &verdict)
        };
        assert!(with(&|violation| violation.minimal = vec![0, 1]).contains("has a legal order"));
        assert!(with(&|violation| violation.minimal = vec![99]).contains("operation 99"));
        // Without its write, a correct read returns a value that was never written.
        let mut invented = sound.clone();
        let violation = invented.violation.as_mut().expect("a violation");
        (violation.minimal, violation.witness, violation.detected) = (vec![1], 1, 15);
        let why = refutation(&register(), &invented);
        assert!(why.contains("all 5 operations") && why.contains("though 1 of them"), "{why}");
        let mut unlike = sound.clone();
        unlike.violation = None;
        assert!(refutation(&history, &unlike).contains("do not belong together"));
    }
}
