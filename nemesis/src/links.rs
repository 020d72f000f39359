//! The links between nodes: every connection between two nodes goes through a proxy, or through the kernel's
//! packet filter.
//!
//! How a proxy knows which two nodes a connection joins is the *wiring*, chosen for each system:
//!
//! **Address map**, for systems in which a node is told the address of each peer, and tells no peer its own.
//! Every directed link has its own listener:
//!
//! ```text
//!   node n1 is told:  n2 = 127.0.0.1:41001   n3 = 127.0.0.1:41002
//!   node n2 is told:  n1 = 127.0.0.1:41003   n3 = 127.0.0.1:41004   each address is the proxy of one link,
//!   node n3 is told:  n1 = 127.0.0.1:41005   n2 = 127.0.0.1:41006   so each proxy knows its dialler
//! ```
//!
//! **Attributed**, for systems in which a node has one address that all others know (etcd, Redis Sentinel,
//! NATS). Every node has one listener in front of it, which finds out which node connects (`attribution.rs`):
//!
//! ```text
//!   every node is told:  n1 = 127.0.0.1:41001   n2 = 127.0.0.1:41002   n3 = 127.0.0.1:41003
//! ```
//!
//! If every node has its own network namespace, and this process is in the namespace between them:
//!
//! **Transparent**: nodes know each other's real addresses. The kernel redirects their connections to one
//! proxy, which asks the kernel for the original destination (`redirected.rs`). **Filtered**: there is no
//! proxy; the kernel cuts links packet by packet (`filter.rs`).
//!
//! ```text
//!   every node is told:  n1 = 10.77.0.1:7001   n2 = 10.77.0.2:7001   n3 = 10.77.0.3:7001
//! ```
//!
//! In every wiring both ends of a connection are known without looking at its bytes, so any protocol over TCP
//! can be cut. Clients connect to nodes directly, unless the run has faults that cut clients off. Then every
//! node has a proxy for its clients ([`Links::for_clients`]), and the links `clients>n1` and `n1>clients` are
//! cut there.
//!
//! [`Links::cut`] and [`Links::heal`] are inverse, and so are [`Links::degrade`] and [`Links::restore`]. All
//! act at once and never fail (if the kernel refuses a filter, the run fails). [`CutMode`] and [`Quality`]
//! describe what they do to bytes.

mod attribution;
pub(crate) mod bypass;
mod connector;
mod degraded;
pub(crate) mod filter;
pub(crate) mod gate;
pub(crate) mod grudge;
mod harness_failures;
mod messages;
mod proxy;
mod proxy_thread;
mod pump;
pub(crate) mod quality;
mod redirected;
pub(crate) mod sock_diag;

use std::{
    collections::BTreeSet,
    io,
    net::{self, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
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

use crate::{
    NodeId, Quality, TimedAct, lock::locked, plan::possible::NO_PACKETS, processes::holders::Holders,
};
use attribution::{Attribution, Dialler, OutsideConnections};
use bypass::Bypass;
use connector::{Listener, NodeConnector};
use filter::{Filter, FilterError};
use gate::{CutMode, Gate, LinkCounters, LinkState};
use proxy::{Route, Upstream};
use sock_diag::TcpEnd;

/// A directed link: from the first node to the second.
pub(crate) type Link = (NodeId, NodeId);

/// A change of a directed link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkChange {
    /// Cuts the link, or opens it if `None`.
    Cut(Option<CutMode>),
    /// Sets the quality of the link, or restores it if `None`. Has no effect while the link is cut.
    Degrade(Option<Quality>),
}

/// All directed links of a cluster. Dropping it closes them; [`Links::close`] also waits for the end.
#[derive(Debug)]
pub struct Links {
    gates: Arc<Gates>,
    wiring: Wiring,
    upstreams: Arc<Upstreams>,
    attribution: Attribution,
    connector: Arc<NodeConnector>,
    /// Runtime of the proxy's thread.
    thread: Handle,
    closing: CancellationToken,
    tasks: TaskTracker,
    /// How many of the tasks are listeners.
    listeners: AtomicUsize,
}

/// Where links are dialled, and so how a proxy knows the link of a connection.
#[derive(Debug)]
enum Wiring {
    /// A listener for every directed pair, in the order of the gates.
    AddressMap(Vec<SocketAddr>),
    /// A listener in front of every node.
    Attributed(Vec<SocketAddr>),
    /// One listener, to which the kernel redirects every connection.
    Transparent,
    /// No listener: the kernel cuts the links.
    Filtered(Filter),
}

/// What a listener stands in front of.
#[derive(Debug, Clone)]
enum Frontend {
    /// A link: both ends are known.
    Link(NodeId, NodeId),
    /// A node: the connecting node has to be found out.
    Node(NodeId),
    /// A node's clients, which connect to this port of the node.
    Clients(NodeId, SocketAddr),
    /// All nodes, with these addresses: both ends have to be found out.
    Nodes(Arc<[Ipv4Addr]>),
}

/// The gates of all directed pairs of nodes, row by row, with the clients as the last node. A node's link to
/// itself is included, and always open.
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
    fn unattributed() -> Route {
        Route { forward: Arc::default(), backward: Arc::default() }
    }

    /// A link to or from `node` that is cut.
    fn cut_at(&self, node: NodeId) -> Option<&Gate> {
        let others = (0..self.nodes).map(NodeId);
        let mut links = others.flat_map(|other| [self.get(other, node), self.get(node, other)]);
        links.find(|gate| !gate.is_open()).map(|gate| &**gate)
    }
}

