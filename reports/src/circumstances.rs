//! The nodes and faults around a violation: who answered and who led, what changed between the contradicted
//! operation and the witness ([`Between`]), and which faults were in force.
//!
//! A stale read is explained by the faults during the read. A lost write may have been lost at any time after
//! its acknowledgement, so the faults in between are reported, too.

use tribunal_checker::op::{Nanos, Op};
use tribunal_records::oracles::Finding;

use crate::between::{Between, Change, brief};
use crate::faults::{Fault, Strip};
use crate::leaders;
use crate::run_dir::RunDir;
use crate::wording::{counted, duration, elide, seconds};

/// No fault, in a sentence.
const NONE: &str = "no fault in force";

/// The maximum number of faults in one sentence: the last ones.
pub const NAMED_MAX: usize = 5;

/// Sentences about the nodes and faults around the violation, without full stops, each with at most `named` faults or
/// changes; empty if no violation was proved or the history is not of a run.
pub fn around_violation(run: &RunDir, named: usize) -> Vec<String> {
    if run.evidence.info.is_history() && run.evidence.faults.is_empty() {
        return Vec::new();
    }
    let Some(between) = Between::of(run) else { return Vec::new() };
    let mut said: Vec<String> = who_answered(run, &between).into_iter().collect();
    said.extend(what_changed(&between, named));
    said.push(faults_around(run, &between, named));
    said
}

/// Sentences about the leader and the faults at the time of a finding, without full stops.
pub fn around_finding(run: &RunDir, finding: &Finding) -> Vec<String> {
    let (t, time) = (finding.t, seconds(finding.t));
    let led = leaders::at(&run.leaders, t).map(|leaders| {
        let verb = if leaders.len() > 1 { "claimed to lead" } else { "led" };
        format!("at {time} s, {} {verb}", leaders::named(leaders))
    });
    let faults = match in_force(&run.evidence.faults, t, t, t, NAMED_MAX) {
        none if none.starts_with("no fault") => none,
        some => format!("faults in force at {time} s: {some}"),
    };
    led.into_iter().chain([faults]).collect()
}

/// The nodes that answered, and the leader at that time.
fn who_answered(run: &RunDir, between: &Between<'_>) -> Option<String> {
    let served = |op: &Op| {
        let node = elide(op.node.as_deref()?, 20);
        Some(format!("{} was sent to {node}", brief(op)))
    };
    let mut said = served(between.witness)?;
    if let Some(other) = between.other.and_then(served) {
        said += &format!(", {other}");
    }
    if let Some(leaders) = leaders::at(&run.leaders, between.to) {
        let verb = if leaders.len() > 1 { "claimed to lead" } else { "led" };
        said += &format!("; {} {verb}", leaders::named(leaders));
    }
    Some(said)
}

/// The changes between the contradicted operation and the witness.
fn what_changed(between: &Between<'_>, named: usize) -> Option<String> {
    let contradicted = between.contradicted?;
    let more = between.changes.len().saturating_sub(named);
    let told = |change: &Change| format!("{} ({})", change.what, seconds(change.t));
    let all: Vec<String> = between.changes[more..].iter().map(told).collect();
    let all = match more {
        0 => all.join(", "),
        more => format!("{} before, then {}", counted(more, "other change"), all.join(", ")),
    };
    Some(format!(
        "in the {} from the return of {} ({} s) to that of {} ({} s): {}",
        duration(between.to - between.from),
        brief(contradicted),
        seconds(between.from),
        brief(between.witness),
        seconds(between.to),
        if all.is_empty() { "no fault or leader changed".into() } else { all }
    ))
}

/// The faults in force in the window.
fn faults_around(run: &RunDir, between: &Between<'_>, named: usize) -> String {
    let (faults, witness) = (&run.evidence.faults, between.witness);
    let during = match since(faults, between.from, between.to, named) {
        none if none == NONE => in_force(faults, between.from, between.to, witness.call, named),
        some => some,
    };
    match between.contradicted {
        Some(_) if during.starts_with("no fault") => during,
        Some(_) => format!("faults in force in that time: {during}"),
        None => format!(
            "while {} ran ({}–{} s): {during}",
            brief(witness),
            seconds(between.from),
            seconds(between.to)
        ),
    }
}

