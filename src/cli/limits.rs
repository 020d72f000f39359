//! The limits of a check, as flags.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tribunal::limits::CheckLimits;
use tribunal_records::Size;
use tribunal_records::quantity::{duration, parse_duration};

/// What a check may cost. A limit that is reached gives `unknown`, never a wrong answer.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LimitArgs {
    /// How long the check may take
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = parse_duration)]
    #[serde(with = "duration")]
    pub(crate) check_time_limit: Duration,

    /// How much memory the check of one key may hold
    #[arg(long, default_value = "2GiB", value_name = "SIZE")]
    pub(crate) check_memory_limit: Size,

    /// How many configurations the check of one key may explore
    #[arg(long, default_value_t = 1_000_000_000, value_name = "N")]
    pub(crate) check_states_limit: u64,
}

impl LimitArgs {
    /// The limits given by the flags.
    pub(crate) fn limits(&self) -> CheckLimits {
        CheckLimits {
            time: self.check_time_limit,
            memory_bytes: self.check_memory_limit.0,
            states: self.check_states_limit,
        }
    }
}
