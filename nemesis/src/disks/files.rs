//! Damages the files of a node that is down: flips a bit, truncates, removes all, or restores an old copy.
//!
//! The seed chooses the file and the place, among the non-empty files in the order of their paths. Files that are
//! not the node's data ([`DataFiles`]) stay as they are.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chacha20::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::fault::Damage;

/// Which files below a data directory are the node's data, by their paths from there. A configuration file, for
/// example, is none: without it the node could not start.
#[derive(Clone)]
pub struct DataFiles(Arc<dyn Fn(&Path) -> bool + Send + Sync>);

impl DataFiles {
    /// The files that fit.
    pub fn new(fit: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        DataFiles(Arc::new(fit))
    }

    /// All files.
    pub fn all() -> Self {
        DataFiles::new(|_| true)
    }

    fn has(&self, root: &Path, path: &Path) -> bool {
        (self.0)(path.strip_prefix(root).unwrap_or(path))
    }
}

impl fmt::Debug for DataFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataFiles")
    }
}

/// Damages the files under `data` that are `which`; `backup` is the copy made by [`copy`]. Returns the number of
/// damaged files, and what was damaged, in words.
///
/// # Errors
/// When there is no file to damage, no backup, or the disk refuses.
pub(super) fn damage(
    data: &Path,
    backup: &Path,
    which: &DataFiles,
    what: Damage,
    seed: u64,
) -> io::Result<(u64, String)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut files = files(data)?;
    files.retain(|path| which.has(data, path));
    let pick = |rng: &mut ChaCha8Rng| -> io::Result<(File, u64, String)> {
        let mut full = Vec::new();
        for path in &files {
            let length = fs::metadata(path)?.len();
            if length > 0 {
                full.push((path, length));
            }
        }
        if full.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no file holds anything"));
        }
        let (path, length) = full[rng.random_range(0..full.len())];
        let file = File::options().read(true).write(true).open(path)?;
        Ok((file, length, name(data, path)))
    };
    let touched = match what {
        Damage::BitFlip => {
            let (file, length, name) = pick(&mut rng)?;
            let (at, bit) = (rng.random_range(0..length), rng.random_range(0..8));
            let mut byte = [0];
            file.read_exact_at(&mut byte, at)?;
            file.write_all_at(&[byte[0] ^ (1 << bit)], at)?;
            file.sync_all()?;
            (1, format!("{name}, bit {bit} of byte {at}"))
        }
        Damage::Truncate => {
            let (file, length, name) = pick(&mut rng)?;
            // Mostly a few bytes, sometimes many.
            let most: u32 = rng.random_range(1..=16);
            let gone = rng.random_range(1..=length.min(1 << most));
            file.set_len(length - gone)?;
            file.sync_all()?;
            (1, format!("{name}, its last {gone} of {length} bytes"))
        }
        Damage::Wipe => {
            clear(data, which)?;
            (
                files.len() as u64,
                match files.len() {
                    1 => "1 file".into(),
                    files => format!("all {files} files"),
                },
            )
        }
        Damage::Restore => {
            if !backup.is_dir() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "there is no backup"));
            }
            clear(data, which)?;
            let files = copy(backup, data, which)?;
            let said = match files {
                1 => "1 file, as it was at the backup".into(),
                files => format!("all {files} files, as they were at the backup"),
            };
            (files as u64, said)
        }
    };
    Ok(touched)
}

fn name(data: &Path, path: &Path) -> String {
    path.strip_prefix(data).unwrap_or(path).display().to_string()
}

/// All regular files under a directory, ordered by path.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => open.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Removes the files in a directory that are `which`, and the directories without any, durably.
pub(super) fn clear(directory: &Path, which: &DataFiles) -> io::Result<()> {
    clear_below(directory, directory, which).map(drop)
}

/// Returns whether the directory is empty.
fn clear_below(root: &Path, directory: &Path, which: &DataFiles) -> io::Result<bool> {
    let mut is_empty = true;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        // Every ext4 has one.
        if directory == root && entry.file_name() == "lost+found" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            match clear_below(root, &path, which)? {
                true => fs::remove_dir(path)?,
                false => is_empty = false,
            }
        } else if which.has(root, &path) {
            fs::remove_file(path)?;
        } else {
            is_empty = false;
        }
    }
    File::open(directory)?.sync_all()?;
    Ok(is_empty)
}

/// Copies the files in a directory that are `which` into another directory, durably. Creates the other one if
/// needed. Returns their number.
pub(super) fn copy(from: &Path, to: &Path, which: &DataFiles) -> io::Result<usize> {
    copy_below(from, from, to, which)
}

/// Root may copy the files of another user, who needs them.
fn keep_owner(from: &Path, to: &Path) -> io::Result<()> {
    let (wanted, made) = (fs::metadata(from)?, fs::metadata(to)?);
    match (wanted.uid(), wanted.gid()) == (made.uid(), made.gid()) {
        true => Ok(()),
        false => chown(to, Some(wanted.uid()), Some(wanted.gid())),
    }
}

fn copy_below(root: &Path, from: &Path, to: &Path, which: &DataFiles) -> io::Result<usize> {
    let mut copied = 0;
    fs::create_dir_all(to)?;
    keep_owner(from, to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()? {
            kind if kind.is_dir() => copied += copy_below(root, &source, &target, which)?,
            _ if !which.has(root, &source) => {}
            kind if kind.is_symlink() => std::os::unix::fs::symlink(fs::read_link(source)?, target)?,
            _ => {
                fs::copy(&source, &target)?;
                keep_owner(&source, &target)?;
                File::open(&target)?.sync_all()?;
                copied += 1;
            }
        }
    }
    File::open(to)?.sync_all()?;
    Ok(copied)
}
