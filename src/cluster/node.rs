//! One node: a real process, what was last done to it, and who is told when it dies.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tribunal_nemesis::{NodeCgroup, NodeState, family};
use tribunal_systems::{Place, System};

use super::guard::{Guard, Leftover};
use super::logs::{self, NodeLog};
use super::spawn::{Spawner, thread};

/// A node that ended without our doing.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) node: String,
    pub(crate) status: ExitStatus,
    /// A fault may well have been the reason: an outcome, not a failure.
    pub(crate) excused: bool,
    /// The end of its log.
    pub(crate) last_words: String,
}

/// How long a node may take to end when it is asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A node of the cluster; its process may be running, paused or down.
pub(crate) struct Node {
    pub(crate) place: Place,
    /// The same with the addresses under which clients reach it.
    pub(crate) for_clients: Place,
    pub(crate) log_path: PathBuf,
    pub(super) log: NodeLog,
    /// The network namespace that it runs in, if not the controller's.
    namespace: Option<OwnedFd>,
    /// The cgroup that its processes cannot leave, where one may be made.
    cgroup: Option<NodeCgroup>,
    life: Mutex<Life>,
    /// Its process, if there is one; follows `life` for those who wait or watch.
    pid: watch::Sender<Option<u32>>,
    deaths: mpsc::UnboundedSender<Death>,
}

#[derive(Default)]
struct Life {
    /// Leads a process group of the same number. A pid is in here only until it is reaped, and it is reaped
    /// only under this lock: a signal can never reach a stranger.
    pid: Option<Pid>,
    /// The next exit is our doing.
    doomed: bool,
    excuse: Excuse,
    /// How often it was started.
    starts: usize,
}

/// How long an exit by itself counts as the doing of a fault: an outcome, and no failure of the harness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// Never.
    #[default]
    None,
    /// As long as it is the process that is there now.
    ThisProcess,
    Until(Instant),
    /// Until the end of the run.
    ForGood,
}

impl Excuse {
    fn holds(self) -> bool {
        match self {
            Excuse::None => false,
            Excuse::ThisProcess | Excuse::ForGood => true,
            Excuse::Until(end) => Instant::now() < end,
        }
    }

    /// What holds when `other` is said while this holds: the last word, but for one that would cut short what was said
    /// of another fault.
    fn then(self, other: Excuse) -> Excuse {
        match (self, other) {
            (Excuse::ForGood, Excuse::ThisProcess) | (Excuse::ThisProcess, Excuse::Until(_)) => self,
            _ => other,
        }
    }
}

impl Node {
    pub(crate) fn new(
        place: Place,
        for_clients: Place,
        log_path: PathBuf,
        log: NodeLog,
        namespace: Option<OwnedFd>,
        cgroup: Option<NodeCgroup>,
        deaths: mpsc::UnboundedSender<Death>,
    ) -> Arc<Self> {
        let (life, pid) = (Mutex::default(), watch::Sender::new(None));
        Arc::new(Node { place, for_clients, log_path, log, namespace, cgroup, life, pid, deaths })
    }

    /// Which process it is, now and from now on.
    pub(crate) fn pids(&self) -> watch::Receiver<Option<u32>> {
        self.pid.subscribe()
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().expect("nobody panics while holding it")
    }

    /// Starts the process, unless it exists.
    pub(crate) fn start(
        self: &Arc<Self>,
        system: &dyn System,
        with: &Spawner,
        guard: &Arc<Guard>,
    ) -> io::Result<()> {
        let mut life = self.life();
        if life.pid.is_some() {
            return Ok(());
        }
        // The thread comes first: without one nobody would see the process end.
        let (hand_over, awaited) = std::sync::mpsc::channel();
        let (node, its_guard) = (self.clone(), guard.clone());
        thread("exit", move || {
            if let Ok((child, pid)) = awaited.recv() {
                node.await_exit(child, pid, &its_guard);
            }
        })?;
        let mut child =
            with.spawn(&system.command(&self.place), self.namespace.as_ref(), self.cgroup.as_ref())?;
        let pid = Pid::from_raw(child.id() as i32);
        guard.add(&Leftover::ProcessGroup(pid));
        let outputs = (child.stdout.take(), child.stderr.take());
        let followed = (self.log.follow(outputs.0.expect("the spawner pipes it")))
            .and_then(|()| self.log.follow(outputs.1.expect("the spawner pipes it")));
        let excuse = if life.excuse == Excuse::ThisProcess { Excuse::None } else { life.excuse };
        *life = Life { pid: Some(pid), doomed: followed.is_err(), excuse, starts: life.starts + 1 };
        self.pid.send_replace(Some(child.id()));
        if followed.is_err() {
            let _ = killpg(pid, Signal::SIGKILL);
        }
        hand_over.send((child, pid)).expect("the thread waits for it");
        followed
    }

