//! Resource limits of this process, checked before a run begins. A limit reached during a run would stop it,
//! or would look like a fault of the system under test.
//!
//! | limit | handling |
//! |---|---|
//! | descriptors (`ulimit -n`) | Tribunal raises its soft limit to the hard limit and estimates the need of a run; nodes get the original limit |
//! | threads (`ulimit -u`) | Tribunal starts as many threads as the runtime needs, and ends them again |
//! | file size (`ulimit -f`) | a write returns an error instead of a signal that kills |

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use tribunal_records::Net;
use tribunal_systems::Wiring;

/// The original limit of open files: soft, hard.
static FILES: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Restores the original limits and signal handlers in a forked process, before it executes another program.
pub(crate) fn restore() -> io::Result<()> {
    if let Some((soft, hard)) = FILES.get() {
        setrlimit(Resource::RLIMIT_NOFILE, *soft, *hard)?;
    }
    // SAFETY: restoring the default action runs no handler; both calls are async-signal-safe.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigDfl)? };
    Ok(())
}

/// Number of nodes and clients of a run, and how they are connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunSize {
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    pub(crate) net: Net,
    pub(crate) wiring: Wiring,
    /// Clients reach nodes through proxies.
    pub(crate) clients_proxied: bool,
}

impl RunSize {
    /// Open files of the controller when everything is connected.
    fn controller_files(self) -> usize {
        const OTHERS: usize = 48; // files, pipes, sockets of the runtime, files read in /proc
        const PER_NODE: usize = 8; // its log, its two outputs, its ports, its disk
        let pairs = self.nodes * (self.nodes - 1);
        // A proxy has two connections per link.
        let links = match (self.net, self.wiring) {
            (Net::Netns, _) => self.nodes,
            (Net::Transparent, _) => self.nodes + 2 * pairs,
            (Net::Proxy, Wiring::AddressMap) => 3 * pairs,
            (Net::Proxy, Wiring::Attributed | Wiring::Transparent | Wiring::Netns) => self.nodes + 4 * pairs,
        };
        let clients = if self.clients_proxied { 3 * self.clients + 2 * self.nodes } else { self.clients };
        OTHERS + PER_NODE * self.nodes + links + clients
    }

    /// Open files of a node: connections to clients and peers, and some files.
    fn node_files(self) -> usize {
        const OTHERS: usize = 16;
        OTHERS + self.clients.div_ceil(self.nodes) + 2 * (self.nodes - 1)
    }

    /// Raises our limit of open files as needed, and checks that it is enough for a run of this size.
    ///
    /// # Errors
    /// When it is not: how many files are needed, and how to raise the limit.
    pub(crate) fn ensure_files(self) -> Result<()> {
        let (soft, hard) =
            getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
        let (soft, hard) = *FILES.get_or_init(|| (soft, hard));
        // Not higher than needed: some programs close every descriptor up to the limit.
        let wanted = hard.min((2 * self.controller_files() as rlim_t).max(soft));
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).context("cannot raise the limit of open files")?;
        self.fits(soft, hard)
    }

    fn fits(self, soft: rlim_t, hard: rlim_t) -> Result<()> {
        let RunSize { nodes, clients, .. } = self;
        let (controller, node) = (self.controller_files(), self.node_files());
        if controller as rlim_t > hard {
            bail!(
                "{nodes} nodes and {clients} clients need about {controller} open files in the controller, and the hard limit \
                 is {hard}: raise it (ulimit -Hn), or ask for fewer (--nodes, --concurrency)"
            );
        }
        if node as rlim_t > soft {
            bail!(
                "each of {nodes} nodes needs about {node} open files for {clients} clients, and the limit is {soft}: \
                 raise it (ulimit -n), or ask for fewer (--concurrency)"
            );
        }
        Ok(())
    }
}

/// Checks that this many threads can be started: a runtime that cannot start its threads panics.
///
/// # Errors
/// Why they cannot be started.
pub(crate) fn ensure_threads(count: usize) -> Result<()> {
    let mut waiting = Vec::with_capacity(count);
    for nth in 0..count {
        let (end, ended) = channel::<()>();
        let spawned = thread::Builder::new().spawn(move || {
            let _ = ended.recv();
        });
        let thread = spawned.with_context(|| {
            format!("a run needs {count} threads, and there are only {nth} to be had (ulimit -u, ulimit -v, pids.max)")
        });
        waiting.push((end, thread?));
    }
    for (end, thread) in waiting {
        drop(end);
        let _ = thread.join();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: RunSize = RunSize {
        nodes: 5,
        clients: 15,
        net: Net::Proxy,
        wiring: Wiring::AddressMap,
        clients_proxied: false,
    };

    #[test]
    fn insufficient_limits_are_refused_with_advice() {
        USUAL.fits(256, 256).unwrap();
        RunSize { nodes: 25, clients: 75, ..USUAL }.fits(1_024, 1 << 20).unwrap();
        let error = RunSize { clients: 500, ..USUAL }.fits(256, 256).unwrap_err().to_string();
        assert_eq!(
            error,
            "5 nodes and 500 clients need about 648 open files in the controller, and the hard limit is 256: raise it \
             (ulimit -Hn), or ask for fewer (--nodes, --concurrency)"
        );
        let error = RunSize { clients: 500, ..USUAL }.fits(64, 1_024).unwrap_err().to_string();
        assert!(error.starts_with("each of 5 nodes needs about 124 open files for 500 clients"), "{error}");
    }

    #[test]
    fn probed_threads_are_released() {
        ensure_threads(8).unwrap();
        assert!(ensure_threads(0).is_ok());
    }
}
