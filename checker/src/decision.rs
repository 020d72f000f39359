//! What an algorithm decides about one part of a history, before it becomes a verdict.

/// The answer of one algorithm for one part; operations are named by their position in the part it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Linearizable, and this is a legal order: the certificate. Indeterminate operations that never took
    /// effect, and known failures, are absent from it.
    Legal {
        /// Positions in the part, each at most once. Empty where nobody asked for it.
        order: Vec<usize>,
    },
    /// Not linearizable.
    Illegal {
        /// Some operations that contradict each other, for a first hint; the explanation finds the minimal set.
        conflict: Vec<usize>,
    },
    /// The algorithm does not apply to this part: its precondition does not hold.
    Declined,
}
