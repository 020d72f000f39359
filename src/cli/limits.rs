//! The limits of a check, as flags.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tribunal::limits::CheckLimits;
use tribunal_records::Size;
use tribunal_records::quantity::{duration, parse_duration, parse_within};

/// What a check may cost. A limit that is reached gives `unknown`, never a wrong answer.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LimitArgs {
    /// Time limit of the check
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, help_heading = "Check", hide_short_help = true)]
    #[serde(with = "duration")]
    check_time_limit: Duration,

    /// Memory limit of the check, per key
    #[arg(
        long,
        default_value = "2GiB",
        value_name = "SIZE",
        allow_hyphen_values = true,
        help_heading = "Check",
        hide_short_help = true
    )]
    check_memory_limit: Size,

    /// Maximum number of configurations that the check explores, per key
    #[arg(long, default_value_t = 1_000_000_000, value_name = "N", value_parser = parse_states, allow_hyphen_values = true, help_heading = "Check", hide_short_help = true)]
    check_states_limit: u64,
}

fn parse_states(text: &str) -> Result<u64, String> {
    parse_within(text, &(0..=u64::MAX))
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
