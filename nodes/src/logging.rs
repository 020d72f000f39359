//! Lines on standard error for people: the time of day (UTC) and the event.

use std::fmt;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes one line. Errors are ignored: there is nowhere to report them.
pub(crate) fn log(line: fmt::Arguments<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (now.as_secs() % 86_400, now.subsec_millis());
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // One write per line, because other processes may write there, too. Not eprintln!, which panics if
    // standard error is closed.
    let line = format!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03} {line}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}
