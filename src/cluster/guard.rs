//! The guard: what cleans up when the controller itself is killed with -9.
//!
//! A node asks the kernel to die with its parent (PDEATHSIG), but its own children do not inherit that. So a
//! second process, `tribunal guard`, holds the reading end of a pipe whose writing end only the controller has.
//! Over it the controller says which process groups it started (`+PGID`) and which are gone (`-PGID`). The pipe
//! ends when the controller does, however it ends; what is still on the list is then killed.

use std::collections::BTreeSet;
use std::io::{self, BufRead, PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The controller's side.
pub(crate) struct Guard {
    child: Child,
    /// `None` once told to go.
    line: Mutex<Option<PipeWriter>>,
}

impl Guard {
    /// Starts the guard: this very program again.
    pub(crate) fn start() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let child = Command::new(std::env::current_exe()?)
            .arg("guard")
            .stdin(reader)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Guard { child, line: Mutex::new(Some(writer)) })
    }

    /// A process group that must not outlive the run.
    pub(crate) fn add(&self, group: Pid) {
        self.say('+', group);
    }

    /// A process group that is gone: its number may come to mean somebody else.
    pub(crate) fn remove(&self, group: Pid) {
        self.say('-', group);
    }

    fn say(&self, sign: char, group: Pid) {
        if let Some(line) = self.line.lock().expect("nobody panics while holding it").as_mut() {
            // A guard that is gone cannot be told; PDEATHSIG still covers the nodes themselves.
            let _ = writeln!(line, "{sign}{group}");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        *self.line.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
        let _ = self.child.wait();
    }
}

/// The guard's side: `tribunal guard`, never started by hand.
pub(crate) fn main() -> ExitCode {
    let mut groups = BTreeSet::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        apply(&mut groups, &line);
    }
    for group in groups {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    ExitCode::SUCCESS
}

fn apply(groups: &mut BTreeSet<i32>, line: &str) {
    match (line.get(..1), line.get(1..).and_then(|number| number.parse().ok())) {
        // Group 1 and below would be everybody.
        (Some("+"), Some(group)) if group > 1 => drop(groups.insert(group)),
        (Some("-"), Some(group)) => drop(groups.remove(&group)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_groups_that_are_left() {
        let mut groups = BTreeSet::new();
        for line in ["+40", "+50", "-40", "+-1", "+0", "+x", "", "+60"] {
            apply(&mut groups, line);
        }
        assert_eq!(groups, BTreeSet::from([50, 60]));
    }
}
