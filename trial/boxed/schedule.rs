//! The faults that a run recorded, as a schedule that can be changed: faults left out, moved, shortened.

use std::collections::BTreeMap;

use tribunal_nemesis::{FaultEvent, FaultOutcome, FaultRecord};

/// The recorded faults, in the order of their beginnings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

/// One recorded fault: how it was applied, and how it was healed, if it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    apply: FaultRecord,
    heal: Option<FaultRecord>,
}

impl Faults {
    /// Reads the lines of a faults.jsonl. Faults that were skipped are left out.
    ///
    /// # Errors
    /// The first line that is no record.
    pub fn parse(text: &str) -> Result<Faults, String> {
        let mut faults: BTreeMap<usize, Fault> = BTreeMap::new();
        for (line, text) in (1..).zip(text.lines()) {
            let record: FaultRecord =
                serde_json::from_str(text).map_err(|why| format!("line {line}: {why}"))?;
            match record.event {
                FaultEvent::Apply if record.outcome == FaultOutcome::Skipped || record.acts.is_empty() => {}
                FaultEvent::Apply => drop(faults.insert(record.i, Fault { apply: record, heal: None })),
                FaultEvent::Shift => {}
                FaultEvent::Heal => {
                    if let Some(fault) = faults.get_mut(&record.i) {
                        fault.heal = Some(record);
                    }
                }
            }
        }
        // A fault that was cut short before its first act did nothing.
        faults.retain(|_, fault| fault.heal.as_ref().is_none_or(|heal| !heal.acts.is_empty()));
        Ok(Faults(faults.into_values().collect()))
    }

    /// The number of faults.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What each fault is, for people: `kill n2, from 1.2 s to 3.4 s`.
    pub fn labels(&self) -> Vec<String> {
        let seconds = |t: u64| t as f64 / 1e9;
        let label = |fault: &Fault| {
            let from = seconds(fault.apply.t);
            match &fault.heal {
                Some(heal) => format!("{}, from {from:.3} s to {:.3} s", fault.apply.label, seconds(heal.t)),
                None => format!("{}, from {from:.3} s", fault.apply.label),
            }
        };
        self.0.iter().map(label).collect()
    }

    /// The same schedule without some of the faults, by their positions.
    pub fn without(&self, left_out: &[usize]) -> Faults {
        let kept = self.0.iter().enumerate().filter(|(position, _)| !left_out.contains(position));
        Faults(kept.map(|(_, fault)| fault.clone()).collect())
    }

    /// Without the faults that began after a time.
    pub fn until(&self, t: u64) -> Faults {
        Faults(self.0.iter().filter(|fault| fault.apply.t <= t).cloned().collect())
    }

    /// The same schedule, all of it later (or earlier), in milliseconds; nothing begins before 0.
    pub fn moved(&self, by_ms: i64) -> Faults {
        let first = self.0.iter().map(|fault| fault.apply.t).min().unwrap_or_default();
        let by = (by_ms * 1_000_000).max(-first.cast_signed());
        let moved = |t: u64| t.saturating_add_signed(by);
        self.map(|fault| {
            fault.apply.t = moved(fault.apply.t);
            fault.heal.iter_mut().for_each(|heal| heal.t = moved(heal.t));
        })
    }

    /// The same schedule with one fault held for half as long; `None` if its acts or its length do not allow it.
    pub fn with_half_of(&self, position: usize) -> Option<Faults> {
        const SHORTEST_NS: u64 = 20_000_000;
        let Fault { apply, heal: Some(heal) } = self.0.get(position)? else { return None };
        let held = heal.t.checked_sub(apply.t).filter(|held| *held >= 2 * SHORTEST_NS)?;
        // Acts at later moments of the fault would be cut off.
        let last = heal.acts.iter().map(|act| act.after_ms).max().unwrap_or_default();
        if last * 1_000_000 > held / 2 {
            return None;
        }
        let mut changed = self.clone();
        changed.0[position].heal.iter_mut().for_each(|heal| heal.t = apply.t + held / 2);
        Some(changed)
    }

