//! The rate at which clients send operations.
//!
//! Constant full speed does not find the most bugs. While newer operations are always pending, the loss of
//! the last acknowledged write is not noticed. A bug that needs an operation without concurrent ones never
//! shows. And a machine under full load always schedules in much the same order. So by default the load
//! alternates between full speed and *calm spells* with a low rate.
//!
//! ```text
//!   full ██████      ██████████   ██████        rate of a calm spell: 10 to 1,000 operations a second over all clients,
//!   calm       ▂▂▂▂▂           ▆▆▆      ▁▁▁     its logarithm uniform
//! ```

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tribunal_records::Rate;

use crate::lock::locked;

/// Duration of a spell, in milliseconds.
const SPELL_MS: Range<u64> = 500..2_000;

/// Rates of calm spells, in operations per second over all clients.
const CALM_PER_S: Range<f64> = 10.0..1_000.0;

/// Computes when each operation is due.
pub(crate) struct Pace {
    spells: Mutex<Spells>,
}

/// The current spells, ordered by their ends. Later ones are drawn when needed, and old ones are forgotten.
struct Spells {
    known: VecDeque<Spell>,
    /// Random numbers for later spells; `None` if the last known spell never ends.
    draws: Option<ChaCha8Rng>,
    time_limit: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Spell {
    begins: Duration,
    ends: Duration,
    /// Operations per second over all clients; `None`: no limit.
    rate: Option<f64>,
}

/// How long a spell is remembered after its end: longer than the clocks of two workers can differ.
const REMEMBERED: Duration = Duration::from_secs(60);

impl Spells {
    fn new(rate: Rate, seed: u64, time_limit: Duration) -> Self {
        let steady = |rate| VecDeque::from([Spell { begins: Duration::ZERO, ends: Duration::MAX, rate }]);
        let (known, draws) = match rate {
            Rate::Full => (steady(None), None),
            Rate::PerSecond(rate) => (steady(Some(rate)), None),
            Rate::Bursts => (VecDeque::new(), Some(ChaCha8Rng::seed_from_u64(seed))),
        };
        Spells { known, draws, time_limit }
    }

    /// The first spell that ends after a time; drawn if necessary.
    fn after(&mut self, time: Duration) -> Spell {
        while self.known.back().is_none_or(|last| last.ends <= time) {
            let last = self.known.back().copied();
            let begins = last.map_or(Duration::ZERO, |last| last.ends);
            let next = match &mut self.draws {
                Some(rng) if begins < self.time_limit => {
                    let ends = begins + Duration::from_millis(rng.random_range(SPELL_MS));
                    let rate = CALM_PER_S.start * (CALM_PER_S.end / CALM_PER_S.start).powf(rng.random());
                    let calm = last.is_some_and(|last| last.rate.is_none());
                    Spell { begins, ends, rate: calm.then_some(rate) }
                }
                _ => Spell { begins, ends: Duration::MAX, rate: None },
            };
            self.known.push_back(next);
        }
        let at = self.known.partition_point(|spell| spell.ends <= time);
        let found = self.known[at];
        self.known.retain(|spell| spell.ends.saturating_add(REMEMBERED) > time);
        found
    }
}

impl Pace {
    /// Equal arguments give equal spells.
    pub(crate) fn new(rate: Rate, seed: u64, time_limit: Duration) -> Self {
        Pace { spells: Mutex::new(Spells::new(rate, seed, time_limit)) }
    }

    /// When the next operation of one of `workers` workers is due. `due`: when its previous operation was
    /// due; `now`: the current time; all since the start of the clients. A worker that was delayed catches
    /// up, but only within a spell. `draw` returns random numbers from 0 to 1, never 0.
    pub(crate) fn next(
        &self,
        due: Duration,
        now: Duration,
        workers: usize,
        mut draw: impl FnMut() -> f64,
    ) -> Duration {
        let (mut due, mut time) = (due, now);
        loop {
            let spell = locked(&self.spells).after(time);
            let Some(rate) = spell.rate else { return now.max(spell.begins) };
            // Exponential gaps are memoryless: a gap that the end of the spell cuts short can be drawn again.
            let mean = workers as f64 / rate;
            due = due.max(spell.begins) + Duration::from_secs_f64(-draw().ln() * mean);
            if due < spell.ends {
                return due;
            }
            time = spell.ends;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Due times of a worker whose operations take no time.
    fn dues(pace: &Pace, workers: usize, until: Duration) -> Vec<Duration> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut dues = vec![Duration::ZERO];
        while dues[dues.len() - 1] < until {
            let last = dues[dues.len() - 1];
            dues.push(pace.next(last, last, workers, || rng.random_range(f64::EPSILON..1.0)));
        }
        dues
    }

    #[test]
    fn a_constant_rate_is_kept_and_delays_are_caught_up() {
        let pace = Pace::new(Rate::PerSecond(100.0), 1, SECOND);
        let asked = dues(&pace, 5, 100 * SECOND).len();
        assert!((1_800..2_200).contains(&asked), "{asked} of 2000");
        assert!(pace.next(SECOND, 50 * SECOND, 5, || 0.5) < 2 * SECOND, "what was late is not dropped");
        assert_eq!(Pace::new(Rate::Full, 1, SECOND).next(SECOND, 7 * SECOND, 5, || 0.5), 7 * SECOND);
    }

    #[test]
    fn calm_and_full_spells_alternate_and_depend_on_the_seed() {
        let spells = |seed| {
            let mut spells = Spells::new(Rate::Bursts, seed, 60 * SECOND);
            let mut all = vec![spells.after(Duration::ZERO)];
            while let Some(last) = all.last().filter(|last| last.ends < Duration::MAX) {
                all.push(spells.after(last.ends));
            }
            all
        };
        let all = spells(3);
        assert_eq!(all, spells(3));
        assert_ne!(all, spells(4));
        let last = all[all.len() - 1];
        assert!(last.begins >= 60 * SECOND && last.rate.is_none(), "after the time limit comes nothing more");
        for (at, pair) in all.windows(2).enumerate() {
            assert_eq!(pair[0].ends, pair[1].begins);
            assert!(pair[1].ends == Duration::MAX || pair[0].rate.is_some() == (at % 2 == 1));
            assert!(pair[0].rate.is_none_or(|rate| CALM_PER_S.contains(&rate)));
        }
        let pace = Pace::new(Rate::Bursts, 3, 60 * SECOND);
        for spell in all.iter().filter(|spell| spell.rate.is_some()) {
            let first = pace.next(Duration::ZERO, spell.begins, 1, || 0.9);
            assert!(first > spell.begins && first < spell.ends, "it begins anew in each spell");
            let last = pace.next(spell.begins, spell.begins, 1_000_000, || 0.1);
            assert_eq!(last, spell.ends, "and ends with it");
        }
    }

    #[test]
    fn a_year_of_spells_is_not_kept_in_memory() {
        let pace = Pace::new(Rate::Bursts, 3, 365 * 86_400 * SECOND);
        for second in 0..1_000 {
            pace.next(Duration::ZERO, second * SECOND, 1, || 0.5);
        }
        let spells = pace.spells.lock().unwrap();
        assert!(spells.known.len() < 200, "{} spells", spells.known.len());
        assert!(spells.known[0].begins > 900 * SECOND);
    }
}
