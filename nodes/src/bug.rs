//! What all seeded mistakes have in common.

use clap::ValueEnum;

/// A mistake that a node makes on purpose, as a switch.
pub trait Mistake: ValueEnum + 'static {
    /// Every one, in the order of their documentation.
    fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The name on the command line, such as `stale-read`.
    fn name(&self) -> String {
        self.to_possible_value().expect("no variant is hidden").get_name().to_owned()
    }

    /// Which rule it breaks, in a line.
    fn rule(&self) -> String {
        let value = self.to_possible_value().expect("no variant is hidden");
        value.get_help().expect("every variant is documented").to_string()
    }
}

impl<Bug: ValueEnum + 'static> Mistake for Bug {}
