//! What is wrong with a system, and how a trial shows it: the rows of `tribunal matrix`.
//!
//! A flaw is a known bug (`--bug NAME`), or a system that fails by its design. Its workload runs with the defaults of
//! `tribunal run`, so that the matrix says what the defaults find; where a bug can only show under a particular fault, its row
//! changes the trial.

use tribunal_records::TrialSpec;

/// One flaw of a system.
#[derive(Clone, Debug)]
pub struct Flaw {
    /// The name of the switch; `None`: the system as it is.
    pub bug: Option<String>,
    /// Which rule it breaks, in a line.
    pub rule: String,
    /// The workload that shows it.
    pub workload: &'static str,
    /// What the trial takes beyond the defaults.
    pub change: fn(&mut TrialSpec),
}

impl Flaw {
    /// A known bug that the defaults show.
    pub fn seeded(bug: impl Into<String>, rule: impl Into<String>, workload: &'static str) -> Self {
        Flaw { bug: Some(bug.into()), rule: rule.into(), workload, change: |_| {} }
    }

    /// A system that fails by its design.
    pub fn by_design(rule: impl Into<String>, workload: &'static str) -> Self {
        Flaw { bug: None, rule: rule.into(), workload, change: |_| {} }
    }

    /// The same, shown by a trial that is changed so.
    pub fn with(self, change: fn(&mut TrialSpec)) -> Self {
        Flaw { change, ..self }
    }

    /// The trial that shows it.
    pub fn trial(&self, system: &str) -> TrialSpec {
        TrialSpec::new(self.workload).with(|spec| {
            spec.system = system.into();
            spec.bug = self.bug.iter().cloned().collect();
            (self.change)(spec);
        })
    }
}
