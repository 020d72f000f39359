//! Which workers read, and how often.

use chacha20::ChaCha8Rng;
use rand::RngExt;

use crate::Options;

/// Decides whether an operation is a read.
pub(crate) struct Reads {
    /// For every worker, whether it is read-only.
    only: Vec<bool>,
    /// The share of reads among the other workers.
    share: f64,
}

impl Reads {
    /// With two or more workers per node, one of three is read-only. On an isolated node a writer soon blocks
    /// on a request that is not answered. A read-only worker goes on, and sees what such a node still
    /// returns.
    pub(crate) fn new(options: &Options) -> Self {
        let &Options { workers, nodes, reads: share, .. } = options;
        let only = (0..workers).map(|worker| workers >= 2 * nodes && (worker / nodes).is_multiple_of(3));
        Reads { only: only.collect(), share }
    }

    /// Whether the worker's next operation is a read.
    pub(crate) fn next(&self, worker: usize, rng: &mut ChaCha8Rng) -> bool {
        self.only[worker] || rng.random_bool(self.share)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn one_of_three_only_reads_and_the_others_as_often_as_was_asked() {
        let options = Options { workers: 9, keys: 1, reads: 0.9, ..Options::of_tests() };
        let (reads, mut rng) = (Reads::new(&options), ChaCha8Rng::seed_from_u64(1));
        let counts: Vec<usize> =
            (0..9).map(|worker| (0..1_000).filter(|_| reads.next(worker, &mut rng)).count()).collect();
        assert_eq!(counts[..3], [1_000; 3]);
        assert!(counts[3..].iter().all(|count| (850..950).contains(count)), "{counts:?}");
    }
}
