//! What a node must not forget, on disk: a snapshot and a write-ahead log.
//!
//! ```text
//!   DIR/snapshot    one frame: the newest snapshot
//!   DIR/wal         frame, frame, frame, ...
//!
//!   frame           magic  number  length  crc32    body (postcard)
//!   bytes           4      8       4       4        length
//! ```
//!
//! All integers are little-endian; the checksum covers number, length and body. Frames of the log are numbered
//! 1, 2, 3, ... and each is a [`Record`]: the changes of term and vote, and the new entries, of one *batch*: everything
//! that waited while the batch before was written. A batch costs one `fdatasync`, however many clients wait for it
//! (group commit).
//!
//! **After a crash** the end of the log may be torn: a part of the last frame is missing or wrong. Nobody was told of
//! it, because the node speaks only after the sync, so it is cut. Since a frame is written only after the one before
//! was synced, a bad frame with a good one after it is something else: the disk has lost what was safely stored. A node
//! that went on from there could break its promises, so it refuses to start.
//!
//! **Compaction** writes the snapshot, then a new log that begins after it, each to a temporary file that is synced and
//! renamed over the old one, and syncs the directory. After a crash between the two renames the snapshot is newer
//! than the log; reading deals with it as InstallSnapshot does (Figure 13, steps 6 and 7).
//!
//! Caveats: a checksum error in the very last frame cannot be told from a torn end. An error of the disk is not
//! survived: a failed sync leaves nobody knowing what is stored, so the node stops (and may be started again).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::core::{Stored, Write};
use super::log::Log;
use super::message::{Entry, HardState, Position, Snapshot};

const MAGIC: [u8; 4] = *b"RAFT";
const HEADER: usize = 20;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{path}: the frame at byte {at} is corrupt, yet valid frames follow it (the next at byte {next}): synced data was lost or changed"
    )]
    CorruptMiddle { path: PathBuf, at: usize, next: usize },
    #[error("{path}: {why}")]
    Unreadable { path: PathBuf, why: String },
}

/// What one frame of the log holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// In the first frame of a log: the position that its entries follow.
    base: Option<Position>,
    state: Option<HardState>,
    /// Each replaces the entry at its index, and all that follow that one.
    entries: Vec<Entry>,
}

/// The end of the log that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TornTail {
    pub(crate) at: usize,
    pub(crate) bytes: usize,
}

/// The open log.
#[derive(Debug)]
pub(crate) struct Wal {
    dir: PathBuf,
    file: File,
    next_frame: u64,
    /// Kept because a new log begins with it.
    state: HardState,
}

impl Wal {
    /// Opens the log in a directory, which is created if need be, and reads what it holds.
    pub(crate) fn open(dir: &Path) -> Result<(Wal, Stored, Option<TornTail>), WalError> {
        let path = dir.join("wal");
        let failed = |source| WalError::Io { path: path.clone(), source };
        if !dir.is_dir() {
            fs::create_dir_all(dir).map_err(failed)?;
            // A directory that is new is an entry of the one above.
            dir.parent().map_or(Ok(()), sync_directory).map_err(failed)?;
        }

        let snapshot = read_snapshot(&dir.join("snapshot"))?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let (records, good) = read_frames(&path, &bytes)?;
        let next_frame = records.len() as u64 + 1;
        let stored = replay(&path, snapshot, records)?;

        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        let torn = (good < bytes.len()).then_some(TornTail { at: good, bytes: bytes.len() - good });
        if torn.is_some() {
            file.set_len(good as u64).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        sync_directory(dir).map_err(failed)?;
        let wal = Wal { dir: dir.to_owned(), file, next_frame, state: stored.state.clone() };
        Ok((wal, stored, torn))
    }

    /// Writes several writes, in order; they are durable after a [`sync`](Wal::sync). After an error nothing is known about
    /// what is stored.
    pub(crate) fn write(&mut self, writes: Vec<Write>) -> io::Result<()> {
        let mut record = Record::default();
        let mut restart = None;
        for write in writes {
            if let Some(state) = write.state {
                self.state = state.clone();
                record.state = Some(state);
            }
            if let Some(from) = write.restart {
                // All before is in the snapshot or comes again.
                record.entries.clear();
                restart = Some(from);
            }
            record.entries.extend(write.entries);
        }
        let Some(restart) = restart else {
            let frame = frame(self.next_frame, &record);
            self.next_frame += 1;
            return self.file.write_all(&frame);
        };
        replace(&self.dir, "snapshot", &frame(1, &*restart.snapshot))?;
        record.base = Some(restart.base);
        record.state = Some(self.state.clone());
        replace(&self.dir, "wal", &frame(1, &record))?;
        self.file = OpenOptions::new().append(true).open(self.dir.join("wal"))?;
        self.next_frame = 2;
        Ok(())
    }

    /// Makes durable what is written.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn frame(number: u64, body: &impl Serialize) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    frame = postcard::to_extend(body, frame).expect("records hold only what postcard can write");
    let length = (frame.len() - HEADER) as u32;
    frame[..4].copy_from_slice(&MAGIC);
    frame[4..12].copy_from_slice(&number.to_le_bytes());
    frame[12..16].copy_from_slice(&length.to_le_bytes());
    let crc = checksum(&frame);
    frame[16..20].copy_from_slice(&crc.to_le_bytes());
    frame
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[4..16]);
    hasher.update(&frame[HEADER..]);
    hasher.finalize()
}

