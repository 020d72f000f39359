//! Reports of large runs stay small.

use tribunal_checker::history::History;
use tribunal_checker::op::{F, Op, Outcome, Value};
use tribunal_reports::html;
use tribunal_reports::judgement::Judgement;
use tribunal_reports::render::render_all;
use tribunal_reports::run_dir::RunDir;
use tribunal_reports::text;

use crate::scene::Stage;

/// A run of `n` operations by `processes` processes, with widely spread latencies.
fn run_of(n: u64, processes: u64) -> RunDir {
    let mut run = Stage::of("linearizable").run();
    let op = |i: u64| {
        let scattered = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44;
        let call = i * 30_000;
        Op {
            process: i % processes,
            f: [F::Read, F::Write, F::Cas, F::Add, F::Append][(scattered % 5) as usize].clone(),
            key: Value::Int((i % 97) as i64),
            input: Value::Int(i as i64),
            outcome: match scattered % 3 {
                0 => Outcome::Ok(Value::Int(i as i64)),
                1 => Outcome::Fail,
                _ => Outcome::Info,
            },
            call,
            completed: Some(call + 10u64.pow(3 + (scattered % 6) as u32) * (1 + scattered % 97)),
            node: None,
            error: None,
            invoke_index: 2 * i,
            complete_index: Some(2 * i + 1 + scattered % 50),
            client: None,
        }
    };
    run.evidence.history = History { ops: (0..n).map(op).collect() };
    let info = &run.evidence.info;
    run.judgement = Judgement::of(
        info,
        &run.evidence.history,
        &run.evidence.faults,
        run.judgement.checker,
        Default::default(),
    );
    run
}

#[test]
fn a_page_of_a_million_operations_stays_below_20_mb() {
    let page = html::render(&run_of(1_000_000, 16));
    assert!(page.len() < 20_000_000, "{} bytes", page.len());
}

/// A broken clock, or one whose zero is in another century.
#[test]
fn a_latency_of_centuries_is_drawn_like_any_other() {
    let mut run = run_of(100, 4);
    for (at, completed) in [(3, u64::MAX), (7, u64::MAX / 2)] {
        run.evidence.history.ops[at].outcome = Outcome::Ok(Value::Nil);
        run.evidence.history.ops[at].completed = Some(completed);
    }
    let (evidence, checker) = (&run.evidence, run.judgement.checker.clone());
    run.judgement =
        Judgement::of(&evidence.info, &evidence.history, &evidence.faults, checker, Default::default());
    for (name, result) in render_all(&run, tempfile::tempdir().unwrap().path()) {
        result.unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

#[test]
fn a_violation_of_many_operations_and_processes_is_drawn_in_part() {
    let mut script = String::new();
    for i in 0..500 {
        let (from, to) = (1.0 + f64::from(i) * 0.001, 2.0 + f64::from(i) * 0.001);
        script += &format!("o{i}: p{i} x write {i} | {from:.3} ok {to:.3}\n");
    }
    script += "violation o499 no-order | there is no legal order of these 500 operations\n minimal";
    (0..500).for_each(|i| script += &format!(" o{i}"));
    let run = Stage::from_script(&script).run();

    let page = html::render(&run);
    let bars = page.matches("<g class=\"bar").count();
    assert!((8..60).contains(&bars), "as many as can be seen at once are drawn, not {bars}");
    assert!(page.contains(&format!("{} operations of the counterexample are not drawn", 500 - bars)));
    assert!(page.contains("<g class=\"bar ok witness"), "the witness is always drawn");

    let text = text::render(&run);
    assert!(text.lines().count() <= text::LINES_MAX);
    assert!(text.lines().all(|line| line.chars().count() <= text::WIDTH));
    assert!(text.contains('✗') && text.contains("p499"), "the witness is always drawn:\n{text}");
}
