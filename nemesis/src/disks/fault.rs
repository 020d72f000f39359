//! Faults of disks, and damage to files, in the words of plans and records.

use std::fmt;
use std::str::FromStr;

use crate::counters::counters;

/// A fault of a mounted disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// The disk is full: requests that need more space fail with ENOSPC.
    Full,
    /// Reads fail with EIO.
    Read,
    /// Writes fail with EIO.
    Write,
    /// Syncs fail with EIO, and no later sync stores what they should have stored.
    Sync,
    /// Syncs take this many milliseconds longer.
    Slow(u64),
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskFault::Full => f.write_str("full"),
            DiskFault::Read => f.write_str("read-error"),
            DiskFault::Write => f.write_str("write-error"),
            DiskFault::Sync => f.write_str("sync-error"),
            DiskFault::Slow(ms) => write!(f, "sync_ms={ms}"),
        }
    }
}

impl FromStr for DiskFault {
    type Err = ();

    fn from_str(text: &str) -> Result<DiskFault, ()> {
        match text {
            "full" => Ok(DiskFault::Full),
            "read-error" => Ok(DiskFault::Read),
            "write-error" => Ok(DiskFault::Write),
            "sync-error" => Ok(DiskFault::Sync),
            _ => {
                let ms = text.strip_prefix("sync_ms=").and_then(|ms| ms.parse().ok());
                ms.filter(|ms| *ms > 0).map(DiskFault::Slow).ok_or(())
            }
        }
    }
}

/// Damage to the files of a node that is down. It cannot be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// One bit of one file is flipped.
    BitFlip,
    /// The end of one file is cut off.
    Truncate,
    /// All files are removed.
    Wipe,
    /// All files are replaced by the last backup.
    Restore,
}

impl Damage {
    pub(crate) const ALL: [Damage; 4] = [Damage::BitFlip, Damage::Truncate, Damage::Wipe, Damage::Restore];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Damage::BitFlip => "bitflip",
            Damage::Truncate => "truncate",
            Damage::Wipe => "wipe",
            Damage::Restore => "restore",
        }
    }
}

counters! {
    /// What a node's disk has done to the node.
    pub struct DiskCounters {
        /// Requests that the disk refused or delayed because of a [`DiskFault`].
        pub requests_troubled: u64,
        /// Bytes of unsynced writes that power failures destroyed.
        pub bytes_lost: u64,
        /// Unsynced creations, renames and removals that power failures destroyed.
        pub entries_lost: u64,
        /// Number of damaged files.
        pub files_damaged: u64,
    }
}
