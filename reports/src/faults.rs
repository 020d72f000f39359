//! The faults of a run, read from `faults.jsonl` (its lines are documented in [`tribunal_records::faults`]).
//!
//! Two lines per fault, one when it is applied and one when it is healed, joined here by the fault's number
//! `i`. In between, one line for every `shift`, after which another state of the fault is in force, or none
//! for a while (`idle`). `n` is the number of the line, by which a lost line is detected.
//!
//! Times are nanoseconds on the run's clock. A fault counts as in force from just before its first act
//! (`apply`) until just after its last undoing act (`heal`): all of its effects are within this interval.
//!
//! A killed controller leaves a torn last line and faults that were never healed. The parser accepts both: it
//! skips the torn line, and the fault has no end.

use serde_json::Value;
use tribunal_checker::op::Nanos;
pub use tribunal_records::faults::FaultOutcome;
use tribunal_records::faults::{CutMode, FaultEvent, FaultRecord, SCHEMA_VERSION};
use tribunal_records::places::of_json;

/// One fault: when it was applied and healed, and its effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    /// Its number, in the order of application.
    pub i: u64,
    /// The name of the fault, such as `partition`.
    pub fault: String,
    /// The kind of the fault, such as `isolate-leader`.
    pub kind: String,
    /// The nodes that it targeted, at any time.
    pub nodes: Vec<String>,
    /// The directed links that it cut at any time, as `n2>n1`.
    pub cuts: Vec<String>,
    /// The behaviour of a cut link, `stall` or `reset`; empty if not recorded.
    pub mode: String,
    /// The label of its first state, such as `partition {n2 | n1,n3,n4,n5}`.
    pub label: String,
    /// Its later states, in order; empty if it has only one.
    pub shifts: Vec<Shift>,
    /// Whether it was idle before the first shift.
    pub idle: bool,
    /// The planned time, in milliseconds since the start of the run.
    pub planned_ms: Option<u64>,
    /// When it was applied.
    pub applied_ns: Nanos,
    /// When it was healed; `None` if no heal was recorded.
    pub healed_ns: Option<Nanos>,
    /// The result of injecting it.
    pub outcome: FaultOutcome,
    /// The reason, if it was skipped or is indeterminate.
    pub why: Option<String>,
    /// Its measured effects, such as bytes withheld, by name, without zeros. Then its targets, if they were
    /// random.
    pub effect: Vec<(String, String)>,
    /// Whether it had an effect. `None`: not measured, for example without a recorded heal.
    pub effective: Option<bool>,
}

/// A change to another state of a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// The time of the change.
    pub t: Nanos,
    /// The label of the new state.
    pub label: String,
    /// Whether the new state is idle.
    pub idle: bool,
}

/// An interval in which one state of a fault was in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strip<'a> {
    /// The fault.
    pub fault: &'a Fault,
    /// The label of the state.
    pub label: &'a str,
    /// The start, in ns.
    pub from: Nanos,
    /// The end, in ns; `None` if not recorded.
    pub to: Option<Nanos>,
}

impl Strip<'_> {
    /// Its end, or `never` if not recorded.
    pub fn end_or(&self, never: Nanos) -> Nanos {
        self.to.unwrap_or(never)
    }

    /// Whether it overlaps the interval from `from` to `to`.
    pub fn overlaps(&self, from: Nanos, to: Nanos) -> bool {
        self.from <= to && self.end_or(Nanos::MAX) >= from
    }
}

impl Fault {
    /// The name of the whole fault: the label, or fault and kind for a fault that shifts.
    pub fn name(&self) -> String {
        if self.shifts.is_empty() { self.label.clone() } else { format!("{} {}", self.fault, self.kind) }
    }

