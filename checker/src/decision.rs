//! An algorithm's decision about one part of a history, before it becomes a verdict.

/// One algorithm's decision about one part. Operations are positions in the given part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Linearizable, with a legal order: the certificate. It contains no known failures and no indeterminate
    /// operations that never took effect.
    Legal {
        /// Positions in the part, each at most once. Empty if the caller did not request it.
        order: Vec<usize>,
    },
    /// Not linearizable.
    Illegal {
        /// Some operations that contradict each other: a first hint. The explanation finds the minimal set.
        conflict: Vec<usize>,
    },
    /// The algorithm does not apply to this part: its precondition does not hold.
    Declined,
}
