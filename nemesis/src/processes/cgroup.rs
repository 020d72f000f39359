//! Cgroups: groups that a process cannot leave.
//!
//! A server that daemonises leaves its process group and its parent, but not its cgroup. The kernel also
//! records in every socket the cgroup (of version 2) in which it was created. So if cgroups can be created,
//! which usually only root may, every node gets one. Its processes are those in the cgroup, and one question
//! to the kernel tells which node connected to a proxy.
//!
//! Version 2 works for this even without any controller, and so also if version 1 has all controllers (a
//! hybrid machine).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// The cgroup of a process in one hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CgroupLocation {
    pub(crate) version: Version,
    /// Controllers of the hierarchy, for version 1.
    pub(crate) controllers: Vec<String>,
    pub(crate) path: PathBuf,
}

/// The cgroups of a process, or else of this one.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn cgroups_of(pid: Option<i32>) -> Result<Vec<CgroupLocation>, String> {
    // A mount point may have a name that is not UTF-8.
    let read = |path: &str| match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(format!("{path}: {error}")),
    };
    let of = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    Ok(parse(&read("/proc/self/mountinfo")?, &read(&format!("/proc/{of}/cgroup"))?))
}

fn parse(mountinfo: &str, cgroup: &str) -> Vec<CgroupLocation> {
    let home = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, at) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        let (version, options) = match (kind.next()?, kind.nth(1)?) {
            ("cgroup", options) => (Version::One, options),
            ("cgroup2", _) => (Version::Two, ""),
            _ => return None,
        };
        let (controllers, path) = cgroup.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            let mounted = |name: &str| options.split(',').any(|option| option == name);
            let mine = match version {
                Version::One => !controllers.is_empty() && controllers.split(',').all(mounted),
                Version::Two => controllers.is_empty(),
            };
            mine.then_some((controllers, path))
        })?;
        let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        let path = if below.is_empty() { at.into() } else { Path::new(at).join(below) };
        let controllers = controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
        Some(CgroupLocation { version, controllers: controllers.collect(), path })
    };
    mountinfo.lines().filter_map(home).collect()
}

/// A cgroup for the processes of one node.
#[derive(Debug)]
pub struct NodeCgroup {
    path: PathBuf,
    id: u64,
}

impl NodeCgroup {
    /// Creates a cgroup below this process's own. Calls `announce` with its path before creating it.
    ///
    /// # Errors
    /// Why it cannot be created here.
    pub fn make(name: &str, announce: impl FnOnce(&Path)) -> Result<NodeCgroup, String> {
        let home = cgroups_of(None)?.into_iter().find(|home| home.version == Version::Two);
        let path = home.ok_or("there are no cgroups of version 2")?.path.join(name);
        announce(&path);
        let failed = |error| format!("cannot make the cgroup {}: {error}", path.display());
        fs::create_dir(&path).map_err(failed)?;
        // The kernel uses the inode of the directory as the id of a cgroup.
        let id = fs::metadata(&path).map_err(failed)?.ino();
        Ok(NodeCgroup { path, id })
    }

    /// Path of its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kernel's id of the cgroup, as it appears in the data of sockets.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Opens the file through which a process joins: a process that writes `0` to it is moved in, with all
    /// its future children.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open_procs(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path.join("cgroup.procs"))
    }

    /// The processes in it.
    pub fn processes(&self) -> Vec<i32> {
        processes_in(&self.path)
    }
}

/// Kills the processes in a cgroup and removes it; `Ok` if it does not exist.
///
/// # Errors
/// When the kernel refuses.
pub fn remove_cgroup(group: &Path) -> io::Result<()> {
    empty_and_remove(group, |pid| {
        // The process may be gone already.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    })
}

/// Removes a cgroup after `out` was called for each process in it. Repeats this until no process is left: a
/// process may fork on its way out, and a killed process takes a moment to end.
pub(crate) fn empty_and_remove(group: &Path, out: impl Fn(i32)) -> io::Result<()> {
    let mut attempts = 500;
    loop {
        processes_in(group).into_iter().for_each(&out);
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && attempts > 0 => attempts -= 1,
            done => return done,
        }
        sleep(Duration::from_millis(2));
    }
}

fn processes_in(group: &Path) -> Vec<i32> {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    listed.lines().filter_map(|pid| pid.parse().ok()).collect()
}

/// Moves a process into a cgroup. A process that has ended is ignored.
pub(crate) fn move_process(group: &Path, pid: i32) -> Result<(), String> {
    match fs::write(group.join("cgroup.procs"), pid.to_string()) {
        Err(error) if error.raw_os_error() != Some(nix::libc::ESRCH) => {
            Err(format!("cannot move {pid} to {}: {error}", group.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_are_found_in_both_versions() {
        let hybrid = "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      32 30 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                      34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let found = parse(hybrid, "9:name=systemd:/s\n4:cpu,cpuacct:/a/b\n3:cpuset:/\n0::/d");
        let shown: Vec<_> =
            found.iter().map(|home| (home.version, home.path.to_str().expect("UTF-8"))).collect();
        assert_eq!(
            shown,
            [
                (Version::One, "/sys/fs/cgroup/cpu,cpuacct/a/b"),
                (Version::One, "/sys/fs/cgroup/cpuset"),
                (Version::One, "/sys/fs/cgroup/systemd/s"),
                (Version::Two, "/sys/fs/cgroup/unified/d"),
            ]
        );
        assert_eq!(found[0].controllers, ["cpu", "cpuacct"]);
        let two = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw";
        assert_eq!(parse(two, "0::/")[0].path, Path::new("/sys/fs/cgroup"));
        let inside = "29 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup ro";
        assert_eq!(parse(inside, "0::/docker/1/x")[0].path, Path::new("/sys/fs/cgroup/x"));
        assert_eq!(parse("", "0::/"), []);
    }
}
