//! `faults.jsonl`: what the nemesis really did, and when.
//!
//! Two lines per fault, one when it is applied and one when it is healed, joined here by their number `i`:
//!
//! ```json
//! {"i":0,"t":5000000000,"event":"apply","fault":"partition","kind":"isolate-leader","nodes":["n2"],
//!  "cuts":["n2>n1","n1>n2"],"mode":"stall","planned_ms":5000,"hold_ms":3000,"outcome":"installed",
//!  "label":"partition {n2 | n1,n3,n4,n5}"}
//! {"i":0,"t":8000000000,"event":"heal","outcome":"installed","effect":{"bytes_withheld":8120},"effective":true}
//! ```
//!
//! A controller that is killed leaves a torn last line and faults that were never healed. Both are read for what
//! they are: the torn line is left out, the fault has no end.

use serde::{Deserialize, Serialize};
use tribunal_checker::op::Nanos;

/// What came of applying a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultOutcome {
    /// It was in force.
    Installed,
    /// It was not applied, and the reason is known.
    Skipped,
    /// Nobody knows whether it was in force.
    #[default]
    Indeterminate,
}

impl FaultOutcome {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            FaultOutcome::Installed => "installed",
            FaultOutcome::Skipped => "skipped",
            FaultOutcome::Indeterminate => "indeterminate",
        }
    }
}

/// One fault: when it was applied, when it was healed, and what it did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    /// Its number, in the order of application.
    pub i: u64,
    /// Which fault, such as `partition`.
    pub fault: String,
    /// Which kind of it, such as `isolate-leader`.
    pub kind: String,
    /// The nodes it was aimed at.
    pub nodes: Vec<String>,
    /// The directed links it cut, as `n2>n1`.
    pub cuts: Vec<String>,
    /// How a cut link behaves, `stall` or `reset`; empty where it says nothing.
    pub mode: String,
    /// How people read it, such as `partition {n2 | n1,n3,n4,n5}`.
    pub label: String,
    /// When the plan wanted it, in milliseconds since the start of the run.
    pub planned_ms: Option<u64>,
    /// How long the plan wanted it held, in milliseconds.
    pub hold_ms: Option<u64>,
    /// When it was applied.
    pub applied_ns: Nanos,
    /// When it was healed; `None` when no heal was recorded.
    pub healed_ns: Option<Nanos>,
    /// What came of it.
    pub outcome: FaultOutcome,
    /// Why, when it was skipped or is indeterminate.
    pub why: Option<String>,
    /// What was measured of it, such as bytes withheld, by name; what was measured as nothing is left out. Then what it
    /// touched, if chance decided that.
    pub effect: Vec<(String, String)>,
    /// Whether it had an effect. `None`: nobody measured, as where no heal was recorded.
    pub effective: Option<bool>,
}

impl Fault {
    /// Whether it can have been in force at some time.
    pub fn was_in_force(&self) -> bool {
        self.outcome != FaultOutcome::Skipped
    }

    /// Its end, taking `never` for a fault that was not seen to heal.
    pub fn end_or(&self, never: Nanos) -> Nanos {
        self.healed_ns.unwrap_or(never)
    }

    /// Whether it was in force at some time between `from` and `to`.
    pub fn overlaps(&self, from: Nanos, to: Nanos) -> bool {
        self.was_in_force() && self.applied_ns <= to && self.end_or(Nanos::MAX) >= from
    }
}

/// A line of `faults.jsonl` as it is written. Fields that this version does not know are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    i: u64,
    t: Nanos,
    event: String,
    fault: String,
    kind: String,
    nodes: Vec<String>,
    cuts: Vec<String>,
    mode: Option<String>,
    label: Option<String>,
    planned_ms: Option<u64>,
    hold_ms: Option<u64>,
    outcome: Option<FaultOutcome>,
    why: Option<String>,
    effect: serde_json::Value,
    effective: Option<bool>,
    touched: Vec<String>,
}