/// The faults in force at some time between two times; if none, how long before `then` the last one had
/// ended.
fn in_force(faults: &[Fault], from: Nanos, to: Nanos, then: Nanos, named: usize) -> String {
    let mut strips: Vec<Strip> = faults.iter().flat_map(Fault::strips).collect();
    strips.retain(|strip| strip.overlaps(from, to));
    strips.sort_by_key(|strip| strip.from);
    if !strips.is_empty() {
        return listed(strips.iter().map(|strip| state(strip.label, strip.from, strip.to)).collect(), named);
    }
    if let Some(fault) = faults.iter().find(|fault| fault.overlaps(from, to)) {
        let whole = state(&fault.name(), fault.applied_ns, fault.healed_ns);
        return format!("{whole}, inactive at that moment");
    }
    let ended = faults.iter().filter(|fault| fault.was_in_force());
    let ended = ended.filter_map(|fault| Some((fault.healed_ns.filter(|healed| *healed < from)?, fault)));
    match ended.max_by_key(|(healed, _)| *healed) {
        Some((healed, last)) => {
            format!(
                "no fault was active; the last, {}, had ended {} before",
                last.name(),
                duration(then.saturating_sub(healed))
            )
        }
        None => "no fault was active, then or before".to_string(),
    }
}

/// The faults in force at some time between two times, each once.
fn since(faults: &[Fault], from: Nanos, to: Nanos, named: usize) -> String {
    let mut during: Vec<&Fault> = faults.iter().filter(|fault| fault.overlaps(from, to)).collect();
    during.sort_by_key(|fault| fault.applied_ns);
    if during.is_empty() {
        return NONE.to_string();
    }
    let one = |fault: &&Fault| {
        let states: Vec<Strip> = fault.strips().filter(|strip| strip.overlaps(from, to)).collect();
        match states[..] {
            [only] => state(only.label, only.from, only.to),
            _ => state(&fault.name(), fault.applied_ns, fault.healed_ns),
        }
    };
    listed(during.iter().map(one).collect(), named)
}

fn state(label: &str, from: Nanos, to: Option<Nanos>) -> String {
    match to {
        Some(to) => format!("{label} ({}–{})", seconds(from), seconds(to)),
        None => format!("{label} (since {})", seconds(from)),
    }
}

fn listed(all: Vec<String>, named: usize) -> String {
    let more = all.len().saturating_sub(named);
    let last = all[more..].join(", ");
    if more == 0 { last } else { format!("{} before, then {last}", counted(more, "other")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{FaultOutcome, Shift};

    fn fault(label: &str, from: Nanos, to: Nanos, shifts: &[(Nanos, &str)]) -> Fault {
        let ms = |ms: Nanos| ms * 1_000_000;
        Fault {
            fault: "pause".into(),
            kind: "storm".into(),
            label: label.into(),
            applied_ns: ms(from),
            healed_ns: Some(ms(to)),
            outcome: FaultOutcome::Installed,
            shifts: shifts
                .iter()
                .map(|&(t, label)| Shift { t: ms(t), label: label.into(), idle: label.is_empty() })
                .collect(),
            ..Fault::default()
        }
    }

    /// The faults in force during an operation with these start and end times, in milliseconds.
    fn during(faults: &[Fault], from: Nanos, to: Nanos) -> String {
        in_force(faults, from * 1_000_000, to * 1_000_000, from * 1_000_000, NAMED_MAX)
    }

    #[test]
    fn how_long_ago_counts_from_the_moment_that_is_told() {
        let kill = [fault("kill n1", 2_000, 2_500, &[])];
        let ms = 1_000_000;
        let told = in_force(&kill, 3_000 * ms, 3_300 * ms, 3_300 * ms, NAMED_MAX);
        assert_eq!(told, "no fault was active; the last, kill n1, had ended 800 ms before");
    }

    #[test]
    fn a_fault_that_ended_while_the_operation_ran_was_in_force() {
        let storm = [fault("pause storm n1", 2_000, 2_529, &[(2_300, ""), (2_400, "pause storm n3")])];
        assert_eq!(during(&storm, 2_517, 2_531), "pause storm n3 (2.400–2.529)");
        assert_eq!(during(&storm, 2_310, 2_320), "pause storm (2.000–2.529), inactive at that moment");
        assert_eq!(
            during(&storm, 2_600, 2_700),
            "no fault was active; the last, pause storm, had ended 71 ms before"
        );
        assert_eq!(during(&storm, 100, 200), "no fault was active, then or before");
    }

    #[test]
    fn faults_since_an_instant_are_told_once_each() {
        let faults = [
            fault("power n1,n2", 2_896, 8_028, &[]),
            fault("kill n3", 1_000, 2_000, &[]),
            fault("pause storm n1", 3_000, 5_000, &[(3_500, "pause storm n2")]),
        ];
        let said = since(&faults, 2_856_000_000, 8_019_000_000, NAMED_MAX);
        assert_eq!(said, "power n1,n2 (2.896–8.028), pause storm (3.000–5.000)");
        assert_eq!(since(&faults, 9_000_000_000, 9_500_000_000, NAMED_MAX), "no fault in force");
    }
}
