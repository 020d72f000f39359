//! Damages the files of a node that is down: flips a bit, truncates, removes all, or restores an old copy.
//!
//! The seed chooses the file and the place, among the non-empty files in the order of their paths.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fault::Damage;

/// Damages the files under `data`; `backup` is the copy made by [`copy`]. Returns the number of damaged
/// files, and what was damaged, in words.
///
/// # Errors
/// When there is no file to damage, no backup, or the disk refuses.
pub(super) fn damage(data: &Path, backup: &Path, what: Damage, seed: u64) -> io::Result<(u64, String)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let files = files(data)?;
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
            clear(data)?;
            (files.len() as u64, format!("all {} files", files.len()))
        }
        Damage::Restore => {
            if !backup.is_dir() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "there is no backup"));
            }
            clear(data)?;
            copy(backup, data)?;
            let files = self::files(data)?.len();
            (files as u64, format!("all {files} files, as they were at the backup"))
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

/// Removes everything in a directory, durably.
pub(super) fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Every ext4 has one.
        if entry.file_name() == "lost+found" {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    File::open(directory)?.sync_all()
}

/// Copies everything in a directory into another directory, durably. Creates the other one if needed.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()? {
            kind if kind.is_dir() => copy(&source, &target)?,
            kind if kind.is_symlink() => std::os::unix::fs::symlink(fs::read_link(source)?, target)?,
            _ => {
                fs::copy(&source, &target)?;
                File::open(&target)?.sync_all()?;
            }
        }
    }
    File::open(to)?.sync_all()
}
