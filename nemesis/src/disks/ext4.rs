//! The second implementation of power failures: a real ext4 in a file, on a loop device. Needs root.
//!
//! `EXT4_IOC_SHUTDOWN` with "no log flush" stops the file system at once. What is not in its journal by then
//! is lost, and so is what the kernel still holds in memory. Mounting it again replays the journal, as after
//! a real power failure. It is the reference for the lossy disk: slower, without a seed, and without other
//! faults.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::loop_device;
use super::mount::{command, unmount};

/// Size of the file system in bytes; its file is sparse.
const BYTES: u64 = 512 << 20;

mod ioctl {
    nix::ioctl_read!(
        /// EXT4_IOC_SHUTDOWN, `_IOR('X', 125, __u32)` (fs/ext4/ext4.h).
        shutdown, b'X', 125, u32
    );
}
/// EXT4_GOING_FLAGS_NOLOGFLUSH: not even the journal is written out.
const NO_LOG_FLUSH: u32 = 2;

/// The image of a node's disk, and its mount point.
#[derive(Debug)]
pub struct Ext4 {
    image: PathBuf,
    at: PathBuf,
}

impl Ext4 {
    /// Creates the image of an empty file system, without mounting it. Blocks.
    ///
    /// # Errors
    /// When the file cannot be created, or `mkfs.ext4` (Debian package e2fsprogs) is missing.
    pub fn create(image: &Path, at: &Path) -> io::Result<Self> {
        File::create_new(image)?.set_len(BYTES)?;
        command("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), "-E".as_ref(), "nodiscard".as_ref(), image])?;
        Ok(Ext4 { image: image.to_owned(), at: at.to_owned() })
    }

    /// Mounts the disk. The loop device disappears with the mount. Blocks.
    ///
    /// This process makes the mount itself instead of running `mount`: if it is killed in between, the mount
    /// either exists or not, and the guard can tell which.
    ///
    /// # Errors
    /// Without root, or if the kernel has no loop devices.
    pub fn mount(&self) -> io::Result<()> {
        let (path, _device) = loop_device::attach(&self.image)?;
        mount(Some(&path), &self.at, Some("ext4"), MsFlags::MS_NOATIME, None::<&str>)
            .map_err(|error| io::Error::other(format!("cannot mount an ext4 on {}: {error}", path.display())))
    }

    /// Unmounts the disk. Blocks.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn unmount(&self) -> io::Result<()> {
        unmount(&self.at)
    }

    /// Cuts the power: nothing is stored any more.
    ///
    /// # Errors
    /// When the file system cannot be shut down.
    pub fn cut_power(&self) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let root = File::open(&self.at)?;
        let mut how = NO_LOG_FLUSH;
        // SAFETY: the descriptor is open while the call lasts. The kernel reads one u32 through the pointer.
        unsafe { ioctl::shutdown(root.as_raw_fd(), &mut how) }?;
        Ok(())
    }

    /// Restores the power: the journal is replayed. No process may use the disk any more. Blocks.
    ///
    /// # Errors
    /// When it is still in use, or cannot be mounted again.
    pub fn restore_power(&self) -> io::Result<()> {
        // Not a lazy unmount: if the file system were still in use, it would be mounted twice.
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
