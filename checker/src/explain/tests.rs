//! The whole explanation, on histories that resemble real bugs.

use std::fmt::Write;

use super::sample::{Dice, Object, history};
use super::*;
use crate::check::{Options, check};
use crate::model::ModelKind;
use crate::verdict::Answer;

fn explained(kind: ModelKind, lines: &str) -> (History, Violation) {
    let history = History { ops: history(lines) };
    let verdict = check(&history, kind, &Options::default()).expect("the operations fit the model");
    let violation = verdict.violation.expect("the history is not linearizable");
    (history, violation)
}

fn shown(history: &History, violation: &Violation) -> String {
    let mut out = String::new();
    let names = |ids: &[OpId]| {
        let shown = ids.iter().map(|&id| format!("p{} {}", history.ops[id].process, history.ops[id]));
        shown.collect::<Vec<_>>().join(", ")
    };
    let mut line = |text: String| writeln!(out, "{text}").expect("writing to a string");
    line(format!("{}: {}", violation.class, violation.sentence));
    line(format!(
        "witness: {}, detected at {} ms",
        names(&[violation.witness]),
        violation.detected / 1_000_000
    ));
    line(format!("minimal: {} from {}", names(&violation.minimal), violation.before.join(" or ")));
    line(format!("order: {}", names(&violation.order)));
    line(format!("context: {}", names(&violation.context)));
    for way in &violation.impossible {
        line(format!("  {} from {}: {}", names(&way.next), way.state, way.reason));
    }
    for deepest in &violation.configurations {
        let Configuration { state, placed, total, used, unused } = deepest;
        line(format!(
            "  at {state} after {placed} of {total}, used: {}; unused: {}",
            names(used),
            names(unused)
        ));
    }
    for explanation in &violation.explanations {
        line(format!("  {} {}", explanation.question, explanation.answer));
    }
    out
}

#[test]
fn a_stale_read() {
    let (history, violation) = explained(
        ModelKind::CasRegister,
        "0 write 1 @ 2..9
         0 write 3 @ 31..40
         1 write 4 @ 395..421
         4 read -> 4 @ 430..436
         7 write 5 @ 433..
         3 read -> 3 @ 470..481
         2 write 6 @ 475..476 fail
         2 read -> 4 @ 490..500",
    );
    let story = "\
stale-read: process 3's `read → 3` on k is stale: process 1's `write 4` had completed 49 ms before this read began, \
    and nobody wrote 3 again in between; process 2's `read → 4` saw it, or a later change, 9.0 ms afterwards
witness: p3 read → 3, detected at 481 ms
minimal: p0 write 3, p1 write 4, p3 read → 3 from 1
order: p0 write 3, p1 write 4
context: p4 read → 4, p7 write 5, p2 write 6
  p3 read → 3 from 4: it returned 3, but the register holds 4
  p7 write 5, p3 read → 3 from 5: it returned 3, but the register holds 5
  p3 read → 3, p1 write 4 from 3: process 1's `write 4` returned at 0.421 s, before this was invoked at 0.470 s
  at 4 after 4 of 8, used: ; unused: p7 write 5, p3 read → 3
  Is the effect of process 1's `write 4` lost? no: process 2's `read → 4` saw it, or a later change, 9.0 \
    ms afterwards: the result was stale
  Did an operation that was reported as failed take effect? no: no legal order exists, even with \
    1 failed operation on k treated as indeterminate
  Would it be sequentially consistent? yes: the 3 operations of the counterexample have a legal order \
    that preserves each process's own order
  Could the clocks be wrong? no: process 1's operations would have to be 49 ms later than recorded
";
    assert_eq!(shown(&history, &violation), story);
}

#[test]
fn impossible_steps_start_from_the_value_the_object_held() {
    let (_, violation) = explained(ModelKind::Register, "0 write 1 @ 1..2\n 1 read -> 7 @ 3..4");
    let way = &violation.impossible[0];
    assert_eq!(violation.before, ["1"]);
    assert_eq!((&*way.state, &*way.reason), ("1", "it returned 7, but the register holds 1"));
}

#[test]
fn unobserved_additions_are_shown_as_one() {
    let adds: String = (0..300)
        .map(|at| format!("{} add 1 -> {} @ {}..{}\n", at % 3, at + 1, 10 * at, 10 * at + 5))
        .collect();
    let (history, violation) = explained(ModelKind::Counter, &(adds + "7 read -> 290 @ 3000..3001"));
    assert_eq!(violation.minimal, [299, 300], "{violation:#?}");
    assert_eq!(violation.sums, Some(Sums { all: Some((299, 300)), untold: vec![299] }));
    let alone = History::from_events(counterexample(&history, &violation)).expect("the events of a history");
    assert_eq!(alone.ops[0].to_string(), "add 300");
    assert_eq!(violation.impossible[0].reason, "it returned 290, but the counter stands at 300");
}

