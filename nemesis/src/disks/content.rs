//! The bytes of one file, and changes of them.
//!
//! A file is sparse: pages that were never written do not exist and read as zeros. A page may be *reserved*
//! (fallocate): it takes space on the disk, so a later write cannot meet a full disk, but no memory.

use std::collections::BTreeMap;
use std::ops::Range;

/// Size of a page in bytes: the unit of disk space.
pub(super) const PAGE: u64 = 4096;
/// Size of a sector in bytes: the largest unit that a disk writes atomically.
pub(super) const SECTOR: u64 = 512;

/// One change of a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileChange {
    /// Write these bytes at this offset.
    Write(u64, Vec<u8>),
    /// Truncate or extend to this length; new bytes are zeros.
    SetLen(u64),
    /// Reserve space for this range; the bytes keep their values.
    Reserve(Range<u64>),
    /// Zero this range, as far as it is within the file.
    Zero(Range<u64>),
}

impl FileChange {
    /// Number of bytes that are written.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            FileChange::Write(_, bytes) => bytes.len() as u64,
            _ => 0,
        }
    }

    /// Number of sectors that a write touches.
    pub(crate) fn sectors(&self) -> u64 {
        match self {
            FileChange::Write(at, bytes) if !bytes.is_empty() => {
                (at + bytes.len() as u64).div_ceil(SECTOR) - at / SECTOR
            }
            _ => 0,
        }
    }

    /// The part of a write that is left if only its first sectors reach the disk.
    pub(crate) fn torn(&self, sectors: u64) -> Option<FileChange> {
        let FileChange::Write(at, bytes) = self else { return None };
        let end = (at / SECTOR + sectors) * SECTOR;
        let length = end.saturating_sub(*at).min(bytes.len() as u64) as usize;
        (length > 0).then(|| FileChange::Write(*at, bytes[..length].to_vec()))
    }
}

type Page = [u8; PAGE as usize];

#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    len: u64,
    /// Pages by number; `None` is reserved and reads as zeros.
    pages: BTreeMap<u64, Option<Box<Page>>>,
}

impl Content {
    /// Length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Number of pages that take space.
    pub(super) fn pages(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Reads up to `size` bytes from `at`, fewer at the end of the file.
    pub(super) fn read(&self, at: u64, size: u64) -> Vec<u8> {
        let end = at.saturating_add(size).min(self.len);
        let mut bytes = vec![0; end.saturating_sub(at) as usize];
        for (number, span, place) in spans(at, bytes.len() as u64) {
            if let Some(Some(page)) = self.pages.get(&number) {
                bytes[place].copy_from_slice(&page[span]);
            }
        }
        bytes
    }

    /// Number of additional pages that a change needs.
    pub(crate) fn grows(&self, change: &FileChange) -> u64 {
        let range = match change {
            FileChange::Write(at, bytes) => *at..at + bytes.len() as u64,
            FileChange::Reserve(range) => range.clone(),
            FileChange::SetLen(_) | FileChange::Zero(_) => return 0,
        };
        let (first, end) = (range.start / PAGE, range.end.div_ceil(PAGE));
        end.saturating_sub(first) - self.pages.range(first..end.max(first)).count() as u64
    }

    pub(super) fn apply(&mut self, change: &FileChange) {
        match change {
            FileChange::Write(at, bytes) => {
                for (number, span, place) in spans(*at, bytes.len() as u64) {
                    self.page(number)[span].copy_from_slice(&bytes[place]);
                }
                if !bytes.is_empty() {
                    self.len = self.len.max(at + bytes.len() as u64);
                }
            }
            FileChange::SetLen(len) => {
                if *len < self.len {
                    self.pages.split_off(&len.div_ceil(PAGE));
                    // If the file grows again, these bytes must read as zeros.
                    self.zero(*len..self.len.min(len.next_multiple_of(PAGE)));
                }
                self.len = *len;
            }
            FileChange::Reserve(range) => {
                for number in range.start / PAGE..range.end.div_ceil(PAGE) {
                    self.pages.entry(number).or_default();
                }
            }
            FileChange::Zero(range) => self.zero(range.start..range.end.min(self.len)),
        }
    }

    fn zero(&mut self, range: Range<u64>) {
        for (number, span, _) in spans(range.start, range.end.saturating_sub(range.start)) {
            if let Some(Some(page)) = self.pages.get_mut(&number) {
                page[span].fill(0);
            }
        }
    }

    fn page(&mut self, number: u64) -> &mut Page {
        self.pages.entry(number).or_default().get_or_insert_with(|| Box::new([0; PAGE as usize]))
    }
}

/// The pages under `length` bytes from `at`: page number, range in the page, range in the bytes.
fn spans(at: u64, length: u64) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let end = at + length;
    (at / PAGE..end.div_ceil(PAGE)).map(move |number| {
        let base = number * PAGE;
        let (from, to) = (at.max(base), end.min(base + PAGE));
        (number, (from - base) as usize..(to - base) as usize, (from - at) as usize..(to - at) as usize)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change() -> impl Strategy<Value = FileChange> {
        let place = 0..20_000u64;
        prop_oneof![
            (place.clone(), prop::collection::vec(any::<u8>(), 0..9000))
                .prop_map(|(at, b)| FileChange::Write(at, b)),
            place.clone().prop_map(FileChange::SetLen),
            (place.clone(), 0..9000u64).prop_map(|(at, n)| FileChange::Reserve(at..at + n)),
            (place, 0..9000u64).prop_map(|(at, n)| FileChange::Zero(at..at + n)),
        ]
    }

    /// The reference implementation, on a plain vector.
    fn apply(bytes: &mut Vec<u8>, change: &FileChange) {
        match change {
            FileChange::Write(at, new) if !new.is_empty() => {
                let end = *at as usize + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*at as usize..end].copy_from_slice(new);
            }
            FileChange::SetLen(len) => bytes.resize(*len as usize, 0),
            FileChange::Zero(range) => {
                let end = bytes.len().min(range.end as usize);
                let start = end.min(range.start as usize);
                bytes[start..end].fill(0);
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn pages_hold_what_a_vector_holds(changes in prop::collection::vec(change(), 0..20), at in 0..20_000u64) {
            let (mut content, mut plain) = (Content::default(), Vec::new());
            for change in &changes {
                let (before, grows) = (content.pages(), content.grows(change));
                content.apply(change);
                apply(&mut plain, change);
                if !matches!(change, FileChange::SetLen(_)) {
                    prop_assert_eq!(content.pages(), before + grows);
                }
            }
            prop_assert_eq!(content.read(0, u64::MAX), &plain[..]);
            prop_assert_eq!(content.read(at, 5000), &plain[plain.len().min(at as usize)..plain.len().min(at as usize + 5000)]);
        }
    }

    #[test]
    fn a_write_tears_at_sector_boundaries() {
        let write = FileChange::Write(500, vec![7; 600]);
        assert_eq!(write.sectors(), 3, "12 bytes, 512 bytes, 76 bytes");
        let lengths = (0..=4).map(|sectors| write.torn(sectors).map_or(0, |torn| torn.weight()));
        assert_eq!(lengths.collect::<Vec<_>>(), [0, 12, 524, 600, 600]);
        assert_eq!(FileChange::SetLen(3).torn(1), None);
    }
}
