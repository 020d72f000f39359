//! Elections: one office, everybody is a candidate, and who is elected works for a while before resigning.
//!
//! A leader's work begins when it is told that it won (`acquire`, answered with the term) and ends when it resigns
//! (`release`). These are the leaders' own words, not what the servers believe of each other, and two tenures must never
//! overlap. Terms must grow, so that whoever is still told to do something by a leader of old can refuse.

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
            election(&Options { seed: 1, workers: 3, nodes: 1, keys: 5, ops_per_key: 100, reads: 0.0 });
        let asked = [workload.next(0), workload.next(1), workload.next(2)];
        assert!(asked.iter().all(|request| request.f == F::Acquire && request.key == asked[0].key));
    }
}
