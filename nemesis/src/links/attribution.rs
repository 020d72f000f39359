//! Attribution: which node opened this connection?
//!
//! If a node advertises a single address, all others connect to the same proxy, and a connection does not
//! tell which node opened it. But everything runs on this machine, so the kernel knows:
//!
//! ```text
//!   accepted 127.0.0.1:41002 ◀── 127.0.0.1:53124      the kernel (netlink)        /proc of our own children
//!                                       └────────────▶ inode 8812 ─────────────▶ held by process 4711: n3
//! ```
//!
//! This needs no help from the system under test, and no privileges, because the nodes are children of this
//! process. If every node has its own cgroup, the kernel's answer suffices: it contains the cgroup in which
//! the socket was created, even if the process that created it is gone.
//!
//! A connection that no node opened is an *outside connection*. It is passed through, because a monitoring
//! agent may probe an open port. But it is counted: it may belong to an unrecognised daemon of a node, and
//! then it crosses every partition.
//!
//! CAVEATS. If the connecting process is gone before it can be looked up, the node is unknown. Its bytes are
//! delivered if no link of the destination is cut, and dropped otherwise. So they neither disturb a good
//! network nor cross a cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{net::TcpStream, task::spawn_blocking, time::sleep};

use crate::{NodeId, links::sock_diag, lock::locked, processes::holders::Holders};

/// Number of look-ups of an unknown process, and the pause between them: a node that has just started may
/// connect before its process is known.
const LOOKUPS_MAX: usize = 10;
const LOOKUP_PAUSE: Duration = Duration::from_millis(20);

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialler {
    Node(NodeId),
    /// A process outside the cluster.
    Outsider,
    /// A process that is gone already.
    Gone,
}

/// Connections from outside the cluster.
#[derive(Debug, Default)]
pub(crate) struct OutsideConnections {
    connections: AtomicU64,
    first: Mutex<Option<String>>,
}

/// Finds out which node opened a connection.
#[derive(Debug, Clone)]
pub(crate) struct Attribution {
    pub(crate) holders: Arc<Holders>,
    pub(crate) outside: Arc<OutsideConnections>,
}

impl Attribution {
    /// Who opened this connection, which the proxy in front of `to` has accepted.
    pub(crate) async fn dialler_of(&self, accepted: &TcpStream, to: NodeId) -> Dialler {
        let (Ok(from), Ok(proxy)) = (accepted.peer_addr(), accepted.local_addr()) else {
            return Dialler::Gone;
        };
        let asked = sock_diag::find(from, proxy).ok().flatten();
        if let Some(node) = asked.and_then(|end| self.holders.by_cgroup(&end)) {
            return Dialler::Node(node);
        }
        let mut dialler = Dialler::Outsider;
        for _ in 0..LOOKUPS_MAX {
            let holders = self.holders.clone();
            // Reads files of /proc: some microseconds, more if a node has thousands of open files.
            let looked = spawn_blocking(move || look(&holders, from, proxy)).await;
            dialler = looked.unwrap_or(Dialler::Gone);
            if dialler != Dialler::Outsider {
                break;
            }
            sleep(LOOKUP_PAUSE).await;
        }
        if dialler == Dialler::Outsider {
            self.outside.count(|| {
                let uid = sock_diag::find(from, proxy).ok().flatten().map(|end| end.uid);
                let user =
                    uid.map_or_else(|| "somebody".to_owned(), |uid| format!("a process of user {uid}"));
                format!("{user} dialled {to} from {from}")
            });
        }
        dialler
    }
}

fn look(holders: &Holders, from: SocketAddr, proxy: SocketAddr) -> Dialler {
    let inode = || match sock_diag::find(from, proxy) {
        Ok(Some(end)) if end.inode != 0 => Some(end.inode),
        _ => None,
    };
    let Some(inode_before) = inode() else { return Dialler::Gone };
    match holders.holder_of(inode_before) {
        Some(node) => Dialler::Node(node),
        // The process may have ended between the two look-ups.
        None if inode() != Some(inode_before) => Dialler::Gone,
        None => Dialler::Outsider,
    }
}

impl OutsideConnections {
    fn count(&self, describe: impl FnOnce() -> String) {
        if self.connections.fetch_add(1, Relaxed) == 0 {
            *locked(&self.first) = Some(describe());
        }
    }

    /// Number of connections from outside that were carried, and a description of the first one.
    pub(crate) fn seen(&self) -> Option<(u64, String)> {
        let first = locked(&self.first).clone()?;
        Some((self.connections.load(Relaxed), first))
    }
}
