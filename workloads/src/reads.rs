//! Who reads, and how often.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::Options;

/// Decides of each operation whether it only reads.
pub(crate) struct Reads {
    /// Of every worker, whether it only ever reads.
    only: Vec<bool>,
    /// The share of reads among what the others ask.
    share: f64,
}

impl Reads {
    /// Where there are two workers or more to a node, one of every three only ever reads: at a node that is cut off,
    /// whoever writes soon waits for an answer that does not come. A worker that only reads goes on asking, and sees
    /// what such a node still dares to say.
    pub(crate) fn new(options: &Options) -> Self {
        let &Options { workers, nodes, reads: share, .. } = options;
        let only = (0..workers).map(|worker| workers >= 2 * nodes && (worker / nodes).is_multiple_of(3));
        Reads { only: only.collect(), share }
    }

    /// Whether the next operation of a worker only reads.
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
        let options = Options { seed: 1, workers: 9, nodes: 3, keys: 1, ops_per_key: 10, reads: 0.9 };
        let (reads, mut rng) = (Reads::new(&options), ChaCha8Rng::seed_from_u64(1));
        let counts: Vec<usize> =
            (0..9).map(|worker| (0..1_000).filter(|_| reads.next(worker, &mut rng)).count()).collect();
        assert_eq!(counts[..3], [1_000; 3]);
        assert!(counts[3..].iter().all(|count| (850..950).contains(count)), "{counts:?}");
    }
}
