//! The user that a node's processes run as.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, chown, geteuid, setgid, setgroups, setuid};

/// A user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    uid: Uid,
    gid: Gid,
}

impl User {
    /// The user with that name.
    ///
    /// # Errors
    /// When there is none, or this process cannot start processes as that user.
    pub fn named(name: &str) -> Result<User, String> {
        let found = nix::unistd::User::from_name(name).map_err(|error| format!("`{name}`: {error}"))?;
        let found = found.ok_or_else(|| format!("there is no user `{name}` on this machine"))?;
        match geteuid() {
            own if own.is_root() || own == found.uid => Ok(User { uid: found.uid, gid: found.gid }),
            _ => {
                Err(format!("only root can start nodes as `{name}`: remove the key, or run Tribunal as root"))
            }
        }
    }

    /// Makes the calling process one of this user. Async-signal-safe; called between fork and exec.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn become_it(self) -> io::Result<()> {
        if geteuid() == self.uid {
            return Ok(());
        }
        setgroups(&[self.gid])?;
        setgid(self.gid)?;
        Ok(setuid(self.uid)?)
    }

    /// Makes the user the owner of a file.
    pub(crate) fn own(self, path: &Path) -> Result<(), String> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Checks that the user can enter the directories around a path.
    pub(crate) fn must_reach(self, path: &Path) -> Result<(), String> {
        let path = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
        for directory in path.ancestors().skip(1) {
            let Ok(meta) = directory.metadata() else { continue };
            let bit = if self.uid.is_root() || meta.uid() == self.uid.as_raw() {
                0o100
            } else if meta.gid() == self.gid.as_raw() {
                0o010
            } else {
                0o001
            };
            if meta.mode() & bit == 0 {
                let mode = meta.mode() & 0o777;
                return Err(format!(
                    "the user of the nodes cannot enter {} (mode {mode:o}): choose another --store",
                    directory.display()
                ));
            }
        }
        Ok(())
    }
}
