//! The classic mistakes, as switches.

use clap::ValueEnum;

/// A mistake that a node makes on purpose; each names the rule that it breaks.
///
/// A rule is switched off at the one place where the code keeps it: search for the name of the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Bug {
    /// A leader answers reads without confirming that it still leads, and does not step down when it has lost contact
    /// with the quorum (Raft section 8; Ongaro's thesis, sections 6.2 and 6.4).
    StaleRead,
    /// A leader answers as soon as it has the entry in memory, and writes and replicates it with the next heartbeat
    /// (Raft section 5.3: answer once the entry is committed).
    AckBeforeWrite,
}

impl Bug {
    /// Every bug, in the order of their documentation.
    pub fn all() -> &'static [Bug] {
        Bug::value_variants()
    }

    /// The name on the command line, such as `stale-read`.
    pub fn name(self) -> String {
        self.to_possible_value().expect("no variant is hidden").get_name().to_owned()
    }

    /// Which rule it breaks, in a line.
    pub fn rule(self) -> String {
        self.to_possible_value()
            .expect("no variant is hidden")
            .get_help()
            .map(|help| help.to_string())
            .expect("every variant is documented")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_a_name_and_names_its_rule() {
        for bug in Bug::all() {
            assert!(bug.rule().contains("section"), "{}: {}", bug.name(), bug.rule());
        }
    }
}