    fn map(&self, change: impl Fn(&mut Fault)) -> Faults {
        let mut changed = self.clone();
        changed.0.iter_mut().for_each(change);
        changed
    }

    /// As the lines of a faults.jsonl.
    pub fn to_text(&self) -> String {
        let mut lines: Vec<FaultRecord> = Vec::new();
        for (i, Fault { apply, heal }) in self.0.iter().enumerate() {
            lines.push(FaultRecord { i, ..apply.clone() });
            lines.extend(heal.iter().map(|heal| FaultRecord { i, ..heal.clone() }));
        }
        lines.sort_by_key(|line| line.t);
        let text = (0..).zip(lines).map(|(n, line)| {
            let line = FaultRecord { n: Some(n), ..line };
            serde_json::to_string(&line).expect("it is plain data") + "\n"
        });
        text.collect()
    }
}

#[cfg(test)]
mod tests {
    use tribunal_nemesis::Plan;

    use super::*;

    const RECORD: &str = r#"{"n":0,"i":0,"t":1000000000,"event":"apply","fault":"pause","kind":"one","nodes":["n1"],"cuts":[],"planned_ms":1000,"hold_ms":500,"outcome":"installed","label":"pause n1","acts":["pause n1"]}
{"n":1,"i":1,"t":1200000000,"event":"apply","fault":"kill","kind":"one","nodes":["n2"],"cuts":[],"planned_ms":1200,"hold_ms":100,"outcome":"installed","label":"kill n2","acts":["kill n2"]}
{"n":2,"i":1,"t":1300000000,"event":"heal","outcome":"installed","acts":["kill n2"],"effective":true}
{"n":3,"i":2,"t":1400000000,"event":"apply","fault":"kill","kind":"one","outcome":"skipped","label":"kill n3","acts":["kill n3"]}
{"n":4,"i":0,"t":1500000000,"event":"heal","outcome":"installed","acts":["pause n1"],"effective":true}
"#;

    fn times(faults: &Faults) -> Vec<(u64, u64)> {
        let plan = Plan::replay(&faults.to_text(), 3).expect("it is a record");
        plan.in_order().map(|step| (step.at_ms, step.hold_ms)).collect()
    }

    #[test]
    fn a_schedule_replays_what_was_recorded() {
        let faults = Faults::parse(RECORD).unwrap();
        assert_eq!(faults.len(), 2, "the skipped one did nothing");
        assert_eq!(times(&faults), [(1_000, 500), (1_200, 100)]);
        let recorded = Plan::replay(RECORD, 3).unwrap();
        let replayed = Plan::replay(&faults.to_text(), 3).unwrap();
        assert!(recorded.in_order().eq(replayed.in_order()));
        assert_eq!(faults.labels()[1], "kill n2, from 1.200 s to 1.300 s");
    }

    #[test]
    fn faults_are_left_out_moved_and_shortened() {
        let faults = Faults::parse(RECORD).unwrap();
        assert_eq!(times(&faults.without(&[0])), [(1_200, 100)]);
        assert!(faults.without(&[0, 1]).is_empty());
        assert_eq!(times(&faults.moved(-300)), [(700, 500), (900, 100)]);
        assert_eq!(times(&faults.moved(-5_000)), [(0, 500), (200, 100)], "nothing begins before the run");
        assert_eq!(times(&faults.until(1_100_000_000)), [(1_000, 500)]);
        assert_eq!(times(&faults.with_half_of(0).unwrap()), [(1_000, 250), (1_200, 100)]);
        let shortest = (0..10).try_fold(faults, |faults, _| faults.with_half_of(1));
        assert!(shortest.is_none(), "a fault does not become nothing");
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let why = Faults::parse("{}").unwrap_err();
        assert!(why.starts_with("line 1: "), "{why}");
    }
}
