//! A trial in a process of its own, where one that breaks must not take others with it.
//!
//! It is a `tribunal run`, the very command that a user types. It is out of reach of the terminal's Ctrl-C, which reaches it once,
//! through us; and it ends in order when we are killed.

use std::ffi::OsString;
use std::io;

use anyhow::Result;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};
use tokio::process::{Child, Command};
use tribunal::{TrialSpec, own};

/// The command that holds a trial, shown as these flags say. It has to be started on a thread that lives as long as we do.
///
/// # Errors
/// When this program cannot be found.
pub(crate) fn command(spec: &TrialSpec, shown: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut command = Command::from(own::command(spec.words().into_iter().chain(shown))?);
    command.process_group(0).kill_on_drop(true);
    let parent = getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl and getppid.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGTERM)?;
            if getppid() != parent { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        });
    }
    Ok(command)
}

/// Sends a signal to a child. It may have ended by itself.
pub(crate) fn tell(pid: Option<Pid>, signal: Signal) {
    let _ = pid.map(|pid| kill(pid, signal));
}

/// The number of a child that has not been waited for.
pub(crate) fn pid(child: &Child) -> Option<Pid> {
    child.id().map(|pid| Pid::from_raw(pid.cast_signed()))
}
