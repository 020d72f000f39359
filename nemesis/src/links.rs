//! The links between nodes: proxies through which every connection of one node to another goes, or the kernel's own
//! packet filter.
//!
//! How a proxy knows which two nodes a connection joins is the *wiring*, chosen for each system:
//!
//! **An address map**, where a node is told the address of each peer and tells nobody its own. Every directed link has a
//! listener of its own:
//!
//! ```text
//!   node n1 is told:  n2 = 127.0.0.1:41001   n3 = 127.0.0.1:41002
//!   node n2 is told:  n1 = 127.0.0.1:41003   n3 = 127.0.0.1:41004      each address is the proxy of one directed link,
//!   node n3 is told:  n1 = 127.0.0.1:41005   n2 = 127.0.0.1:41006      each proxy knows who dials it
//! ```
//!
//! **Attributed**, where a node has one address that all others know (etcd, Redis Sentinel, NATS). Every node has one
//! listener before it, which finds out who dialled (`attribution.rs`):
//!
//! ```text
//!   every node is told:  n1 = 127.0.0.1:41001   n2 = 127.0.0.1:41002   n3 = 127.0.0.1:41003
//! ```
//!
//! Where every node is in a network namespace of its own, and this process in the one between them:
//!
//! **Transparent**: nodes know each other's real addresses, and the kernel turns their connections aside to one proxy, which
//! asks it where they were going (`aside.rs`). **Filtered**: there is no proxy; links are cut by the kernel, packet by packet
//! (`filter.rs`).
//!
//! ```text
//!   every node is told:  n1 = 10.77.0.1:7001   n2 = 10.77.0.2:7001   n3 = 10.77.0.3:7001
//! ```
//!
//! Always both ends of a connection are known without looking at a byte of it, and any protocol over TCP can be cut.
//! Clients talk to nodes directly, unless a run has faults that part them: then every node has, for its clients, a proxy of
//! its own ([`Links::for_clients`]), in every wiring, and the links `clients>n1` and `n1>clients` are cut there.
//!
//! [`Links::cut`] and [`Links::heal`] are inverse, and so are [`Links::degrade`] and [`Links::restore`]; all act at once and
//! never fail (a filter that the kernel refuses fails the run). What they do to bytes is told in [`CutMode`] and [`Quality`].

mod aside;
mod attribution;
pub(crate) mod bypass;
mod degraded;
mod door;
pub(crate) mod filter;
pub(crate) mod gate;
pub(crate) mod grudge;
mod proxy;
mod proxy_thread;
mod pump;
pub(crate) mod quality;
pub(crate) mod sock_diag;
mod troubles;

use std::{
    collections::BTreeSet,
    io,
    net::{self, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Handle, RuntimeFlavor},
    select,
    sync::watch,
    task::block_in_place,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{NodeId, Quality, TimedAct, processes::holders::Holders};
use attribution::{Attribution, Dialler, Strangers};
use bypass::Bypass;
use door::{Doors, Listener};
use filter::{Filter, FilterError};
use gate::{CutMode, Gate, LinkCounters, LinkState};
use proxy::{Route, Upstream};
use sock_diag::TcpEnd;

/// A directed link: from the first node to the second.
pub(crate) type Link = (NodeId, NodeId);

/// What becomes of a directed link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is cut, or open if `None`.
    Cut(Option<CutMode>),
    /// It is as bad as this, or good if `None`, as long as it is not cut.
    Degrade(Option<Quality>),
}

/// All directed links of a cluster. Dropping it closes them; [`Links::close`] also waits until they are closed.
#[derive(Debug)]
pub struct Links {
    gates: Arc<Gates>,
    wiring: Wiring,
    upstreams: Arc<Upstreams>,
    attribution: Attribution,
    doors: Arc<Doors>,
    /// Where everything is carried.
    thread: Handle,
    closing: CancellationToken,
    tasks: TaskTracker,
    /// How many of the tasks listen.
    listeners: AtomicUsize,
}

/// Where links are dialled, and with that how a proxy knows which link a connection belongs to.
#[derive(Debug)]
enum Wiring {
    /// A listener for every directed pair, in the order of the gates.
    AddressMap(Vec<SocketAddr>),
    /// A listener before every node.
    Attributed(Vec<SocketAddr>),
    /// One listener, to which the kernel turns every connection aside.
    Transparent,
    /// No listener: the gates are the kernel's.
    Filtered(Filter),
}

