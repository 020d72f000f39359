//! The links between nodes: a listening proxy on every directed pair.
//!
//! ```text
//!   node n1 is told:  n2 = 127.0.0.1:41001   n3 = 127.0.0.1:41002
//!   node n2 is told:  n1 = 127.0.0.1:41003   n3 = 127.0.0.1:41004      each address is the proxy of one directed link,
//!   node n3 is told:  n1 = 127.0.0.1:41005   n2 = 127.0.0.1:41006      each proxy knows who dials it
//! ```
//!
//! Because every link has an address of its own, the proxy knows both ends of a connection without looking at a byte of
//! it, and any protocol over TCP can be cut. Clients are not links: they talk to nodes directly.
//!
//! [`Links::cut`] and [`Links::heal`] are inverse, and so are [`Links::degrade`] and [`Links::restore`]; all act at once and
//! never fail. What they do to bytes is told in [`CutMode`] and [`Quality`].

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::TcpListener, select};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    NodeId, Quality,
    gate::{CutMode, Gate, LinkCounters, LinkState},
    proxy::{self, Route},
};

/// All directed links of a cluster. Dropping it closes them; [`Links::close`] also waits until they are closed.
#[derive(Debug)]
pub struct Links {
    links: Vec<Option<Link>>,
    nodes: usize,
    upstreams: Arc<Upstreams>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Link {
    address: SocketAddr,
    gate: Arc<Gate>,
}

/// Where the nodes really listen, as far as it is known.
#[derive(Debug)]
struct Upstreams(Vec<Mutex<Option<SocketAddr>>>);

impl Upstreams {
    fn get(&self, node: NodeId) -> Option<SocketAddr> {
        *self.0[node.0].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, node: NodeId, address: SocketAddr) {
        *self.0[node.0].lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }
}

impl Links {
    /// Opens a listener on a free loopback port for each of the `nodes * (nodes - 1)` links. Errors are those of binding.
    /// Must be called in a tokio runtime.
    pub async fn open(nodes: usize) -> io::Result<Links> {
        let mut listeners = Vec::with_capacity(nodes * nodes);
        let mut links = Vec::with_capacity(nodes * nodes);
        for (from, to) in (0..nodes * nodes).map(|at| (at / nodes, at % nodes)) {
            if from == to {
                links.push(None);
                continue;
            }
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            links.push(Some(Link { address: listener.local_addr()?, gate: Arc::default() }));
            listeners.push((NodeId(from), NodeId(to), listener));
        }
        let upstreams = Arc::new(Upstreams((0..nodes).map(|_| Mutex::default()).collect()));
        let links =
            Links { links, nodes, upstreams, closing: CancellationToken::new(), tasks: TaskTracker::new() };
        for (from, to, listener) in listeners {
            links.serve(from, to, listener);
        }
        Ok(links)
    }

    /// How many nodes the links join.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// The address that node `from` is told for node `to`: the proxy of this link.
    ///
    /// # Panics
    /// As every method that names a link: if `from` is `to`, or one of them is not a node of [`Links::open`].
    pub fn dial_address(&self, from: NodeId, to: NodeId) -> SocketAddr {
        self.link(from, to).address
    }

    /// Says where `node` really listens. Until then connections to it are reset, as if nobody listened.
    pub fn set_upstream(&self, node: NodeId, address: SocketAddr) {
        self.upstreams.set(node, address);
    }

    /// Cuts the link from `from` to `to`, and not the way back. A link that is cut already takes the new mode.
    pub fn cut(&self, from: NodeId, to: NodeId, mode: CutMode) {
        self.link(from, to).gate.set(match mode {
            CutMode::Stall => LinkState::Stalled,
            CutMode::Reset => LinkState::Reset,
        });
    }

    /// Opens the link from `from` to `to`: what was stalled flows.
    pub fn heal(&self, from: NodeId, to: NodeId) {
        self.link(from, to).gate.set(LinkState::Open);
    }

    /// Makes the link from `from` to `to` as bad as `quality` says, as long as it is not cut.
    pub fn degrade(&self, from: NodeId, to: NodeId, quality: Quality) {
        self.link(from, to).gate.degrade(Some(quality));
    }

    /// Makes the link from `from` to `to` good again: what was on its way arrives at once.
    pub fn restore(&self, from: NodeId, to: NodeId) {
        self.link(from, to).gate.degrade(None);
    }

    /// Opens every link and makes it good.
    pub fn heal_all(&self) {
        for link in self.links.iter().flatten() {
            link.gate.degrade(None);
            link.gate.set(LinkState::Open);
        }
    }

    /// Is the link from `from` to `to` cut now?
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        !self.link(from, to).gate.is_open()
    }

    /// What the link from `from` to `to` has carried and withheld so far.
    pub fn counters(&self, from: NodeId, to: NodeId) -> LinkCounters {
        self.link(from, to).gate.counters()
    }

    /// How many connections are being carried or held now.
    pub fn connections(&self) -> usize {
        // The others are the listeners.
        self.tasks.len().saturating_sub(self.links.iter().flatten().count())
    }

    /// Stops listening, resets every connection, and returns when all sockets are closed.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn link(&self, from: NodeId, to: NodeId) -> &Link {
        assert!(
            from.0 < self.nodes && to.0 < self.nodes && from != to,
            "there is no link from {from} to {to}"
        );
        self.links[from.0 * self.nodes + to.0].as_ref().expect("only a node has no link to itself")
    }

    fn serve(&self, from: NodeId, to: NodeId, listener: TcpListener) {
        let route =
            Route { forward: self.link(from, to).gate.clone(), backward: self.link(to, from).gate.clone() };
        let upstreams = self.upstreams.clone();
        let (closing, tasks) = (self.closing.clone(), self.tasks.clone());
        self.tasks.spawn(async move {
            loop {
                let accepted = select! {
                    () = closing.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((dialler, _)) => {
                        let carried = proxy::carry(dialler, upstreams.get(to), route.clone());
                        let closing = closing.clone();
                        tasks.spawn(async move { closing.run_until_cancelled(carried).await });
                    }
                    // The dialler is gone already, or descriptors ran out for the moment; never a reason to stop listening.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}
