//! One node: its process, its expected state, and the report of its death.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tribunal_nemesis::{
    NodeCgroup, NodeState, ProcessIdentity, family_and_strays, holders_among, listening_on,
};
use tribunal_systems::{Place, System};

use super::guard::{Guard, GuardedResource};
use super::logs::{self, NodeLog};
use super::spawn::{Spawner, TRACER, thread};
use crate::lock::locked;

/// An exit of a node that Tribunal did not request.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) node: String,
    pub(crate) status: ExitStatus,
    /// A fault may be the cause.
    pub(crate) excused: bool,
    /// Whether it had answered anybody: since its last start, and ever.
    pub(crate) had_answered: bool,
    pub(crate) had_ever_answered: bool,
    /// Excerpt of its log.
    pub(crate) last_words: String,
}

impl Death {
    /// The exit in one line, with `more` and the node's last line; then the excerpt of its log.
    pub(crate) fn said(&self, more: &str) -> String {
        let Death { node, status, last_words, .. } = self;
        let last = last_words.lines().last().map_or(String::new(), |line| format!("; its last line: {line}"));
        format!("{node} exited by itself: {status}{more}{last}\n{last_words}").trim_end().into()
    }
}

/// How long a node may take to exit in order, before it is killed.
const GRACE: Duration = Duration::from_secs(3);
/// How often the remaining processes of a node are searched and killed, and the pause in between.
const KILL_ROUNDS_MAX: usize = 200;
const KILL_PAUSE: Duration = Duration::from_millis(2);

/// A node of the cluster; its process may be running, paused or down.
pub(crate) struct Node {
    pub(crate) place: Place,
    /// Like `place`, with the addresses under which clients reach the node.
    pub(crate) for_clients: Place,
    pub(crate) log_path: PathBuf,
    pub(super) log: NodeLog,
    /// The mark in the environment of its processes: see [`tribunal_nemesis::MARK`].
    pub(crate) mark: String,
    /// Its network namespace, if it differs from the controller's.
    namespace: Option<OwnedFd>,
    /// A cgroup that its processes cannot leave, if one could be created.
    cgroup: Option<NodeCgroup>,
    /// Where its system calls are written, if anybody wants them.
    trace: OnceLock<PathBuf>,
    process: Mutex<ProcessState>,
    /// Whether it has answered since its last start.
    has_answered: AtomicBool,
    has_ever_answered: AtomicBool,
    /// Its pid, if it runs; a copy of `process.pid` to be watched.
    pid: watch::Sender<Option<u32>>,
    deaths: mpsc::UnboundedSender<Death>,
}

#[derive(Default)]
struct ProcessState {
    /// Also the number of its process group. Contains a pid only until it is reaped, and reaping needs this
    /// lock: a signal can never reach a different process.
    pid: Option<Pid>,
    /// Tribunal has requested the next exit.
    exit_requested: bool,
    excuse: Excuse,
    /// Number of starts.
    starts: usize,
}

/// For how long an exit counts as caused by a fault: an outcome, not a harness failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// Never.
    #[default]
    None,
    /// As long as the current process lives.
    ThisProcess,
    Until(Instant),
    /// Until the end of the run.
    Permanent,
}

impl Excuse {
    fn holds(self) -> bool {
        match self {
            Excuse::None => false,
            Excuse::ThisProcess | Excuse::Permanent => true,
            Excuse::Until(end) => Instant::now() < end,
        }
    }

    /// The excuse after `other` is added: `other`, unless that would shorten the excuse of a different fault.
    fn then(self, other: Excuse) -> Excuse {
        match (self, other) {
            (Excuse::Permanent, Excuse::ThisProcess) | (Excuse::ThisProcess, Excuse::Until(_)) => self,
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
        let (process, has_answered, pid) =
            (Mutex::default(), AtomicBool::default(), watch::Sender::new(None));
        Arc::new(Node {
            place,
            for_clients,
            log_path,
            log,
            mark,
            namespace,
            cgroup,
            trace: OnceLock::new(),
            process,
            has_answered,
            has_ever_answered: AtomicBool::default(),
            pid,
            deaths,
        })
    }

    /// The pid of its process, to be watched.
    pub(crate) fn pids(&self) -> watch::Receiver<Option<u32>> {
        self.pid.subscribe()
    }

    /// From its next start on, its system calls are written beside its log.
    pub(super) fn trace(&self) {
        let _ = self.trace.set(self.log_path.with_extension(TRACER));
    }

    fn process(&self) -> MutexGuard<'_, ProcessState> {
        locked(&self.process)
    }

