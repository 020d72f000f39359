//! Resource limits of a check.

use std::time::{Duration, Instant};

use tribunal_checker::check::{Options, Unfit};
use tribunal_checker::limits::{Limit, Limits, TimeLimit};
use tribunal_checker::verdict::{Undecided, Verdict};
use tribunal_records::TrialSpec;
use tribunal_records::quantity::duration_text;
use tribunal_reports::judgement::CheckCost;

/// Resource limits of a check. If a limit is reached, the verdict is `unknown`, never wrong.
#[derive(Clone, Copy, Debug)]
pub struct CheckLimits {
    /// Time limit.
    pub time: Duration,
    /// Memory limit per key, in bytes.
    pub memory_bytes: usize,
    /// Maximum number of configurations explored per key.
    pub states: u64,
}

impl From<&TrialSpec> for CheckLimits {
    fn from(spec: &TrialSpec) -> Self {
        CheckLimits {
            time: spec.check_time_limit,
            memory_bytes: spec.check_memory_limit.0,
            states: spec.check_states_limit,
        }
    }
}

impl CheckLimits {
    /// Runs a check within these limits, otherwise with the options `how`, until `gives_up` returns true.
    /// Also returns the cost.
    ///
    /// # Errors
    /// Those of the check: an operation has no meaning in the model.
    pub fn check(
        &self,
        how: Options<'_>,
        gives_up: &(dyn Fn() -> bool + Sync),
        check: impl FnOnce(&Options<'_>) -> Result<Verdict, Unfit>,
    ) -> Result<(Verdict, CheckCost), Unfit> {
        let start = Instant::now();
        let progress = how.limits.progress;
        let expired = || start.elapsed() >= self.time || gives_up();
        let limits = Limits {
            states_max: self.states,
            memory_bytes_max: self.memory_bytes,
            time: Some(TimeLimit { label: duration_text(self.time), expired: &expired }),
            progress,
        };
        let mut verdict = check(&Options { limits, ..how })?;
        if gives_up() {
            // The checker reports an interrupt as an expired time limit.
            let time_is_up = |stop: &&mut Undecided| stop.by == Limit::Time;
            for stop in verdict.parts.iter_mut().filter_map(|part| part.undecided.as_mut()).filter(time_is_up)
            {
                *stop = Undecided { limit: "interrupted".into(), by: Limit::Interrupted, ..*stop };
            }
        }
        let took_ms = start.elapsed().as_millis() as u64;
        Ok((verdict, CheckCost { took_ms, memory_peak_bytes: memory("VmHWM:") }))
    }
}

/// Resident memory of this process in bytes: `VmRSS:` now, `VmHWM:` at its peak; 0 if unknown.
pub fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let figure = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"));
    figure.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
