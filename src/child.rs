//! A trial in a child process, so that a crash does not affect other trials.
//!
//! The child runs `tribunal run` with the same arguments that a user would type. The terminal's Ctrl-C does
//! not reach it directly: the parent forwards it once. If the parent is killed, the child ends its run in
//! order.

use std::ffi::OsString;
use std::io;

use anyhow::Result;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};
use tokio::process::{Child, Command};
use tribunal::{TrialSpec, executable};

/// The command that runs a trial; `shown` are the flags for its output. The thread that starts it must live
/// until the parent ends (PDEATHSIG follows the thread).
///
/// # Errors
/// When the program's executable cannot be found.
pub(crate) fn command(spec: &TrialSpec, shown: impl IntoIterator<Item = OsString>) -> Result<Command> {
    // The spec is complete: a tribunal.toml has been read by the parent, if it is to be read.
    let words = spec.clone().with(|spec| spec.no_config = true).words();
    let mut command = Command::from(executable::command(words.into_iter().chain(shown))?);
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

/// Sends a signal to a child, which may have exited already.
pub(crate) fn signal(pid: Option<Pid>, signal: Signal) {
    let _ = pid.map(|pid| kill(pid, signal));
}

/// The pid of a child that has not been waited for.
pub(crate) fn pid(child: &Child) -> Option<Pid> {
    child.id().map(|pid| Pid::from_raw(pid.cast_signed()))
}
