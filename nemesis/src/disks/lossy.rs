//! A disk that loses at a power failure what was not synced: a FUSE file system of ours, in memory.
//!
//! It is served by threads of this process. When the process ends, however it does, the kernel cuts the connection;
//! what then remains is a dead mount, for whoever guards the run to [take away](super::unmount).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fuser::{BackgroundSession, Config, INodeNo, MountOption, Session, SessionACL};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::unistd::{getegid, geteuid};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::fuse::Shared;
use super::mount::unmount;
use super::trouble::{DiskCounters, Trouble};
use super::volume::Promise;

/// Threads that serve one disk.
const THREADS: usize = 2;
/// How long the last user of a disk may take to let it go before it is taken away from it.
const LET_GO: Duration = Duration::from_secs(5);

/// A lossy disk at a mount point.
#[derive(Debug)]
pub struct Lossy {
    at: PathBuf,
    shared: Shared,
    session: Mutex<Option<BackgroundSession>>,
}

impl Lossy {
    /// An empty disk with room for so many bytes, not mounted yet.
    pub fn new(at: &Path, promise: Promise, bytes_max: u64) -> Self {
        let shared = Shared::new(promise, bytes_max, geteuid().as_raw(), getegid().as_raw());
        Lossy { at: at.to_owned(), shared, session: Mutex::default() }
    }

    /// Mounts it, if it is not. Blocks.
    ///
    /// # Errors
    /// When there is no /dev/fuse that we may use, or neither the kernel (without root) nor `fusermount3` mounts it.
    pub fn mount(&self) -> io::Result<()> {
        let mut session = self.session();
        if session.is_none() {
            let mut config = Config::default();
            let name = MountOption::FSName("tribunal".to_owned());
            config.mount_options = vec![name, MountOption::DefaultPermissions, MountOption::NoSuid];
            // Some servers refuse to run as root: then they are another user.
            config.acl = if geteuid().is_root() { SessionACL::All } else { SessionACL::Owner };
            config.n_threads = Some(THREADS);
            config.clone_fd = true;
            *session = Some(Session::new(self.shared.clone(), &self.at, &config)?.spawn()?);
        }
        Ok(())
    }

    /// Unmounts it; what is on it stays. Blocks until its last user has let go, or not much longer.
    ///
    /// # Errors
    /// When it cannot be unmounted.
    pub fn unmount(&self) -> io::Result<()> {
        let Some(session) = self.session().take() else { return Ok(()) };
        let deadline = Instant::now() + LET_GO;
        loop {
            match umount2(&self.at, MntFlags::UMOUNT_NOFOLLOW) {
                // Its threads end by themselves then.
                Ok(()) => return session.join(),
                Err(Errno::EBUSY) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(_) => return unmount(&self.at),
            }
        }
    }

    /// The power is off: nothing is answered or stored any more.
    pub fn darken(&self) {
        self.shared.darken();
    }

    /// The power comes back: what was not synced when it went is lost, but for what the seed lets through. Blocks.
    ///
    /// # Errors
    /// When it cannot be unmounted or mounted again.
    pub fn revive(&self, seed: u64) -> io::Result<()> {
        // The kernel forgets, too, what it had cached.
        self.unmount()?;
        self.shared.cut(&mut ChaCha8Rng::seed_from_u64(seed));
        self.mount()
    }

    /// Gives it a trouble in place of the one that it may have, or none. Blocks.
    pub fn set_trouble(&self, trouble: Option<Trouble>) {
        self.shared.set_trouble(trouble);
        if trouble == Some(Trouble::Read)
            && let Some(session) = &*self.session()
        {
            // What the kernel has cached it would read without us.
            let notifier = session.notifier();
            for ino in self.shared.inodes() {
                let _ = notifier.inval_inode(INodeNo(ino), 0, 0);
            }
        }
    }

    /// What it has done to its node since the beginning.
    pub fn counters(&self) -> DiskCounters {
        self.shared.counters()
    }

    fn session(&self) -> std::sync::MutexGuard<'_, Option<BackgroundSession>> {
        self.session.lock().expect("nobody panics while holding it")
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}
