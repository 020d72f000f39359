//! Opens a page in the user's browser, if there is one.

use std::env;
use std::process::{Command, Stdio};
use std::thread;

/// Opens an address; returns whether a browser was started. On a machine without a display there is none,
/// unless `BROWSER` names one.
pub(crate) fn open(address: &str) -> bool {
    let display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some());
    let named = env::var("BROWSER").ok().filter(|named| !named.is_empty());
    let programs = match named {
        Some(named) => named.split(':').map(str::to_string).collect(),
        None if display => vec!["xdg-open".to_string()],
        None => Vec::new(),
    };
    programs.iter().any(|program| start(program, address))
}

fn start(program: &str, address: &str) -> bool {
    let quiet = || Stdio::null();
    let started = Command::new(program).arg(address).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    // Waited for, so that it does not remain as a zombie of a server that runs for days.
    started.map(|mut browser| drop(thread::spawn(move || browser.wait()))).is_ok()
}
