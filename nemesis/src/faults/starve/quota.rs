//! Starving by the kernel: a cgroup, of version 2 or of version 1, with a quota of processor time.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::{AccessFlags, access};

use crate::processes::cgroup::{self, Version};

/// Period of the quota in microseconds: the kernel's default.
const PERIOD_US: u64 = 100_000;

/// A cgroup for one node, made for the quota.
#[derive(Debug)]
pub(crate) struct Quota {
    version: Version,
    group: PathBuf,
    /// The cgroup in which the node's processes started, and to which they return.
    home: PathBuf,
}

impl Quota {
    /// Creates a cgroup for the node of the process `leader`, or else of this process; it is empty at first.
    /// Calls `announce` with its path before creating it.
    ///
    /// # Errors
    /// Why it cannot be created here.
    pub(crate) fn make(
        name: &str,
        leader: Option<i32>,
        announce: impl FnOnce(&Path),
    ) -> Result<Quota, String> {
        let (version, home, parent) = place(leader)?;
        let group = parent.join(name);
        announce(&group);
        fs::create_dir(&group)
            .map_err(|error| format!("cannot make the cgroup {}: {error}", group.display()))?;
        Ok(Quota { version, group, home })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.group
    }

    /// Limits the processes in the cgroup to this percentage of one processor.
    pub(crate) fn set(&self, percent: u8) -> Result<(), String> {
        let quota_us = PERIOD_US * u64::from(percent) / 100;
        match self.version {
            Version::One => self
                .write("cpu.cfs_period_us", &PERIOD_US.to_string())
                .and_then(|()| self.write("cpu.cfs_quota_us", &quota_us.to_string())),
            Version::Two => self.write("cpu.max", &format!("{quota_us} {PERIOD_US}")),
        }
    }

    /// Moves processes into the cgroup. A process that has ended is ignored.
    pub(crate) fn admit(&self, pids: &[i32]) -> Result<(), String> {
        pids.iter().try_for_each(|&pid| cgroup::move_process(&self.group, pid))
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.group.join(file);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Moves all processes out and removes the cgroup. Returns the processor time that it withheld.
    pub(crate) fn end(self) -> Result<Duration, String> {
        let stat = fs::read_to_string(self.group.join("cpu.stat")).unwrap_or_default();
        cgroup::empty_and_remove(&self.group, |pid| drop(cgroup::move_process(&self.home, pid)))
            .map_err(|error| format!("cannot remove {}: {error}", self.group.display()))?;
        Ok(throttled(&stat))
    }
}

/// Where a cgroup for a process, or else for this one, can be created: the version, the current cgroup of the
/// process, and the parent of the new one.
///
/// # Errors
/// Why it cannot be created.
pub(crate) fn place(pid: Option<i32>) -> Result<(Version, PathBuf, PathBuf), String> {
    let all = cgroup::cgroups_of(pid)?;
    // If version 1 controls the processor, version 2 does not.
    let with_cpu = all.iter().find(|home| home.controllers.iter().any(|controller| controller == "cpu"));
    let home = with_cpu.or_else(|| all.iter().find(|home| home.version == Version::Two));
    let home = home.ok_or("there is no cgroup controller of the processor")?;
    let (version, home) = (home.version, home.path.clone());
    let parent = match version {
        Version::One => home.clone(),
        Version::Two => home
            .ancestors()
            .find(|group| lists_cpu(&group.join("cgroup.subtree_control")))
            .ok_or("no cgroup hands the processor to its children")?
            .to_owned(),
    };
    access(&parent, AccessFlags::W_OK)
        .map_err(|error| format!("no cgroup may be made below {}: {error}", parent.display()))?;
    Ok((version, home, parent))
}

fn lists_cpu(file: &Path) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|word| word == "cpu"))
}

/// Parses `cpu.stat`: nanoseconds in version 1, microseconds in version 2.
fn throttled(stat: &str) -> Duration {
    let field =
        |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    match (field("throttled_time "), field("throttled_usec ")) {
        (Some(ns), _) => Duration::from_nanos(ns),
        (None, us) => Duration::from_micros(us.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn withheld_time_has_the_units_of_each_version() {
        assert_eq!(throttled("nr_periods 9\nthrottled_time 1500000\n"), Duration::from_micros(1500));
        assert_eq!(throttled("usage_usec 1\nthrottled_usec 1500\n"), Duration::from_micros(1500));
        assert_eq!(throttled(""), Duration::ZERO);
    }
}
