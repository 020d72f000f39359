//! What strangers' files, bad servers and hard machines do to a judge: each ends as the documentation says, and nothing is left.

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

/// Runs a command to its end, which must come by itself. What it prints must fit into a pipe.
pub(crate) fn ends(command: &mut Command) -> Ended {
    const PATIENCE: Duration = Duration::from_secs(60);
    let mut child = command.spawn().expect("it starts");
    let start = Instant::now();
    while child.try_wait().expect("it is our child").is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("it hangs: {command:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ended::of(child.wait_with_output().expect("it has ended"))
}
