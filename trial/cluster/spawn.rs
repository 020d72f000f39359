//! Starts processes that cannot outlive the controller.
//!
//! PDEATHSIG is bound to the *thread* that spawned the child, not to the process: a child spawned by a thread
//! of the runtime's pool would be killed when that thread ends. So a single thread spawns all children, and
//! lives as long as the [`Spawner`]. Each child leads its own process group: Ctrl-C at the terminal does not
//! reach it, and it can be killed together with its own children. Daemons that leave the group are adopted by
//! this process, a *subreaper*, and recognized by their environment: [`MARK`].

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use tribunal_nemesis::{MARK, NodeCgroup};

use super::executable::Executables;
use crate::{executable, rlimits};

struct SpawnRequest {
    command: Command,
    reply: mpsc::Sender<io::Result<Child>>,
}

/// The same command under strace, which appends every system call of its processes to a file. The node itself stays
/// the child (`-D`), so signals reach it.
fn traced(command: &Command, file: &Path) -> io::Result<Command> {
    let program = match command.get_program() {
        // Of strace itself.
        own if own == "/proc/self/exe" => executable::path().map_err(io::Error::other)?.into(),
        other => other.to_owned(),
    };
    let mut traced = Command::new(TRACER);
    traced.args(["-D", "-f", "-A", "-ttt", "-T", "-s", "100", "-o"]).arg(file).arg("--");
    traced.arg(program).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    Ok(traced)
}

/// The program that shows the system calls of another.
pub(crate) const TRACER: &str = "strace";

/// Handle of the spawning thread.
pub(crate) struct Spawner {
    requests: mpsc::Sender<SpawnRequest>,
    executables: Executables,
}

/// Starts a thread with a small stack; the cluster's threads mostly wait for the kernel.
pub(super) fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    const STACK_BYTES: usize = 256 << 10;
    let spawned =
        std::thread::Builder::new().name(format!("tribunal-{name}")).stack_size(STACK_BYTES).spawn(work);
    spawned.map(drop).map_err(explain)
}

/// A clearer message for EAGAIN.
fn explain(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            io::Error::other("no more processes or threads are to be had (ulimit -u, ulimit -v, pids.max)")
        }
        _ => error,
    }
}

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        prctl::set_child_subreaper(true)?;
        let (requests, queue) = mpsc::channel::<SpawnRequest>();
        thread("spawner", move || {
            for mut request in queue {
                // The receiver is gone if the cluster was dropped meanwhile.
                let _ = request.reply.send(request.command.spawn());
            }
        })?;
        Ok(Spawner { requests, executables: Executables::default() })
    }

    /// Starts a program: marked, in its own process group, killed with this process, without input, with both
    /// outputs piped; in the network namespace and the cgroup, if given. Its system calls go to the file `trace`.
    pub(crate) fn spawn(
        &self,
        program: &tribunal_systems::Command,
        trace: Option<&Path>,
        mark: &str,
        namespace: Option<&OwnedFd>,
        cgroup: Option<&NodeCgroup>,
    ) -> io::Result<Child> {
        let own = executable::path().is_ok_and(|path| program.program == path);
        let mut command = if own {
            executable::command(&program.args).map_err(io::Error::other)?
        } else {
            self.executables.check(&program.program)?;
            let mut command = Command::new(&program.program);
            command.args(&program.args);
            command
        };
        if let Some(file) = trace {
            command = traced(&command, file)?;
        }
        command.envs(program.env.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &program.directory {
            command.current_dir(directory);
        }
        command.env(MARK, mark).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (controller, user) = (nix::unistd::getpid(), program.user);
        let namespace = namespace.map(OwnedFd::try_clone).transpose()?;
        let procs = cgroup.map(NodeCgroup::open_procs).transpose()?;
        // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, getppid, setrlimit,
        // sigaction, setns, write, setgroups, setgid and setuid.
        unsafe {
            command.pre_exec(move || {
                rlimits::restore()?;
                if let Some(namespace) = &namespace {
                    setns(namespace, CloneFlags::CLONE_NEWNET)?;
                }
                if let Some(procs) = &procs {
                    nix::unistd::write(procs, b"0")?;
                }
                if let Some(user) = user {
                    user.become_it()?;
                }
                // A change of the user clears it, so it comes last.
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                // The controller may have died before prctl.
                if getppid() != controller {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Ok(())
            });
        }
        let (reply, answer) = mpsc::channel();
        let gone = || io::Error::other("the spawner is gone");
        self.requests.send(SpawnRequest { command, reply }).map_err(|_| gone())?;
        let mut child = answer.recv().map_err(|_| gone())?.map_err(explain)?;
        if !own && let Err(replaced) = self.executables.check(&program.program) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(replaced);
        }
        Ok(child)
    }
}
