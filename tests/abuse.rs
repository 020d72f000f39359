//! Malicious files, faulty servers and overloaded machines: each case ends as documented, and nothing is left
//! behind.

mod daemons;
mod evidence;
mod files;
mod guard;
mod interrupts;
mod outcomes;
mod outputs;
mod ports;
mod replaced;
mod replays;
mod serving;
mod sizes;
mod terminal;
mod ulimits;
mod unearned;

use std::process::Command;
use std::time::{Duration, Instant};

use crate::program::Ended;

/// Runs a command that must end by itself. Its output must fit into a pipe.
pub(crate) fn ends(command: &mut Command) -> Ended {
    const TIMEOUT: Duration = Duration::from_secs(60);
    let mut child = command.spawn().expect("it starts");
    let start = Instant::now();
    while child.try_wait().expect("it is our child").is_none() {
        if start.elapsed() > TIMEOUT {
            let _ = child.kill();
            panic!("it hangs: {command:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ended::of(child.wait_with_output().expect("it has ended"))
}