/// What a listener is before.
#[derive(Debug, Clone)]
enum Front {
    /// A link: who dials is known.
    Link(NodeId, NodeId),
    /// A node: who dials is found out.
    Node(NodeId),
    /// A node's clients, which mean this port of it.
    Clients(NodeId, SocketAddr),
    /// All nodes, which have these addresses: both ends are found out.
    Nodes(Arc<[Ipv4Addr]>),
}

/// The gate of every directed pair of nodes, row by row, with the clients as the last. A node's link to itself is there
/// too, and always open.
#[derive(Debug)]
struct Gates {
    nodes: usize,
    all: Vec<Arc<Gate>>,
}

impl Gates {
    fn of(nodes: usize) -> Gates {
        let ends = nodes + 1;
        Gates { nodes, all: (0..ends * ends).map(|_| Arc::default()).collect() }
    }

    fn get(&self, from: NodeId, to: NodeId) -> &Arc<Gate> {
        let end = |end: NodeId| if end == NodeId::CLIENTS { self.nodes } else { end.0 };
        &self.all[end(from) * (self.nodes + 1) + end(to)]
    }

    fn route(&self, from: NodeId, to: NodeId) -> Route {
        Route { forward: self.get(from, to).clone(), backward: self.get(to, from).clone() }
    }

    /// The route of a connection that belongs to no link.
    fn beside() -> Route {
        Route { forward: Arc::default(), backward: Arc::default() }
    }

    /// A link to or from `node` that is cut.
    fn cut_at(&self, node: NodeId) -> Option<&Gate> {
        let others = (0..self.nodes).map(NodeId);
        let mut links = others.flat_map(|other| [self.get(other, node), self.get(node, other)]);
        links.find(|gate| !gate.is_open()).map(|gate| &**gate)
    }
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
    /// Links by an address map: opens a listener on a free loopback port for each of the `nodes * (nodes - 1)` links. Errors
    /// are those of binding, and of starting the thread that carries.
    pub fn open(nodes: usize) -> io::Result<Links> {
        let (listeners, addresses) = listen(nodes * nodes)?;
        let links = Links::new(nodes, Wiring::AddressMap(addresses))?;
        for (at, listener) in listeners.into_iter().enumerate() {
            let (from, to) = (NodeId(at / nodes), NodeId(at % nodes));
            if from != to {
                links.serve(listener, Front::Link(from, to))?;
            }
        }
        Ok(links)
    }

    /// Links by attribution: opens one listener on a free loopback port before each node. Who dials it is found out by its
    /// process, so [`Links::follow`] has to be told of those. Errors are those of [`Links::open`].
    pub fn open_attributed(nodes: usize) -> io::Result<Links> {
        let (listeners, addresses) = listen(nodes)?;
        let links = Links::new(nodes, Wiring::Attributed(addresses))?;
        for (to, listener) in listeners.into_iter().enumerate() {
            links.serve(listener, Front::Node(NodeId(to)))?;
        }
        Ok(links)
    }

