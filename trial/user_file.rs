//! Files named by the user: opened without blocking, read up to a maximum size, written atomically.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::makedev;
use tribunal_reports::files::{self, Durable, Output};

/// From now on, a write beyond the file size limit returns an error (EFBIG) instead of raising SIGXFSZ.
pub fn ignore_file_size_signal() {
    // SAFETY: ignoring a signal runs no handler.
    let _ = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
}

/// Opens a file named by the user, without blocking: a regular file, `/dev/null`, or a descriptor that this
/// process inherited (`/dev/stdin`, or `/dev/fd/63`, which a shell makes of `<(...)`).
///
/// # Errors
/// When it cannot be opened, or is anything else: a pipe that may never be written to, a device that may
/// never end.
pub fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let meta = file.metadata()?;
    let is_null = meta.file_type().is_char_device() && meta.rdev() == makedev(1, 3);
    if meta.is_file() || is_null || is_open_descriptor(path) {
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

/// Reads the text of such a file.
///
/// # Errors
/// As [`open`]; also when it is not UTF-8, or longer than [`files::BYTES_MAX`].
pub fn read_text(path: &Path) -> io::Result<String> {
    let bytes = files::read_bounded(open(path)?, files::BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Whether a path refers to an open descriptor of this process.
fn is_open_descriptor(path: &Path) -> bool {
    let Ok(ours) = fs::canonicalize("/proc/self/fd") else { return false };
    let mut path = path.to_path_buf();
    // /dev/stdin is a link to /proc/self/fd/0, which may be a link without a target in the file system.
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

/// Refuses an output that is one of the inputs: writing it would destroy the evidence. Links count as the file that
/// they lead to; devices and pipes may be both.
///
/// # Errors
/// Names the input.
pub fn ensure_not_read<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> io::Result<()> {
    let file =
        |path: &Path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|it| (it.dev(), it.ino()));
    let Some(written) = file(output) else { return Ok(()) };
    match inputs.into_iter().find(|input| file(input) == Some(written)) {
        Some(input) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` is the input: name another file", input.display()),
        )),
        None => Ok(()),
    }
}

/// Writes a file named by the user, atomically.
///
/// # Errors
/// When it cannot be written.
pub fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut output = Output::named(file)?;
    output.write_all(text.as_bytes())?;
    output.finish(Durable::No)
}
