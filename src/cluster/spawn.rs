//! Starting processes so that none can outlive the controller.
//!
//! PDEATHSIG follows the *thread* that spawned, not the process: a child started from a thread of a runtime's
//! pool would be killed when that thread retires. So one thread does all the spawning and lives as long as the
//! [`Spawner`]. Each child leads a process group of its own, out of reach of the terminal's Ctrl-C and killable
//! together with whatever it forks. Daemons that leave the group are adopted by this process, a *subreaper*, and known by their
//! environment: [`MARK`].

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use tribunal_nemesis::{MARK, NodeCgroup};

struct Order {
    command: Command,
    reply: mpsc::Sender<io::Result<Child>>,
}

/// The thread that spawns.
pub(crate) struct Spawner {
    orders: mpsc::Sender<Order>,
}

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        prctl::set_child_subreaper(true)?;
        let (orders, queue) = mpsc::channel::<Order>();
        std::thread::Builder::new().name("spawner".into()).spawn(move || {
            for mut order in queue {
                // Nobody waits for the reply any more when the cluster was dropped in between.
                let _ = order.reply.send(order.command.spawn());
            }
        })?;
        Ok(Spawner { orders })
    }

    /// Starts a program: marked, own process group, dies with this process, no input, both outputs piped; in that network
    /// namespace and that cgroup if they are given.
    pub(crate) fn spawn(
        &self,
        program: &tribunal_systems::Command,
        mark: &str,
        namespace: Option<&OwnedFd>,
        cgroup: Option<&NodeCgroup>,
    ) -> io::Result<Child> {
        let mut command = Command::new(&program.program);
        command.args(&program.args).env(MARK, mark).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let controller = nix::unistd::getpid();
        let namespace = namespace.map(OwnedFd::try_clone).transpose()?;
        let entrance = cgroup.map(NodeCgroup::entrance).transpose()?;
        // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, getppid, setns and write.
        unsafe {
            command.pre_exec(move || {
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                // The controller may have died before the line above.
                if getppid() != controller {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                if let Some(namespace) = &namespace {
                    setns(namespace, CloneFlags::CLONE_NEWNET)?;
                }
                if let Some(entrance) = &entrance {
                    nix::unistd::write(entrance, b"0")?;
                }
                Ok(())
            });
        }
        let (reply, answer) = mpsc::channel();
        let gone = || io::Error::other("the spawner is gone");
        self.orders.send(Order { command, reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}
