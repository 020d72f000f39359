//! Histories as one line of text, for tests: operations separated by `;`, each
//!
//! ```text
//!   CALL..RETURN  pPROCESS  F  [INPUT]  [-> OUTPUT]      it happened
//!   CALL..        pPROCESS  F  [INPUT]  ?                its outcome is unknown
//!   CALL..RETURN  pPROCESS  F  [INPUT]  !                it certainly did not happen
//! ```
//!
//! with values in JSON.

use crate::check::{Engine, Options, check};
use crate::history::History;
use crate::model::ModelKind;
use crate::op::{F, Op, Outcome, Value};
use crate::verdict::Answer;

/// Asserts that every engine finds the history linearizable, with a valid certificate.
pub(crate) fn legal(kind: ModelKind, script: &str) {
    assert_answer(kind, script, Answer::Linearizable);
}

/// Asserts that no engine finds a legal order.
pub(crate) fn illegal(kind: ModelKind, script: &str) {
    assert_answer(kind, script, Answer::Violation);
}

fn assert_answer(kind: ModelKind, script: &str, answer: Answer) {
    for engine in [Engine::Auto, Engine::Search, Engine::Frontier, Engine::DepthFirst] {
        let options = Options { engine, certify: true, ..Options::default() };
        assert_eq!(
            check(&history(script), kind, &options).unwrap().answer,
            answer,
            "{kind} by {engine:?}: {script}"
        );
    }
}

/// The history that a script describes.
pub(crate) fn history(script: &str) -> History {
    let mut ops: Vec<Op> = script.split(';').map(|line| op(line.trim())).collect();
    ops.sort_by_key(|op| op.call);
    History { ops }
}

fn op(line: &str) -> Op {
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default().trim();
    let (call, end) = word().split_once("..").expect("CALL..RETURN comes first");
    let (process, f, rest) = (word().trim_start_matches('p').parse().expect("pPROCESS"), word(), word());
    let (input, outcome) = match rest.split_once("->") {
        Some((input, output)) => (input.trim(), Outcome::Ok(value(output))),
        None if rest.ends_with('?') => (rest.trim_end_matches('?').trim(), Outcome::Info),
        None if rest.ends_with('!') => (rest.trim_end_matches('!').trim(), Outcome::Fail),
        None => (rest, Outcome::Ok(Value::Nil)),
    };
    let input = if input.is_empty() { Value::Nil } else { value(input) };
    let call = call.parse().expect("a time");
    Op { outcome, completed: end.parse().ok(), ..Op::new(process, call, F::from(f), input) }
}

fn value(json: &str) -> Value {
    serde_json::from_str(json.trim()).expect("a value in JSON")
}
