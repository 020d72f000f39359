//! What all seeded bugs have in common.

use clap::ValueEnum;

/// A seeded bug, switched on by name.
pub trait BugSwitch: ValueEnum + 'static {
    /// All bugs, in the order of their documentation.
    fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The name on the command line, such as `stale-read`.
    fn name(&self) -> String {
        self.to_possible_value().expect("no variant is hidden").get_name().to_owned()
    }

    /// The rule that it breaks, in one line.
    fn rule(&self) -> String {
        let value = self.to_possible_value().expect("no variant is hidden");
        value.get_help().expect("every variant is documented").to_string()
    }
}

impl<Bug: ValueEnum + 'static> BugSwitch for Bug {}
