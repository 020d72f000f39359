//! The guard: what cleans up when the controller itself is killed with -9.
//!
//! A node asks the kernel to die with its parent (PDEATHSIG), but its own children do not inherit that, and a mount
//! outlives everybody. So a second process, `tribunal guard`, holds the reading end of a pipe whose writing end only
//! the controller has. Over it the controller says what must not outlive the run, a line per thing:
//!
//! ```text
//!   +pgid 40           a process group: killed
//!   +mount /d/n1       a mount: unmounted, busy or not
//!   +cgroup /sys/...  a cgroup: its processes killed, removed
//!   +run 4711-9f3c     everything that is marked as a node of this run: killed
//!   +process 40 9821   a process, if it is the one that began then: killed
//!   -pgid 40           this one is gone: its number may come to mean somebody else
//! ```
//!
//! The pipe ends when the controller does, however it ends; what is still on the list is then undone, the last first.

use std::fmt;
use std::io::{self, BufRead, PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::str::FromStr;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tribunal_nemesis::{disk, marked, remove_cgroup};

use super::strays;

/// Something that must not outlive the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leftover {
    /// The processes of this group.
    ProcessGroup(Pid),
    /// What is mounted there.
    Mount(PathBuf),
    /// This cgroup, and who is in it.
    Cgroup(PathBuf),
    /// The processes that are marked as nodes of this run: see [`tribunal_nemesis::MARK`].
    Run(String),
    /// This process, and when it began: see [`strays`].
    Process(i32, u64),
}

impl Leftover {
    fn undo(&self) {
        match self {
            Leftover::ProcessGroup(group) => drop(killpg(*group, Signal::SIGKILL)),
            Leftover::Mount(path) => drop(disk::unmount(path)),
            Leftover::Cgroup(group) => drop(remove_cgroup(group)),
            Leftover::Run(run) => kill_marked(run),
            Leftover::Process(pid, began) => {
                if strays::began(*pid) == Some(*began) {
                    let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
                }
            }
        }
    }
}

/// Kills who is marked, until nobody is: who forks on the way out leaves a child behind, and a process in the middle of an exec has
/// no environment to be known by.
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

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leftover::ProcessGroup(group) => write!(f, "pgid {group}"),
            Leftover::Mount(path) => write!(f, "mount {}", path.display()),
            Leftover::Cgroup(group) => write!(f, "cgroup {}", group.display()),
            Leftover::Run(run) => write!(f, "run {run}"),
            Leftover::Process(pid, began) => write!(f, "process {pid} {began}"),
        }
    }
}

impl FromStr for Leftover {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, name) = text.split_once(' ').ok_or(())?;
        let path = || Some(name).filter(|path| Path::new(path).is_absolute()).map(PathBuf::from).ok_or(());
        match kind {
            // Group 1 and below would be everybody.
            "pgid" => match name.parse() {
                Ok(group) if group > 1 => Ok(Leftover::ProcessGroup(Pid::from_raw(group))),
                _ => Err(()),
            },
            "mount" => Ok(Leftover::Mount(path()?)),
            "cgroup" => Ok(Leftover::Cgroup(path()?)),
            "process" => {
                let (pid, began) = name.split_once(' ').ok_or(())?;
                let pid = pid.parse().ok().filter(|pid| *pid > 1).ok_or(())?;
                Ok(Leftover::Process(pid, began.parse().map_err(drop)?))
            }
            "run" if !name.is_empty() => Ok(Leftover::Run(name.to_owned())),
            _ => Err(()),
        }
    }
}

/// The controller's side.
pub(crate) struct Guard {
    child: Child,
    /// `None` once told to go.
    line: Mutex<Option<PipeWriter>>,
}

impl Guard {
    /// Starts the guard: this very program again.
    pub(crate) fn start() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let child = Command::new(std::env::current_exe()?)
            .arg("guard")
            .stdin(reader)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Guard { child, line: Mutex::new(Some(writer)) })
    }

    /// This must not outlive the run. Say it before it is made where its name is known before.
    pub(crate) fn add(&self, what: &Leftover) {
        self.say('+', what);
    }

    /// This is gone.
    pub(crate) fn remove(&self, what: &Leftover) {
        self.say('-', what);
    }

    fn say(&self, sign: char, what: &Leftover) {
        if let Some(line) = self.line.lock().expect("nobody panics while holding it").as_mut() {
            // A guard that is gone cannot be told; PDEATHSIG still covers the nodes themselves.
            let _ = writeln!(line, "{sign}{what}");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        *self.line.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
        let _ = self.child.wait();
    }
}

/// The guard's side: `tribunal guard`, never started by hand.
pub(crate) fn main() -> ExitCode {
    let mut left = Vec::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        apply(&mut left, &line);
    }
    left.iter().rev().for_each(Leftover::undo);
    ExitCode::SUCCESS
}

fn apply(left: &mut Vec<Leftover>, line: &str) {
    let Some((sign, what)) = line.split_at_checked(1) else { return };
    let Ok(what) = what.parse() else { return };
    left.retain(|other| *other != what);
    if sign == "+" {
        left.push(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_left_in_the_order_of_adding() {
        let mut left = Vec::new();
        for line in [
            "+mount /d/n1",
            "+pgid 40",
            "+pgid 50",
            "+cgroup /sys/fs/cgroup/n1",
            "-pgid 40",
            "+pgid -1",
            "+pgid 0",
            "+pgid x",
            "+mount d",
            "+fire 40",
            "40",
            "",
            "+mount /d/n 2",
            "+run 4711-9f3c",
            "+run ",
            "+process 60 9821",
            "+process 1 9821",
            "+process 60",
            "+pgid 50",
        ] {
            apply(&mut left, line);
        }
        let left: Vec<_> = left.iter().map(ToString::to_string).collect();
        assert_eq!(
            left,
            [
                "mount /d/n1",
                "cgroup /sys/fs/cgroup/n1",
                "mount /d/n 2",
                "run 4711-9f3c",
                "process 60 9821",
                "pgid 50"
            ]
        );
    }
}
