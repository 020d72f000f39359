//! A child process for tests to act on.

use std::process::{Child, Command};

/// A process that sleeps, and is killed when this is dropped.
pub(crate) struct Sleeper(Child);

impl Sleeper {
    pub(crate) fn start() -> (Sleeper, i32) {
        let child = Command::new("sleep").arg("600").spawn().expect("coreutils");
        let pid = child.id() as i32;
        (Sleeper(child), pid)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
