//! The way in: a history and a model go in, a verdict with its evidence comes out.
//!
//! ```text
//!   history ─▶ does every operation fit the model? ─▶ split by key ─▶ decide each part ─▶ explain ─▶ verdict
//! ```
//!
//! Linearizability is local (Herlihy and Wing, TOPLAS 1990, theorem 1): a history is linearizable exactly when the
//! operations of each object are. So every key is a part of its own, decided alone.

use crate::decision::Decision;
use crate::explain;
use crate::history::History;
pub use crate::judge::Engine;
use crate::judge::{Decided, Judge};
use crate::limits::Limits;
use crate::model::{Model, ModelKind};
use crate::op::{Op, Value};
use crate::verdict::{Answer, Effort, OpId, Part, Shrink, Undecided, Verdict, Violation};

/// How to check.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// What the check may cost.
    pub limits: Limits<'a>,
    /// Which engine decides.
    pub engine: Engine,
    /// How many parts are decided at once; 0 for as many as there are processors.
    pub threads: usize,
    /// Whether to replay the certificate of every linearizable part through the plain model, and to put it into
    /// [`Part::order`].
    pub certify: bool,
    /// Whether to go on after the first violation, until every part is decided.
    pub all_parts: bool,
    /// Whether to look for the minimal counterexample of a violation and to explain it.
    pub explain: bool,
}

impl Default for Options<'_> {
    /// The default limits, all processors, an explanation, and a stop at the first violation.
    fn default() -> Self {
        Options {
            limits: Limits::default(),
            engine: Engine::Auto,
            threads: 0,
            certify: false,
            all_parts: false,
            explain: true,
        }
    }
}

/// An operation that has no meaning to the model: the history and the model do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {op} (event {event}), `{shown}`, does not fit the model {model}: expected {expected}")]
pub struct Unfit {
    /// The operation's position in the history.
    pub op: OpId,
    /// The index of its invocation in the recording.
    pub event: u64,
    /// The operation as people read it.
    pub shown: String,
    /// The name of the model.
    pub model: String,
    /// What the model expected.
    pub expected: String,
}

/// Checks a history against one of the models that come with the crate.
///
/// # Errors
/// When an operation has no meaning to the model. Nothing has been checked then.
pub fn check(history: &History, kind: ModelKind, options: &Options<'_>) -> Result<Verdict, Unfit> {
    check_by(history, kind.judge(), options)
}

/// Checks a history against a model of your own.
///
/// # Errors
/// When an operation has no meaning to the model. Nothing has been checked then.
pub fn check_with<M: Model>(history: &History, model: &M, options: &Options<'_>) -> Result<Verdict, Unfit> {
    check_by(history, model, options)
}

fn check_by(history: &History, judge: &dyn Judge, options: &Options<'_>) -> Result<Verdict, Unfit> {
    for (at, op) in history.ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
        judge.fits(op).map_err(|expected| Unfit {
            op: at,
            event: op.invoke_index,
            shown: op.to_string(),
            model: judge.name().to_owned(),
            expected,
        })?;
    }
    let mut verdict = Verdict {
        answer: Answer::Linearizable,
        model: judge.name().to_owned(),
        ops: history.ops.len(),
        parts: Vec::new(),
        violation: None,
        effort: Effort { limits: options.limits.in_words(), ..Effort::default() },
    };
    let mut earliest = None;
    for (key, ids) in history.by_key() {
        let ops: Vec<&Op> = ids.iter().map(|&id| &history.ops[id]).collect();
        let decided = judge.decide(&ops, options.engine, &options.limits, None);
        let part = answer(key, &ops, &decided, judge, options, &ids);
        verdict.effort.states += part.states;
        verdict.effort.frontier_max = verdict.effort.frontier_max.max(part.frontier_max);
        if let Decision::Illegal { conflict } = &decided.decision {
            let violation = violation(&part.key, &ids, conflict, history);
            if verdict.violation.as_ref().is_none_or(|earlier| violation.detected < earlier.detected) {
                verdict.violation = Some(violation);
                earliest = Some((ids, conflict.clone()));
            }
        }
        verdict.parts.push(part);
    }
    if let (true, Some((ids, conflict))) = (options.explain, earliest) {
        verdict.violation = Some(explain::violation(judge, options, history, &ids, &conflict));
    }
    let any = |answer: Answer| verdict.parts.iter().any(|part| part.answer == answer);
    if any(Answer::Violation) {
        verdict.answer = Answer::Violation;
    } else if any(Answer::Unknown) {
        verdict.answer = Answer::Unknown;
    }
    Ok(verdict)
}

/// What is said of one part.
fn answer(
    key: Value,
    ops: &[&Op],
    decided: &Decided,
    judge: &dyn Judge,
    options: &Options<'_>,
    ids: &[OpId],
) -> Part {
    let mut part = Part {
        key,
        ops: ops.len(),
        answer: Answer::Unknown,
        engine: decided.engine.to_owned(),
        states: decided.states,
        frontier_max: decided.frontier_max,
        undecided: None,
        order: None,
    };
    match &decided.decision {
        Decision::Legal { order } => {
            part.answer = Answer::Linearizable;
            if options.certify || cfg!(debug_assertions) {
                let sound = judge.certify(ops, order);
                assert_eq!(
                    sound,
                    Ok(()),
                    "{} gave a wrong certificate for the key {}",
                    decided.engine,
                    part.key
                );
            }
            part.order = options.certify.then(|| order.iter().map(|&at| ids[at]).collect());
        }
        Decision::Illegal { .. } => part.answer = Answer::Violation,
        Decision::Declined => {
            part.undecided = decided.stopped.map(|(limit, reached)| Undecided {
                limit: limit.words(&options.limits),
                flag: limit.flag().to_owned(),
                reached,
                of: decided.definite,
            });
        }
    }
    part
}

/// The least that can be said of a violation: the operation whose completion nothing survived.
fn violation(key: &Value, ids: &[OpId], conflict: &[usize], history: &History) -> Violation {
    let witness = ids[conflict[0]];
    let op = &history.ops[witness];
    Violation {
        key: key.clone(),
        witness,
        detected: op.ret(),
        sentence: format!(
            "no legal order of the operations before it allows process {}'s `{op}`",
            op.process
        ),
        class: "no-order".into(),
        minimal: ids.iter().copied().filter(|&id| history.ops[id].call <= op.ret()).collect(),
        order: Vec::new(),
        before: Vec::new(),
        context: Vec::new(),
        impossible: Vec::new(),
        configurations: Vec::new(),
        explanations: Vec::new(),
        shrink: Shrink::default(),
        named: Vec::new(),
        elements: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::SplitMix64;
    use crate::small;

    #[test]
    fn every_engine_agrees_with_the_definition() {
        for kind in ModelKind::ALL {
            let mut random = SplitMix64::new(0x5EED);
            let mut seen = [0, 0];
            for round in 0..6_000 {
                let history = small::history(&mut random, kind, 7);
                let truth = small::by_definition(kind, &history.ops);
                let expected = if truth { Answer::Linearizable } else { Answer::Violation };
                for engine in [Engine::Auto, Engine::Frontier, Engine::DepthFirst] {
                    let options = Options { engine, certify: true, explain: false, ..Options::default() };
                    let verdict = check(&history, kind, &options).unwrap();
                    assert_eq!(
                        verdict.answer, expected,
                        "history {round} of {kind} by {engine:?}: {history:#?}"
                    );
                }
                seen[usize::from(truth)] += 1;
            }
            assert!(seen[0] > 300 && seen[1] > 300, "one-sided: {seen:?}");
        }
    }
}