    /// Its states in force, in order; none if it was skipped, and none while it was idle.
    pub fn strips(&self) -> impl Iterator<Item = Strip<'_>> {
        let first = (self.applied_ns, &self.label, self.idle);
        let all = std::iter::once(first).chain(self.shifts.iter().map(|it| (it.t, &it.label, it.idle)));
        let ends = self.shifts.iter().map(|shift| Some(shift.t)).chain([self.healed_ns]);
        let seen = all.zip(ends).filter(move |((.., idle), _)| self.was_in_force() && !idle);
        seen.map(move |((from, label, _), to)| Strip { fault: self, label, from, to })
    }

    /// Whether it may have been in force at any time.
    pub fn was_in_force(&self) -> bool {
        self.outcome != FaultOutcome::Skipped
    }

    /// Its end, or `never` if no heal was recorded.
    pub fn end_or(&self, never: Nanos) -> Nanos {
        self.healed_ns.unwrap_or(never)
    }

    /// Whether it was in force at some time between `from` and `to`.
    pub fn overlaps(&self, from: Nanos, to: Nanos) -> bool {
        self.was_in_force() && self.applied_ns <= to && self.end_or(Nanos::MAX) >= from
    }
}

/// The contents of a `faults.jsonl`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The faults, in the order of application.
    pub faults: Vec<Fault>,
    /// The number of complete lines.
    pub lines: u64,
    /// Whether the last line is torn.
    pub torn: bool,
}

/// A line that is invalid or out of place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct LineError {
    /// The line number, counted from 1.
    pub line: usize,
    /// The error.
    pub why: String,
}

/// A line of `faults.jsonl`. Unknown fields are ignored.
type Line = FaultRecord;

/// Joins the lines of `faults.jsonl`, in the order of application. A torn last line is skipped: the
/// controller was killed while it wrote the line.
///
/// # Errors
/// When a line is not JSON of the expected format, has a newer version, is missing, duplicated or out of
/// place.
pub fn parse(text: &str) -> Result<Record, LineError> {
    let mut record = Record::default();
    for (at, text) in text.split_inclusive('\n').enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let line: Line = match serde_json::from_str(text.trim_end()) {
            Ok(line) => line,
            Err(_) if !text.ends_with('\n') => {
                record.torn = true;
                break; // nothing comes after it
            }
            Err(error) => return Err(LineError { line: at + 1, why: of_json(&error) }),
        };
        take(&mut record, line).map_err(|why| LineError { line: at + 1, why })?;
    }
    Ok(record)
}

/// Adds the next line.
fn take(record: &mut Record, line: Line) -> Result<(), String> {
    if let Some(found) = line.schema_version.filter(|found| *found > SCHEMA_VERSION) {
        return Err(format!(
            "schema_version is {found}, but this Tribunal knows up to {SCHEMA_VERSION}: use a newer one"
        ));
    }
    let expected = record.lines;
    if let Some(found) = line.n.filter(|found| *found != expected) {
        let why = match found > expected {
            true => "lines before it are missing",
            false => "a line is duplicated or out of order",
        };
        return Err(format!("expected \"n\":{expected}, found {found}: {why}"));
    }
    record.lines += 1;
    let known = record.faults.iter_mut().rev().find(|fault| fault.i == line.i as u64);
    match (line.event, known) {
        (FaultEvent::Apply, Some(_)) => return Err(format!("fault {} is applied twice", line.i)),
        (FaultEvent::Apply, None) => record.faults.push(applied(line)),
        (FaultEvent::Shift, Some(fault)) => shift(fault, line),
        (FaultEvent::Heal, Some(fault)) if fault.healed_ns.is_some() => {
            return Err(format!("fault {} is healed twice", line.i));
        }
        (FaultEvent::Heal, Some(fault)) => heal(fault, line),
        (FaultEvent::Shift, None) => {
            return Err(format!("fault {} shifts before it is applied: a line is missing", line.i));
        }
        (FaultEvent::Heal, None) => {
            return Err(format!("fault {} is healed before it is applied: a line is missing", line.i));
        }
    }
    Ok(())
}

