//! A disk that loses what was not synced when the power fails: a FUSE file system in memory.
//!
//! Threads of this process serve it. When the process ends, even by a kill, the kernel closes the connection.
//! A dead mount remains, which the guard of the run [unmounts](super::unmount).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chacha20::ChaCha8Rng;
use fuser::{BackgroundSession, Config, INodeNo, MountOption, Session, SessionACL};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::unistd::{getegid, geteuid};
use rand::SeedableRng;

use super::fault::{DiskCounters, DiskFault};
use super::fuse::LossyFs;
use super::mount::unmount;
use super::volume::Durability;
use crate::lock::locked;

/// Number of threads that serve one disk.
const THREADS: usize = 2;
/// How long to wait for the last user of a disk before it is unmounted lazily.
const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// A lossy disk at a mount point.
#[derive(Debug)]
pub struct Lossy {
    at: PathBuf,
    fs: LossyFs,
    session: Mutex<Option<BackgroundSession>>,
}

impl Lossy {
    /// An empty disk with this capacity in bytes, not mounted yet.
    pub fn new(at: &Path, durability: Durability, bytes_max: u64) -> Self {
        let fs = LossyFs::new(durability, bytes_max, geteuid().as_raw(), getegid().as_raw());
        Lossy { at: at.to_owned(), fs, session: Mutex::default() }
    }

    /// Mounts the disk, if it is not mounted. Blocks.
    ///
    /// # Errors
    /// When /dev/fuse is missing or not accessible, or neither the kernel (without root) nor `fusermount3`
    /// mounts it.
    pub fn mount(&self) -> io::Result<()> {
        let mut session = self.session();
        if session.is_none() {
            let mut config = Config::default();
            let name = MountOption::FSName("tribunal".to_owned());
            config.mount_options = vec![name, MountOption::DefaultPermissions, MountOption::NoSuid];
            // Some servers refuse to run as root, so they run as another user.
            config.acl = if geteuid().is_root() { SessionACL::All } else { SessionACL::Owner };
            config.n_threads = Some(THREADS);
            config.clone_fd = true;
            *session = Some(Session::new(self.fs.clone(), &self.at, &config)?.spawn()?);
        }
        Ok(())
    }

    /// Unmounts the disk; its contents remain. Blocks until no process uses it, at most about five seconds.
    ///
    /// # Errors
    /// When it cannot be unmounted.
    pub fn unmount(&self) -> io::Result<()> {
        let Some(session) = self.session().take() else { return Ok(()) };
        let deadline = Instant::now() + UNMOUNT_TIMEOUT;
        loop {
            match umount2(&self.at, MntFlags::UMOUNT_NOFOLLOW) {
                // The session's threads end with the mount.
                Ok(()) => return session.join(),
                Err(Errno::EBUSY) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(_) => return unmount(&self.at),
            }
        }
    }

    /// Cuts the power: requests fail, and nothing is stored any more.
    pub fn cut_power(&self) {
        self.fs.cut_power();
    }

    /// Restores the power. What was not synced at the power failure is lost, except what the seed lets
    /// survive. Blocks.
    ///
    /// # Errors
    /// When it cannot be unmounted or mounted again.
    pub fn restore_power(&self, seed: u64) -> io::Result<()> {
        // Unmounting also drops the kernel's cache.
        self.unmount()?;
        self.fs.lose_unsynced(&mut ChaCha8Rng::seed_from_u64(seed));
        self.mount()
    }

    /// Sets or clears the fault of the disk. Blocks.
    pub fn set_fault(&self, fault: Option<DiskFault>) {
        self.fs.set_fault(fault);
        if fault == Some(DiskFault::Read)
            && let Some(session) = &*self.session()
        {
            // Without this, the kernel would answer reads from its cache.
            let notifier = session.notifier();
            for ino in self.fs.inodes() {
                let _ = notifier.inval_inode(INodeNo(ino), 0, 0);
            }
        }
    }

    /// What the disk has done to its node so far.
    pub fn counters(&self) -> DiskCounters {
        self.fs.counters()
    }

    fn session(&self) -> std::sync::MutexGuard<'_, Option<BackgroundSession>> {
        locked(&self.session)
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}
