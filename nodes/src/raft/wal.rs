//! The persistent state of a Raft node on disk: term, vote, log and snapshot, in the frames of
//! [`crate::replica::wal`].
//!
//! A batch of the log is a [`Record`]: the changes of term and vote, and the new entries. A crash between the
//! two renames of a compaction leaves a snapshot that is newer than the log; reading handles it as
//! InstallSnapshot does (Figure 13, steps 6 and 7).

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::core::{Stored, Write};
use super::log::Log;
use super::message::{Entry, HardState, Position, Snapshot};
use crate::replica::Disk;
use crate::wal::{Found, Magic, TornTail, Wal, WalError};

const MAGIC: Magic = *b"RAFT";

/// The content of one frame of the log.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// In the first frame of a log: the position before its entries.
    base: Option<Position>,
    state: Option<HardState>,
    /// Each entry replaces the one at its index, and all after it.
    entries: Vec<Entry>,
}

/// The open log.
#[derive(Debug)]
pub(crate) struct RaftDisk {
    wal: Wal,
    /// Kept because a new log begins with it.
    state: HardState,
}

impl RaftDisk {
    /// Opens the log in a directory, creates it if needed, and reads its content. A torn tail is truncated;
    /// `keep_torn` is a seeded bug.
    pub(crate) fn open(
        dir: &Path,
        keep_torn: bool,
    ) -> Result<(RaftDisk, Stored, Option<TornTail>), WalError> {
        let Found { wal, snapshot, batches, torn } = Wal::open_as(dir, MAGIC, keep_torn)?;
        let stored = replay(&dir.join("wal"), snapshot, batches)?;
        Ok((RaftDisk { wal, state: stored.state.clone() }, stored, torn))
    }
}

impl Disk for RaftDisk {
    type Write = Write;

    fn number(write: &Write) -> u64 {
        write.number
    }

    fn write(&mut self, writes: Vec<Write>) -> io::Result<()> {
        let mut record = Record::default();
        let mut restart = None;
        for write in writes {
            if let Some(state) = write.state {
                self.state = state.clone();
                record.state = Some(state);
            }
            if let Some(from) = write.restart {
                // Everything before is in the snapshot, or is sent again.
                record.entries.clear();
                restart = Some(from);
            }
            record.entries.extend(write.entries);
        }
        let Some(restart) = restart else { return self.wal.append(&record) };
        record.base = Some(restart.base);
        record.state = Some(self.state.clone());
        self.wal.restart(&*restart.snapshot, &record)
    }

    fn sync(&self) -> io::Result<()> {
        self.wal.sync()
    }
}