    /// Starts the process, unless it runs already.
    pub(crate) fn start(
        self: &Arc<Self>,
        system: &dyn System,
        with: &Spawner,
        guard: &Arc<Guard>,
    ) -> io::Result<()> {
        let mut process = self.process();
        if process.pid.is_some() {
            return Ok(());
        }
        // The thread is started first: without it, the exit of the process would not be noticed.
        let (sender, receiver) = std::sync::mpsc::channel();
        let (node, its_guard) = (self.clone(), guard.clone());
        thread("exit", move || {
            if let Ok((child, pid)) = receiver.recv() {
                node.await_exit(child, pid, &its_guard);
            }
        })?;
        let command = system.command(&self.place);
        self.place.log.begin();
        self.has_answered.store(false, Ordering::Relaxed);
        let (trace, namespace) = (self.trace.get().map(PathBuf::as_path), self.namespace.as_ref());
        let mut child = with.spawn(&command, trace, &self.mark, namespace, self.cgroup.as_ref())?;
        let pid = Pid::from_raw(child.id() as i32);
        guard.add(&GuardedResource::ProcessGroup(pid));
        let outputs = (child.stdout.take(), child.stderr.take());
        let followed = (self.log.follow(outputs.0.expect("the spawner pipes it")))
            .and_then(|()| self.log.follow(outputs.1.expect("the spawner pipes it")));
        let excuse = if process.excuse == Excuse::ThisProcess { Excuse::None } else { process.excuse };
        *process = ProcessState {
            pid: Some(pid),
            exit_requested: followed.is_err(),
            excuse,
            starts: process.starts + 1,
        };
        self.pid.send_replace(Some(child.id()));
        if followed.is_err() {
            let _ = killpg(pid, Signal::SIGKILL);
        }
        sender.send((child, pid)).expect("the thread waits for it");
        followed
    }

