//! The guard: a process that cleans up when the controller itself is killed with -9.
//!
//! A node asks the kernel to die with its parent (PDEATHSIG), but its children do not inherit that, and a
//! mount outlives every process. So a second process, `tribunal guard`, holds the read end of a pipe; only
//! the controller has the write end. Over the pipe the controller registers everything that must not outlive
//! the run. There is one record per resource, each ended by a zero byte, which no path can contain:
//!
//! ```text
//!   +pgid 40           a process group: killed
//!   +mount /d/n1       a mount: unmounted, even if busy
//!   +cgroup /sys/...   a cgroup: its processes are killed, and it is removed
//!   +run 4711-9f3c     all processes marked as nodes of this run: killed
//!   +process 40 9821   the process with this pid and start time: killed
//!   +scratch /tmp/...  a temporary directory: removed with its contents
//!   -pgid 40           the group no longer exists: its number may be reused
//! ```
//!
//! The pipe ends when the controller ends, for whatever reason. The guard then cleans up what is still
//! registered, in reverse order. If the guard itself ends earlier, the controller starts another one and
//! sends it the whole list.
//!
//! The controller makes mounts by its own system calls, not through a child process: a system call is
//! complete before the process is gone, and so before the pipe ends. The exception is `fusermount3`, for
//! users other than root: it may mount after the end of the pipe, so mounts are cleaned up a second time a
//! moment later.

use std::ffi::OsStr;
use std::io::{self, BufRead, PipeWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::unistd::Pid;
use tokio::sync::mpsc::UnboundedSender;
use tribunal_nemesis::{disks, marked, remove_cgroup};

use super::node::Death;
use super::strays;
use crate::executable;
use crate::lock::locked;

/// How often the guard is restarted. After that many failures, the next one would fail for the same reason.
const RESTARTS_MAX: usize = 10;

/// How long after the end of the controller a mount may still appear.
const LATE_MOUNT: Duration = Duration::from_millis(500);

/// A resource that must not outlive the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GuardedResource {
    /// The processes of this group.
    ProcessGroup(Pid),
    /// The mount at this path.
    Mount(PathBuf),
    /// This cgroup and its processes.
    Cgroup(PathBuf),
    /// All processes marked as nodes of this run: see [`tribunal_nemesis::MARK`].
    Run(String),
    /// The process with this pid and start time: see [`strays`].
    Process(i32, u64),
    /// This temporary directory, whose name starts with [`SCRATCH`].
    Scratch(PathBuf),
}

/// The start of the name of every directory that the guard may remove.
pub(crate) const SCRATCH: &str = "tribunal-";

impl GuardedResource {
    fn clean_up(&self) {
        match self {
            GuardedResource::ProcessGroup(group) => drop(killpg(*group, Signal::SIGKILL)),
            GuardedResource::Mount(path) => drop(disks::unmount(path)),
            GuardedResource::Cgroup(group) => drop(remove_cgroup(group)),
            GuardedResource::Run(run) => kill_marked(run),
            GuardedResource::Process(pid, began) => {
                if strays::start_time(*pid) == Some(*began) {
                    let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
                }
            }
            GuardedResource::Scratch(path) => remove_scratch(path),
        }
    }

    /// The record for the pipe.
    fn record(&self, sign: u8) -> Vec<u8> {
        let text;
        let (kind, name) = match self {
            GuardedResource::ProcessGroup(pid) => {
                text = pid.to_string();
                ("pgid", text.as_bytes())
            }
            GuardedResource::Mount(path) => ("mount", path.as_os_str().as_bytes()),
            GuardedResource::Cgroup(path) => ("cgroup", path.as_os_str().as_bytes()),
            GuardedResource::Run(run) => ("run", run.as_bytes()),
            GuardedResource::Process(pid, began) => {
                text = format!("{pid} {began}");
                ("process", text.as_bytes())
            }
            GuardedResource::Scratch(path) => ("scratch", path.as_os_str().as_bytes()),
        };
        [&[sign], kind.as_bytes(), b" ", name, b"\0"].concat()
    }

