//! The start of every report: the outcome, what was tested, and how to repeat it.

use tribunal_checker::limits::Limit;
use tribunal_checker::op::{Nanos, Op};
use tribunal_records::oracles::Oracle;
use tribunal_records::quantity::duration_text;
use tribunal_records::{Rate, Size, TrialSpec};

use crate::clock::Clock;
use crate::coverage::{FaultCoverage, in_force};
use crate::faults::Fault;
use crate::findings;
use crate::judgement::{Judgement, RunOutcome};
use crate::run_dir::RunDir;
use crate::run_info::{command, shell_quoted};
use crate::stats::time_to_recover;
use crate::wording::{circled, count, counted, duration, elide, raised_by, value};

/// The symbol of an outcome. It is always beside the words of [`heading`].
pub fn sign(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Linearizable | RunOutcome::Convergent => "✓",
        RunOutcome::Violation | RunOutcome::TooSlow => "✗",
        RunOutcome::Unknown => "?",
        RunOutcome::HarnessFailure => "!",
    }
}

/// An outcome in words. `found_by` says what was violated, and of the model's violations the model does.
pub fn heading(outcome: RunOutcome, found_by: Option<Oracle>, model: &str) -> &'static str {
    match (outcome, found_by, RunOutcome::good(model)) {
        (RunOutcome::Violation, None | Some(Oracle::Model), RunOutcome::Convergent) => "not convergent",
        (RunOutcome::Violation, found_by, _) => findings::heading(found_by.unwrap_or(Oracle::Model)),
        (RunOutcome::HarnessFailure, _, _) => "harness failure",
        (RunOutcome::TooSlow, _, _) => "too slow",
        _ => outcome.name(),
    }
}

/// The outcome of a run in words.
pub fn headed(run: &RunDir) -> &'static str {
    headed_by(&run.judgement, &run.evidence.info.model)
}

/// A judgement in words.
pub fn headed_by(judgement: &Judgement, model: &str) -> &'static str {
    heading(judgement.outcome, judgement.found_by, model)
}

/// What was tested, in a few words each: the workload, the model, the amount, the seed.
pub fn subject(run: &RunDir) -> Vec<String> {
    let (info, stats) = (&run.evidence.info, &run.judgement.stats);
    let mut words = vec![
        if info.system.is_empty() {
            info.workload.clone()
        } else {
            format!("{} on {}", info.workload, info.system)
        },
        format!("model {}", info.model),
    ];
    if !info.is_history() {
        words.push(counted(info.nodes.len(), "node"));
    }
    let processes = counted(stats.processes, "process").replace("processs", "processes");
    match info.concurrency {
        _ if stats.tally.all() == 0 => {}
        0 => words.push(processes),
        // A client whose operation was not answered continues as a new process.
        clients if clients == stats.processes => words.push(counted(clients, "client")),
        clients => words.push(format!("{} ({processes})", counted(clients, "client"))),
    }
    words.push(match run.clock() {
        _ if stats.tally.all() == 0 => "no operation".to_string(),
        Clock::Time => format!("{} in {}", counted(stats.tally.all(), "op"), duration(stats.span_ns)),
        Clock::Events => counted(stats.tally.all(), "op"),
    });
    if !info.is_history() {
        words.push(match info.box_seed() {
            Some(seed) => format!("seed {}, in box {seed}", info.seed),
            None => format!("seed {}", info.seed),
        });
    }
    if !info.bugs.is_empty() {
        words.push(format!("bug {} enabled", info.bugs.join(", ")));
    }
    words.iter().map(|word| elide(word, 80)).collect()
}

/// The key of the violation, such as `k7`; `None` if there is no violation or only one object.
pub fn violated_key(run: &RunDir) -> Option<String> {
    let key = &run.judgement.violation()?.key;
    (!key.is_nil()).then(|| value(key))
}

/// The live check's violation, if this report is about a different one; otherwise `None`.
pub fn other_live_violation(run: &RunDir) -> Option<String> {
    let seen = run.evidence.info.seen_live.as_ref()?;
    let on = if seen.key.is_nil() { String::new() } else { format!(" on {}", value(&seen.key)) };
    let what = format!("process {}'s `{}`{on}", seen.process, elide(&seen.operation, 60));
    let Some(violation) = run.judgement.violation() else {
        return Some(format!(
            "the live check stopped the run at {what}; the check of the whole history found no violation"
        ));
    };
    if violation.key != seen.key {
        return Some(format!("the live check had stopped the run at another violation: {what}"));
    }
    let witness = run.judgement.op(violation.witness)?;
    let same = witness.process == seen.process && witness.completed == Some(seen.t);
    (!same).then(|| format!("the live check stopped the run at {what}; the final proof is smaller"))
}