/// The real addresses of the nodes, as far as they are known.
#[derive(Debug)]
struct Upstreams(Vec<Mutex<Option<SocketAddr>>>);

impl Upstreams {
    fn get(&self, node: NodeId) -> Option<SocketAddr> {
        *locked(&self.0[node.0])
    }

    fn set(&self, node: NodeId, address: SocketAddr) {
        *locked(&self.0[node.0]) = Some(address);
    }
}

impl Links {
    /// Links with an address map: opens a listener on a free loopback port for each of the `nodes * (nodes -
    /// 1)` links.
    ///
    /// # Errors
    /// When a listener cannot be opened, or the proxy's thread cannot be started.
    pub fn open(nodes: usize) -> io::Result<Links> {
        let (listeners, addresses) = listen(nodes * nodes)?;
        let links = Links::new(nodes, Wiring::AddressMap(addresses))?;
        for (at, listener) in listeners.into_iter().enumerate() {
            let (from, to) = (NodeId(at / nodes), NodeId(at % nodes));
            if from != to {
                links.serve(listener, Frontend::Link(from, to))?;
            }
        }
        Ok(links)
    }

    /// Links with attribution: opens one listener on a free loopback port in front of each node. The
    /// connecting node is found by its process, so [`Links::follow`] must be called for every node.
    ///
    /// # Errors
    /// As [`Links::open`].
    pub fn open_attributed(nodes: usize) -> io::Result<Links> {
        let (listeners, addresses) = listen(nodes)?;
        let links = Links::new(nodes, Wiring::Attributed(addresses))?;
        for (to, listener) in listeners.into_iter().enumerate() {
            links.serve(listener, Frontend::Node(NodeId(to)))?;
        }
        Ok(links)
    }

