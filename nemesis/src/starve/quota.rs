//! Starving by the kernel: a cgroup with a quota of processor time, of version 2 or of version 1.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{AccessFlags, Pid, access},
};

/// The time for which a quota is given, in microseconds: the kernel's own choice.
const PERIOD_US: u64 = 100_000;

/// A cgroup of the run's own for one node.
#[derive(Debug)]
pub(crate) struct Quota {
    version: Version,
    group: PathBuf,
    /// Where the node's processes were born, and go back to.
    home: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

impl Quota {
    /// Makes a cgroup; nobody is in it yet. `announce` is told where it will be.
    ///
    /// # Errors
    /// Why it cannot be had here.
    pub(crate) fn make(name: &str, announce: impl FnOnce(&Path)) -> Result<Quota, String> {
        let (version, home, parent) = place()?;
        let group = parent.join(name);
        announce(&group);
        fs::create_dir(&group)
            .map_err(|error| format!("cannot make the cgroup {}: {error}", group.display()))?;
        Ok(Quota { version, group, home })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.group
    }

    /// Gives those in it so many percent of one processor.
    pub(crate) fn set(&self, percent: u8) -> Result<(), String> {
        let quota_us = PERIOD_US * u64::from(percent) / 100;
        match self.version {
            Version::One => self
                .write("cpu.cfs_period_us", &PERIOD_US.to_string())
                .and_then(|()| self.write("cpu.cfs_quota_us", &quota_us.to_string())),
            Version::Two => self.write("cpu.max", &format!("{quota_us} {PERIOD_US}")),
        }
    }

    /// Takes processes in. One that has ended is none.
    pub(crate) fn admit(&self, pids: &[i32]) -> Result<(), String> {
        pids.iter().try_for_each(|&pid| moved(&self.group, pid))
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.group.join(file);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Lets everybody out and removes it. The processor time that it withheld.
    pub(crate) fn end(self) -> Result<Duration, String> {
        let stat = fs::read_to_string(self.group.join("cpu.stat")).unwrap_or_default();
        emptied(&self.group, |pid| drop(moved(&self.home, pid)))
            .map_err(|error| format!("cannot remove {}: {error}", self.group.display()))?;
        Ok(throttled(&stat))
    }
}

/// Where a cgroup can be made, as far as one can tell before: the version, the cgroup of this process, and the parent to be.
///
/// # Errors
/// Why it cannot be made.
pub(crate) fn place() -> Result<(Version, PathBuf, PathBuf), String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (version, home) = home(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)
        .ok_or("there is no cgroup controller of the processor")?;
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

/// Kills who is in a cgroup and removes it; `Ok` if there is none.
///
/// # Errors
/// When the kernel refuses.
pub fn remove_cgroup(group: &Path) -> io::Result<()> {
    emptied(group, |pid| {
        // One that is gone already is what was wanted.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    })
}

/// Removes a cgroup. Who forks on the way out leaves a child behind, and who is killed takes a moment to go: again, until nobody
/// is left.
fn emptied(group: &Path, out: impl Fn(i32)) -> io::Result<()> {
    let mut attempts = 500;
    loop {
        let inmates = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        inmates.lines().filter_map(|pid| pid.parse().ok()).for_each(&out);
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && attempts > 0 => attempts -= 1,
            done => return done,
        }
        sleep(Duration::from_millis(2));
    }
}

fn moved(group: &Path, pid: i32) -> Result<(), String> {
    match fs::write(group.join("cgroup.procs"), pid.to_string()) {
        Err(error) if error.raw_os_error() != Some(nix::libc::ESRCH) => {
            Err(format!("cannot move {pid} to {}: {error}", group.display()))
        }
        _ => Ok(()),
    }
}

fn lists_cpu(file: &Path) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|word| word == "cpu"))
}

/// The cgroup that this process is in, of the hierarchy that has the processor.
fn home(mountinfo: &str, cgroup: &str) -> Option<(Version, PathBuf)> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, at) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        match (kind.next()?, kind.nth(1)?) {
            ("cgroup", options) if options.split(',').any(|option| option == "cpu") => {
                Some((Version::One, root, at))
            }
            ("cgroup2", _) => Some((Version::Two, root, at)),
            _ => None,
        }
    });
    // Where version 1 has the processor, version 2 has not.
    let (version, root, at) = mounts.min_by_key(|(version, ..)| *version == Version::Two)?;
    let path = cgroup.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let mine = match version {
            Version::One => controllers.split(',').any(|controller| controller == "cpu"),
            Version::Two => controllers.is_empty(),
        };
        mine.then_some(path)
    })?;
    let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
    Some((version, if below.is_empty() { at.into() } else { Path::new(at).join(below) }))
}

/// From `cpu.stat`: nanoseconds in version 1, microseconds in version 2.
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
    fn the_home_is_found_in_either_version() {
        let one = "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                   32 30 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                   33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        assert_eq!(
            home(one, "4:cpu,cpuacct:/a/b\n3:cpuset:/c\n0::/d"),
            Some((Version::One, "/sys/fs/cgroup/cpu,cpuacct/a/b".into()))
        );
        let two = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw";
        assert_eq!(home(two, "0::/"), Some((Version::Two, "/sys/fs/cgroup".into())));
        let inside = "29 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup ro";
        assert_eq!(home(inside, "0::/docker/1/x"), Some((Version::Two, "/sys/fs/cgroup/x".into())));
        assert_eq!(home("", "0::/"), None);
    }

    #[test]
    fn what_was_withheld_is_read_in_the_units_of_each_version() {
        assert_eq!(throttled("nr_periods 9\nthrottled_time 1500000\n"), Duration::from_micros(1500));
        assert_eq!(throttled("usage_usec 1\nthrottled_usec 1500\n"), Duration::from_micros(1500));
        assert_eq!(throttled(""), Duration::ZERO);
    }
}
