//! Limits on time, on memory and on the number of configurations.
//!
//! An engine carries a `Meter` and calls `Meter::tick` in its innermost loop, once for each configuration
//! explored. Usually this is one subtraction; every `POLL_EVERY` configurations the limits are tested. So a
//! search exceeds a limit by the cost of about a thousand configurations at most, for any history.
//!
//! The limits on memory and configurations apply to each part, so that the same history under the same limits
//! gives the same answer, however the parts are spread over threads. The crate has no clock: the caller's
//! [`TimeLimit::expired`] defines time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

/// Configurations explored between two tests of the limits.
const POLL_EVERY: u32 = 1024;

/// Small steps between two tests of the time limit: a few milliseconds.
const STEPS_EVERY: u64 = 1 << 20;

/// The maximum cost of a check.
#[derive(Clone, Debug)]
pub struct Limits<'a> {
    /// Configurations explored in one part.
    pub states_max: u64,
    /// Bytes held by the search of one part, in its tables and frontiers.
    pub memory_bytes_max: usize,
    /// Time for the whole check, measured by the caller.
    pub time: Option<TimeLimit<'a>>,
    /// Counters that the check updates, for a progress display.
    pub progress: Option<&'a Progress>,
}

/// The progress of a check. Its numbers only grow, any thread may read them during the check, and they never
/// influence the answer.
#[derive(Debug, Default)]
pub struct Progress {
    /// The number of keys; 0 until they have been counted.
    pub keys: AtomicUsize,
    /// The number of keys that are finished, with whatever result.
    pub keys_done: AtomicUsize,
    /// Configurations explored; this lags behind by about a thousand.
    pub states: AtomicU64,
    /// Whether a violation is proved and the check now minimises its counterexample.
    pub shrinking: AtomicBool,
}

/// A limit on time. The caller owns the clock.
#[derive(Clone)]
pub struct TimeLimit<'a> {
    /// The limit in words, such as `60 s`.
    pub label: String,
    /// Whether the time is over. Called every thousand configurations or so, from any thread.
    pub expired: &'a (dyn Fn() -> bool + Sync),
}

impl fmt::Debug for TimeLimit<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TimeLimit").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Default for Limits<'_> {
    /// A billion configurations and 2 GiB for each part; no limit on time.
    fn default() -> Self {
        Limits { states_max: 1_000_000_000, memory_bytes_max: 2 << 30, time: None, progress: None }
    }
}

impl Limits<'_> {
    /// The limits in words.
    pub fn in_words(&self) -> Vec<String> {
        let time = self.time.as_ref().map(|_| Limit::Time);
        let all = time.into_iter().chain([Limit::Memory, Limit::States]);
        all.map(|limit| limit.words(self)).collect()
    }
}

/// The reason why a search stopped.
///
/// The aliases are the older notation in verdict.json.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// [`Limits::time`].
    #[serde(alias = "--check-time-limit")]
    Time,
    /// [`Limits::memory_bytes_max`].
    #[serde(alias = "--check-memory-limit")]
    Memory,
    /// [`Limits::states_max`].
    #[serde(alias = "--check-states-limit")]
    States,
    /// The answer is not needed any more: another part has a violation.
    #[serde(alias = "--all-parts")]
    Cancelled,
    /// The user interrupted the check.
    #[serde(alias = "")]
    Interrupted,
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Limit::Time => "time",
            Limit::Memory => "memory",
            Limit::States => "states",
            Limit::Cancelled => "cancelled",
            Limit::Interrupted => "interrupted",
        })
    }
}

impl Limit {
    /// The limit in words, with its value.
    pub(crate) fn words(self, limits: &Limits<'_>) -> String {
        match self {
            Limit::Time => {
                format!("time limit of {}", limits.time.as_ref().map_or("0 s", |time| &time.label))
            }
            Limit::Memory => format!("memory limit of {} MiB per part", limits.memory_bytes_max >> 20),
            Limit::States => format!("limit of {} configurations per part", limits.states_max),
            Limit::Cancelled => "stop at the first violation".into(),
            Limit::Interrupted => "interrupted".into(),
        }
    }
}

/// One engine's usage of the limits.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    limits: &'a Limits<'a>,
    cancelled: Option<&'a AtomicBool>,
    until_poll: u32,
    polled: u64,
    /// Small steps (not configurations) since the last test of the time limit.
    steps: u64,
    /// Bytes held by another search that waits for this one.
    aside: usize,
    /// The number of configurations already added to [`Progress`].
    reported: u64,
}

impl<'a> Meter<'a> {
    /// A fresh meter. The search stops early when `cancelled` becomes true.
    pub(crate) fn new(limits: &'a Limits<'a>, cancelled: Option<&'a AtomicBool>) -> Self {
        let first = limits.states_max.min(u64::from(POLL_EVERY)) as u32;
        Meter {
            limits,
            cancelled,
            until_poll: first,
            polled: u64::from(first),
            steps: 0,
            aside: 0,
            reported: 0,
        }
    }

