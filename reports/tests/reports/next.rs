//! Every cause of an unknown outcome has a command to type next.

use tribunal_records::{Rate, TrialSpec};
use tribunal_reports::summary::commands;

use crate::scene::Stage;

/// The first command of a scene whose trial is changed.
fn next(script: &str, change: impl FnOnce(&mut TrialSpec)) -> String {
    let mut run = Stage::from_script(script).run();
    run.evidence.info.spec = Some(run.evidence.info.spec.take().unwrap().with(change));
    let (what, command, _) = commands(&run).remove(0);
    format!("{what}: {}", command.replace("tribunal run register ", ""))
}

/// Half of the operations or more succeed, but fewer than requested.
const UNAVAILABLE: &str = "run availability_target 0.9999
background 600 0 10
a: p900 k7 write 3 | 1.0 fail 1.1
b: p901 k7 write 4 | 1.0 fail 1.1";

const SILENT: &str = "a: p0 k7 write 3 | 1.0 fail 1.1";

#[test]
fn an_unknown_outcome_says_what_to_type_next() {
    let target = |spec: &mut TrialSpec| spec.availability = Some(0.9999);
    let calm = |spec: &mut TrialSpec| (spec.nemesis, spec.availability) = ("none".into(), Some(0.9999));
    let limited = |spec: &mut TrialSpec| {
        calm(spec);
        spec.rate = Rate::PerSecond(60.0);
    };
    let flags = "--availability 0.9999 --nemesis none";
    assert_eq!(next(UNAVAILABLE, target), format!("next: {flags} --seed 8231"));
    assert_eq!(next(UNAVAILABLE, calm), format!("next: {flags} --rate 100 --seed 8231"));
    assert_eq!(next(UNAVAILABLE, limited), format!("next: {flags} --rate 6 --seed 8231"));
    assert_eq!(next(SILENT, |_| ()), "next: --nemesis none --seed 8231");
    assert_eq!(next(SILENT, calm), "next: tribunal doctor raft --nodes 5");
}
