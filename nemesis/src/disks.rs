//! The disk under a node's data directory, and the faults that it can have.
//!
//! ```text
//!   Disk ── plain    a directory: files can be damaged, nothing more
//!        ├─ lossy    a FUSE file system: [volume] (pure, over [content]) inside, [fuse] around it
//!        └─ ext4     a real file system on a loop device, which can be shut down
//! ```
//!
//! `volume.rs` describes what survives a power failure.

#[cfg_attr(not(feature = "fuse"), expect(dead_code, reason = "only a FUSE disk has contents"))]
mod content;
mod ext4;
mod fault;
mod files;
#[cfg(feature = "fuse")]
mod fuse;
mod loop_device;
#[cfg_attr(not(feature = "fuse"), path = "disks/no_lossy.rs")]
mod lossy;
mod mount;
#[cfg_attr(not(feature = "fuse"), expect(dead_code, reason = "only a FUSE disk has a volume"))]
mod volume;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tribunal_records::DiskKind;

pub use ext4::Ext4;
pub use fault::{Damage, DiskCounters, DiskFault};
pub use files::DataFiles;
pub use lossy::Lossy;
pub use mount::unmount;
pub use volume::Durability;

use crate::Act;

/// What a disk consists of.
#[derive(Debug)]
pub enum DiskBackend {
    /// A directory of the machine's own file system.
    Plain,
    /// A FUSE file system of this crate.
    Lossy(Lossy),
    /// An ext4 on a loop device.
    Ext4(Ext4),
}

/// One node's disk. All methods block.
#[derive(Debug)]
pub struct Disk {
    backend: DiskBackend,
    /// The node's data directory.
    data: PathBuf,
    /// The directory for a copy of the data directory.
    backup: PathBuf,
    which: DataFiles,
    files_damaged: AtomicU64,
}

impl Disk {
    /// A disk for the directory `data`, which must exist. Backups go to `backup`, which need not exist. Only
    /// files that are `which` are ever damaged, backed up and restored.
    pub fn new(backend: DiskBackend, data: &Path, backup: &Path, which: DataFiles) -> Self {
        let (data, backup) = (data.to_owned(), backup.to_owned());
        Disk { backend, data, backup, which, files_damaged: AtomicU64::new(0) }
    }

    fn kind(&self) -> DiskKind {
        match &self.backend {
            DiskBackend::Plain => DiskKind::Plain,
            DiskBackend::Lossy(_) => DiskKind::Fuse,
            DiskBackend::Ext4(_) => DiskKind::Ext4,
        }
    }

    /// Mount point; `None` for a plain directory.
    pub fn mount_point(&self) -> Option<&Path> {
        (!matches!(self.backend, DiskBackend::Plain)).then_some(&*self.data)
    }

    /// Checks that the disk supports an act.
    ///
    /// # Errors
    /// Why it does not, and what to do about it.
    pub fn allows(&self, act: Act) -> Result<(), String> {
        (act.spec().missing_on)(self.kind()).map_or(Ok(()), |why| Err(why.to_owned()))
    }

    /// Mounts the disk.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn mount(&self) -> io::Result<()> {
        match &self.backend {
            DiskBackend::Plain => Ok(()),
            DiskBackend::Lossy(disk) => disk.mount(),
            DiskBackend::Ext4(disk) => disk.mount(),
        }
    }

    /// Unmounts the disk.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn unmount(&self) -> io::Result<()> {
        match &self.backend {
            DiskBackend::Plain => Ok(()),
            DiskBackend::Lossy(disk) => disk.unmount(),
            DiskBackend::Ext4(disk) => disk.unmount(),
        }
    }

    /// Cuts the power: from now on nothing is stored. The node must then be killed.
    ///
    /// # Errors
    /// When this kind of disk cannot lose power.
    pub fn cut_power(&self) -> io::Result<()> {
        match &self.backend {
            DiskBackend::Plain => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "a plain disk loses nothing"))
            }
            DiskBackend::Lossy(disk) => {
                disk.cut_power();
                Ok(())
            }
            DiskBackend::Ext4(disk) => disk.cut_power(),
        }
    }

    /// Restores the power. No process may use the disk any more.
    ///
    /// # Errors
    /// When it cannot be mounted again.
    pub fn restore_power(&self, seed: u64) -> io::Result<()> {
        match &self.backend {
            DiskBackend::Plain => Ok(()),
            DiskBackend::Lossy(disk) => disk.restore_power(seed),
            DiskBackend::Ext4(disk) => disk.restore_power(),
        }
    }

    /// Sets or clears the fault of the disk.
    ///
    /// # Errors
    /// When this kind of disk cannot have faults.
    pub fn set_fault(&self, fault: Option<DiskFault>) -> io::Result<()> {
        match (&self.backend, fault) {
            (DiskBackend::Lossy(disk), _) => {
                disk.set_fault(fault);
                Ok(())
            }
            (_, None) => Ok(()),
            (_, Some(_)) => Err(io::Error::new(io::ErrorKind::Unsupported, "it has no troubles")),
        }
    }

    /// Copies the files, replacing an earlier copy. The node must be down.
    ///
    /// # Errors
    /// When the files cannot be read or the copy cannot be written.
    pub fn backup(&self) -> io::Result<()> {
        if self.backup.exists() {
            files::clear(&self.backup, &DataFiles::all())?;
        }
        files::copy(&self.data, &self.backup, &self.which).map(drop)
    }

    /// Damages the files. The node must be down. Returns what was damaged, for the report.
    ///
    /// # Errors
    /// When there is no file to damage, or no backup.
    pub fn damage(&self, damage: Damage, seed: u64) -> io::Result<String> {
        let (files, touched) = files::damage(&self.data, &self.backup, &self.which, damage, seed)?;
        self.files_damaged.fetch_add(files, Ordering::Relaxed);
        Ok(touched)
    }

    /// What the disk has done to its node so far.
    pub fn counters(&self) -> DiskCounters {
        let counted = match &self.backend {
            DiskBackend::Lossy(disk) => disk.counters(),
            DiskBackend::Plain | DiskBackend::Ext4(_) => DiskCounters::default(),
        };
        DiskCounters { files_damaged: self.files_damaged.load(Ordering::Relaxed), ..counted }
    }
}
