//! Unmounts file systems, whichever process mounted them, and in whatever state they are.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

/// Unmounts what is mounted at `path`. A busy mount is detached: it disappears from the tree at once, and
/// from the kernel with its last user. `Ok` if nothing is mounted there.
///
/// # Errors
/// When the kernel refuses, and so does `fusermount3`, which may unmount a user's own FUSE without root.
pub fn unmount(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(Errno::EPERM) => command("fusermount3", &["-u".as_ref(), "-z".as_ref(), path]),
        Err(_) => Ok(umount2(path, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH)?),
    }
}

/// Runs a program to its end.
///
/// # Errors
/// What the program printed to stderr.
pub(super) fn command(program: &str, args: &[&Path]) -> io::Result<()> {
    let ended = Command::new(program).args(args).stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    match ended.status.success() {
        true => Ok(()),
        false => {
            Err(io::Error::other(format!("{program}: {}", String::from_utf8_lossy(&ended.stderr).trim())))
        }
    }
}