    /// Links between network namespaces, through a proxy that the nodes do not know. The nodes have these
    /// addresses, and this process is in the namespace that connects them. Only TCP passes.
    ///
    /// # Errors
    /// When the packet filter cannot be used.
    pub fn open_transparent(addresses: &[Ipv4Addr]) -> Result<Links, FilterError> {
        let bound = net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0));
        let bound = bound.and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (port, listener) = bound.map_err(FilterError::Listen)?;
        let links = Links::new(addresses.len(), Wiring::Transparent).map_err(FilterError::Listen)?;
        run_blocking(|| filter::redirect(addresses, port))?;
        links.serve(listener, Frontend::Nodes(addresses.into())).map_err(FilterError::Listen)?;
        Ok(links)
    }

    /// Links between network namespaces, without a proxy: as [`Links::open_transparent`], but the packet
    /// filter cuts them.
    ///
    /// # Errors
    /// When the packet filter cannot be used.
    pub fn open_filtered(addresses: &[Ipv4Addr]) -> Result<Links, FilterError> {
        let filter = run_blocking(|| Filter::open(addresses))?;
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
            connector: Arc::new(NodeConnector::new(holders.clone(), shared)),
            attribution: Attribution { holders, outside: Arc::new(OutsideConnections::default()) },
            thread: proxy_thread::start(closing.clone())?,
            closing,
            tasks: TaskTracker::new(),
            listeners: AtomicUsize::new(0),
        })
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.gates.nodes
    }

    /// The address of node `to` that node `from` is told: a proxy's, or between namespaces the real one.
    ///
    /// # Panics
    /// As every method that names a link: if `from` is `to`, or one of them is not a node of the cluster.
    /// Between namespaces, if [`Links::set_upstream`] was not called for `to`.
    pub fn dial_address(&self, from: NodeId, to: NodeId) -> SocketAddr {
        self.assert_link(from, to);
        match &self.wiring {
            Wiring::AddressMap(addresses) => addresses[from.0 * self.nodes() + to.0],
            Wiring::Attributed(addresses) => addresses[to.0],
            Wiring::Transparent | Wiring::Filtered(_) => self.upstreams.get(to).expect("told before"),
        }
    }

    /// The address of `node` that is the same for all its peers; `None` with an address map.
    pub fn advertised(&self, node: NodeId) -> Option<SocketAddr> {
        match &self.wiring {
            Wiring::AddressMap(_) => None,
            Wiring::Attributed(addresses) => Some(addresses[node.0]),
            Wiring::Transparent | Wiring::Filtered(_) => self.upstreams.get(node),
        }
    }

    /// Sets the real address of `node`. Until then connections to the node are reset, as if it did not
    /// listen.
    pub fn set_upstream(&self, node: NodeId, address: SocketAddr) {
        self.upstreams.set(node, address);
    }

    /// Opens a listener through which the clients of `node` reach this port of the node, and returns its
    /// address.
    ///
    /// # Errors
    /// When the listener cannot be opened.
    pub fn for_clients(&self, node: NodeId, port: SocketAddr) -> io::Result<SocketAddr> {
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        self.serve(listener, Frontend::Clients(node, port))?;
        Ok(address)
    }

    /// Sets the channel that says which process `node` is now: the leader of its process group, `None` while
    /// it is down.
    pub fn follow(&self, node: NodeId, pid: watch::Receiver<Option<u32>>) {
        self.attribution.holders.follow(node, pid);
    }

    /// Tells the links that the cgroup with this id contains all processes of `node`, and no others.
    pub fn set_cgroup(&self, node: NodeId, id: u64) {
        self.attribution.holders.set_cgroup(node, id);
    }

    /// Sets the value of [`MARK`](crate::MARK) in the environment of every process of `node`.
    pub fn set_mark(&self, node: NodeId, mark: String) {
        self.attribution.holders.set_mark(node, mark);
    }

    /// Finds connections between nodes that bypass the proxies, and so every cut. Looks at all TCP sockets
    /// that the processes of the nodes hold now. Between namespaces no bypass is possible.
    ///
    /// # Errors
    /// When the kernel does not list the sockets.
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

    /// Whether packets between the nodes can be queued, and so delayed or lost; if not, why not.
    ///
    /// # Errors
    /// What is missing.
    pub fn packet_queue(&self) -> Result<(), String> {
        match &self.wiring {
            Wiring::Filtered(filter) => filter.packet_queue(),
            _ => Err("there is no packet filter between the nodes".into()),
        }
    }

    /// Number of connections from processes outside the cluster, and a description of the first one. These
    /// connections were carried, and no cut affects them. `None` if there were none, as always with an
    /// address map.
    pub fn outside_connections(&self) -> Option<(u64, String)> {
        self.attribution.outside.seen()
    }

    /// Connects to a port of `node`, as a client or for a request of the controller. Checks that the node, or
    /// the proxy in front of it, listens there. A failure on this machine is reported as a [harness
    /// failure](Links::harness_failure), too.
    ///
    /// # Errors
    /// Those of connecting; a foreign listener, with a description of its process. Nothing was sent.
    pub async fn connect(&self, node: NodeId, address: SocketAddr) -> io::Result<TcpStream> {
        self.connector.connect(node, address, |socket| socket.set_nodelay(true)).await
    }

    /// Describes the process that listens at a port of `node`, if it is not a process of the node.
    pub async fn foreign_listener_at(&self, node: NodeId, address: SocketAddr) -> Option<String> {
        match self.connector.listener(node, address).await {
            Ok(Listener::Foreign(who)) => Some(who),
            Ok(Listener::Node | Listener::Nobody) | Err(_) => None,
        }
    }

    /// Waits for the first harness failure: a foreign listener at a node's port, or no descriptors, ports or
    /// memory left to connect or to accept with.
    pub fn harness_failure(&self) -> impl Future<Output = String> + Send + 'static {
        self.connector.failures.first()
    }

    /// Cuts the link from `from` to `to`, but not the opposite one. If the link is cut already, changes the
    /// mode.
    pub fn cut(&self, from: NodeId, to: NodeId, mode: CutMode) {
        let _ = self.change(&[((from, to), LinkChange::Cut(Some(mode)))]);
    }

    /// Opens the link from `from` to `to`: stalled bytes flow again.
    pub fn heal(&self, from: NodeId, to: NodeId) {
        let _ = self.change(&[((from, to), LinkChange::Cut(None))]);
    }

    /// Degrades the link from `from` to `to`. Has no effect while the link is cut.
    pub fn degrade(&self, from: NodeId, to: NodeId, quality: Quality) {
        let _ = self.change(&[((from, to), LinkChange::Degrade(Some(quality)))]);
    }

    /// Restores the link from `from` to `to`: delayed bytes arrive at once.
    pub fn restore(&self, from: NodeId, to: NodeId) {
        let _ = self.change(&[((from, to), LinkChange::Degrade(None))]);
    }

    /// Changes several links at once.
    ///
    /// # Errors
    /// What the kernel's packet filter said. Gates never fail.
    pub(crate) fn change(&self, changes: &[(Link, LinkChange)]) -> Result<(), String> {
        let Wiring::Filtered(filter) = &self.wiring else {
            self.set_gates(changes);
            return Ok(());
        };
        let (of_clients, of_nodes): (Vec<_>, Vec<_>) =
            changes.iter().copied().partition(|(link, _)| is_of_clients(*link));
        self.set_gates(&of_clients);
        if of_nodes.is_empty() { Ok(()) } else { run_blocking(|| filter.change(&of_nodes)) }
    }

    fn set_gates(&self, changes: &[(Link, LinkChange)]) {
        for ((from, to), change) in changes {
            let gate = self.gate(*from, *to);
            match change {
                LinkChange::Cut(None) => gate.set(LinkState::Open),
                LinkChange::Cut(Some(CutMode::Stall)) => gate.set(LinkState::Stalled),
                LinkChange::Cut(Some(CutMode::Reset)) => gate.set(LinkState::Reset),
                LinkChange::Degrade(quality) => gate.degrade(*quality),
            }
        }
    }

    /// Opens and restores every link.
    pub fn heal_all(&self) {
        let _ = self.try_heal_all();
    }

    /// As [`Links::heal_all`].
    ///
    /// # Errors
    /// What the kernel's packet filter said.
    pub(crate) fn try_heal_all(&self) -> Result<(), String> {
        for gate in &self.gates.all {
            gate.degrade(None);
            gate.set(LinkState::Open);
        }
        match &self.wiring {
            Wiring::Filtered(filter) => run_blocking(|| filter.heal_all()),
            _ => Ok(()),
        }
    }

    /// Whether the link from `from` to `to` is cut now.
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

    /// What these links have carried and withheld so far, together.
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
            sum += run_blocking(|| filter.sum(links.iter().copied().filter(|link| !is_of_clients(*link))));
        }
        sum
    }

    /// Why some of these acts are impossible with this wiring: a proxy cannot lose packets, and a packet
    /// filter cannot fragment streams.
    pub(crate) fn cannot(&self, acts: &[TimedAct]) -> Option<String> {
        let (by_filter, by_proxy): (Vec<TimedAct>, Vec<TimedAct>) = acts
            .iter()
            .partition(|timed| matches!(self.wiring, Wiring::Filtered(_)) && !timed.act.names_clients());
        let loses = |timed: &TimedAct| timed.act.degrades().is_some_and(|(_, it)| it.loss_percent.is_some());
        let of_packets = by_proxy.iter().any(loses).then(|| NO_PACKETS.to_owned());
        match &self.wiring {
            Wiring::Filtered(filter) => of_packets.or_else(|| filter.cannot(&by_filter)),
            _ => of_packets,
        }
    }

    /// Number of connections that are carried or held now.
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

    /// Accepts connections and carries each in its own task.
    fn serve(&self, listener: net::TcpListener, frontend: Frontend) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = {
            let _on_that_thread = self.thread.enter();
            TcpListener::from_std(listener)?
        };
        let carrier = Carrier {
            gates: self.gates.clone(),
            upstreams: self.upstreams.clone(),
            attribution: self.attribution.clone(),
            connector: self.connector.clone(),
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
                        let (carrier, closing, frontend) =
                            (carrier.clone(), closing.clone(), frontend.clone());
                        tasks.spawn(async move {
                            closing.run_until_cancelled(carrier.carry(dialler, frontend)).await
                        });
                    }
                    // Either the connection is closed already, which is harmless, or descriptors have run
                    // out.
                    Err(error) => {
                        carrier
                            .connector
                            .failures
                            .report_if_local(&error, || "a proxy cannot accept a connection".into());
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
        };
        self.tasks.spawn_on(accept, &self.thread);
        Ok(())
    }
}