    /// Waits for the process to end; runs on a thread of its own.
    fn await_exit(&self, mut child: Child, pid: Pid, guard: &Guard) {
        // WNOWAIT leaves the zombie in place, so that its number stays taken until the lock is held.
        while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::Error::EINTR) {}
        let mut life = self.life();
        // What it forked is part of the node and ends with it.
        self.all(Signal::SIGKILL, pid);
        let status = child.wait();
        guard.remove(&Leftover::ProcessGroup(pid));
        life.pid = None;
        if let (Ok(status), false) = (status, life.doomed) {
            let last_words = logs::last_words(&self.log_path);
            let excused = life.excuse.holds();
            let node = self.place.name.clone();
            let _ = self.deaths.send(Death { node, status, excused, last_words });
        }
        self.pid.send_replace(None);
    }

    /// Says how long an exit by itself is the doing of a fault from now on.
    pub(crate) fn excuse(&self, excuse: Excuse) {
        let mut life = self.life();
        life.excuse = life.excuse.then(excuse);
    }

    /// Whether it is down, and a fault may be the reason.
    pub(crate) fn fell_to_a_fault(&self) -> bool {
        let life = self.life();
        life.pid.is_none() && life.excuse.holds()
    }

    /// SIGKILL to its process group; returns when it is gone.
    pub(crate) async fn kill(&self) {
        self.doom(Signal::SIGKILL);
        self.gone().await;
    }

    /// SIGTERM, and SIGKILL if that does not help.
    pub(crate) async fn terminate(&self) {
        self.doom(Signal::SIGTERM);
        // A stopped process sees no SIGTERM until it goes on.
        self.signal(Signal::SIGCONT);
        if timeout(GRACE, self.gone()).await.is_err() {
            self.kill().await;
        }
    }

    fn doom(&self, signal: Signal) {
        let mut life = self.life();
        life.doomed = true;
        if let Some(pid) = life.pid {
            let _ = killpg(pid, signal);
        }
    }

    /// The process, if there is one.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.life().pid
    }

    /// SIGKILL without waiting: for the way out of a panic.
    pub(crate) fn kill_now(&self) {
        self.doom(Signal::SIGKILL);
    }

    /// Sends a signal to all its processes; false if there is none.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.life().pid.is_some_and(|pid| self.all(signal, pid))
    }

    /// Sends a signal to all processes of the node that `leader` leads, or led; false if its process group is empty.
    fn all(&self, signal: Signal, leader: Pid) -> bool {
        let sent = killpg(leader, signal).is_ok();
        for process in self.cgroup.iter().flat_map(NodeCgroup::processes) {
            let _ = kill(Pid::from_raw(process), signal);
        }
        sent
    }

    /// All its processes, the leader first. Empty while it is down.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let Some(leader) = self.pid() else { return Vec::new() };
        let mut found = family(leader.as_raw());
        let confined = self.cgroup.iter().flat_map(NodeCgroup::processes);
        found.extend(confined.filter(|pid| !found.contains(pid)).collect::<Vec<_>>());
        found
    }

    /// Its cgroup, if it has one.
    pub(crate) fn cgroup(&self) -> Option<&NodeCgroup> {
        self.cgroup.as_ref()
    }

    async fn gone(&self) {
        let mut pid = self.pid.subscribe();
        pid.wait_for(Option::is_none).await.expect("the sender is part of self");
    }

    /// How often it was started again.
    pub(crate) fn restarts(&self) -> usize {
        self.life().starts.saturating_sub(1)
    }

    /// What the kernel says that the process is doing.
    pub(crate) fn state(&self) -> NodeState {
        let Some(pid) = self.life().pid else { return NodeState::Down };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything; the state follows the last one.
        match stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()) {
            Some('T' | 't') => NodeState::Paused,
            Some('Z' | 'X') | None => NodeState::Down,
            Some(_) => NodeState::Running,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excuse_cuts_short_no_other() {
        let soon = Excuse::Until(Instant::now() + Duration::from_secs(60));
        assert!(soon.holds() && !Excuse::Until(Instant::now()).holds() && !Excuse::None.holds());
        assert_eq!(Excuse::None.then(Excuse::ThisProcess), Excuse::ThisProcess);
        assert_eq!(Excuse::ForGood.then(Excuse::ThisProcess), Excuse::ForGood);
        assert_eq!(Excuse::ThisProcess.then(soon), Excuse::ThisProcess);
        // A disk that is mended excuses no longer.
        assert_eq!(Excuse::ForGood.then(soon), soon);
    }
}
