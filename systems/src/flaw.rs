//! What is wrong with a system, and how a trial shows it: the rows of `tribunal matrix`.
//!
//! A flaw is a seeded mistake (`--bug NAME`), or a system that fails by its design. Its workload runs with the defaults of
//! `tribunal run`, so that the matrix says what the defaults find; where a mistake can only show under a particular fault, its
//! row names the flags.

/// One flaw of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The name of the switch; `None`: the system as it is.
    pub bug: Option<String>,
    /// Which rule it breaks, in a line.
    pub rule: String,
    /// The workload that shows it.
    pub workload: &'static str,
    /// The flags of `tribunal run` that it takes beyond the defaults.
    pub args: &'static [&'static str],
}

impl Flaw {
    /// A seeded mistake that the defaults show.
    pub fn seeded(bug: impl Into<String>, rule: impl Into<String>, workload: &'static str) -> Self {
        Flaw { bug: Some(bug.into()), rule: rule.into(), workload, args: &[] }
    }

    /// A system that fails by its design.
    pub fn by_design(rule: impl Into<String>, workload: &'static str) -> Self {
        Flaw { bug: None, rule: rule.into(), workload, args: &[] }
    }

    /// The same, shown with these flags.
    pub fn with(self, args: &'static [&'static str]) -> Self {
        Flaw { args, ..self }
    }
}