/// The models that the sample objects are judged by.
fn judged_by(object: Object) -> ModelKind {
    match object {
        Object::Register => ModelKind::CasRegister,
        Object::Counter => ModelKind::Counter,
        Object::Set => ModelKind::Set,
        Object::Queue => ModelKind::Queue,
        Object::Stack => ModelKind::Stack,
        Object::Log | Object::NumberedLog => ModelKind::Log,
        Object::Mutex => ModelKind::Mutex,
        Object::Permits => ModelKind::Semaphore,
        Object::Key | Object::Text => ModelKind::Kv,
    }
}

#[test]
fn the_counterexample_is_a_violation_by_itself() {
    let options = Options::default();
    for object in Object::ALL {
        let kind = judged_by(object);
        let (mut dice, mut violations) = (Dice(200 + object as u64), 0);
        while violations < 200 {
            let history = History { ops: object.falsified(&mut dice, 14) };
            let verdict = check(&history, kind, &options).expect("the operations fit the model");
            assert_eq!(
                verdict.answer == Answer::Linearizable,
                object.linearizable(&history.ops),
                "{object:?}"
            );
            let Some(violation) = verdict.violation else { continue };
            violations += 1;
            let events = counterexample(&history, &violation);
            let alone = History::from_events(events).expect("the events of a history");
            let again = check(&alone, kind, &options).expect("the operations fit the model");
            assert_eq!(again.answer, Answer::Violation, "{object:?}: {history:#?}\n{violation:#?}");
            assert_eq!(alone.ops.len(), violation.minimal.len());
            assert!(violation.minimal.contains(&violation.witness));
            assert!(
                violation.order.iter().all(|id| violation.minimal.contains(id) && *id != violation.witness)
            );
            assert!(!violation.impossible.is_empty() && violation.shrink.complete);
        }
    }
}

/// The sentence if no pattern of the model matches.
#[test]
fn the_smallest_change_that_makes_it_legal_is_named() {
    let said = |kind, lines| {
        let violation = explained(kind, lines).1;
        format!("{}: {}", violation.class, violation.sentence)
    };
    assert_eq!(
        said(ModelKind::Kv, "0 put a @ 1..2\n 1 append b @ 3..4\n 2 append a @ 3..4\n 3 get -> ab @ 8..9"),
        "stale-read: process 3's `get → ab` on k is stale: it is legal only before process 2's \
         `append a`, which had completed 4.0 ms before it began"
    );
    assert_eq!(
        said(ModelKind::Kv, "0 put a @ 1..9\n 1 append b @ 1..9\n 2 get -> ba @ 1..9"),
        "impossible-answer: process 2's `get → ba` on k cannot be right: in every order of the other 2 \
         operations, the state can only have been a, ab, b or nil"
    );
    assert_eq!(
        said(ModelKind::Set, "0 add 1 -> true @ 1..2\n 1 add 1 -> true @ 3..4"),
        "false-success: process 1's `add 1` on k should have returned false: only with that result does a \
         legal order exist"
    );
    assert_eq!(
        said(ModelKind::Log, "0 append 7 -> 1 @ 1..2"),
        "duplicate: process 0's `append 7 → 1` on k took effect twice: only then does a legal order exist"
    );
    assert_eq!(
        said(ModelKind::Kv, "0 append a @ 1..2 fail\n 1 append b @ 3..4\n 2 get -> ab @ 5..6"),
        "aborted-read: process 0's `append a` on k was reported as failed, but these 2 operations are \
         legal only if it took effect"
    );
}

/// The sentence seldom falls back on "no legal order exists" among 200 violations.
#[test]
fn most_small_violations_are_recognised() {
    let unrecognised = |object: Object| {
        let mut dice = Dice(300 + object as u64);
        let violations = std::iter::repeat_with(|| {
            let history = History { ops: object.falsified(&mut dice, 12) };
            check(&history, judged_by(object), &Options::default())
                .expect("the operations fit the model")
                .violation
        });
        violations.flatten().take(200).filter(|violation| violation.class == "no-order").count()
    };
    let counts: Vec<_> = Object::ALL.into_iter().map(|object| (object, unrecognised(object))).collect();
    assert!(counts.iter().all(|&(_, count)| count < 10), "{counts:?}");
}
