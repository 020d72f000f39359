//! The reports of the checker's own answers, on the scenes whose models it supports.

use tribunal_checker::check::{Options, check};
use tribunal_checker::model::Objects;
use tribunal_checker::verdict::Answer;
use tribunal_reports::judgement::{Circumstances, Judgement};
use tribunal_reports::run_dir::RunDir;
use tribunal_reports::{html, text};

use crate::scene::Stage;

/// A scene, judged by the checker instead of by hand.
fn judged(name: &str) -> RunDir {
    let mut run = Stage::of(name).run();
    let evidence = &run.evidence;
    let model: Objects = evidence.info.model.parse().unwrap();
    let verdict = check(&evidence.history, model, &Options::default()).unwrap();
    run.judgement = Judgement::of(
        &evidence.info,
        &evidence.history,
        &evidence.faults,
        Some(verdict),
        Circumstances::default(),
    );
    run
}

#[test]
fn the_checker_s_evidence_can_be_drawn() {
    for name in ["counter-lost-add", "first-operation", "all-indeterminate", "register-stale-read-alone"] {
        let run = judged(name);
        let violation = run.judgement.violation().unwrap_or_else(|| panic!("{name} holds a violation"));
        assert_eq!(run.judgement.exit_code, 1, "{name}");

        let text = text::render(&run);
        assert!(text.contains('✗'), "{name}: the witness is drawn:\n{text}");
        assert!(text.lines().all(|line| line.chars().count() <= text::WIDTH), "{name}:\n{text}");
        let page = html::render(&run);
        assert!(page.contains("class=\"bar ok witness\""), "{name}: the witness is drawn");
        for id in violation.minimal.iter().chain(&violation.named) {
            assert!(run.judgement.op(*id).is_some(), "{name}: verdict.json stands alone");
        }
    }
}

#[test]
fn a_history_without_operations_is_linearizable_and_proves_nothing() {
    let run = judged("no-operations");
    assert_eq!(run.judgement.checker.as_ref().unwrap().answer, Answer::Linearizable);
    assert_eq!(run.judgement.exit_code, 2);
}
