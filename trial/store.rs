//! The run directory.
//!
//! ```text
//! store/<workload>/<UTC time>-<seed>/     with the suffix `.partial` during the run
//! store/<workload>/latest, store/latest   links to the newest complete run
//! store/failed                            link to the newest complete run that was not a pass
//! ```
//!
//! It contains the nodes' data directories during the run. They are removed at the end; the evidence stays.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use anyhow::{Context, Result};

/// The directory of one run.
pub(crate) struct Store {
    root: PathBuf,
    workload: String,
    name: String,
    path: PathBuf,
}

impl Store {
    /// Creates the directory of a new run.
    pub(crate) fn create(root: &Path, workload: &str, seed: u64, started: SystemTime) -> Result<Self> {
        let stamp = humantime::format_rfc3339_seconds(started).to_string().replace(['-', ':'], "");
        let parent = root.join(workload);
        std::fs::create_dir_all(&parent)
            .with_context(|| format!("--store: cannot create {}", parent.display()))?;
        // Nodes get absolute paths: their working directory may differ from the controller's.
        let parent = parent.canonicalize().with_context(|| format!("cannot find {}", parent.display()))?;
        // Two runs of the same seed may start in the same second.
        for attempt in 1..=100 {
            let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
            let name = format!("{stamp}-{seed}{suffix}");
            let path = parent.join(format!("{name}.partial"));
            match std::fs::create_dir(&path) {
                Ok(()) if parent.join(&name).exists() => drop(std::fs::remove_dir(&path)),
                Ok(()) => {
                    return Ok(Store {
                        root: root.to_path_buf(),
                        workload: workload.to_string(),
                        name,
                        path,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("--store: cannot create {}", path.display()));
                }
            }
        }
        anyhow::bail!("cannot find a free name for this run in {}", parent.display())
    }

    /// Current path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Path after the run.
    pub(crate) fn complete_path(&self) -> PathBuf {
        self.path.with_file_name(&self.name)
    }

    /// Current path as the user would type it: relative, if the store is. Commands in reports contain it, and
    /// another machine may have the store elsewhere.
    pub(crate) fn typed_path(&self) -> PathBuf {
        self.root.join(&self.workload).join(self.path.file_name().unwrap_or_default())
    }

    /// Removes the nodes' data: it is not evidence, and it may fill the disk.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn drop_data(&self) -> Result<()> {
        let data = self.path.join("data");
        match std::fs::remove_dir_all(&data) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", data.display()))
            }
            _ => Ok(()),
        }
    }

    /// Completes the run: removes the nodes' data, removes `.partial` from the name and updates the links.
    ///
    /// # Errors
    /// When the directory cannot be renamed. It then keeps its name, with all its contents.
    pub(crate) fn complete(&mut self, good: bool) -> Result<()> {
        self.drop_data()?;
        let complete = self.complete_path();
        std::fs::rename(&self.path, &complete)
            .with_context(|| format!("cannot rename {} to {}", self.path.display(), complete.display()))?;
        self.path = complete;
        let _ = point(&self.root.join(&self.workload).join("latest"), Path::new(&self.name));
        let below = Path::new(&self.workload).join(&self.name);
        let _ = point(&self.root.join("latest"), &below);
        if !good {
            let _ = point(&self.root.join("failed"), &below);
        }
        Ok(())
    }
}

/// Creates or replaces a symbolic link atomically. Errors are ignored by callers: a link is only a
/// convenience.
fn point(link: &Path, to: &Path) -> io::Result<()> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let nth = MADE.fetch_add(1, Ordering::Relaxed);
    let fresh = link.with_extension(format!("{}-{nth}", std::process::id()));
    symlink(to, &fresh)?;
    std::fs::rename(&fresh, link).inspect_err(|_| drop(std::fs::remove_file(&fresh)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_run_is_partial_until_it_is_complete() {
        let root = tempfile::tempdir().unwrap();
        let started = UNIX_EPOCH + Duration::from_secs(1_795_253_415);
        let mut store = Store::create(root.path(), "register", 8231, started).unwrap();
        assert!(
            store.path().ends_with("register/20261121T093015Z-8231.partial"),
            "{}",
            store.path().display()
        );
        std::fs::create_dir_all(store.path().join("data/n1")).unwrap();
        let mut second = Store::create(root.path(), "register", 8231, started).unwrap();
        assert_ne!(store.path(), second.path());

        store.complete(true).unwrap();
        let leads_to = |link: &str, name: &str| {
            root.path().join(link).canonicalize().is_ok_and(|target| target.ends_with(name))
        };
        assert!(leads_to("latest", "20261121T093015Z-8231"));
        assert!(leads_to("register/latest", "20261121T093015Z-8231"));
        assert!(!root.path().join("failed").exists());
        second.complete(false).unwrap();
        assert!(
            leads_to("latest", "20261121T093015Z-8231-2") && leads_to("failed", "20261121T093015Z-8231-2")
        );
        assert!(!store.path().join("data").exists());
    }
}