    /// Parses a record without its sign and its zero byte.
    fn read(record: &[u8]) -> Option<Self> {
        let space = record.iter().position(|byte| *byte == b' ')?;
        let (kind, name) = (&record[..space], &record[space + 1..]);
        let path = || Some(Path::new(OsStr::from_bytes(name))).filter(|path| path.is_absolute());
        match kind {
            b"pgid" => {
                let group = std::str::from_utf8(name).ok()?.parse().ok()?;
                // Killing group 1 or below would kill all processes.
                (group > 1).then(|| GuardedResource::ProcessGroup(Pid::from_raw(group)))
            }
            b"mount" => Some(GuardedResource::Mount(path()?.to_owned())),
            b"cgroup" => Some(GuardedResource::Cgroup(path()?.to_owned())),
            b"scratch" => {
                let is_ours = |path: &&Path| {
                    path.file_name().is_some_and(|it| it.as_bytes().starts_with(SCRATCH.as_bytes()))
                };
                Some(GuardedResource::Scratch(path().filter(is_ours)?.to_owned()))
            }
            b"run" if !name.is_empty() => {
                Some(GuardedResource::Run(std::str::from_utf8(name).ok()?.to_owned()))
            }
            b"process" => {
                let (pid, began) = std::str::from_utf8(name).ok()?.split_once(' ')?;
                let pid = pid.parse().ok().filter(|pid| *pid > 1)?;
                Some(GuardedResource::Process(pid, began.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// Kills all marked processes. Repeats until none was found several times: a process may fork before it dies,
/// and has no environment while it executes another program.
fn kill_marked(run: &str) {
    let mut clean = 0;
    for _ in 0..500 {
        let left = marked(run);
        clean = if left.is_empty() { clean + 1 } else { 0 };
        if clean == 3 {
            return;
        }
        for pid in left {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        sleep(Duration::from_millis(2));
    }
}

/// Removes a directory. Repeats for a while: a process that was killed a moment ago may still write to it.
fn remove_scratch(path: &Path) {
    for _ in 0..500 {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => sleep(Duration::from_millis(10)),
            _ => return,
        }
    }
}

/// The controller's handle to its guard.
pub(crate) struct Guard {
    channel: Arc<Mutex<Channel>>,
    /// Waits for the guard to end.
    watcher: Option<JoinHandle<()>>,
    deaths: UnboundedSender<Death>,
}

/// The pipe to the guard.
struct Channel {
    /// `None` once the guard is told to end.
    pipe: Option<PipeWriter>,
    /// Everything that is registered, for a replacement of the guard.
    registered: Vec<GuardedResource>,
}

impl Guard {
    /// Starts the guard from the program's own executable. If it cannot be kept alive, that is reported to
    /// `deaths`.
    pub(crate) fn start(deaths: UnboundedSender<Death>) -> io::Result<Self> {
        let (child, pipe) = spawn(&[])?;
        let channel = Arc::new(Mutex::new(Channel { pipe: Some(pipe), registered: Vec::new() }));
        let (watched, notices) = (channel.clone(), deaths.clone());
        let watch = move || {
            if let Some((status, why)) = keep_alive(child, &watched) {
                let (node, excused) = ("the guard".to_owned(), false);
                let last_words = format!("nothing would clean up if Tribunal were killed: {why}");
                let _ = notices.send(Death {
                    node,
                    status,
                    excused,
                    had_answered: false,
                    had_ever_answered: false,
                    last_words,
                });
            }
        };
        let watcher = std::thread::Builder::new().name("tribunal-guard".into()).spawn(watch)?;
        Ok(Guard { channel, watcher: Some(watcher), deaths })
    }

    /// Where nodes that die by themselves are reported, as the guard itself.
    pub(crate) fn deaths(&self) -> UnboundedSender<Death> {
        self.deaths.clone()
    }

    /// Registers a resource. Call it before creating the resource, if its name is already known.
    pub(crate) fn add(&self, what: &GuardedResource) {
        self.send(b'+', what);
    }

    /// Unregisters a resource that no longer exists.
    pub(crate) fn remove(&self, what: &GuardedResource) {
        self.send(b'-', what);
    }

    fn send(&self, sign: u8, what: &GuardedResource) {
        let mut channel = locked(&self.channel);
        apply(&mut channel.registered, sign, what.clone());
        if let Some(pipe) = channel.pipe.as_mut() {
            // If the guard has died, its replacement gets the whole list.
            let _ = pipe.write_all(&what.record(sign));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        locked(&self.channel).pipe = None;
        let _ = self.watcher.take().map(JoinHandle::join); // it does not panic
    }
}

/// What a pipe takes without a reader (man 7 pipe: 16 pages).
const PIPE_BYTES: usize = 60_000;

/// Starts a guard and sends it the list.
fn spawn(left: &[GuardedResource]) -> io::Result<(Child, PipeWriter)> {
    let (reader, mut pipe) = io::pipe()?;
    let mut command = executable::command(["guard"]).map_err(io::Error::other)?;
    command.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    // SAFETY: signal is async-signal-safe, and ignoring a signal runs no handler.
    unsafe {
        command.pre_exec(|| {
            // Only the end of the pipe may end the guard. Its group may get SIGHUP when the controller dies,
            // and the terminal must not interrupt it. Signals ignored before exec are ignored from the first
            // instruction on.
            for what in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
                signal(what, SigHandler::SigIgn)?;
            }
            Ok(())
        });
    }
    // The list is in the pipe before there is a guard: a controller that is killed in between has said it all.
    // What a pipe may not take without a reader has to wait for one.
    let list: Vec<u8> = left.iter().flat_map(|what| what.record(b'+')).collect();
    let (at_once, rest) = list.split_at(list.len().min(PIPE_BYTES));
    pipe.write_all(at_once)?;
    let child = command.spawn()?;
    pipe.write_all(rest)?;
    Ok((child, pipe))
}

/// Restarts the guard until it is told to end. Returns the last exit status and why there is no replacement.
fn keep_alive(mut child: Child, channel: &Mutex<Channel>) -> Option<(ExitStatus, String)> {
    for _ in 0..RESTARTS_MAX {
        let status = child.wait().unwrap_or(ExitStatus::from_raw(0)); // no other code waits for it
        let mut channel = locked(channel);
        channel.pipe.as_ref()?;
        match spawn(&channel.registered) {
            Ok((next, pipe)) => (child, channel.pipe) = (next, Some(pipe)),
            Err(error) => return Some((status, format!("it cannot be started again: {error}"))),
        }
    }
    let status = child.wait().unwrap_or(ExitStatus::from_raw(0)); // as above
    locked(channel).pipe.as_ref()?;
    Some((status, format!("it has ended {} times", RESTARTS_MAX + 1)))
}

/// The guard's side: entry point of [`executable::command`] with the argument `guard`, never started by hand.
pub fn serve() {
    let mut left = read_registered(io::stdin().lock());
    left.iter().rev().for_each(GuardedResource::clean_up);
    left.retain(|what| matches!(what, GuardedResource::Mount(_)));
    if !left.is_empty() {
        sleep(LATE_MOUNT);
        left.iter().rev().for_each(GuardedResource::clean_up);
    }
}

/// The registered resources at the end of the pipe. An incomplete last record is ignored: the controller was
/// killed while writing it.
fn read_registered(mut pipe: impl BufRead) -> Vec<GuardedResource> {
    let (mut left, mut record) = (Vec::new(), Vec::new());
    while matches!(pipe.read_until(0, &mut record), Ok(1..)) && record.pop() == Some(0) {
        if let [sign @ (b'+' | b'-'), what @ ..] = &*record
            && let Some(what) = GuardedResource::read(what)
        {
            apply(&mut left, *sign, what);
        }
        record.clear();
    }
    left
}

fn apply(left: &mut Vec<GuardedResource>, sign: u8, what: GuardedResource) {
    left.retain(|other| *other != what);
    if sign == b'+' {
        left.push(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(path: &[u8]) -> GuardedResource {
        GuardedResource::Mount(OsStr::from_bytes(path).into())
    }

    fn group(pid: i32) -> GuardedResource {
        GuardedResource::ProcessGroup(Pid::from_raw(pid))
    }

    #[test]
    fn keeps_registered_resources_in_the_order_of_adding() {
        let cgroup = GuardedResource::Cgroup("/sys/fs/cgroup/n1".into());
        let mut pipe = Vec::new();
        for (sign, what) in [
            (b'+', mount(b"/d/n1")),
            (b'+', group(40)),
            (b'+', group(50)),
            (b'+', cgroup.clone()),
            (b'-', group(40)),
            (b'+', mount(b"/d/n 2")),
            (b'+', GuardedResource::Run("4711-9f3c".into())),
            (b'+', GuardedResource::Process(60, 9821)),
            (b'+', GuardedResource::Scratch("/tmp/tribunal-1".into())),
            (b'+', group(50)),
        ] {
            pipe.extend(what.record(sign));
        }
        assert_eq!(
            read_registered(&*pipe),
            [
                mount(b"/d/n1"),
                cgroup,
                mount(b"/d/n 2"),
                GuardedResource::Run("4711-9f3c".into()),
                GuardedResource::Process(60, 9821),
                GuardedResource::Scratch("/tmp/tribunal-1".into()),
                group(50)
            ]
        );
    }

    #[test]
    fn invalid_records_are_ignored() {
        let records =
            b"+pgid -1\0+pgid 0\0+pgid 1\0+pgid x\0+mount d\0+scratch /tmp\0+scratch tribunal-1\0+scratch /\0+fire 40\0+run \0+process 1 9821\0+process 60\0pgid 40\0\0?pgid 40\0+pgid 40";
        assert_eq!(read_registered(&records[..]), []);
    }

    /// A path may contain anything; it is read as a single path.
    #[test]
    fn a_path_may_hold_anything() {
        for path in [&b"/x\n+pgid 40\n/y"[..], b"/\xff\xfe", b"/ +pgid 40", b"/\x1b[2J"] {
            assert_eq!(read_registered(&*mount(path).record(b'+')), [mount(path)]);
        }
    }
}
