//! Replay: turns a record back into a plan.
//!
//! The record contains names and times, so its plan needs no randomness and no leader: the same acts on the
//! same nodes at the same times. The system under test may still behave differently.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error as _;
use tribunal_records::faults::SCHEMA_VERSION;

use crate::{FaultEvent, FaultOutcome, FaultRecord, NodeId, Plan, Step, plan};

/// Why a record cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A line is not a record of a fault.
    #[error("line {line}: {why}")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: serde_json::Error,
    },
    /// A fault is healed that was not applied before.
    #[error("line {line}: fault {i} is healed and was not applied before")]
    Unapplied {
        /// The line, counted from 1.
        line: usize,
        /// The fault's number.
        i: usize,
    },
    /// A fault is applied or healed twice.
    #[error("line {line}: fault {i} is there twice")]
    Twice {
        /// The line, counted from 1.
        line: usize,
        /// The fault's number.
        i: usize,
    },
    /// A line has the wrong number: lines are missing, repeated, or out of order.
    #[error(
        "line {line}: expected \"n\":{expected}, found {found}: lines are missing, doubled or not in their places"
    )]
    Misnumbered {
        /// The line, counted from 1.
        line: usize,
        /// The expected number.
        expected: u64,
        /// The number in the line.
        found: u64,
    },
    /// A line was written by a newer version.
    #[error(
        "line {line}: schema_version is {found}, but this Tribunal knows up to {SCHEMA_VERSION}: use a newer one"
    )]
    Newer {
        /// The line, counted from 1.
        line: usize,
        /// The schema version of the line.
        found: u64,
    },
    /// The record contains no applied fault.
    #[error("no fault was applied: there is nothing to replay")]
    Nothing,
    /// The cluster does not have this node.
    #[error("line {line}: there is no {node} in a cluster of {nodes}")]
    Node {
        /// The line, counted from 1.
        line: usize,
        /// The node.
        node: NodeId,
        /// Number of nodes of the cluster.
        nodes: usize,
    },
}

impl Plan {
    /// Whether a text is the record of a run, a `faults.jsonl`, and not a schedule.
    pub fn is_record(text: &str) -> bool {
        let first = text.trim_start().lines().next().unwrap_or_default();
        serde_json::from_str(first).is_ok_and(|value: serde_json::Value| value.get("event").is_some())
    }

