//! Snapshots of machines that are ready for a job, kept from run to run: most runs are of a machine that was booted
//! before. They lie below the box's [`directory`], under the hash of what they depend on.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::identity::hash;
use crate::machine::Machine;
use crate::parts::directory;
use crate::snapshot::instructions;
use crate::{BoxError, PartsError};

/// How many are kept: those that were used last. Each takes some 150 MB.
const KEPT_MAX: usize = 4;

/// Where the snapshot of this machine lies.
pub(crate) fn file_of(machine: &Machine) -> Result<PathBuf, BoxError> {
    let identity = machine.without_job().identity()?;
    let text = serde_json::to_vec(&identity).map_err(|why| PartsError::Other(why.to_string()))?;
    Ok(directory()?.join("snapshots").join(hash(&text)))
}

/// The snapshot in this file, if there is a whole one: a machine that lost its power may have kept half.
pub(crate) fn open(file: &Path) -> Option<OwnedFd> {
    let found = OwnedFd::from(File::open(file).ok()?);
    let (found, ..) = instructions(&found).ok()?;
    let _ = found.set_modified(SystemTime::now());
    Some(found.into())
}

/// Keeps a snapshot, and removes those that were not used for longest.
pub(crate) fn keep(file: &Path, snapshot: &OwnedFd) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(directory)?;
    // Nobody sees half of it, and another trial of this process does not write into it.
    let partial = file.with_extension(std::process::id().to_string());
    let mut target = File::create_new(&partial)?;
    let source = File::open(format!("/proc/self/fd/{}", snapshot.as_raw_fd()));
    let copied = source.and_then(|mut source| io::copy(&mut source, &mut target));
    let kept = copied.and_then(|_| std::fs::rename(&partial, file));
    if kept.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    remove_all_but_last(directory)?;
    kept
}

fn remove_all_but_last(directory: &Path) -> io::Result<()> {
    let used = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        files.push(entry?.path());
    }
    files.sort_by_key(|path| std::cmp::Reverse(used(path)));
    files.iter().skip(KEPT_MAX).try_for_each(std::fs::remove_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &[u8] = b"\x05\x0ctimer/icount\0\0\0\x01 16 bytes of time";

    #[test]
    fn the_last_ones_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let state: OwnedFd = tempfile::tempfile().unwrap().into();
        std::io::Write::write_all(&mut File::from(state.try_clone().unwrap()), STATE).unwrap();
        let names: Vec<PathBuf> = (0..7).map(|name| directory.path().join(name.to_string())).collect();
        for (at, name) in names.iter().enumerate() {
            keep(name, &state).unwrap();
            let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at as u64);
            File::open(name).unwrap().set_modified(later).unwrap();
            assert!(open(&names[0]).is_some(), "it is used all the time");
        }
        let left: Vec<bool> = names.iter().map(|name| name.exists()).collect();
        assert_eq!(left, [true, false, false, false, true, true, true]);
        assert_eq!(std::fs::read(&names[6]).unwrap(), STATE);
        std::fs::write(&names[6], &STATE[..20]).unwrap();
        assert!(open(&names[6]).is_none(), "it breaks off");
    }
}
