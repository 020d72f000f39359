//! A network namespace for every node, and one in between for the controller.
//!
//! ```text
//!                      10.77.0.254: the hub, with the controller and its clients
//!          ╭───────────────┬──────────────╮
//!        n1│             n2│            n3│          veth pairs
//!      eth0│           eth0│          eth0│
//!     10.77.0.1        10.77.0.2      10.77.0.3      each node in its own namespace
//! ```
//!
//! The controller itself moves into the hub ([`enter`]). Clients, proxies and packet filter rules thus need
//! no special handling, and the machine's own network is not changed. The hub forwards every packet between
//! nodes. Packets of clients begin or end in the hub, so rules on links do not apply to them.
//!
//! The namespaces have no names. They exist as long as a process or a descriptor refers to them, and
//! disappear with the run however it ends, together with their interfaces and rules.
//!
//! This needs root, or a kernel that permits user namespaces. In a user namespace, the controller and its
//! nodes appear to be root, but have no additional rights on files.
//!
//! CAVEAT. A server that refuses to run as root also refuses in a user namespace.

use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, getegid, geteuid, gettid};
use tribunal_records::Net;

/// The controller's address in the hub.
const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// The address of a node, counted from 0.
fn address(node: usize) -> Ipv4Addr {
    // There are at most 25 nodes.
    Ipv4Addr::new(10, 77, 0, node as u8 + 1)
}

/// Whether the whole process has moved into a namespace.
static PROCESS_MOVED: AtomicBool = AtomicBool::new(false);

/// Moves this process into a network namespace of its own, if a trial with this `net` needs one. Must be
/// called before the process starts a thread: existing threads stay in their namespace, and a multi-threaded
/// process without root cannot create a user namespace.
///
/// # Errors
/// When the kernel permits neither a network namespace nor a user namespace.
pub fn enter_with_process(net: Net) -> Result<()> {
    if net != Net::Proxy {
        enter(net)?;
        PROCESS_MOVED.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// The same for this thread and the threads that it starts; does nothing if the whole process has moved.
pub(crate) fn enter(net: Net) -> Result<()> {
    if net == Net::Proxy || PROCESS_MOVED.load(Ordering::Relaxed) {
        return Ok(());
    }
    enter_new().with_context(|| format!("--net {net}"))
}

fn enter_new() -> Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    if unshare(CloneFlags::CLONE_NEWNET).is_ok() {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .context("network namespaces need root, or a kernel that lets everybody make user namespaces")?;
    let write =
        |path: &str, text: String| std::fs::write(path, text).with_context(|| format!("cannot write {path}"));
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// The nodes' namespaces. They disappear when this is dropped and no process is left in them.
#[derive(Debug)]
pub(crate) struct Namespaces(Vec<OwnedFd>);

impl Namespaces {
    /// Creates a namespace for each node, connected to that of this thread.
    ///
    /// # Errors
    /// When `ip` is not installed, or the kernel refuses.
    pub(crate) fn make(nodes: usize) -> Result<Self> {
        let hub = gettid();
        let made: Result<Vec<OwnedFd>> = (0..nodes).map(|node| namespace(node, hub)).collect();
        let made = made?;
        let mut hub = format!("link set lo up\naddr add {HUB}/32 dev lo\n");
        for node in 0..nodes {
            let (name, address) = (format!("n{}", node + 1), address(node));
            hub += &format!(
                "addr add {HUB}/32 dev {name}\nlink set {name} up\nroute add {address}/32 dev {name}\n"
            );
        }
        ip(&hub)?;
        let forward = "/proc/sys/net/ipv4/ip_forward";
        std::fs::write(forward, "1").with_context(|| format!("cannot write {forward}"))?;
        Ok(Namespaces(made))
    }

    /// The address of each node.
    pub(crate) fn addresses(&self) -> Vec<Ipv4Addr> {
        (0..self.0.len()).map(address).collect()
    }

    /// The namespace of a node, to enter it with `setns`.
    pub(crate) fn of(&self, node: usize) -> io::Result<OwnedFd> {
        self.0[node].try_clone()
    }
}

/// Creates the namespace of one node, with a veth pair to the namespace of the thread `hub`.
fn namespace(node: usize, hub: Pid) -> Result<OwnedFd> {
    let inside = move || -> Result<OwnedFd> {
        unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
        ip(&format!(
            "link set lo up\n\
             link add eth0 type veth peer name n{} netns {hub}\n\
             addr add {}/32 dev eth0\n\
             link set eth0 up\n\
             route add {HUB}/32 dev eth0\n\
             route add default via {HUB} dev eth0\n",
            node + 1,
            address(node),
        ))?;
        Ok(File::open("/proc/thread-self/ns/net")?.into())
    };
    // Created on a new thread, because only that thread enters the namespace.
    let thread = std::thread::Builder::new().spawn(inside).context("cannot start a thread")?;
    thread.join().expect("it returns its errors")
}

/// Runs commands of `ip` in the namespace of this thread.
fn ip(commands: &str) -> Result<()> {
    let run = || -> io::Result<_> {
        let mut ip = Command::new("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        ip.stdin.take().expect("it is piped").write_all(commands.as_bytes())?;
        ip.wait_with_output()
    };
    let output = run().context("cannot run ip (Debian package iproute2)")?;
    if !output.status.success() {
        bail!("ip: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