    /// The plan that repeats, in a cluster of this many `nodes`, what the lines of a `faults.jsonl` say was
    /// done. Skipped faults are left out. A fault whose heal was not recorded is held as long as planned. An
    /// incomplete last line, which a killed run leaves, is ignored. Times count from the start of the run.
    ///
    /// # Errors
    /// The first line that is not a record, names a node that the cluster does not have, is of a newer
    /// version, or cannot follow the lines before it; and a record in which nothing was done.
    pub fn replay(record: &str, nodes: usize) -> Result<Plan, ReplayError> {
        let mut steps: BTreeMap<usize, Step> = BTreeMap::new();
        let (mut seen, mut healed) = (BTreeSet::new(), BTreeSet::new());
        let mut expected = 0;
        for (line, text) in (1..).zip(record.lines()) {
            if text.trim().is_empty() {
                continue;
            }
            let record: FaultRecord = match serde_json::from_str(text) {
                Ok(record) => record,
                Err(_) if line == record.lines().count() && !record.ends_with('\n') => break,
                Err(why) => return Err(ReplayError::Line { line, why }),
            };
            if let Some(found) = record.schema_version.filter(|found| *found > SCHEMA_VERSION) {
                return Err(ReplayError::Newer { line, found });
            }
            if let Some(found) = record.n.filter(|found| *found != expected) {
                return Err(ReplayError::Misnumbered { line, expected, found });
            }
            expected += 1;
            let is_new = match record.event {
                FaultEvent::Apply => seen.insert(record.i),
                FaultEvent::Shift => true,
                FaultEvent::Heal => healed.insert(record.i),
            };
            if !is_new {
                return Err(ReplayError::Twice { line, i: record.i });
            }
            let at_ms = record.t / 1_000_000;
            match record.event {
                FaultEvent::Apply if record.outcome == FaultOutcome::Skipped => {}
                FaultEvent::Apply if record.acts.is_empty() => {
                    let why = serde_json::Error::missing_field("acts");
                    return Err(ReplayError::Line { line, why });
                }
                FaultEvent::Apply => {
                    let FaultRecord { fault, kind, hold_ms, acts, .. } = record;
                    if let Some(node) = plan::unknown_node(&acts, nodes) {
                        return Err(ReplayError::Node { line, node, nodes });
                    }
                    let step = Step {
                        at_ms,
                        hold_ms,
                        fault,
                        kind,
                        leader: None,
                        follows_ms: Vec::new(),
                        drawn: false,
                        acts,
                    };
                    steps.insert(record.i, step);
                }
                // The acts of `apply` contain all times.
                FaultEvent::Shift => {}
                FaultEvent::Heal => {
                    let i = record.i;
                    let step = steps.get_mut(&i).ok_or(ReplayError::Unapplied { line, i })?;
                    step.hold_ms = at_ms.saturating_sub(step.at_ms);
                    step.acts = record.acts;
                    if let Some(node) = plan::unknown_node(&step.acts, nodes) {
                        return Err(ReplayError::Node { line, node, nodes });
                    }
                }
            }
        }
        for step in steps.values_mut() {
            // A fault that was cut short did not reach its later acts, or any.
            step.acts.retain(|timed| timed.after_ms <= step.hold_ms);
        }
        steps.retain(|_, step| !step.acts.is_empty());
        if steps.is_empty() {
            return Err(ReplayError::Nothing);
        }
        let mut plan = Plan { steps: steps.into_values().collect(), ..Plan::default() };
        plan.steps.sort_by_key(|step| step.at_ms);
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &str, t_ms: u64) -> String {
        format!(
            r#"{{"i":0,"t":{t_ms}000000,"event":"{event}","fault":"kill","kind":"one","nodes":["n1"],"cuts":[],
            "planned_ms":1000,"hold_ms":2000,"outcome":"installed","label":"kill n1","acts":["kill n1"]}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn missing_repeated_and_newer_lines_are_errors() {
        let n = |line: String, n: u64| line.replacen('{', &format!("{{\"n\":{n},"), 1);
        let (apply, heal) = (line("apply", 1500), line("heal", 2250));
        for (lines, why) in [
            ([apply.clone(), apply.clone()], "line 2: fault 0 is there twice"),
            ([heal.clone(), apply.clone()], "line 1: fault 0 is healed and was not applied before"),
            (
                [n(apply.clone(), 0), n(heal.clone(), 2)],
                "line 2: expected \"n\":1, found 2: lines are missing",
            ),
            ([apply.replacen('{', "{\"schema_version\":2,", 1), heal.clone()], "line 1: schema_version is 2"),
            ([apply.replace("installed", "skipped"), String::new()], "no fault was applied"),
        ] {
            let said = Plan::replay(&(lines.join("\n") + "\n"), 3).expect_err(why).to_string();
            assert!(said.starts_with(why), "{said}");
        }
        assert!(Plan::replay(&format!("{}\n{}\n", n(apply, 0), n(heal, 1)), 3).is_ok());
    }

    #[test]
    fn a_replayed_hold_is_the_recorded_one_or_else_the_planned_one() {
        let times = |record: &str| {
            let plan = Plan::replay(record, 3).expect("a record");
            plan.steps.iter().map(|step| (step.at_ms, step.hold_ms)).collect::<Vec<_>>()
        };
        assert_eq!(times(&format!("{}\n{}\n", line("apply", 1500), line("heal", 2250))), [(1500, 750)]);
        assert_eq!(times(&format!("{}\n", line("apply", 1500))), [(1500, 2000)]);
    }

    #[test]
    fn acts_that_were_not_done_are_not_replayed() {
        let acts = |record: &str| {
            let plan = Plan::replay(record, 3).expect("a record");
            plan.steps[0].acts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let with =
            |line: String, acts: &str| line.replace(r#""acts":["kill n1"]"#, &format!(r#""acts":[{acts}]"#));
        let whole = r#""kill n1", "@500 start n1", "@900 kill n2""#;
        let apply = with(line("apply", 1500), whole);
        assert_eq!(acts(&format!("{apply}\n")), "kill n1, @500 start n1, @900 kill n2");
        let heal = with(line("heal", 2250), whole);
        assert_eq!(acts(&format!("{apply}\n{heal}\n")), "kill n1, @500 start n1");
        let heal = with(line("heal", 2450), r#""kill n1""#);
        assert_eq!(acts(&format!("{apply}\n{heal}\n")), "kill n1", "the record knows best");
        // Its first act was not due yet when the run ended.
        let heal = with(line("heal", 1501), "");
        let nothing = Plan::replay(&format!("{apply}\n{heal}\n"), 3).expect_err("no act").to_string();
        assert!(nothing.starts_with("no fault was applied"), "{nothing}");
    }
}
