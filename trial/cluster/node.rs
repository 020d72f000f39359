//! One node: a real process, what was last done to it, and who is told when it dies.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tribunal_nemesis::{Kin, NodeCgroup, NodeState, family_and_strays, holders_among, listening_on};
use tribunal_systems::{Place, System};

use super::guard::{Guard, Leftover};
use super::logs::{self, NodeLog};
use super::spawn::{Spawner, thread};
use crate::lock::locked;

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
/// How often what is left of a node is looked for and killed, and the pause between.
const SWEEPS_MAX: usize = 200;
const SWEEP_PAUSE: Duration = Duration::from_millis(2);

/// A node of the cluster; its process may be running, paused or down.
pub(crate) struct Node {
    pub(crate) place: Place,
    /// The same with the addresses under which clients reach it.
    pub(crate) for_clients: Place,
    pub(crate) log_path: PathBuf,
    pub(super) log: NodeLog,
    /// What its processes are marked with: see [`tribunal_nemesis::MARK`].
    pub(crate) mark: String,
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
    #[expect(clippy::too_many_arguments, reason = "each is a field")]
    pub(crate) fn new(
        place: Place,
        for_clients: Place,
        log_path: PathBuf,
        log: NodeLog,
        mark: String,
        namespace: Option<OwnedFd>,
        cgroup: Option<NodeCgroup>,
        deaths: mpsc::UnboundedSender<Death>,
    ) -> Arc<Self> {
        let (life, pid) = (Mutex::default(), watch::Sender::new(None));
        Arc::new(Node { place, for_clients, log_path, log, mark, namespace, cgroup, life, pid, deaths })
    }

    /// Which process it is, now and from now on.
    pub(crate) fn pids(&self) -> watch::Receiver<Option<u32>> {
        self.pid.subscribe()
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        locked(&self.life)
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
        let command = system.command(&self.place);
        let mut child = with.spawn(&command, &self.mark, self.namespace.as_ref(), self.cgroup.as_ref())?;
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
        self.sweep(pid);
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

    /// SIGKILL to all its processes; returns when they are gone.
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
        match life.pid {
            // While the leader lives it is known who descends from it.
            Some(pid) if signal == Signal::SIGKILL => drop(self.all(signal, pid)),
            Some(pid) => drop(killpg(pid, signal)),
            None => {}
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
        let others = self.members(Some(leader));
        let sent = killpg(leader, signal).is_ok();
        for process in others {
            let _ = kill(Pid::from_raw(process), signal);
        }
        sent
    }

    /// Kills what is left of the node that `leader` led until nothing is: who forks on the way out leaves a child behind. What
    /// cannot be killed stays, and [`Node::state`] says so.
    fn sweep(&self, leader: Pid) {
        let mut killed = HashSet::new();
        for _ in 0..SWEEPS_MAX {
            let _ = killpg(leader, Signal::SIGKILL);
            let left = self.members(Some(leader));
            if left.is_empty() {
                break;
            }
            for process in left.into_iter().map(Pid::from_raw) {
                let _ = kill(process, Signal::SIGKILL);
                killed.insert(process);
            }
            std::thread::sleep(SWEEP_PAUSE);
        }
        // Orphans are adopted by this process, and nobody else waits for them.
        for orphan in killed.into_iter().filter(|pid| *pid != leader) {
            let _ = waitpid(orphan, Some(WaitPidFlag::WNOHANG));
        }
    }

    /// The sockets that listen on its ports. In a network namespace of its own nobody else does.
    fn listeners(&self) -> HashSet<u64> {
        match self.namespace {
            None => listening_on(&self.place.addresses).unwrap_or_default(),
            Some(_) => HashSet::new(),
        }
    }

    /// The living processes of the node that this one leads, or led. Where it has a cgroup, they cannot leave it; elsewhere some may be
    /// known by nothing but the port that they serve.
    fn members(&self, leader: Option<Pid>) -> Vec<i32> {
        if let Some(cgroup) = &self.cgroup {
            return cgroup.processes();
        }
        let kin = Kin { leader: leader.map(Pid::as_raw), mark: Some(self.mark.clone()) };
        let (mut members, strays) = family_and_strays(&kin);
        if !strays.is_empty() {
            members.extend(holders_among(&strays, &self.listeners()));
        }
        members
    }

    /// All its processes, the leader first. Empty while it is down.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let Some(leader) = self.pid() else { return Vec::new() };
        let mut found = self.members(Some(leader));
        found.sort_by_key(|pid| *pid != leader.as_raw());
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

    /// What the kernel says that its processes are doing. It is down when none is left and nobody listens on its ports, and
    /// paused when all of them are stopped.
    pub(crate) fn state(&self) -> NodeState {
        // Held, so that nobody starts it meanwhile.
        let life = self.life();
        let Some(leader) = life.pid else {
            let serves_on = !self.members(None).is_empty() || !self.listeners().is_empty();
            return if serves_on { NodeState::Running } else { NodeState::Down };
        };
        match letter(leader.as_raw()) {
            Some('Z' | 'X') | None => NodeState::Down,
            Some('T' | 't') => {
                let others = self.members(Some(leader));
                let stopped = |pid: &i32| !matches!(letter(*pid), Some(state) if !"TtZX".contains(state));
                if others.iter().all(stopped) { NodeState::Paused } else { NodeState::Running }
            }
            Some(_) => NodeState::Running,
        }
    }
}

/// The kernel's letter for what a process is doing; `None` if there is no such process.
fn letter(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the state follows the last one.
    stat.rsplit_once(") ")?.1.chars().next()
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
