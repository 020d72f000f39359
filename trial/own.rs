//! This very program, which is also the guard and the nodes of the built-in systems.
//!
//! Its file may be replaced while it runs: whoever builds again does that. What is started must be what runs already, so it is
//! started by the kernel's own link to that, `/proc/self/exe`, which no new file at the old path changes.
//!
//! The command line of `tribunal` takes `guard` and `node ...` as words. Any other program that holds trials, such as a test, is
//! started anew with these words in the environment ([`CHILD`]), and calls [`serve`] before it does anything else. A test binary
//! runs tests only, so that one of its tests has to: the one that is named [`TEST`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::cluster::guard;

/// The environment variable with the words for a program that is no command line, each ended by a line break.
const CHILD: &str = "TRIBUNAL_CHILD";

/// The test that serves, in a binary of tests: `#[test] fn tribunal_child() { tribunal::own::serve() }`.
pub const TEST: &str = "tribunal_child";

static PATH: OnceLock<PathBuf> = OnceLock::new();

/// Whether the words may be given on the command line.
static IS_TRIBUNAL: AtomicBool = AtomicBool::new(false);

/// Where its file was when this was first asked: its name for people.
///
/// # Errors
/// Without `/proc`.
pub fn path() -> Result<&'static Path> {
    if let Some(path) = PATH.get() {
        return Ok(path);
    }
    let path = std::env::current_exe().context("cannot find the tribunal executable (is /proc mounted?)")?;
    Ok(PATH.get_or_init(|| path))
}

/// A command that starts it with these words.
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

/// Says that this process is `tribunal`, whose command line takes the words, and gives it its name, which the kernel takes from
/// `/proc/self/exe` otherwise.
pub fn is_tribunal() {
    IS_TRIBUNAL.store(true, Ordering::Relaxed);
    let _ = nix::sys::prctl::set_name(c"tribunal");
}

/// Serves as the guard or as a node, and ends the process, if a trial has started it for that; returns at once if not.
pub fn serve() {
    let Some(words) = std::env::var_os(CHILD) else { return };
    let words = words.as_bytes().strip_suffix(b"\n").unwrap_or_default();
    let words: Vec<OsString> =
        words.split(|byte| *byte == b'\n').map(|word| OsStr::from_bytes(word).into()).collect();
    let code = match words.first().and_then(|word| word.to_str()) {
        Some("guard") => {
            guard::serve();
            0
        }
        _ => tribunal_nodes::run(&words[1.min(words.len())..]),
    };
    std::process::exit(code.into())
}
