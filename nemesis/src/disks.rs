//! The disk under a node's data directory, and what can go wrong with it.
//!
//! ```text
//!   Disk ── plain    a directory: files can be damaged, nothing more
//!        ├─ lossy    a FUSE file system of ours: [volume] (pure, over [content]) inside, [fuse] around it
//!        └─ ext4     a real one on a loop device, which can be shut down
//! ```
//!
//! The model of what survives a power failure is told in `volume.rs`.

mod content;
mod ext4;
mod files;
mod fuse;
mod loop_device;
mod lossy;
mod mount;
mod trouble;
mod volume;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub use ext4::Ext4;
pub use lossy::Lossy;
pub use mount::unmount;
pub use trouble::{Damage, DiskCounters, Trouble};
pub use volume::Promise;

use crate::Act;

/// How a disk is made.
#[derive(Debug)]
pub enum Make {
    /// A directory of the machine's own file system.
    Plain,
    /// Our own file system.
    Lossy(Lossy),
    /// A real file system of its own.
    Ext4(Ext4),
}

/// One node's disk. Everything blocks.
#[derive(Debug)]
pub struct Disk {
    make: Make,
    /// Where the node finds its files.
    data: PathBuf,
    /// Where a copy of them is kept.
    backup: PathBuf,
    files_damaged: AtomicU64,
}

impl Disk {
    /// A disk for the directory `data`, which exists, with its backups in `backup`, which need not.
    pub fn new(make: Make, data: &Path, backup: &Path) -> Self {
        Disk { make, data: data.to_owned(), backup: backup.to_owned(), files_damaged: AtomicU64::new(0) }
    }

    /// Where it is mounted, if it is one that is mounted.
    pub fn mount_point(&self) -> Option<&Path> {
        (!matches!(self.make, Make::Plain)).then_some(&*self.data)
    }

    /// Whether it can do its part of an act; if not, what is missing.
    ///
    /// # Errors
    /// Says what to do about it.
    pub fn allows(&self, act: Act) -> Result<(), String> {
        (act.nature().lacks)(&self.make).map_or(Ok(()), |why| Err(why.to_owned()))
    }

    /// Mounts it.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn mount(&self) -> io::Result<()> {
        match &self.make {
            Make::Plain => Ok(()),
            Make::Lossy(disk) => disk.mount(),
            Make::Ext4(disk) => disk.mount(),
        }
    }

    /// Unmounts it.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn unmount(&self) -> io::Result<()> {
        match &self.make {
            Make::Plain => Ok(()),
            Make::Lossy(disk) => disk.unmount(),
            Make::Ext4(disk) => disk.unmount(),
        }
    }

    /// The power goes: from now on nothing is stored. The node is then to be killed.
    ///
    /// # Errors
    /// When it cannot lose power.
    pub fn darken(&self) -> io::Result<()> {
        match &self.make {
            Make::Plain => Err(io::Error::new(io::ErrorKind::Unsupported, "a plain disk loses nothing")),
            Make::Lossy(disk) => {
                disk.darken();
                Ok(())
            }
            Make::Ext4(disk) => disk.darken(),
        }
    }

    /// The power comes back, when nobody uses the disk any more.
    ///
    /// # Errors
    /// When it cannot be mounted again.
    pub fn revive(&self, seed: u64) -> io::Result<()> {
        match &self.make {
            Make::Plain => Ok(()),
            Make::Lossy(disk) => disk.revive(seed),
            Make::Ext4(disk) => disk.revive(),
        }
    }

    /// Gives it a trouble in place of the one that it may have, or none.
    ///
    /// # Errors
    /// When it is one that has no troubles.
    pub fn set_trouble(&self, trouble: Option<Trouble>) -> io::Result<()> {
        match (&self.make, trouble) {
            (Make::Lossy(disk), _) => {
                disk.set_trouble(trouble);
                Ok(())
            }
            (_, None) => Ok(()),
            (_, Some(_)) => Err(io::Error::new(io::ErrorKind::Unsupported, "it has no troubles")),
        }
    }

    /// Copies the files, in place of an earlier copy. The node is down.
    ///
    /// # Errors
    /// When they cannot be read or the copy cannot be written.
    pub fn backup(&self) -> io::Result<()> {
        if self.backup.exists() {
            files::clear(&self.backup)?;
        }
        files::copy(&self.data, &self.backup)
    }

    /// Does something to the files. The node is down. Says what was touched.
    ///
    /// # Errors
    /// When there is nothing to be damaged, or no backup.
    pub fn damage(&self, damage: Damage, seed: u64) -> io::Result<String> {
        let (files, touched) = files::damage(&self.data, &self.backup, damage, seed)?;
        self.files_damaged.fetch_add(files, Ordering::Relaxed);
        Ok(touched)
    }

    /// What it has done to its node since the beginning.
    pub fn counters(&self) -> DiskCounters {
        let counted = match &self.make {
            Make::Lossy(disk) => disk.counters(),
            Make::Plain | Make::Ext4(_) => DiskCounters::default(),
        };
        DiskCounters { files_damaged: self.files_damaged.load(Ordering::Relaxed), ..counted }
    }
}