fn applied(line: Line) -> Fault {
    let label = if line.label.is_empty() {
        let targets = if line.nodes.is_empty() { &line.kind } else { &line.nodes.join(",") };
        format!("{} {targets}", line.fault)
    } else {
        line.label
    };
    Fault {
        i: line.i as u64,
        fault: line.fault,
        kind: line.kind,
        nodes: line.nodes,
        cuts: line.cuts,
        mode: line.mode.map_or("", CutMode::name).to_owned(),
        label,
        shifts: Vec::new(),
        idle: line.idle,
        planned_ms: line.planned_ms,
        applied_ns: line.t,
        healed_ns: None,
        outcome: line.outcome,
        why: line.why,
        effect: Vec::new(),
        effective: None,
    }
}

fn shift(fault: &mut Fault, line: Line) {
    for (all, new) in [(&mut fault.nodes, line.nodes), (&mut fault.cuts, line.cuts)] {
        let unknown: Vec<String> = new.into_iter().filter(|it| !all.contains(it)).collect();
        all.extend(unknown);
    }
    let last = fault.shifts.last().map_or(fault.applied_ns, |shift| shift.t);
    fault.shifts.push(Shift { t: line.t.max(last), label: line.label, idle: line.idle });
}

fn heal(fault: &mut Fault, line: Line) {
    let last = fault.shifts.last().map_or(fault.applied_ns, |shift| shift.t);
    fault.healed_ns = Some(line.t.max(last));
    fault.why = line.why.or(fault.why.take());
    fault.outcome = line.outcome; // known better at the end
    // A record without `effective` shows no effect.
    fault.effective = line.effective;
    let plain = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let some = |value: &Value| !value.is_null() && value.as_u64() != Some(0);
    let effect = line.effect.into_iter().flatten().filter(|(_, it)| some(it));
    fault.effect = effect.map(|(name, it)| (name, plain(it))).collect();
    fault.effect.sort();
    if !line.touched.is_empty() {
        fault.effect.push(("touched".into(), line.touched.join("; ")));
    }
}

