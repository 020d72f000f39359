//! The flaws of a system, and the trial that shows each: the rows of `tribunal matrix`.
//!
//! A flaw is a known bug (`--bug NAME`), or a system that fails by design. Its workload runs with the
//! defaults of `tribunal run`, so the matrix shows what the defaults find. If a bug only shows under a
//! particular fault or load, its row changes the trial.

use tribunal_records::TrialSpec;

/// One flaw of a system.
#[derive(Clone, Debug)]
pub struct Flaw {
    /// The name of the bug; `None`: the system itself is flawed.
    pub bug: Option<String>,
    /// The rule that it breaks, in one line.
    pub rule: String,
    /// The workload that shows it.
    pub workload: &'static str,
    /// Changes the trial's defaults.
    pub change: fn(&mut TrialSpec),
}

impl Flaw {
    /// A known bug that the default trial shows.
    pub fn seeded(bug: impl Into<String>, rule: impl Into<String>, workload: &'static str) -> Self {
        Flaw { bug: Some(bug.into()), rule: rule.into(), workload, change: |_| {} }
    }

    /// A system that fails by its design.
    pub fn by_design(rule: impl Into<String>, workload: &'static str) -> Self {
        Flaw { bug: None, rule: rule.into(), workload, change: |_| {} }
    }

    /// The same flaw, shown by a changed trial.
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
