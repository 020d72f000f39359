//! What can be wrong with a disk, and what can happen to the files on it, in the words of plans and records.

use std::fmt;
use std::ops::{AddAssign, Sub};
use std::str::FromStr;

/// A disk that is there and does not do what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No room is left: what takes up more of it fails with ENOSPC.
    Full,
    /// Reads fail with EIO.
    Read,
    /// Writes fail with EIO.
    Write,
    /// Syncs fail with EIO, and what they should have stored is at stake for ever.
    Sync,
    /// Syncs take so many milliseconds longer.
    Slow(u64),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Full => f.write_str("full"),
            Trouble::Read => f.write_str("read-error"),
            Trouble::Write => f.write_str("write-error"),
            Trouble::Sync => f.write_str("sync-error"),
            Trouble::Slow(ms) => write!(f, "sync_ms={ms}"),
        }
    }
}

impl FromStr for Trouble {
    type Err = ();

    fn from_str(text: &str) -> Result<Trouble, ()> {
        match text {
            "full" => Ok(Trouble::Full),
            "read-error" => Ok(Trouble::Read),
            "write-error" => Ok(Trouble::Write),
            "sync-error" => Ok(Trouble::Sync),
            _ => {
                let ms = text.strip_prefix("sync_ms=").and_then(|ms| ms.parse().ok());
                ms.filter(|ms| *ms > 0).map(Trouble::Slow).ok_or(())
            }
        }
    }
}

/// Something that happens to the files of a node while it is down. There is no undo: the system has to live with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// One bit of one file is another one.
    BitFlip,
    /// The end of one file is missing.
    Truncate,
    /// Everything is gone.
    Wipe,
    /// Everything is as it was at the last backup.
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

/// What a node's disk has done to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Requests that it refused or delayed by a [`Trouble`].
    pub requests_troubled: u64,
    /// Bytes of unsynced writes that power failures took.
    pub bytes_lost: u64,
    /// Unsynced creations, renames and removals that power failures took.
    pub entries_lost: u64,
    /// Files that were damaged.
    pub files_damaged: u64,
}

impl AddAssign for DiskCounters {
    fn add_assign(&mut self, other: DiskCounters) {
        self.requests_troubled += other.requests_troubled;
        self.bytes_lost += other.bytes_lost;
        self.entries_lost += other.entries_lost;
        self.files_damaged += other.files_damaged;
    }
}

impl Sub for DiskCounters {
    type Output = DiskCounters;

    fn sub(self, before: DiskCounters) -> DiskCounters {
        DiskCounters {
            requests_troubled: self.requests_troubled - before.requests_troubled,
            bytes_lost: self.bytes_lost - before.bytes_lost,
            entries_lost: self.entries_lost - before.entries_lost,
            files_damaged: self.files_damaged - before.files_damaged,
        }
    }
}