/// The lines of `faults.jsonl` for these faults, each with its line break. Of a fault that shifts, only the
/// first state is written.
pub fn lines(faults: &[Fault]) -> Vec<String> {
    let mut lines: Vec<(Nanos, u64, serde_json::Value)> = Vec::new();
    for fault in faults {
        let Fault { i, applied_ns, healed_ns, outcome, .. } = fault;
        lines.push((
            *applied_ns,
            *i,
            serde_json::json!({
                "i": i, "t": applied_ns, "event": "apply", "fault": fault.fault, "kind": fault.kind,
                "nodes": fault.nodes, "cuts": fault.cuts, "outcome": outcome, "label": fault.label, "why": fault.why,
            }),
        ));
        if let Some(healed) = healed_ns {
            let line = serde_json::json!({
                "i": i, "t": healed, "event": "heal", "outcome": outcome, "effective": fault.effective, "why": fault.why,
            });
            lines.push((*healed, *i, line));
        }
    }
    // A stable sort: a fault that is applied and healed at one time keeps this order.
    lines.sort_by_key(|(t, ..)| *t);
    let numbered = lines.into_iter().enumerate().map(|(n, (.., mut line))| {
        line["n"] = n.into();
        format!("{line}\n")
    });
    numbered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLY: &str = r#"{"i":0,"t":5000,"event":"apply","fault":"pause","kind":"one","nodes":["n1"],"outcome":"installed","label":"pause n1"}"#;
    const HEAL: &str =
        r#"{"i":0,"t":8000,"event":"heal","outcome":"installed","effect":{"pid":17},"effective":false}"#;

    #[test]
    fn a_fault_is_the_join_of_its_two_lines() {
        let Record { faults, .. } = parse(&format!("{APPLY}\n{HEAL}\n")).unwrap();
        assert_eq!(faults.len(), 1);
        assert_eq!((faults[0].applied_ns, faults[0].healed_ns), (5000, Some(8000)));
        assert_eq!(faults[0].effect, [("pid".to_string(), "17".to_string())]);
        assert_eq!(faults[0].effective, Some(false));
    }

    #[test]
    fn each_shift_is_a_strip_of_its_own() {
        let shift = |t: u64, rest: &str| {
            format!(r#"{{"i":0,"t":{t},"event":"shift","fault":"pause","outcome":"installed",{rest}}}"#)
        };
        let text = [
            APPLY.to_string(),
            shift(6000, r#""nodes":["n2"],"label":"pause n2""#),
            shift(6500, r#""idle":true,"label":"pause n1,n2""#),
            shift(7000, r#""nodes":["n1"],"label":"pause n1""#),
            HEAL.to_string(),
        ];
        let Record { faults, .. } = parse(&text.join("\n")).unwrap();
        let strips: Vec<_> = faults[0].strips().map(|it| (it.label, it.from, it.to)).collect();
        assert_eq!(
            strips,
            [("pause n1", 5000, Some(6000)), ("pause n2", 6000, Some(6500)), ("pause n1", 7000, Some(8000))]
        );
        assert_eq!(
            (faults[0].name().as_str(), &faults[0].nodes[..]),
            ("pause one", &["n1".into(), "n2".into()][..])
        );
    }

    #[test]
    fn what_chance_touched_is_told_with_the_effect() {
        let heal = HEAL.replace("\"effective\"", r#""touched":["n2: wal, bit 3 of byte 4711"],"effective""#);
        let Record { faults, .. } = parse(&format!("{APPLY}\n{heal}\n")).unwrap();
        let touched = ("touched".to_string(), "n2: wal, bit 3 of byte 4711".to_string());
        assert_eq!(faults[0].effect.last(), Some(&touched));
    }

    #[test]
    fn a_killed_controller_leaves_a_torn_line_and_an_open_end() {
        let Record { faults, .. } = parse(&format!("{APPLY}\n{}", &HEAL[..20])).unwrap();
        assert_eq!(faults[0].healed_ns, None);
        assert!(faults[0].overlaps(1_000_000, 2_000_000));
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_that_names_it() {
        let why = parse(&format!("{APPLY}\nnot json\n{HEAL}\n")).unwrap_err().to_string();
        assert!(why.starts_with("line 2:"), "{why}");
    }

    #[test]
    fn a_line_that_is_missing_doubled_or_newer_is_an_error_that_names_it() {
        let [apply, heal] = [APPLY, HEAL].map(|line| format!("{line}\n"));
        let n = |line: &str, n: u64| line.replace("{\"i\"", &format!("{{\"n\":{n},\"i\""));
        let next = apply.replace("\"i\":0", "\"i\":1");
        for (text, why) in [
            (heal.clone(), "line 1: fault 0 is healed before it is applied"),
            (format!("{apply}{apply}{heal}"), "line 2: fault 0 is applied twice"),
            (format!("{apply}{heal}{heal}"), "line 3: fault 0 is healed twice"),
            (n(&apply, 0) + &n(&next, 2), "line 2: expected \"n\":1, found 2: lines before it are missing"),
            (
                n(&apply, 0) + &n(&heal, 0),
                "line 2: expected \"n\":1, found 0: a line is duplicated or out of order",
            ),
            (apply.replace("{\"i\"", "{\"schema_version\":2,\"i\""), "line 1: schema_version is 2"),
            (format!("{apply}{}\n", &HEAL[..20]), "line 2: EOF"),
        ] {
            let said = parse(&text).unwrap_err().to_string();
            assert!(said.starts_with(why), "{said}");
        }
        assert_eq!(parse(&(n(&apply, 0) + &n(&heal, 1))).unwrap().lines, 2);
    }

    #[test]
    fn a_skipped_fault_was_never_in_force() {
        let Record { faults, .. } = parse(&APPLY.replace("installed", "skipped")).unwrap();
        assert!(!faults[0].overlaps(0, u64::MAX));
    }
}