/// Joins the lines of `faults.jsonl`, in the order of application.
///
/// # Errors
/// When a line other than the last is not JSON of the expected shape; the error names the line, counted from 1.
pub fn parse(text: &str) -> Result<Vec<Fault>, String> {
    let mut faults: Vec<Fault> = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, text) in lines.iter().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let line: Line = match serde_json::from_str(text) {
            Ok(line) => line,
            Err(_) if at + 1 == lines.len() => break, // torn: the controller was killed while writing it
            Err(why) => return Err(format!("line {}: {why}", at + 1)),
        };
        match line.event.as_str() {
            "apply" => faults.push(applied(line)),
            "heal" => {
                if let Some(fault) = faults.iter_mut().rev().find(|fault| fault.i == line.i) {
                    heal(fault, line);
                }
            }
            _ => {} // a newer version's event
        }
    }
    Ok(faults)
}

fn applied(line: Line) -> Fault {
    let label = line.label.unwrap_or_else(|| {
        let targets = if line.nodes.is_empty() { &line.kind } else { &line.nodes.join(",") };
        format!("{} {targets}", line.fault)
    });
    Fault {
        i: line.i,
        fault: line.fault,
        kind: line.kind,
        nodes: line.nodes,
        cuts: line.cuts,
        mode: line.mode.unwrap_or_default(),
        label,
        planned_ms: line.planned_ms,
        hold_ms: line.hold_ms,
        applied_ns: line.t,
        healed_ns: None,
        outcome: line.outcome.unwrap_or_default(),
        why: line.why,
        effect: Vec::new(),
        effective: None,
    }
}

fn heal(fault: &mut Fault, line: Line) {
    fault.healed_ns = Some(line.t.max(fault.applied_ns));
    fault.why = line.why.or(fault.why.take());
    fault.outcome = line.outcome.unwrap_or(fault.outcome); // known better at the end
    // A record that does not say whether the fault had an effect shows none.
    fault.effective = line.effective;
    if let serde_json::Value::Object(effect) = line.effect {
        let plain = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let some = |value: &serde_json::Value| !value.is_null() && value.as_u64() != Some(0);
        fault.effect =
            effect.into_iter().filter(|(_, it)| some(it)).map(|(name, it)| (name, plain(it))).collect();
        fault.effect.sort();
    }
    if !line.touched.is_empty() {
        fault.effect.push(("touched".into(), line.touched.join("; ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLY: &str = r#"{"i":0,"t":5000,"event":"apply","fault":"pause","kind":"one","nodes":["n1"],"outcome":"installed","label":"pause n1"}"#;
    const HEAL: &str =
        r#"{"i":0,"t":8000,"event":"heal","outcome":"installed","effect":{"pid":17},"effective":false}"#;

    #[test]
    fn a_fault_is_the_join_of_its_two_lines() {
        let faults = parse(&format!("{APPLY}\n{HEAL}\n")).unwrap();
        assert_eq!(faults.len(), 1);
        assert_eq!((faults[0].applied_ns, faults[0].healed_ns), (5000, Some(8000)));
        assert_eq!(faults[0].effect, [("pid".to_string(), "17".to_string())]);
        assert_eq!(faults[0].effective, Some(false));
    }

    #[test]
    fn what_chance_touched_is_told_with_the_effect() {
        let heal = HEAL.replace("\"effective\"", r#""touched":["n2: wal, bit 3 of byte 4711"],"effective""#);
        let faults = parse(&format!("{APPLY}\n{heal}\n")).unwrap();
        let touched = ("touched".to_string(), "n2: wal, bit 3 of byte 4711".to_string());
        assert_eq!(faults[0].effect.last(), Some(&touched));
    }

    #[test]
    fn a_killed_controller_leaves_a_torn_line_and_an_open_end() {
        let faults = parse(&format!("{APPLY}\n{}", &HEAL[..20])).unwrap();
        assert_eq!(faults[0].healed_ns, None);
        assert!(faults[0].overlaps(1_000_000, 2_000_000));
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_that_names_it() {
        let why = parse(&format!("{APPLY}\nnot json\n{HEAL}\n")).unwrap_err();
        assert!(why.starts_with("line 2:"), "{why}");
    }

    #[test]
    fn a_skipped_fault_was_never_in_force() {
        let faults = parse(&APPLY.replace("installed", "skipped")).unwrap();
        assert!(!faults[0].overlaps(0, u64::MAX));
    }
}