/// The first operation of the counterexample.
pub fn first_of_counterexample(run: &RunDir) -> Option<&Op> {
    let minimal = run.judgement.violation()?.minimal.iter();
    minimal.filter_map(|&id| run.judgement.op(id)).min_by_key(|op| op.call)
}

/// The positions in the longest legal order: `①②③`, or `①…⑫` if there are many.
pub fn places(n: usize) -> String {
    match n {
        0 => "nothing".to_string(),
        1..=6 => (1..=n).map(circled).collect(),
        _ => format!("{}…{}", circled(1), circled(n)),
    }
}

/// The size of the counterexample, and how it was minimized.
pub fn shrink_caption(run: &RunDir) -> Option<String> {
    let violation = run.judgement.violation()?;
    let (shrink, of) = (&violation.shrink, run.judgement.stats.tally.all());
    let minimal = violation.minimal.len();
    let claim = match (shrink.rechecks, shrink.complete) {
        (0, _) => "",
        (_, true) => "; nothing more can be removed without losing the proof",
        (_, false) => "; the budget for shrinking was exhausted",
    };
    let about = violation.elements.as_ref().map(|elements| {
        let shown: Vec<String> = elements.iter().take(6).map(value).collect();
        let more = if elements.len() > shown.len() { ", …" } else { "" };
        format!("; considering only {}{more}", shown.join(", "))
    });
    let summed = violation.sums.as_ref().and_then(|sums| {
        let (op, sum) = sums.all.and_then(|(id, sum)| Some((run.judgement.op(id)?, sum)))?;
        Some(format!("; process {}'s `{op}` stands for all earlier additions, {sum} in total", op.process))
    });
    let about = about.or(summed).unwrap_or_default();
    Some(format!("{} of {}{claim}{about}", count(minimal), counted(of, "op")))
}

/// What the run has survived, in a sentence; `None` if no fault took effect, or not all is well.
pub fn survived(run: &RunDir) -> Option<String> {
    let is_broken = run.judgement.outcome == RunOutcome::Violation;
    if is_broken || run.judgement.harness_failure.is_some() {
        return None;
    }
    let effective: Vec<&FaultCoverage> =
        run.judgement.coverage.faults.iter().filter(|fault| fault.effective > 0).collect();
    let faults: usize = effective.iter().map(|fault| fault.effective).sum();
    let each: Vec<String> = effective
        .iter()
        .map(|fault| format!("{} {}", count(fault.effective), elide(&fault.fault, 40)))
        .collect();
    let all: Vec<&Fault> = run.evidence.faults.iter().collect();
    let during = in_force(&all);
    let inside = |t: Nanos| during.iter().any(|(from, to)| *from <= t && t <= *to);
    let ops =
        run.evidence.history.ops.iter().filter(|op| op.is_ok() && op.completed.is_some_and(inside)).count();
    let recovery = effective.iter().filter_map(|fault| recovery(run, &fault.fault)).max();
    let recovery = recovery.map_or(String::new(), |ns| format!("; recovery took at most {}", duration(ns)));
    (faults > 0).then(|| {
        format!(
            "Survived {} ({}), with {} that succeeded during them{recovery}.",
            counted(faults, "fault"),
            each.join(", "),
            counted(ops, "operation")
        )
    })
}

/// The factor by which a limit that was reached is raised in the command that is proposed.
const RAISED: u32 = 10;

/// What to type next if neither was proved: a check with a higher limit, a longer run, a run without faults or with
/// less load.
fn next(run: &RunDir) -> Option<(&'static str, String, &'static str)> {
    let info = &run.evidence.info;
    let verdict = run.judgement.checker.as_ref().filter(|_| run.judgement.outcome == RunOutcome::Unknown)?;
    let undecided = verdict.parts.iter().filter_map(|part| part.undecided.as_ref());
    if let Some(limit) = undecided.map(|stop| stop.by).find(|by| *by != Limit::Cancelled) {
        let spec = info.spec.clone().unwrap_or_default();
        let flag = raised_by(limit)?;
        let value = match limit {
            Limit::Time => duration_text(spec.check_time_limit * RAISED),
            Limit::Memory => Size(spec.check_memory_limit.0.saturating_mul(2)).to_string(),
            _ => spec.check_states_limit.saturating_mul(u64::from(RAISED)).to_string(),
        };
        let command = format!("tribunal check {} {flag} {value}", shell_quoted(&run.name));
        return Some(("next", command, "check again with a higher limit"));
    }
    let spec = info.spec.clone()?;
    let stats = &run.judgement.stats;
    let calm = spec.clone().without_faults();
    let has_faults = calm != spec;
    if 2 * stats.tally.ok < stats.tally.all() {
        let answers = "does the system answer without faults?";
        return Some(match has_faults {
            true => ("next", command(calm.words()), answers),
            false => ("next", doctor(&spec), "which operation does the system not answer?"),
        });
    }
    if run.judgement.interrupted {
        return None;
    }
    if !run.judgement.coverage.why.is_empty() {
        let longer = spec.with(|spec| spec.time_limit *= 3);
        return Some(("next", command(longer.words()), "a longer run has room for every fault"));
    }
    // All was tested, so too few operations succeeded.
    spec.availability?;
    Some(match has_faults {
        true => ("next", command(calm.words()), "is the success rate higher without faults?"),
        false => {
            let lighter = spec.with(|spec| spec.rate = lighter(spec.rate));
            ("next", command(lighter.words()), "is the success rate higher with less load?")
        }
    })
}