    /// Waits for the process to exit, on a thread of its own.
    fn await_exit(&self, mut child: Child, pid: Pid, guard: &Guard) {
        // WNOWAIT leaves the zombie, so that its pid is not reused before the lock is held.
        while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::Error::EINTR) {}
        let mut process = self.process();
        // Its children are part of the node, and end with it.
        self.kill_remaining(pid);
        let status = child.wait();
        guard.remove(&GuardedResource::ProcessGroup(pid));
        process.pid = None;
        if let (Ok(status), false) = (status, process.exit_requested) {
            self.log.drain();
            let last_words = logs::excerpt(&self.log_path);
            let excused = process.excuse.holds();
            let node = self.place.name.clone();
            let had_answered = self.has_answered.load(Ordering::Relaxed);
            let had_ever_answered = self.has_ever_answered.load(Ordering::Relaxed);
            let _ = self.deaths.send(Death {
                node,
                status,
                excused,
                had_answered,
                had_ever_answered,
                last_words,
            });
        }
        self.pid.send_replace(None);
    }

    /// The node has answered a client, or is ready.
    pub(crate) fn note_answer(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
        self.has_ever_answered.store(true, Ordering::Relaxed);
    }

    /// Adds an excuse for exits from now on.
    pub(crate) fn excuse(&self, excuse: Excuse) {
        let mut process = self.process();
        process.excuse = process.excuse.then(excuse);
    }

    /// Whether the node is down, possibly because of a fault.
    pub(crate) fn is_down_by_fault(&self) -> bool {
        let process = self.process();
        process.pid.is_none() && process.excuse.holds()
    }

    /// Sends SIGKILL to all its processes, and waits until they are gone.
    pub(crate) async fn kill(&self) {
        self.request_exit(Signal::SIGKILL);
        self.gone().await;
    }

    /// Sends the signal that ends the node in order, and SIGKILL after [`GRACE`].
    pub(crate) async fn terminate(&self, stop: Signal) {
        self.request_exit(stop);
        // A stopped process handles the signal only when it continues.
        self.signal(Signal::SIGCONT);
        if timeout(GRACE, self.gone()).await.is_err() {
            self.kill().await;
        }
    }

    fn request_exit(&self, signal: Signal) {
        let mut process = self.process();
        process.exit_requested = true;
        match process.pid {
            // While the leader lives, its descendants are known.
            Some(pid) if signal == Signal::SIGKILL => drop(self.signal_all(signal, pid)),
            Some(pid) => drop(killpg(pid, signal)),
            None => {}
        }
    }

    /// The pid of its leader, if it runs.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.process().pid
    }

    /// Sends SIGKILL without waiting: for use in a panic.
    pub(crate) fn kill_now(&self) {
        self.request_exit(Signal::SIGKILL);
    }

    /// Sends a signal to all its processes; false if it does not run.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.process().pid.is_some_and(|pid| self.signal_all(signal, pid))
    }

    /// Sends a signal to all processes of the node with this (former) leader; false if its process group is
    /// empty.
    fn signal_all(&self, signal: Signal, leader: Pid) -> bool {
        let others = self.members(Some(leader));
        let sent = killpg(leader, signal).is_ok();
        for process in others {
            let _ = kill(Pid::from_raw(process), signal);
        }
        sent
    }

    /// Kills the remaining processes of the node. Repeats until none is left, since a process may fork before
    /// it dies. A process that cannot be killed remains, and [`Node::state`] reports it.
    fn kill_remaining(&self, leader: Pid) {
        let mut killed = HashSet::new();
        for _ in 0..KILL_ROUNDS_MAX {
            let _ = killpg(leader, Signal::SIGKILL);
            let left = self.members(Some(leader));
            if left.is_empty() {
                break;
            }
            for process in left.into_iter().map(Pid::from_raw) {
                let _ = kill(process, Signal::SIGKILL);
                killed.insert(process);
            }
            std::thread::sleep(KILL_PAUSE);
        }
        // This process is the subreaper of orphans, and must wait for them.
        for orphan in killed.into_iter().filter(|pid| *pid != leader) {
            let _ = waitpid(orphan, Some(WaitPidFlag::WNOHANG));
        }
    }

    /// The sockets that listen on its ports. Empty with a network namespace, where no other process can
    /// listen.
    fn listeners(&self) -> HashSet<u64> {
        match self.namespace {
            None => listening_on(&self.place.addresses).unwrap_or_default(),
            Some(_) => HashSet::new(),
        }
    }

    /// The living processes of the node with this (former) leader. They cannot leave its cgroup, if it has
    /// one. Without a cgroup, some are only recognized by the port on which they listen.
    fn members(&self, leader: Option<Pid>) -> Vec<i32> {
        if let Some(cgroup) = &self.cgroup {
            return cgroup.processes();
        }
        let identity = ProcessIdentity { leader: leader.map(Pid::as_raw), mark: Some(self.mark.clone()) };
        let (mut members, strays) = family_and_strays(&identity);
        if !strays.is_empty() {
            members.extend(holders_among(&strays, &self.listeners()));
        }
        members
    }

    /// All its processes, the leader first. Empty while the node is down.
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

    /// Number of restarts.
    pub(crate) fn restarts(&self) -> usize {
        self.process().starts.saturating_sub(1)
    }

    /// The state of its processes according to the kernel. Down: none is left, and its ports have no
    /// listener. Paused: all are stopped.
    pub(crate) fn state(&self) -> NodeState {
        // Held, so that the node is not started meanwhile.
        let process = self.process();
        let Some(leader) = process.pid else {
            let is_alive = !self.members(None).is_empty() || !self.listeners().is_empty();
            return if is_alive { NodeState::Running } else { NodeState::Down };
        };
        match state_letter(leader.as_raw()) {
            Some('Z' | 'X') | None => NodeState::Down,
            Some('T' | 't') => {
                let others = self.members(Some(leader));
                let stopped =
                    |pid: &i32| !matches!(state_letter(*pid), Some(state) if !"TtZX".contains(state));
                if others.iter().all(stopped) { NodeState::Paused } else { NodeState::Running }
            }
            Some(_) => NodeState::Running,
        }
    }
}

/// The state letter of a process in /proc/PID/stat; `None` if it does not exist.
fn state_letter(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything; the state follows the last parenthesis.
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excuse_does_not_shorten_another() {
        let soon = Excuse::Until(Instant::now() + Duration::from_secs(60));
        assert!(soon.holds() && !Excuse::Until(Instant::now()).holds() && !Excuse::None.holds());
        assert_eq!(Excuse::None.then(Excuse::ThisProcess), Excuse::ThisProcess);
        assert_eq!(Excuse::Permanent.then(Excuse::ThisProcess), Excuse::Permanent);
        assert_eq!(Excuse::ThisProcess.then(soon), Excuse::ThisProcess);
        // Healing a disk ends its excuse.
        assert_eq!(Excuse::Permanent.then(soon), soon);
    }
}
