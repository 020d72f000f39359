//! This very program, which is also the guard, the nodes of the built-in systems, and every run of a matrix.
//!
//! Its file may be replaced while it runs: whoever builds again does that. What is started must be what runs already, so it is
//! started by the kernel's own link to that, `/proc/self/exe`, which no new file at the old path changes.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};

static PATH: OnceLock<PathBuf> = OnceLock::new();

/// Where its file was when this was first asked: its name for people.
///
/// # Errors
/// Without `/proc`.
pub(crate) fn path() -> Result<&'static Path> {
    if let Some(path) = PATH.get() {
        return Ok(path);
    }
    let path = std::env::current_exe().context("cannot find the tribunal executable (is /proc mounted?)")?;
    Ok(PATH.get_or_init(|| path))
}

/// A command that starts it.
///
/// # Errors
/// Those of [`path`].
pub(crate) fn command() -> Result<Command> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(path()?);
    Ok(command)
}

/// Gives this process its name, which the kernel takes from `/proc/self/exe` otherwise.
pub(crate) fn take_name() {
    let _ = nix::sys::prctl::set_name(c"tribunal");
}
