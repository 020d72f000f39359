//! In place of the lossy disk in a build without FUSE: it cannot be mounted.

use std::io;
use std::path::Path;

use tribunal_records::features::left_out;

use super::fault::{DiskCounters, DiskFault};
use super::volume::Durability;

/// A lossy disk that cannot be mounted.
#[derive(Debug)]
pub struct Lossy(());

impl Lossy {
    /// A disk that cannot be mounted.
    pub fn new(_: &Path, _: Durability, _: u64) -> Self {
        Lossy(())
    }

    /// Refuses.
    ///
    /// # Errors
    /// Always: this build has no FUSE.
    pub fn mount(&self) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, left_out("fuse")))
    }

    /// Does nothing: it is not mounted.
    ///
    /// # Errors
    /// Never.
    pub fn unmount(&self) -> io::Result<()> {
        Ok(())
    }

    /// Does nothing: it is not mounted.
    pub fn cut_power(&self) {}

    /// Refuses.
    ///
    /// # Errors
    /// Always: this build has no FUSE.
    pub fn restore_power(&self, _: u64) -> io::Result<()> {
        self.mount()
    }

    /// Does nothing: it is not mounted.
    pub fn set_fault(&self, _: Option<DiskFault>) {}

    /// Nothing was done.
    pub fn counters(&self) -> DiskCounters {
        DiskCounters::default()
    }
}
