//! The second way to lose power: a real ext4 in a file, on a loop device. Needs root.
//!
//! `EXT4_IOC_SHUTDOWN` with "no log flush" makes the file system stop where it stands: what is not in its journal by
//! then, and what the kernel still held in memory, is lost; mounting it again replays the journal, as after a real power
//! failure. It is the yardstick for our own disk: slower, not seeded, and with no troubles besides.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::loop_device;
use super::mount::{command, unmount};

/// Bytes of the file system; its file is sparse.
const BYTES: u64 = 512 << 20;

mod ioctl {
    nix::ioctl_read!(
        /// EXT4_IOC_SHUTDOWN, `_IOR('X', 125, __u32)` (fs/ext4/ext4.h).
        shutdown, b'X', 125, u32
    );
}
/// EXT4_GOING_FLAGS_NOLOGFLUSH: not even the journal is written out.
const NO_LOG_FLUSH: u32 = 2;

/// A disk of its own for a node: an image, and where it is mounted.
#[derive(Debug)]
pub struct Ext4 {
    image: PathBuf,
    at: PathBuf,
}

impl Ext4 {
    /// Makes the image of an empty file system; mounts nothing yet. Blocks.
    ///
    /// # Errors
    /// When the file cannot be made, or `mkfs.ext4` (Debian package e2fsprogs) is not there.
    pub fn create(image: &Path, at: &Path) -> io::Result<Self> {
        File::create_new(image)?.set_len(BYTES)?;
        command("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), "-E".as_ref(), "nodiscard".as_ref(), image])?;
        Ok(Ext4 { image: image.to_owned(), at: at.to_owned() })
    }

    /// Mounts it. The loop device goes away by itself with the mount. Blocks.
    ///
    /// We mount it ourselves and do not ask `mount` to: killed in the middle, we leave the mount or nothing, and whoever
    /// guards the run sees which of them when we are gone.
    ///
    /// # Errors
    /// Without root, or where the kernel has no loop devices.
    pub fn mount(&self) -> io::Result<()> {
        let (path, _device) = loop_device::attach(&self.image)?;
        mount(Some(&path), &self.at, Some("ext4"), MsFlags::MS_NOATIME, None::<&str>)
            .map_err(|error| io::Error::other(format!("cannot mount an ext4 on {}: {error}", path.display())))
    }

    /// Unmounts it. Blocks.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn unmount(&self) -> io::Result<()> {
        unmount(&self.at)
    }

    /// The power is off: nothing is stored any more.
    ///
    /// # Errors
    /// When the file system cannot be shut down.
    pub fn darken(&self) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let root = File::open(&self.at)?;
        let mut how = NO_LOG_FLUSH;
        // SAFETY: the descriptor is open while the call lasts, and the kernel reads one u32 through the pointer.
        unsafe { ioctl::shutdown(root.as_raw_fd(), &mut how) }?;
        Ok(())
    }

    /// The power comes back: the journal is replayed. Nobody may use the disk any more. Blocks.
    ///
    /// # Errors
    /// When it is still in use, or cannot be mounted again.
    pub fn revive(&self) -> io::Result<()> {
        // Not merely detached: a file system that is still in use would be mounted twice.
        umount2(&self.at, MntFlags::UMOUNT_NOFOLLOW)?;
        self.mount()
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        let _ = self.unmount();
        let _ = std::fs::remove_file(&self.image);
    }
}