/// The frame at the start of these bytes, if it is whole and right: its number, its body, its length in all.
fn parse_frame(bytes: &[u8]) -> Option<(u64, &[u8], usize)> {
    let header = bytes.get(..HEADER).filter(|header| header[..4] == MAGIC)?;
    let number = u64::from_le_bytes(header[4..12].try_into().expect("8 bytes"));
    let length = u32::from_le_bytes(header[12..16].try_into().expect("4 bytes")) as usize;
    let crc = u32::from_le_bytes(header[16..20].try_into().expect("4 bytes"));
    let whole = bytes.get(..HEADER + length)?;
    (checksum(whole) == crc).then_some((number, &whole[HEADER..], whole.len()))
}

fn decode<T: DeserializeOwned>(path: &Path, body: &[u8]) -> Result<T, WalError> {
    postcard::from_bytes(body)
        .map_err(|error| WalError::Unreadable { path: path.to_owned(), why: error.to_string() })
}

/// Reads frames up to the end or the torn end; says how many bytes were good.
fn read_frames(path: &Path, bytes: &[u8]) -> Result<(Vec<Record>, usize), WalError> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some((number, body, length)) = parse_frame(&bytes[at..]) {
        if number != records.len() as u64 + 1 {
            let why = format!("frame {number} where frame {} should be", records.len() + 1);
            return Err(WalError::Unreadable { path: path.to_owned(), why });
        }
        records.push(decode(path, body)?);
        at += length;
    }
    if let Some(next) = (at + 1..bytes.len()).find(|&next| parse_frame(&bytes[next..]).is_some()) {
        return Err(WalError::CorruptMiddle { path: path.to_owned(), at, next });
    }
    Ok((records, at))
}

fn read_snapshot(path: &Path) -> Result<Option<Arc<Snapshot>>, WalError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(WalError::Io { path: path.to_owned(), source }),
    };
    match parse_frame(&bytes) {
        Some((_, body, length)) if length == bytes.len() => Ok(Some(Arc::new(decode(path, body)?))),
        _ => Err(WalError::Unreadable { path: path.to_owned(), why: "the snapshot is corrupt".into() }),
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
                return Err(WalError::Unreadable { path: path.to_owned(), why });
            }
            log.truncate(entry.at.index);
            log.push(entry);
        }
    }
    let covered = snapshot.as_ref().map_or(Position::START, |snapshot| snapshot.last);
    if !log.holds(covered) {
        if log.base().index > covered.index {
            let why = format!("the log begins after {:?}, the snapshot ends at {covered:?}", log.base());
            return Err(WalError::Unreadable { path: path.to_owned(), why });
        }
        log = Log::new(covered, Vec::new());
    } else if log.base().index > covered.index {
        let why = "the log begins after its start, and there is no snapshot".into();
        return Err(WalError::Unreadable { path: path.to_owned(), why });
    }
    // A crash between the two renames of a compaction may leave a snapshot from a term that the log has not seen.
    let newest = log.last().term;
    if newest > state.term {
        state = HardState { term: newest, vote: None };
    }
    Ok(Stored { state, snapshot, log })
}

/// Replaces a file as a whole: after a crash there is the old one or the new one.
fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    sync_directory(dir)
}

/// A file that was created or renamed is only safely there once its directory is synced.
fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::core::Restart;
    use super::super::message::Payload;
    use super::*;

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
        Arc::new(Snapshot { last: Position { term, index }, data: (*b"state").into() })
    }

    /// A directory with a log of these batches.
    fn written(batches: Vec<Vec<Write>>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let (mut wal, ..) = Wal::open(dir.path()).unwrap();
        for batch in batches {
            wal.write(batch).unwrap();
            wal.sync().unwrap();
        }
        dir
    }

    fn read(dir: &Path) -> (Stored, Option<TornTail>) {
        let (_, stored, torn) = Wal::open(dir).unwrap();
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

    /// Wherever the last write was interrupted: it is gone as a whole, and all before is there.
    #[test]
    fn a_torn_tail_is_cut_and_writing_goes_on() {
        let dir = written(vec![vec![state(1, "n1"), entries(1..=2, 1)]]);
        let path = dir.path().join("wal");
        let synced = fs::metadata(&path).unwrap().len() as usize;
        Wal::open(dir.path()).unwrap().0.write(vec![entries(3..=4, 1)]).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in synced + 1..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let (mut wal, stored, torn) = Wal::open(dir.path()).unwrap();
            assert_eq!(torn, Some(TornTail { at: synced, bytes: length - synced }));
            assert_eq!(terms(&stored), [(1, 1), (2, 1)], "cut at {length}");
            wal.write(vec![entries(3..=3, 2)]).unwrap();
            assert_eq!(terms(&read(dir.path()).0), [(1, 1), (2, 1), (3, 2)], "cut at {length}");
        }
    }

    /// What was synced, and is wrong now, must not be taken for a torn tail: votes and entries would be forgotten.
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
            let error = Wal::open(dir.path()).expect_err("a synced frame is damaged");
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
        assert!(matches!(Wal::open(dir.path()), Err(WalError::Unreadable { .. })));
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
            replace(dir.path(), "snapshot", &frame(1, &*snapshot)).unwrap();
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
        assert!(matches!(Wal::open(dir.path()), Err(WalError::Unreadable { .. })));
    }
}
