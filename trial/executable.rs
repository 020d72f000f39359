//! The program's own executable, which is also the guard and the nodes of the built-in systems.
//!
//! The executable may be replaced during a run, for example by a new build. A process that Tribunal starts
//! must run the same code as the controller, so it is started from `/proc/self/exe`, which still refers to
//! the old file.
//!
//! The `tribunal` binary takes `guard` and `node ...` as arguments. Any other program that runs trials, such
//! as a test, is started again with these arguments in the environment (`TRIBUNAL_CHILD`), and must call [`serve`]
//! before anything else. A test binary can run nothing but tests, so one of its tests must call `serve`: the
//! test named [`TEST`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::cluster::guard;

/// Environment variable with the arguments, each ended by a newline, for a program without our command line.
const CHILD: &str = "TRIBUNAL_CHILD";

/// Name of the test that serves, in a test binary: `#[test] fn tribunal_child() {
/// tribunal::executable::serve() }`.
pub const TEST: &str = "tribunal_child";

static PATH: OnceLock<PathBuf> = OnceLock::new();

/// Whether the arguments may be given on the command line.
static IS_TRIBUNAL: AtomicBool = AtomicBool::new(false);

/// Path of the executable when this was first called; for display only.
///
/// # Errors
/// When `/proc` is not available.
pub fn path() -> Result<&'static Path> {
    if let Some(path) = PATH.get() {
        return Ok(path);
    }
    let path = std::env::current_exe().context("cannot find the tribunal executable (is /proc mounted?)")?;
    Ok(PATH.get_or_init(|| path))
}

/// A command that starts the executable with these arguments.
///
/// # Errors
/// Those of [`path`].
pub fn command<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Result<Command> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(path()?);
    if IS_TRIBUNAL.load(Ordering::Relaxed) {
        command.args(words);
    } else {
        let ended = |word: W| [word.as_ref().as_bytes(), b"\n"].concat();
        let words: Vec<u8> = words.into_iter().flat_map(ended).collect();
        command.args([TEST, "--nocapture", "--test-threads=1"]).env(CHILD, OsString::from_vec(words));
    }
    Ok(command)
}

/// Declares that this process is the `tribunal` binary, whose command line takes the arguments. Also sets the
/// process name, which the kernel would otherwise take from `/proc/self/exe`.
pub fn declare_main_program() {
    IS_TRIBUNAL.store(true, Ordering::Relaxed);
    let _ = nix::sys::prctl::set_name(c"tribunal");
}

/// If a trial has started this process as its guard or as a node: serves as that, and ends the process.
/// Otherwise returns at once.
pub fn serve() {
    let Some(words) = std::env::var_os(CHILD) else { return };
    let words = words.as_bytes().strip_suffix(b"\n").unwrap_or(words.as_bytes());
    let words: Vec<OsString> =
        words.split(|byte| *byte == b'\n').map(|word| OsStr::from_bytes(word).into()).collect();
    let code = match words.first().and_then(|word| word.to_str()) {
        Some("guard") => {
            guard::serve();
            0
        }
        #[cfg(feature = "box")]
        Some("guest") => {
            crate::serve_guest();
            0
        }
        _ => tribunal_nodes::run(&words[1.min(words.len())..]),
    };
    std::process::exit(code.into())
}
