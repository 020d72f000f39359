//! Elections: one office; every client is a candidate. The winner works for a while and then resigns.
//!
//! A tenure begins when the client is told that it won (`acquire`, answered with the term) and ends when it
//! resigns (`release`). The clients report these events, not the servers, and two tenures must never overlap.
//! Terms must grow, so that a third party can refuse orders of an earlier leader.

use crate::Options;
use crate::lock::{Lock, Pace};

const PACE: Pace = Pace { hold_ms: (5, 100), hold_long_ms: (500, 1_500), wait_ms: (5, 40) };

/// The workload `election`.
pub fn election(options: &Options) -> Lock {
    Lock::paced(options, 1, PACE)
}

#[cfg(test)]
mod tests {
    use tribunal_checker::op::F;

    use super::*;
    use crate::Workload;

    #[test]
    fn all_candidates_want_the_same_office() {
        let mut workload =
            election(&Options { workers: 3, nodes: 1, ops_per_key: 100, ..Options::of_tests() });
        let asked = [workload.next(0), workload.next(1), workload.next(2)];
        assert!(asked.iter().all(|request| request.f == F::Acquire && request.key == asked[0].key));
    }
}
