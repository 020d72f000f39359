//! Lines on standard error, for people: the time of day (UTC) and what happened.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes one line. Nothing is done about an error: there is nowhere to report it.
pub(crate) fn log(line: fmt::Arguments<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (now.as_secs() % 86_400, now.subsec_millis());
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    eprintln!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03} {line}");
}
