//! A write-ahead log and a snapshot on disk.
//!
//! ```text
//!   DIR/snapshot    one frame: the newest snapshot
//!   DIR/wal         frame, frame, frame, ...
//!
//!   frame           magic  number  length  crc32    body (postcard)
//!   bytes           4      8       4       4        length
//! ```
//!
//! All integers are little-endian; the checksum covers number, length and body. The magic identifies the
//! protocol. Frames of the log are numbered 1, 2, 3, ... Each is a *batch*: all changes that arrived while
//! the previous batch was written. A batch costs one `fdatasync` for any number of clients (group commit).
//!
//! **After a crash** the end of the log may be torn: a part of the last frame is missing or wrong. The node
//! sends messages only after the sync, so no other node knows of this frame, and it is truncated. A frame is
//! written only after the previous one was synced, so a bad frame followed by a good one means that the disk
//! has lost synced data. A node that continued from there could break its promises, so it refuses to start.
//!
//! **Compaction** writes the snapshot, then a new log that begins after it, each to a temporary file that is
//! synced and renamed over the old one, and syncs the directory. After a crash between the two renames the
//! snapshot is newer than the log; reading must handle this.
//!
//! Caveats: a checksum error in the very last frame cannot be distinguished from a torn end. The node does
//! not survive a disk error: after a failed sync the stored state is unknown, so the node stops (and may be
//! restarted).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

const HEADER: usize = 20;

/// Identifies a protocol's files.
pub(crate) type Magic = [u8; 4];

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

impl WalError {
    /// The content of a file in this directory is invalid.
    pub(crate) fn unreadable(path: &Path, why: impl Into<String>) -> Self {
        WalError::Unreadable { path: path.to_owned(), why: why.into() }
    }
}

/// The end of the log that was truncated.
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
    magic: Magic,
}

/// The content of a directory.
#[derive(Debug)]
pub(crate) struct Found<S, B> {
    pub(crate) wal: Wal,
    pub(crate) snapshot: Option<Arc<S>>,
    pub(crate) batches: Vec<B>,
    pub(crate) torn: Option<TornTail>,
}

impl Wal {
    /// Opens the log in a directory, creates it if needed, and reads its content.
    pub(crate) fn open<S, B>(dir: &Path, magic: Magic) -> Result<Found<S, B>, WalError>
    where
        S: DeserializeOwned,
        B: DeserializeOwned,
    {
        Wal::open_as(dir, magic, false)
    }

