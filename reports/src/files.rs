//! Files of run directories, which may contain anything: how they are read and how they are replaced.
//!
//! *Reading:* anything but a regular file is refused before it can block. Opening a pipe would wait for its
//! writer, and a device may never end.
//!
//! *Writing:* a file is written under a temporary name, which must not exist, and then renamed. So no reader
//! sees a partial file, and a symbolic link in its place is replaced, never followed. A link in place of a
//! directory is an error.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, fcntl, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Opens a regular file for reading. Never blocks.
///
/// # Errors
/// When it cannot be opened, or is not a regular file: a directory, a pipe, a device.
pub fn open(path: &Path) -> io::Result<File> {
    // Without this flag, opening a pipe without a writer would block; a regular file ignores the flag.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "expected a regular file")),
    }
}

/// The size limit of a file that is read into memory. Memory is finite, and a file may have been replaced by
/// anything.
pub const BYTES_MAX: u64 = 256 << 20;

/// The content of a regular file.
///
/// # Errors
/// As [`open`], and when it cannot be read, or is longer than [`BYTES_MAX`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    match file.metadata()?.len() <= BYTES_MAX {
        true => read_bounded(file, BYTES_MAX),
        false => Err(too_long(BYTES_MAX)),
    }
}

/// Reads to the end, from any source.
///
/// # Errors
/// When it cannot be read, or is longer than `bytes_max` bytes.
pub fn read_bounded(from: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 <= bytes_max { Ok(bytes) } else { Err(too_long(bytes_max)) }
}

fn too_long(bytes_max: u64) -> io::Error {
    let why = format!("it is longer than {} MiB, the maximum for such a file", bytes_max >> 20);
    io::Error::new(ErrorKind::FileTooLarge, why)
}

/// Whether a written file must survive a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// It is on disk when the write returns.
    Yes,
    /// The operating system writes it later.
    No,
}

/// Writes the file `name`, a path below the directory `dir`, atomically. Creates the directories in between.
///
/// # Errors
/// When it cannot be written, or a directory in between is a symbolic link.
pub fn replace(dir: &Path, name: &str, bytes: &[u8], durable: Durable) -> io::Result<()> {
    let mut output = Output::below(dir, Path::new(name))?;
    output.write_all(bytes)?;
    output.finish(durable)
}

/// A file being written. If it is dropped before it is [finished](Output::finish), nothing changes.
#[derive(Debug)]
pub struct Output {
    file: File,
    /// `None` if the file is written in place.
    pending: Option<Pending>,
}

/// A temporary file that will be renamed.
#[derive(Debug)]
struct Pending {
    dir: OwnedFd,
    fresh: String,
    name: OsString,
}

impl Output {
    /// Begins the file `name`, a path below the directory `dir`. Creates the directories in between.
    ///
    /// # Errors
    /// When it cannot be created, or a directory in between is a symbolic link.
    pub fn below(dir: &Path, name: &Path) -> io::Result<Self> {
        let file = name.file_name().ok_or(ErrorKind::InvalidInput)?;
        let mut at = openat(AT_FDCWD, dir, DIRECTORY, Mode::empty())?;
        for part in name.parent().into_iter().flat_map(Path::components) {
            let Component::Normal(part) = part else { return Err(ErrorKind::InvalidInput.into()) };
            match mkdirat(&at, part, Mode::from_bits_truncate(0o777)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
            at = openat(&at, part, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())?;
        }
        Self::in_place_of(at, file)
    }

    /// Begins a file named by the user. Anything but a regular file (a device, a pipe, `/dev/stdout`) is
    /// written in place, and so is a regular file that cannot be replaced (for example in a read-only
    /// directory).
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn named(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) || is_of_the_system(dir) {
            return Self::in_place(path, OFlag::empty());
        }
        let replaced = openat(AT_FDCWD, dir, DIRECTORY, Mode::empty()).map_err(io::Error::from);
        replaced.and_then(|dir| Self::in_place_of(dir, name)).or_else(|error| {
            match fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()) {
                true => Self::in_place(path, OFlag::O_NOFOLLOW),
                false => Err(error),
            }
        })
    }

    fn in_place(path: &Path, how: OFlag) -> io::Result<Self> {
        // A pipe without a reader is an error and does not block.
        let how = how | OFlag::O_NONBLOCK;
        let file = File::options().write(true).truncate(true).custom_flags(how.bits()).open(path)?;
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
        Ok(Output { file, pending: None })
    }

    fn in_place_of(dir: OwnedFd, name: &OsStr) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let fresh =
                format!(".tribunal-{}-{}.partial", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let how = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            match openat(&dir, fresh.as_str(), how, Mode::from_bits_truncate(0o666)) {
                Ok(file) => {
                    let pending = Some(Pending { dir, fresh, name: name.to_owned() });
                    return Ok(Output { file: file.into(), pending });
                }
                // Left by a killed process with the same ID.
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Completes the file and renames it.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn finish(mut self, durable: Durable) -> io::Result<()> {
        if durable == Durable::Yes {
            self.file.sync_data()?;
        }
        if let Some(Pending { dir, fresh, name }) = &self.pending {
            renameat(dir, fresh.as_str(), dir, name.as_os_str())?;
        }
        self.pending = None;
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(Pending { dir, fresh, .. }) = &self.pending {
            let _ = unlinkat(dir, fresh.as_str(), UnlinkatFlags::NoRemoveDir); // the first error matters
        }
    }
}

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC);

