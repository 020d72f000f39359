//! Taking mounts and loop devices away, whoever made them and in whatever state they are.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

/// Unmounts what is mounted at `path`. What is busy is detached: gone from the tree now, and from the kernel with its
/// last user. `Ok` if nothing is mounted there.
///
/// # Errors
/// When the kernel refuses, and `fusermount3`, which may unmount a user's own FUSE without root, does so too.
pub fn unmount(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(Errno::EPERM) => command("fusermount3", &["-u".as_ref(), "-z".as_ref(), path]),
        Err(_) => Ok(umount2(path, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH)?),
    }
}

/// Detaches a loop device from its file, at once or with its last user.
///
/// # Errors
/// When `losetup` cannot be run or refuses.
pub fn detach_loop(device: &Path) -> io::Result<()> {
    command("losetup", &["-d".as_ref(), device])
}

/// Runs a program to its end. The error is its last words.
pub(crate) fn command(program: &str, args: &[&Path]) -> io::Result<()> {
    output(program, args).map(drop)
}

/// As [`command`], with what the program printed.
pub(crate) fn output(program: &str, args: &[&Path]) -> io::Result<String> {
    let ended = Command::new(program).args(args).stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    match ended.status.success() {
        true => Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned()),
        false => {
            let words = String::from_utf8_lossy(&ended.stderr);
            Err(io::Error::other(format!("{program}: {}", words.trim())))
        }
    }
}
