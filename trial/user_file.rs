//! Files that the user names: opened without ever waiting, read up to a size, written whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::makedev;
use tribunal_reports::files::{self, Durable, Output};

/// From now on a file that may grow no further gives an error (EFBIG) to who writes it, and no SIGXFSZ.
pub fn survive_full_files() {
    // SAFETY: to ignore a signal runs no code of ours.
    let _ = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
}

/// Opens a file that the user names, without ever waiting: a regular file, `/dev/null`, or what the user has opened for us
/// already, whatever that is (`/dev/stdin`, and `/dev/fd/63`, which is what a shell makes of `<(...)`).
///
/// # Errors
/// When it cannot be opened, or is anything else: a pipe that nobody may ever write to, a device that may never end.
pub fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let meta = file.metadata()?;
    let is_null = meta.file_type().is_char_device() && meta.rdev() == makedev(1, 3);
    if meta.is_file() || is_null || is_ours(path) {
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
        return Ok(file);
    }
    let what = match meta.file_type() {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a named pipe: `- < PIPE` reads one",
        _ => "a device: `- < DEVICE` reads one",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("expected a file, found {what}")))
}

/// The text in such a file.
///
/// # Errors
/// As [`open`], and when it is not UTF-8, or longer than [`files::BYTES_MAX`].
pub fn read_text(path: &Path) -> io::Result<String> {
    let bytes = files::read_bounded(open(path)?, files::BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Whether a path leads to a file that this process has open.
fn is_ours(path: &Path) -> bool {
    let Ok(ours) = fs::canonicalize("/proc/self/fd") else { return false };
    let mut path = path.to_path_buf();
    // /dev/stdin is a link to /proc/self/fd/0, which looks like a link to something that need not have a name.
    for _ in 0..8 {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Ok(dir) = dir.canonicalize() else { return false };
        if dir == ours {
            return true;
        }
        let Ok(target) = fs::read_link(&path) else { return false };
        path = dir.join(target);
    }
    false
}

/// Writes a file that the user names, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut output = Output::named(file)?;
    output.write_all(text.as_bytes())?;
    output.finish(Durable::No)
}