    /// Links between network namespaces, through a proxy that the nodes do not know of. The nodes have these addresses, and
    /// this process is in the namespace through which they reach each other. Whatever is not TCP does not get through.
    ///
    /// # Errors
    /// When the packet filter cannot be had.
    pub fn open_transparent(addresses: &[Ipv4Addr]) -> Result<Links, FilterError> {
        let bound = net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0));
        let bound = bound.and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (port, listener) = bound.map_err(FilterError::Listen)?;
        let links = Links::new(addresses.len(), Wiring::Transparent).map_err(FilterError::Listen)?;
        converse(|| filter::redirect(addresses, port))?;
        links.serve(listener, Front::Nodes(addresses.into())).map_err(FilterError::Listen)?;
        Ok(links)
    }

    /// Links between network namespaces, without a proxy: as [`Links::open_transparent`], but cut by the packet filter.
    ///
    /// # Errors
    /// When the packet filter cannot be had.
    pub fn open_filtered(addresses: &[Ipv4Addr]) -> Result<Links, FilterError> {
        let filter = converse(|| Filter::open(addresses))?;
        Links::new(addresses.len(), Wiring::Filtered(filter)).map_err(FilterError::Listen)
    }

    fn new(nodes: usize, wiring: Wiring) -> io::Result<Links> {
        let holders = Arc::new(Holders::of(nodes));
        let closing = CancellationToken::new();
        let shared = matches!(wiring, Wiring::AddressMap(_) | Wiring::Attributed(_));
        Ok(Links {
            gates: Arc::new(Gates::of(nodes)),
            wiring,
            upstreams: Arc::new(Upstreams((0..nodes).map(|_| Mutex::default()).collect())),
            doors: Arc::new(Doors::new(holders.clone(), shared)),
            attribution: Attribution { holders, strangers: Arc::new(Strangers::default()) },
            thread: proxy_thread::start(closing.clone())?,
            closing,
            tasks: TaskTracker::new(),
            listeners: AtomicUsize::new(0),
        })
    }

    /// How many nodes the links join.
    pub fn nodes(&self) -> usize {
        self.gates.nodes
    }

    /// The address that node `from` is told for node `to`: a proxy's, or between namespaces the real one.
    ///
    /// # Panics
    /// As every method that names a link: if `from` is `to`, or one of them is not a node of [`Links::open`]. Between
    /// namespaces, before [`Links::set_upstream`] has been told of `to`.
    pub fn dial_address(&self, from: NodeId, to: NodeId) -> SocketAddr {
        self.assert_link(from, to);
        match &self.wiring {
            Wiring::AddressMap(addresses) => addresses[from.0 * self.nodes() + to.0],
            Wiring::Attributed(addresses) => addresses[to.0],
            Wiring::Transparent | Wiring::Filtered(_) => self.upstreams.get(to).expect("told before"),
        }
    }

    /// The one address under which `node` may be known to everybody; `None` with an address map, where there is none.
    pub fn advertised(&self, node: NodeId) -> Option<SocketAddr> {
        match &self.wiring {
            Wiring::AddressMap(_) => None,
            Wiring::Attributed(addresses) => Some(addresses[node.0]),
            Wiring::Transparent | Wiring::Filtered(_) => self.upstreams.get(node),
        }
    }

    /// Says where `node` really listens. Until then connections to it are reset, as if nobody listened.
    pub fn set_upstream(&self, node: NodeId, address: SocketAddr) {
        self.upstreams.set(node, address);
    }

    /// Opens a listener through which the clients of `node` reach this port of it, and gives its address. Errors are those of
    /// binding.
    pub fn for_clients(&self, node: NodeId, port: SocketAddr) -> io::Result<SocketAddr> {
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        self.serve(listener, Front::Clients(node, port))?;
        Ok(address)
    }

    /// Says where to learn which process `node` is now: the leader of its process group, `None` while it is down.
    pub fn follow(&self, node: NodeId, pid: watch::Receiver<Option<u32>>) {
        self.attribution.holders.follow(node, pid);
    }

    /// Says that all processes of `node` are in the cgroup of this id, and nobody else.
    pub fn set_cgroup(&self, node: NodeId, id: u64) {
        self.attribution.holders.set_cgroup(node, id);
    }

    /// Says what [`MARK`](crate::MARK) says in the environment of every process of `node`.
    pub fn set_mark(&self, node: NodeId, mark: String) {
        self.attribution.holders.set_mark(node, mark);
    }

    /// Connections between nodes that go through no proxy: they would cross every cut. Looks at all TCP sockets that the
    /// processes of the nodes hold now; an error if the kernel does not tell. Between namespaces there is no other way.
    pub fn bypasses(&self) -> io::Result<Vec<Bypass>> {
        if matches!(self.wiring, Wiring::Transparent | Wiring::Filtered(_)) {
            return Ok(Vec::new());
        }
        let ends = sock_diag::all()?;
        let holders = &self.attribution.holders;
        let by_inode = holders.holders();
        let holder = |end: &TcpEnd| holders.by_cgroup(end).or_else(|| by_inode.get(&end.inode).copied());
        Ok(bypass::find(&ends, holder))
    }

    /// How many connections came from processes that are no node's, and the first of them in words. They were carried,
    /// and nothing can cut them. `None` if there were none, as always with an address map.
    pub fn strangers(&self) -> Option<(u64, String)> {
        self.attribution.strangers.seen()
    }

    /// Connects to a port of `node`, for a client or whoever asks it something, and makes sure that it is the node, or the proxy
    /// before it, that listens there. What fails on our side is a [trouble](Links::trouble), too.
    ///
    /// # Errors
    /// Those of connecting; and who listens there, if it is somebody else. Nothing was sent.
    pub async fn connect(&self, node: NodeId, address: SocketAddr) -> io::Result<TcpStream> {
        self.doors.connect(node, address, |socket| socket.set_nodelay(true)).await
    }

    /// Who listens at a port of `node` and is no process of it, in words; `None` if it is the node, or nobody.
    pub async fn stranger_at(&self, node: NodeId, address: SocketAddr) -> Option<String> {
        match self.doors.listener(node, address).await {
            Ok(Listener::Stranger(who)) => Some(who),
            Ok(Listener::Node | Listener::Nobody) | Err(_) => None,
        }
    }

    /// The first trouble that is no outcome, once there is one: a stranger at a node's port, or no descriptors, ports or memory
    /// left to connect or to accept with.
    pub fn trouble(&self) -> impl Future<Output = String> + Send + 'static {
        self.doors.troubles.first()
    }

    /// Cuts the link from `from` to `to`, and not the way back. A link that is cut already takes the new mode.
    pub fn cut(&self, from: NodeId, to: NodeId, mode: CutMode) {
        let _ = self.change(&[((from, to), Change::Cut(Some(mode)))]);
    }

    /// Opens the link from `from` to `to`: what was stalled flows.
    pub fn heal(&self, from: NodeId, to: NodeId) {
        let _ = self.change(&[((from, to), Change::Cut(None))]);
    }

    /// Makes the link from `from` to `to` as bad as `quality` says, as long as it is not cut.
    pub fn degrade(&self, from: NodeId, to: NodeId, quality: Quality) {
        let _ = self.change(&[((from, to), Change::Degrade(Some(quality)))]);
    }

    /// Makes the link from `from` to `to` good again: what was on its way arrives at once.
    pub fn restore(&self, from: NodeId, to: NodeId) {
        let _ = self.change(&[((from, to), Change::Degrade(None))]);
    }

    /// Changes links in one moment. Gates always obey; the error is what the kernel said.
    pub(crate) fn change(&self, changes: &[(Link, Change)]) -> Result<(), String> {
        let Wiring::Filtered(filter) = &self.wiring else {
            self.set_gates(changes);
            return Ok(());
        };
        let (of_clients, of_nodes): (Vec<_>, Vec<_>) =
            changes.iter().copied().partition(|(link, _)| is_of_clients(*link));
        self.set_gates(&of_clients);
        if of_nodes.is_empty() { Ok(()) } else { converse(|| filter.change(&of_nodes)) }
    }

    fn set_gates(&self, changes: &[(Link, Change)]) {
        for ((from, to), change) in changes {
            let gate = self.gate(*from, *to);
            match change {
                Change::Cut(None) => gate.set(LinkState::Open),
                Change::Cut(Some(CutMode::Stall)) => gate.set(LinkState::Stalled),
                Change::Cut(Some(CutMode::Reset)) => gate.set(LinkState::Reset),
                Change::Degrade(quality) => gate.degrade(*quality),
            }
        }
    }

    /// Opens every link and makes it good.
    pub fn heal_all(&self) {
        let _ = self.try_heal_all();
    }

    /// As [`Links::heal_all`]; the error is what the kernel said.
    pub(crate) fn try_heal_all(&self) -> Result<(), String> {
        for gate in &self.gates.all {
            gate.degrade(None);
            gate.set(LinkState::Open);
        }
        match &self.wiring {
            Wiring::Filtered(filter) => converse(|| filter.heal_all()),
            _ => Ok(()),
        }
    }

    /// Is the link from `from` to `to` cut now?
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.assert_link(from, to);
        match &self.wiring {
            Wiring::Filtered(filter) if !is_of_clients((from, to)) => filter.is_cut((from, to)),
            _ => !self.gate(from, to).is_open(),
        }
    }

    /// What the link from `from` to `to` has carried and withheld so far.
    pub fn counters(&self, from: NodeId, to: NodeId) -> LinkCounters {
        self.assert_link(from, to);
        self.sum(&BTreeSet::from([(from, to)]))
    }

    /// What some links have carried and withheld so far, together.
    pub(crate) fn sum(&self, links: &BTreeSet<(NodeId, NodeId)>) -> LinkCounters {
        let (filter, by_gates): (_, Vec<_>) = match &self.wiring {
            Wiring::Filtered(filter) => {
                (Some(filter), links.iter().filter(|link| is_of_clients(**link)).collect())
            }
            _ => (None, links.iter().collect()),
        };
        let mut sum = LinkCounters::default();
        by_gates.iter().for_each(|(from, to)| sum += self.gate(*from, *to).counters());
        if let Some(filter) = filter {
            sum += converse(|| filter.sum(links.iter().copied().filter(|link| !is_of_clients(*link))));
        }
        sum
    }

    /// Why these acts cannot all be done to these links, if they cannot: a proxy has no packets to lose, and a packet filter
    /// no streams to shred.
    pub(crate) fn cannot(&self, acts: &[TimedAct]) -> Option<String> {
        let (by_filter, by_proxy): (Vec<TimedAct>, Vec<TimedAct>) = acts
            .iter()
            .partition(|timed| matches!(self.wiring, Wiring::Filtered(_)) && !timed.act.names_clients());
        let loses = |timed: &TimedAct| timed.act.degrades().is_some_and(|(_, it)| it.loss_percent.is_some());
        let of_packets =
            by_proxy.iter().any(loses).then(|| "a proxy has no packets to lose: --net netns has".to_owned());
        match &self.wiring {
            Wiring::Filtered(filter) => of_packets.or_else(|| filter.cannot(&by_filter)),
            _ => of_packets,
        }
    }

    /// How many connections are being carried or held now.
    pub fn connections(&self) -> usize {
        self.tasks.len().saturating_sub(self.listeners.load(Relaxed))
    }

    /// Stops listening, resets every connection, and returns when all sockets are closed.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn gate(&self, from: NodeId, to: NodeId) -> &Gate {
        self.assert_link(from, to);
        self.gates.get(from, to)
    }

    fn assert_link(&self, from: NodeId, to: NodeId) {
        let known = |end: NodeId| end.0 < self.nodes() || end == NodeId::CLIENTS;
        assert!(known(from) && known(to) && from != to, "there is no link from {from} to {to}");
    }

    /// Carries whatever is accepted.
    fn serve(&self, listener: net::TcpListener, front: Front) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = {
            let _on_that_thread = self.thread.enter();
            TcpListener::from_std(listener)?
        };
        let carrier = Carrier {
            gates: self.gates.clone(),
            upstreams: self.upstreams.clone(),
            attribution: self.attribution.clone(),
            doors: self.doors.clone(),
        };
        let (closing, tasks) = (self.closing.clone(), self.tasks.clone());
        self.listeners.fetch_add(1, Relaxed);
        let accept = async move {
            loop {
                let accepted = select! {
                    () = closing.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((dialler, _)) => {
                        let (carrier, closing, front) = (carrier.clone(), closing.clone(), front.clone());
                        tasks.spawn(async move {
                            closing.run_until_cancelled(carrier.carry(dialler, front)).await
                        });
                    }
                    // The dialler is gone already, which is nothing; or descriptors have run out.
                    Err(error) => {
                        carrier.doors.troubles.see(&error, || "a proxy cannot accept a connection".into());
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
        };
        self.tasks.spawn_on(accept, &self.thread);
        Ok(())
    }
}

/// What it takes to carry a connection.
#[derive(Clone)]
struct Carrier {
    gates: Arc<Gates>,
    upstreams: Arc<Upstreams>,
    attribution: Attribution,
    doors: Arc<Doors>,
}

impl Carrier {
    fn upstream(&self, node: NodeId, address: Option<SocketAddr>) -> Upstream {
        Upstream { node, address, doors: self.doors.clone() }
    }

    async fn carry(self, dialler: TcpStream, front: Front) {
        let (from, to) = match front {
            Front::Link(from, to) => (Dialler::Node(from), to),
            Front::Clients(to, port) => {
                let route = self.gates.route(NodeId::CLIENTS, to);
                return proxy::carry(dialler, self.upstream(to, Some(port)), route).await;
            }
            Front::Node(to) => (self.attribution.dialler_of(&dialler, to).await, to),
            Front::Nodes(addresses) => {
                let Some(aside) = aside::ends(&dialler, &addresses) else { return };
                let route = self.gates.route(aside.from, aside.to);
                return proxy::carry(dialler, self.upstream(aside.to, Some(aside.destination)), route).await;
            }
        };
        let route = match (from, self.gates.cut_at(to)) {
            (Dialler::Node(from), _) => self.gates.route(from, to),
            (Dialler::Gone, Some(cut)) => {
                cut.connections_withheld.fetch_add(1, Relaxed);
                return;
            }
            (Dialler::Stranger | Dialler::Gone, _) => Gates::beside(),
        };
        proxy::carry(dialler, self.upstream(to, self.upstreams.get(to)), route).await;
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// Whether a link joins a node and its clients: always through a proxy.
fn is_of_clients((from, to): (NodeId, NodeId)) -> bool {
    from == NodeId::CLIENTS || to == NodeId::CLIENTS
}

/// So many listeners on free loopback ports, and their addresses.
fn listen(count: usize) -> io::Result<(Vec<net::TcpListener>, Vec<SocketAddr>)> {
    let bound = (0..count).map(|_| net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let listeners = bound.collect::<io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(net::TcpListener::local_addr).collect::<io::Result<_>>()?;
    Ok((listeners, addresses))
}

/// Talks with the packet filter's program: mostly for under a millisecond, and where the machine is busy for longer. Other
/// tasks of a runtime with several threads go on meanwhile.
fn converse<T>(talk: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(talk),
        _ => talk(),
    }
}
