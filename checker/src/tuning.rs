//! The constants that determine the speed of a search, and never its answer.
//!
//! Small histories would not reach the usual values. So unit tests run with tiny ones, and with the usual
//! ones as well.

/// How much each step of a search may cost before the next step takes over.
#[derive(Debug)]
pub(crate) struct Tuning {
    /// The first budget of each part in configurations, and the addition for each operation.
    pub(crate) first_budget: u64,
    pub(crate) budget_per_op: u64,
    /// The attempts of the frontier engine at one place, in this order.
    pub(crate) attempts: [Attempt; 5],
    /// The frontier engine keeps a checkpoint after this many events. After a stretch of this length without
    /// difficulty the beam becomes narrow again.
    pub(crate) stretch: u32,
    /// Whether the optimistic search gives up at once and remembers almost nothing.
    pub(crate) is_impatient: bool,
}

/// One attempt: the width of the beam, and how many events before the failure of the previous attempt it
/// starts.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) width: usize,
    pub(crate) back: u32,
}

const fn attempts(narrow: [(usize, u32); 4]) -> [Attempt; 5] {
    let [a, b, c, d] = narrow;
    [
        Attempt { width: a.0, back: a.1 },
        Attempt { width: b.0, back: b.1 },
        Attempt { width: c.0, back: c.1 },
        Attempt { width: d.0, back: d.1 },
        Attempt { width: usize::MAX, back: u32::MAX },
    ]
}

const USUAL: Tuning = Tuning {
    first_budget: 1 << 12,
    budget_per_op: 16,
    attempts: attempts([(8, 0), (64, 64), (512, 512), (4096, 4096)]),
    stretch: 64,
    is_impatient: false,
};

/// The tuning of this thread.
#[cfg(not(test))]
pub(crate) const fn tuning() -> &'static Tuning {
    &USUAL
}

#[cfg(test)]
pub(crate) use tests::tuning;

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::{Tuning, USUAL, attempts};

    const TINY: Tuning = Tuning {
        first_budget: 64,
        budget_per_op: 8,
        attempts: attempts([(1, 0), (2, 2), (3, 4), (4, 8)]),
        stretch: 2,
        is_impatient: true,
    };

    thread_local! {
        static IS_TINY: Cell<bool> = const { Cell::new(true) };
    }

    pub(crate) fn tuning() -> &'static Tuning {
        if IS_TINY.get() { &TINY } else { &USUAL }
    }

    /// Runs a test on this thread with the tuning of release builds.
    pub(crate) fn as_usual<T>(test: impl FnOnce() -> T) -> T {
        IS_TINY.set(false);
        let result = test();
        IS_TINY.set(true);
        result
    }
}
