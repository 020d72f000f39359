//! Lines on standard error, for people: the time of day (UTC) and what happened.

use std::fmt;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes one line. Nothing is done about an error: there is nowhere to report it.
pub(crate) fn log(line: fmt::Arguments<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (now.as_secs() % 86_400, now.subsec_millis());
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // In one piece, as others may write there, too; and not with eprintln!, which panics when nobody reads.
    let line = format!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03} {line}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}
