//! The limits of a check, as flags, and a check within them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tribunal_checker::check::{Options, Unfit, check_from};
use tribunal_checker::history::History;
use tribunal_checker::limits::{Limits, TimeLimit};
use tribunal_checker::model::Initial;
use tribunal_checker::verdict::{Undecided, Verdict};
use tribunal_reports::judgement::CheckCost;

use crate::cli::{parse_duration, parse_size};

/// What a check may cost. A limit that is reached gives `unknown`, never a wrong answer.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct LimitArgs {
    /// How long the check may take
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) check_time_limit: Duration,

    /// How much memory the check of one key may hold
    #[arg(long, default_value = "2GiB", value_name = "SIZE", value_parser = parse_size)]
    pub(crate) check_memory_limit: usize,

    /// How many configurations the check of one key may explore
    #[arg(long, default_value_t = 1_000_000_000, value_name = "N")]
    pub(crate) check_states_limit: u64,
}

/// Set by Ctrl-C while a run is checked: the check gives up, and says how far it came.
pub(crate) static GIVE_UP: AtomicBool = AtomicBool::new(false);

impl LimitArgs {
    /// Checks a history by a model, which may start with some value, within the limits and otherwise as `how` says; tells
    /// what that took.
    ///
    /// # Errors
    /// When an operation has no meaning to the model.
    pub(crate) fn check(
        &self,
        history: &History,
        initial: &Initial,
        how: Options<'_>,
    ) -> Result<(Verdict, CheckCost), Unfit> {
        let start = Instant::now();
        let progress = how.limits.progress;
        let expired = || start.elapsed() >= self.check_time_limit || GIVE_UP.load(Ordering::Relaxed);
        let limits = Limits {
            states_max: self.check_states_limit,
            memory_bytes_max: self.check_memory_limit,
            time: Some(TimeLimit {
                label: humantime::format_duration(self.check_time_limit).to_string(),
                expired: &expired,
            }),
            progress,
        };
        let mut verdict = check_from(history, initial, &Options { limits, ..how })?;
        if GIVE_UP.load(Ordering::Relaxed) {
            // To the checker, time was up.
            let time_is_up = |stop: &&mut Undecided| stop.flag == "--check-time-limit";
            for stop in verdict.parts.iter_mut().filter_map(|part| part.undecided.as_mut()).filter(time_is_up)
            {
                *stop = Undecided { limit: "interrupted".into(), flag: String::new(), ..*stop };
            }
        }
        let took_ms = start.elapsed().as_millis() as u64;
        Ok((verdict, CheckCost { took_ms, memory_peak_bytes: memory("VmHWM:") }))
    }
}

/// The resident memory of this process in bytes: `VmRSS:` now, `VmHWM:` at its peak; 0 where the kernel will not say.
pub(crate) fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let figure = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"));
    figure.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