/// Whether the links in a directory belong to the system, as `/dev/stdout` and `/proc/self/fd/1` do.
fn is_of_the_system(dir: &Path) -> bool {
    dir.canonicalize().is_ok_and(|dir| dir == Path::new("/dev") || dir.starts_with("/proc"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A secret outside, and a run directory that contains links to it.
    fn home() -> (tempfile::TempDir, std::path::PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("run");
        fs::create_dir(&dir).unwrap();
        fs::write(home.path().join("secret"), "secret").unwrap();
        (home, dir)
    }

    #[test]
    fn what_has_no_end_is_an_error_and_no_exhaustion() {
        let why = read_bounded(io::repeat(b'x'), 1 << 20).unwrap_err().to_string();
        assert_eq!(why, "it is longer than 1 MiB, the maximum for such a file");
        assert_eq!(read_bounded(&b"1234"[..], 4).unwrap(), b"1234");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("verdict.json");
        File::create(&path).unwrap().set_len(2 << 30).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_link_in_place_of_a_file_is_replaced() {
        let (home, dir) = home();
        for name in ["report.html", "report.html.partial"] {
            symlink(home.path().join("secret"), dir.join(name)).unwrap();
        }
        replace(&dir, "report.html", b"page", Durable::No).unwrap();
        symlink(home.path().join("secret"), dir.join("named")).unwrap();
        let mut named = Output::named(&dir.join("named")).unwrap();
        named.write_all(b"text").unwrap();
        named.finish(Durable::Yes).unwrap();
        assert_eq!(fs::read(home.path().join("secret")).unwrap(), b"secret");
        assert_eq!(fs::read(dir.join("report.html")).unwrap(), b"page");
        assert_eq!(fs::read(dir.join("named")).unwrap(), b"text");
        assert_eq!(names(&dir), ["named", "report.html", "report.html.partial"]);
    }

    #[test]
    fn a_link_in_place_of_a_directory_is_an_error() {
        let (home, dir) = home();
        symlink(home.path(), dir.join("plots")).unwrap();
        assert!(replace(&dir, "plots/secret", b"plot", Durable::No).is_err());
        assert!(replace(&dir, "../secret", b"plot", Durable::No).is_err());
        assert_eq!(fs::read(home.path().join("secret")).unwrap(), b"secret");
        replace(&dir, "more/plots/rate.svg", b"plot", Durable::No).unwrap();
        assert_eq!(fs::read(dir.join("more/plots/rate.svg")).unwrap(), b"plot");
    }

    #[test]
    fn what_is_not_finished_leaves_all_as_it_was() {
        let (_home, dir) = home();
        replace(&dir, "a", b"old", Durable::No).unwrap();
        Output::named(&dir.join("a")).unwrap().write_all(b"new").unwrap();
        assert_eq!((names(&dir), fs::read(dir.join("a")).unwrap()), (vec!["a".into()], b"old".to_vec()));
    }

    #[test]
    fn devices_and_pipes_are_written_to_and_never_waited_for() {
        let (_home, dir) = home();
        Output::named(Path::new("/dev/null")).unwrap().write_all(b"text").unwrap();
        let pipe = dir.join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        assert!(Output::named(&pipe).is_err(), "nobody reads it");
        let reader = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&pipe).unwrap();
        let mut output = Output::named(&pipe).unwrap();
        output.write_all(b"text").unwrap();
        output.finish(Durable::No).unwrap();
        assert_eq!(io::read_to_string(reader).unwrap(), "text");
    }

    #[test]
    fn only_regular_files_are_read() {
        let (_home, dir) = home();
        nix::unistd::mkfifo(&dir.join("pipe"), Mode::S_IRWXU).unwrap();
        symlink("/dev/zero", dir.join("zero")).unwrap();
        for name in ["pipe", "zero", "."] {
            assert_eq!(read(&dir.join(name)).unwrap_err().to_string(), "expected a regular file", "{name}");
        }
        assert_eq!(read(&dir.join("../secret")).unwrap(), b"secret");
    }
}
