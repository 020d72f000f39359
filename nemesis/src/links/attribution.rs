//! Attribution: which node opened this connection?
//!
//! Where a node advertises a single address, all others dial the same proxy, and a connection does not say who opened it.
//! The machine knows: everything runs on it.
//!
//! ```text
//!   accepted 127.0.0.1:41002 ◀── 127.0.0.1:53124      the kernel (netlink)        /proc of our own children
//!                                       └────────────▶ inode 8812 ─────────────▶ held by process 4711: n3
//! ```
//!
//! Nothing is asked of the system under test, and no right is needed: nodes are our own children. Where every node may have a
//! cgroup of its own, the kernel's answer alone will do: it says in which cgroup the socket was made, whatever became of the
//! process that made it.
//!
//! A connection that no node opened is a *stranger's*. It is passed through, because whoever watches over the machine may
//! look at an open port, but it is counted: a stranger may be a daemon of a node that nothing tells as such, and then it
//! crosses every partition.
//!
//! CAVEATS. A dialler that is gone before it can be looked at is nobody any more. What it sent is delivered where no link of
//! the node that it dialled is cut, and dropped otherwise: it can neither disturb a good network nor cross a cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{net::TcpStream, task::spawn_blocking, time::sleep};

use crate::{NodeId, links::sock_diag, processes::holders::Holders};

/// How often a stranger is looked at, and the pause between: a node that has just been started may dial before it is known
/// which process it is.
const LOOKS_MAX: usize = 10;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialler {
    Node(NodeId),
    /// A process that is no node's.
    Stranger,
    /// Nobody who is still there.
    Gone,
}

/// What no node could be found for.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    connections: AtomicU64,
    first: Mutex<Option<String>>,
}

/// Finds out who opens connections.
#[derive(Debug, Clone)]
pub(crate) struct Attribution {
    pub(crate) holders: Arc<Holders>,
    pub(crate) strangers: Arc<Strangers>,
}

impl Attribution {
    /// Who opened this connection, which the proxy before `to` has accepted.
    pub(crate) async fn dialler_of(&self, accepted: &TcpStream, to: NodeId) -> Dialler {
        let (Ok(from), Ok(proxy)) = (accepted.peer_addr(), accepted.local_addr()) else {
            return Dialler::Gone;
        };
        let asked = sock_diag::find(from, proxy).ok().flatten();
        if let Some(node) = asked.and_then(|end| self.holders.by_cgroup(&end)) {
            return Dialler::Node(node);
        }
        let mut dialler = Dialler::Stranger;
        for _ in 0..LOOKS_MAX {
            let holders = self.holders.clone();
            // Files of /proc are read: some microseconds, but more if a node has thousands of them open.
            let looked = spawn_blocking(move || look(&holders, from, proxy)).await;
            dialler = looked.unwrap_or(Dialler::Gone);
            if dialler != Dialler::Stranger {
                break;
            }
            sleep(LOOK_AGAIN).await;
        }
        if dialler == Dialler::Stranger {
            self.strangers.count(|| {
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
        // It may have ended between the two looks.
        None if inode() != Some(inode_before) => Dialler::Gone,
        None => Dialler::Stranger,
    }
}

impl Strangers {
    fn count(&self, describe: impl FnOnce() -> String) {
        if self.connections.fetch_add(1, Relaxed) == 0 {
            *self.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(describe());
        }
    }

    /// How many connections of strangers were carried, and the first of them in words.
    pub(crate) fn seen(&self) -> Option<(u64, String)> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some((self.connections.load(Relaxed), first))
    }
}
