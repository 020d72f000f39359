//! What this process may have of the machine, looked at before a run begins: what runs out in the middle of one would be taken
//! for the system's fault, or stop the run.
//!
//! | limit | what is done about it |
//! |---|---|
//! | descriptors (`ulimit -n`) | our soft limit is raised to the hard one, and what a run needs is counted; nodes get the limit that we were started with |
//! | threads (`ulimit -u`) | those of the runtime are tried |
//! | file sizes (`ulimit -f`) | a write fails, and no signal kills |

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use tribunal_records::Net;
use tribunal_systems::Wiring;

/// The descriptors that we might have when we were started: soft limit, hard limit.
static FILES: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Gives a process that was forked, before it becomes another program, the limits and signals that we were given.
pub(crate) fn give_back() -> io::Result<()> {
    if let Some((soft, hard)) = FILES.get() {
        setrlimit(Resource::RLIMIT_NOFILE, *soft, *hard)?;
    }
    // SAFETY: as above.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigDfl)? };
    Ok(())
}

/// What a run is to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    pub(crate) net: Net,
    pub(crate) wiring: Wiring,
    /// Clients reach nodes through proxies.
    pub(crate) clients_apart: bool,
}

impl Size {
    /// The descriptors that the controller has open when all is connected.
    fn controllers(self) -> usize {
        const OTHERS: usize = 48; // files, pipes, sockets of the runtime, files of /proc that are looked at
        const PER_NODE: usize = 8; // its log, its two outputs, its ports, its disk
        let pairs = self.nodes * (self.nodes - 1);
        // A proxy has a connection on either side of it.
        let links = match (self.net, self.wiring) {
            (Net::Netns, _) => self.nodes,
            (Net::Transparent, _) => self.nodes + 2 * pairs,
            (Net::Proxy, Wiring::AddressMap) => 3 * pairs,
            (Net::Proxy, Wiring::Attributed) => self.nodes + 4 * pairs,
        };
        let clients = if self.clients_apart { 3 * self.clients + 2 * self.nodes } else { self.clients };
        OTHERS + PER_NODE * self.nodes + links + clients
    }

    /// Those of a node: its clients, its peers, and some files.
    fn nodes(self) -> usize {
        const OTHERS: usize = 16;
        OTHERS + self.clients.div_ceil(self.nodes) + 2 * (self.nodes - 1)
    }

    /// Raises our limit of descriptors as far as it goes, and makes sure that a run of this size has enough.
    ///
    /// # Errors
    /// When it has not: how many it needs, and how to get them.
    pub(crate) fn ensure_files(self) -> Result<()> {
        let (soft, hard) =
            getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
        let (soft, hard) = *FILES.get_or_init(|| (soft, hard));
        // More than we need is no use, and some programs close all that they might have.
        let wanted = hard.min((2 * self.controllers() as rlim_t).max(soft));
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).context("cannot raise the limit of open files")?;
        self.fits(soft, hard)
    }

    fn fits(self, soft: rlim_t, hard: rlim_t) -> Result<()> {
        let Size { nodes, clients, .. } = self;
        let (ours, theirs) = (self.controllers(), self.nodes());
        if ours as rlim_t > hard {
            bail!(
                "{nodes} nodes and {clients} clients need about {ours} open files in the controller, and the hard limit \
                 is {hard}: raise it (ulimit -Hn), or ask for fewer (--nodes, --concurrency)"
            );
        }
        if theirs as rlim_t > soft {
            bail!(
                "each of {nodes} nodes needs about {theirs} open files for {clients} clients, and the limit is {soft}: \
                 raise it (ulimit -n), or ask for fewer (--concurrency)"
            );
        }
        Ok(())
    }
}

/// Makes sure that so many threads can be had: a runtime that cannot have its own panics.
///
/// # Errors
/// Why they cannot.
pub(crate) fn ensure_threads(count: usize) -> Result<()> {
    let mut waiting = Vec::with_capacity(count);
    for nth in 0..count {
        let (end, told) = channel::<()>();
        let spawned = thread::Builder::new().spawn(move || {
            let _ = told.recv();
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

    const USUAL: Size =
        Size { nodes: 5, clients: 15, net: Net::Proxy, wiring: Wiring::AddressMap, clients_apart: false };

    #[test]
    fn what_does_not_fit_is_refused_with_a_way_out() {
        USUAL.fits(256, 256).unwrap();
        Size { nodes: 25, clients: 75, ..USUAL }.fits(1_024, 1 << 20).unwrap();
        let error = Size { clients: 500, ..USUAL }.fits(256, 256).unwrap_err().to_string();
        assert_eq!(
            error,
            "5 nodes and 500 clients need about 648 open files in the controller, and the hard limit is 256: raise it \
             (ulimit -Hn), or ask for fewer (--nodes, --concurrency)"
        );
        let error = Size { clients: 500, ..USUAL }.fits(64, 1_024).unwrap_err().to_string();
        assert!(error.starts_with("each of 5 nodes needs about 124 open files for 500 clients"), "{error}");
    }

    #[test]
    fn threads_that_can_be_had_are_given_back() {
        ensure_threads(8).unwrap();
        assert!(ensure_threads(0).is_ok());
    }
}