/// Everything that carrying a connection needs.
#[derive(Clone)]
struct Carrier {
    gates: Arc<Gates>,
    upstreams: Arc<Upstreams>,
    attribution: Attribution,
    connector: Arc<NodeConnector>,
}

impl Carrier {
    fn upstream(&self, node: NodeId, address: Option<SocketAddr>) -> Upstream {
        Upstream { node, address, connector: self.connector.clone() }
    }

    async fn carry(self, dialler: TcpStream, frontend: Frontend) {
        let (from, to) = match frontend {
            Frontend::Link(from, to) => (Dialler::Node(from), to),
            Frontend::Clients(to, port) => {
                let route = self.gates.route(NodeId::CLIENTS, to);
                return proxy::carry(dialler, self.upstream(to, Some(port)), route).await;
            }
            Frontend::Node(to) => (self.attribution.dialler_of(&dialler, to).await, to),
            Frontend::Nodes(addresses) => {
                let Some(redirected) = redirected::ends(&dialler, &addresses) else { return };
                let route = self.gates.route(redirected.from, redirected.to);
                return proxy::carry(
                    dialler,
                    self.upstream(redirected.to, Some(redirected.destination)),
                    route,
                )
                .await;
            }
        };
        let route = match (from, self.gates.cut_at(to)) {
            (Dialler::Node(from), _) => self.gates.route(from, to),
            (Dialler::Gone, Some(cut)) => {
                cut.connections_withheld.fetch_add(1, Relaxed);
                return;
            }
            (Dialler::Outsider | Dialler::Gone, _) => Gates::unattributed(),
        };
        proxy::carry(dialler, self.upstream(to, self.upstreams.get(to)), route).await;
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// Whether a link joins a node and its clients: such links always go through a proxy.
fn is_of_clients((from, to): (NodeId, NodeId)) -> bool {
    from == NodeId::CLIENTS || to == NodeId::CLIENTS
}

/// This many listeners on free loopback ports, and their addresses.
fn listen(count: usize) -> io::Result<(Vec<net::TcpListener>, Vec<SocketAddr>)> {
    let bound = (0..count).map(|_| net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let listeners = bound.collect::<io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(net::TcpListener::local_addr).collect::<io::Result<_>>()?;
    Ok((listeners, addresses))
}

/// Runs a blocking conversation with `nft`: usually under a millisecond, longer on a busy machine. Other
/// tasks of a multi-threaded runtime continue meanwhile.
fn run_blocking<T>(talk: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(talk),
        _ => talk(),
    }
}