/// The state after all records, on top of the snapshot.
fn replay(path: &Path, snapshot: Option<Arc<Snapshot>>, records: Vec<Record>) -> Result<Stored, WalError> {
    let mut state = HardState::default();
    let mut log = Log::default();
    for record in records {
        if let Some(base) = record.base {
            log = Log::new(base, Vec::new());
        }
        state = record.state.unwrap_or(state);
        for entry in record.entries {
            if entry.at.index <= log.base().index || entry.at.index > log.last().index + 1 {
                let why = format!("entry {:?} does not follow {:?}", entry.at, log.last());
                return Err(WalError::unreadable(path, why));
            }
            log.truncate(entry.at.index);
            log.push(entry);
        }
    }
    let covered = snapshot.as_ref().map_or(Position::START, |snapshot| snapshot.last);
    if !log.holds(covered) {
        if log.base().index > covered.index {
            let why = format!("the log begins after {:?}, the snapshot ends at {covered:?}", log.base());
            return Err(WalError::unreadable(path, why));
        }
        log = Log::new(covered, Vec::new());
    } else if log.base().index > covered.index {
        let why = "the log begins after its start, and there is no snapshot";
        return Err(WalError::unreadable(path, why));
    }
    // A crash between the two renames of a compaction may leave a snapshot from a term that the log has not
    // seen.
    let newest = log.last().term;
    if newest > state.term {
        state = HardState { term: newest, vote: None };
    }
    Ok(Stored { state, snapshot, log })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::core::Restart;
    use super::super::message::Payload;
    use super::*;
    use crate::wal::write_snapshot;

    fn entry(term: u64, index: u64) -> Entry {
        let payload = Payload::Command(format!("{index} of {term}").into_bytes().into());
        Entry { at: Position { term, index }, payload }
    }

    fn entries(range: std::ops::RangeInclusive<u64>, term: u64) -> Write {
        Write { entries: range.map(|index| entry(term, index)).collect(), ..Write::default() }
    }

    fn state(term: u64, vote: &str) -> Write {
        let state = HardState { term, vote: Some(vote.into()) };
        Write { state: Some(state), ..Write::default() }
    }

    fn snapshot(term: u64, index: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot { last: Position { term, index }, members: Vec::new(), data: (*b"state").into() })
    }

    /// A directory with a log of these batches.
    fn written(batches: Vec<Vec<Write>>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let (mut wal, ..) = RaftDisk::open(dir.path(), false).unwrap();
        for batch in batches {
            wal.write(batch).unwrap();
            wal.sync().unwrap();
        }
        dir
    }

    fn read(dir: &Path) -> (Stored, Option<TornTail>) {
        let (_, stored, torn) = RaftDisk::open(dir, false).unwrap();
        (stored, torn)
    }

    fn terms(stored: &Stored) -> Vec<(u64, u64)> {
        stored.log.from(0).iter().map(|entry| (entry.at.index, entry.at.term)).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = written(vec![
            vec![state(1, "n1"), entries(1..=2, 1)],
            vec![entries(3..=3, 1)],
            vec![state(2, "n2")],
        ]);
        let (stored, torn) = read(dir.path());
        assert_eq!(stored.state, HardState { term: 2, vote: Some("n2".into()) });
        assert_eq!(terms(&stored), [(1, 1), (2, 1), (3, 1)]);
        assert_eq!(stored.log.get(2), Some(&entry(1, 2)));
        assert_eq!(torn, None);
    }

    #[test]
    fn an_entry_replaces_what_was_there_and_after() {
        let dir = written(vec![vec![entries(1..=4, 1)], vec![entries(2..=2, 2)]]);
        assert_eq!(terms(&read(dir.path()).0), [(1, 1), (2, 2)]);
    }

    /// A last write that is interrupted at any byte is gone as a whole, and everything before it is kept.
    #[test]
    fn a_torn_tail_is_cut_and_writing_goes_on() {
        let dir = written(vec![vec![state(1, "n1"), entries(1..=2, 1)]]);
        let path = dir.path().join("wal");
        let synced = fs::metadata(&path).unwrap().len() as usize;
        RaftDisk::open(dir.path(), false).unwrap().0.write(vec![entries(3..=4, 1)]).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in synced + 1..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let (mut wal, stored, torn) = RaftDisk::open(dir.path(), false).unwrap();
            assert_eq!(torn, Some(TornTail { at: synced, bytes: length - synced }));
            assert_eq!(terms(&stored), [(1, 1), (2, 1)], "cut at {length}");
            wal.write(vec![entries(3..=3, 2)]).unwrap();
            assert_eq!(terms(&read(dir.path()).0), [(1, 1), (2, 1), (3, 2)], "cut at {length}");
        }
    }

    #[test]
    fn what_follows_a_torn_tail_that_is_kept_is_forgotten() {
        let dir = written(vec![vec![entries(1..=2, 1)], vec![entries(3..=4, 1)]]);
        let path = dir.path().join("wal");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let (mut wal, stored, torn) = RaftDisk::open(dir.path(), true).unwrap();
        assert!(torn.is_some());
        assert_eq!(terms(&stored), [(1, 1), (2, 1)], "the first start sees it for what it is");
        wal.write(vec![entries(3..=3, 2)]).unwrap();
        wal.sync().unwrap();
        let (_, stored, _) = RaftDisk::open(dir.path(), true).unwrap();
        assert_eq!(terms(&stored), [(1, 1), (2, 1)], "what was synced after it is lost");
    }

    /// Synced data that is damaged must not count as a torn tail: votes and entries would be forgotten.
    #[test]
    fn damage_before_the_end_is_refused() {
        let dir = written(vec![vec![state(1, "n1")], vec![entries(1..=2, 1)], vec![entries(3..=3, 1)]]);
        let path = dir.path().join("wal");
        let whole = fs::read(&path).unwrap();
        let last = whole.windows(4).rposition(|bytes| bytes == MAGIC).unwrap();
        for at in 0..last {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let error = RaftDisk::open(dir.path(), false).expect_err("a synced frame is damaged");
            assert!(matches!(error, WalError::CorruptMiddle { .. }), "byte {at}: {error}");
            assert_eq!(fs::read(&path).unwrap(), damaged, "and nothing is cut");
        }
    }

    #[test]
    fn a_missing_frame_is_refused() {
        let dir = written(vec![vec![state(1, "n1")], vec![entries(1..=2, 1)]]);
        let path = dir.path().join("wal");
        let whole = fs::read(&path).unwrap();
        let second = whole.windows(4).rposition(|bytes| bytes == MAGIC).unwrap();
        fs::write(&path, &whole[second..]).unwrap();
        assert!(matches!(RaftDisk::open(dir.path(), false), Err(WalError::Unreadable { .. })));
    }

    /// The log from 4 on, after a snapshot at 5: some entries are kept for slow followers.
    fn compaction() -> Write {
        let restart = Restart { snapshot: snapshot(1, 5), base: Position { term: 1, index: 3 } };
        Write { restart: Some(restart), ..entries(4..=7, 1) }
    }

    #[test]
    fn a_compacted_log_begins_after_its_base() {
        let dir = written(vec![
            vec![state(2, "n1"), entries(1..=7, 1)],
            vec![entries(8..=9, 1), compaction(), entries(8..=8, 2)],
            vec![entries(9..=9, 2)],
        ]);
        let (stored, _) = read(dir.path());
        assert_eq!(stored.snapshot, Some(snapshot(1, 5)));
        assert_eq!(stored.log.base(), Position { term: 1, index: 3 });
        assert_eq!(terms(&stored), [(4, 1), (5, 1), (6, 1), (7, 1), (8, 2), (9, 2)]);
        assert_eq!(stored.state, HardState { term: 2, vote: Some("n1".into()) }, "the vote is carried over");
    }

    /// A crash between the two renames: the snapshot is new, the log is old.
    #[test]
    fn a_half_done_compaction_is_completed_by_reading() {
        let cases = [
            ("the log agrees and goes on", snapshot(1, 2), vec![(1, 1), (2, 1), (3, 1)]),
            ("the log is behind", snapshot(2, 9), vec![]),
            ("the log has another entry there", snapshot(2, 2), vec![]),
        ];
        for (case, snapshot, expected) in cases {
            let dir = written(vec![vec![state(1, "n1"), entries(1..=3, 1)]]);
            write_snapshot(dir.path(), MAGIC, &*snapshot).unwrap();
            let (stored, _) = read(dir.path());
            assert_eq!(terms(&stored), expected, "{case}");
            assert!(stored.log.holds(snapshot.last), "{case}");
            assert!(stored.state.term >= snapshot.last.term, "{case}");
        }
    }

    #[test]
    fn a_log_without_its_snapshot_is_refused() {
        let dir = written(vec![vec![entries(1..=7, 1)], vec![compaction()]]);
        fs::remove_file(dir.path().join("snapshot")).unwrap();
        assert!(matches!(RaftDisk::open(dir.path(), false), Err(WalError::Unreadable { .. })));
    }
}