/// A tenth of the load.
fn lighter(rate: Rate) -> Rate {
    match rate {
        Rate::PerSecond(hz) => Rate::PerSecond((hz / 10.0).max(0.001)),
        Rate::Full | Rate::Bursts => Rate::PerSecond(100.0),
    }
}

/// The command that tries each operation of a system.
fn doctor(spec: &TrialSpec) -> String {
    format!("tribunal doctor {} --nodes {}", shell_quoted(&spec.system), spec.nodes)
}

/// The commands to type next: those that repeat the check, the run and, if any, the faults; each with a
/// description.
pub fn commands(run: &RunDir) -> Vec<(&'static str, String, &'static str)> {
    let info = &run.evidence.info;
    let mut commands: Vec<_> = next(run).into_iter().collect();
    commands.push((
        "recheck",
        format!("tribunal check {}", shell_quoted(&run.name)),
        "same history, same verdict",
    ));
    if !info.is_history() {
        let repeats = match &info.boxed {
            Some(_) => "same box: everything repeats, byte for byte",
            None => "same plan; timing may differ",
        };
        commands.push(("rerun", info.rerun_command(), repeats));
    }
    if info.boxed.is_some() {
        if run.judgement.outcome == RunOutcome::Violation {
            let file = shell_quoted(&format!("{}/failure.tribunal", run.name));
            commands.push(("replay", format!("tribunal replay {file}"), "the same run, elsewhere, too"));
        }
    } else if !run.evidence.faults.is_empty() && !info.is_history() {
        let record = format!("{}/faults.jsonl", run.name);
        commands.push((
            "replay",
            info.replay_command(&record),
            "same faults, on the same nodes at the same times",
        ));
    }
    commands
}

/// The result of each fault, in a few words: `partition 4`, `kill 3 of 4`.
pub fn fault_tally(run: &RunDir) -> Vec<String> {
    shown_faults(run)
        .map(|fault| match fault.planned {
            0 if fault.fault == "acts" => "acts never run".to_owned(),
            0 => format!("{} never injected", fault.fault),
            planned if fault.effective == planned => format!("{} {planned}", fault.fault),
            planned => format!("{} {} of {planned}", fault.fault, fault.effective),
        })
        .collect()
}

/// The faults of the run by name, except those that had no time to happen.
pub fn shown_faults(run: &RunDir) -> impl Iterator<Item = &FaultCoverage> {
    run.judgement.coverage.faults.iter().filter(|fault| !ended_early(run) || fault.planned > 0)
}

/// The longest time from the end of a fault of this name to the first success of an operation that was invoked after
/// it; `None` if there was none.
pub fn recovery(run: &RunDir, fault: &str) -> Option<u64> {
    let healed = run.evidence.faults.iter().filter(|it| it.fault == fault).filter_map(|it| it.healed_ns);
    healed.filter_map(|healed| time_to_recover(&run.evidence.history, healed)).max()
}

/// What coverage lacks, one clause each. Empty for a run that a violation ended: the rest had no time to
/// happen.
pub fn uncovered(run: &RunDir) -> &[String] {
    if ended_early(run) { &[] } else { &run.judgement.coverage.why }
}

/// Coverage in one or two words.
pub fn coverage_word(run: &RunDir) -> &'static str {
    match run.judgement.coverage.met {
        true => "met",
        false if ended_early(run) => "up to the violation",
        false => "not met",
    }
}

/// Whether a violation ended the run.
pub fn ended_early(run: &RunDir) -> bool {
    run.judgement.outcome == RunOutcome::Violation
}