    /// As [`open`](Wal::open). With `keep_torn`, a seeded bug, a torn end is not truncated: later frames
    /// follow it and are not read at the next start.
    pub(crate) fn open_as<S, B>(dir: &Path, magic: Magic, keep_torn: bool) -> Result<Found<S, B>, WalError>
    where
        S: DeserializeOwned,
        B: DeserializeOwned,
    {
        let path = dir.join("wal");
        let failed = |source| WalError::Io { path: path.clone(), source };
        if !dir.is_dir() {
            fs::create_dir_all(dir).map_err(failed)?;
            // A new directory is an entry in its parent, which must be synced.
            dir.parent().map_or(Ok(()), sync_directory).map_err(failed)?;
        }

        let snapshot = read_snapshot(&dir.join("snapshot"), magic)?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let (batches, good) = read_frames(&path, &bytes, magic, keep_torn)?;
        let next_frame = batches.len() as u64 + 1;

        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        let torn = (good < bytes.len()).then_some(TornTail { at: good, bytes: bytes.len() - good });
        if torn.is_some() && !keep_torn {
            file.set_len(good as u64).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        sync_directory(dir).map_err(failed)?;
        let wal = Wal { dir: dir.to_owned(), file, next_frame, magic };
        Ok(Found { wal, snapshot, batches, torn })
    }

    /// Writes one batch. It is durable after a [`sync`](Wal::sync); no other batch may be written before
    /// that.
    pub(crate) fn append(&mut self, batch: &impl Serialize) -> io::Result<()> {
        let frame = frame(self.magic, self.next_frame, batch);
        self.next_frame += 1;
        self.file.write_all(&frame)
    }

    /// Writes one batch and makes it durable.
    pub(crate) fn store(&mut self, batch: &impl Serialize) -> io::Result<()> {
        self.append(batch)?;
        self.sync()
    }

    /// Replaces snapshot and log: only this snapshot and this batch count from now on.
    pub(crate) fn restart(&mut self, snapshot: &impl Serialize, batch: &impl Serialize) -> io::Result<()> {
        write_snapshot(&self.dir, self.magic, snapshot)?;
        replace(&self.dir, "wal", &frame(self.magic, 1, batch))?;
        self.file = OpenOptions::new().append(true).open(self.dir.join("wal"))?;
        self.next_frame = 2;
        Ok(())
    }

    /// Makes all written data durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn frame(magic: Magic, number: u64, body: &impl Serialize) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    frame = postcard::to_extend(body, frame).expect("records hold only what postcard can write");
    let length = (frame.len() - HEADER) as u32;
    frame[..4].copy_from_slice(&magic);
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

/// The frame at the start of these bytes, if it is complete and valid: its number, its body, its total
/// length.
fn parse_frame(bytes: &[u8], magic: Magic) -> Option<(u64, &[u8], usize)> {
    let header = bytes.get(..HEADER).filter(|header| header[..4] == magic)?;
    let number = u64::from_le_bytes(header[4..12].try_into().expect("8 bytes"));
    let length = u32::from_le_bytes(header[12..16].try_into().expect("4 bytes")) as usize;
    let crc = u32::from_le_bytes(header[16..20].try_into().expect("4 bytes"));
    let whole = bytes.get(..HEADER + length)?;
    (checksum(whole) == crc).then_some((number, &whole[HEADER..], whole.len()))
}

fn decode<T: DeserializeOwned>(path: &Path, body: &[u8]) -> Result<T, WalError> {
    postcard::from_bytes(body).map_err(|error| WalError::unreadable(path, error.to_string()))
}

/// Reads frames up to the end or the torn end; returns the number of valid bytes.
fn read_frames<B: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    magic: Magic,
    keep_torn: bool,
) -> Result<(Vec<B>, usize), WalError> {
    let mut batches = Vec::new();
    let mut at = 0;
    while let Some((number, body, length)) = parse_frame(&bytes[at..], magic) {
        if number != batches.len() as u64 + 1 {
            let why = format!("frame {number} where frame {} should be", batches.len() + 1);
            return Err(WalError::unreadable(path, why));
        }
        batches.push(decode(path, body)?);
        at += length;
    }
    let next = (at + 1..bytes.len()).find(|&next| parse_frame(&bytes[next..], magic).is_some());
    if let Some(next) = next.filter(|_| !keep_torn) {
        return Err(WalError::CorruptMiddle { path: path.to_owned(), at, next });
    }
    Ok((batches, at))
}

fn read_snapshot<S: DeserializeOwned>(path: &Path, magic: Magic) -> Result<Option<Arc<S>>, WalError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(WalError::Io { path: path.to_owned(), source }),
    };
    match parse_frame(&bytes, magic) {
        Some((_, body, length)) if length == bytes.len() => Ok(Some(Arc::new(decode(path, body)?))),
        _ => Err(WalError::unreadable(path, "the snapshot is corrupt")),
    }
}

pub(crate) fn write_snapshot(dir: &Path, magic: Magic, snapshot: &impl Serialize) -> io::Result<()> {
    replace(dir, "snapshot", &frame(magic, 1, snapshot))
}

/// Replaces a file atomically: after a crash it is the old one or the new one.
fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    sync_directory(dir)
}

/// A created or renamed file is durable only once its directory is synced.
fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