    /// Counts one configuration.
    pub(crate) fn tick(&mut self) -> Result<(), Limit> {
        if self.until_poll == 0 {
            self.poll()?;
        }
        self.until_poll -= 1;
        Ok(())
    }

    /// Counts steps that are much smaller than a configuration, such as comparisons, for the limit on time.
    pub(crate) fn steps(&mut self, steps: u64) -> Result<(), Limit> {
        self.steps += steps;
        if self.steps < STEPS_EVERY {
            return Ok(());
        }
        self.steps = 0;
        self.interrupted()
    }

    /// Whether the search was cancelled or its time is over.
    pub(crate) fn interrupted(&self) -> Result<(), Limit> {
        if self.cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Limit::Cancelled);
        }
        if self.limits.time.as_ref().is_some_and(|time| (time.expired)()) {
            return Err(Limit::Time);
        }
        Ok(())
    }

    /// The number of configurations left.
    pub(crate) fn left(&self) -> u64 {
        self.limits.states_max.saturating_sub(self.states())
    }

    /// The number of bytes that the search may hold.
    pub(crate) fn memory_bytes_max(&self) -> usize {
        self.limits.memory_bytes_max.saturating_sub(self.aside)
    }

    /// Fails if the search may not hold this many bytes.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), Limit> {
        if bytes > self.memory_bytes_max() { Err(Limit::Memory) } else { Ok(()) }
    }

    /// Reserves the bytes of another search that waits for this one; 0 when that search continues.
    pub(crate) fn set_aside(&mut self, bytes: usize) {
        self.aside = bytes;
    }

    /// Configurations counted so far.
    pub(crate) fn states(&self) -> u64 {
        self.polled - u64::from(self.until_poll)
    }

    /// Adds the configurations since the last call to [`Progress`].
    fn report(&mut self) {
        if let Some(progress) = self.limits.progress {
            let states = self.states();
            progress.states.fetch_add(states - self.reported, Ordering::Relaxed);
            self.reported = states;
        }
    }

    /// Tests every limit and allows the next batch of configurations.
    #[cold]
    fn poll(&mut self) -> Result<(), Limit> {
        self.report();
        self.interrupted()?;
        let left = self.limits.states_max.saturating_sub(self.polled);
        if left == 0 {
            return Err(Limit::States);
        }
        self.until_poll = left.min(u64::from(POLL_EVERY)) as u32;
        self.polled += u64::from(self.until_poll);
        Ok(())
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        self.report();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_on_states_is_exact() {
        let limits = Limits { states_max: 2500, ..Limits::default() };
        let mut meter = Meter::new(&limits, None);
        for _ in 0..2500 {
            meter.tick().unwrap();
        }
        assert_eq!(meter.tick(), Err(Limit::States));
        assert_eq!(meter.states(), 2500);
    }

    #[test]
    fn memory_of_a_waiting_search_counts() {
        let limits = Limits { memory_bytes_max: 100, ..Limits::default() };
        let mut meter = Meter::new(&limits, None);
        meter.set_aside(60);
        assert_eq!(
            (meter.memory_bytes_max(), meter.hold(40), meter.hold(41)),
            (40, Ok(()), Err(Limit::Memory))
        );
        meter.set_aside(0);
        assert_eq!(meter.hold(100), Ok(()));
    }

    #[test]
    fn progress_counts_every_configuration_in_the_end() {
        let progress = Progress::default();
        let limits = Limits { progress: Some(&progress), ..Limits::default() };
        let mut meter = Meter::new(&limits, None);
        (0..2500).for_each(|_| meter.tick().unwrap());
        assert_eq!(progress.states.load(Ordering::Relaxed), 2048, "as of the last look at the limits");
        drop(meter);
        assert_eq!(progress.states.load(Ordering::Relaxed), 2500);
    }

    #[test]
    fn time_and_cancellation_are_polled() {
        let expired = || true;
        let limits =
            Limits { time: Some(TimeLimit { label: "1 s".into(), expired: &expired }), ..Limits::default() };
        let mut meter = Meter::new(&limits, None);
        let stopped = (0..5000).find_map(|_| meter.tick().err());
        assert_eq!(stopped, Some(Limit::Time));
        assert_eq!(limits.in_words()[0], "time limit of 1 s");

        let (limits, flag) = (Limits::default(), AtomicBool::new(true));
        let mut meter = Meter::new(&limits, Some(&flag));
        assert_eq!((0..5000).find_map(|_| meter.tick().err()), Some(Limit::Cancelled));
    }
}
