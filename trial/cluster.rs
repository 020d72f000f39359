//! The node processes of the system under test, and their links.
//!
//! Nodes get the addresses of proxies as those of their peers ([`Links`]), so that each directed link can be
//! cut. Clients reach the nodes directly, unless a fault may cut them off. The cluster makes no decisions:
//! the nemesis acts on it through the trait [`Nodes`], and a node that dies by itself is reported to the run.

mod dialer;
pub(crate) mod disks;
mod executable;
pub(crate) mod guard;
mod logs;
pub(crate) mod namespaces;
mod node;
mod operators;
mod ports;
mod spawn;
mod strays;

pub(crate) use spawn::TRACER;

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tribunal_nemesis::disks::DataFiles;
use tribunal_nemesis::{
    Act, Damage, DiskCounters, DiskFault, Links, NodeCgroup, NodeId, NodeState, Nodes, ProcessIdentity,
    family_and_strays, remove_cgroup,
};
use tribunal_systems::{NodeOutput, Place, System};

use crate::clock::Clock;
use crate::failure::Failures;
use crate::oracles::ReplicaWatch;
use dialer::NodeDialer;
use disks::Disks;
use guard::{Guard, GuardedResource};
use logs::NodeLog;
use namespaces::Namespaces;
pub(crate) use node::{Death, Excuse, Node};
use operators::Operators;
use ports::ReservedPort;
use spawn::Spawner;

/// All nodes of the system under test.
pub(crate) struct Cluster {
    pub(crate) system: Arc<dyn System>,
    pub(crate) nodes: Vec<Arc<Node>>,
    spawner: Spawner,
    guard: Arc<Guard>,
    disks: Disks,
    operators: Operators,
    links: Arc<Links>,
    failures: Arc<Failures>,
    /// Strays that existed before the run: children of the program that uses the library.
    preexisting_strays: Vec<i32>,
    /// Looks at a node before it is killed.
    replica_watch: OnceLock<Weak<ReplicaWatch>>,
    /// The reserved ports of the nodes, if they run on loopback.
    _ports: Vec<ReservedPort>,
}

/// How nodes and clients reach each other.
pub(crate) struct Network<'a> {
    pub(crate) links: &'a Arc<Links>,
    /// The nodes' namespaces; `None` if they run on loopback.
    pub(crate) namespaces: Option<&'a Namespaces>,
    /// Clients reach nodes through proxies, so that they can be cut off.
    pub(crate) clients_proxied: bool,
}

/// How long a paused node may take to stop, and how often its state is checked.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
const STOP_POLL: Duration = Duration::from_millis(1);

/// How long a node may take to exit after SIGTERM and SIGKILL.
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the processes of a killed node may take to disappear, and how often this is checked.
const DOWN_TIMEOUT: Duration = Duration::from_secs(5);
const DOWN_POLL: Duration = Duration::from_millis(5);

/// How often a node that is not ready is checked again.
const READY_POLL: Duration = Duration::from_millis(50);
/// How long a node gets to die of an error of its disk before its state is checked, and for how long a death
/// counts as caused by that error.
const DISK_DEATH_DELAY: Duration = Duration::from_millis(200);
const DISK_DEATH_MAX: Duration = Duration::from_secs(10);

impl Cluster {
    /// Prepares the cluster: ports, directories, logs, links. Starts no node yet. Nodes that die by
    /// themselves are reported by the guard's channel.
    pub(crate) fn lay_out(
        system: Box<dyn System>,
        network: &Network<'_>,
        store: &Path,
        clock: Clock,
        guard: Arc<Guard>,
        disks: &disks::DiskRequest,
        failures: &Arc<Failures>,
    ) -> Result<Self> {
        let Network { links, namespaces, clients_proxied } = *network;
        let system: Arc<dyn System> = system.into();
        let count = links.nodes();
        let ports = system.ports().len();
        let (held, addresses) = match namespaces {
            Some(namespaces) => (Vec::new(), in_namespaces(namespaces, ports)),
            None => {
                let held = ports::reserve(count * ports)?;
                let addresses = held.iter().map(|port| port.address).collect();
                (held, addresses)
            }
        };
        let logs = store.join("nodes");
        std::fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        for (i, addresses) in addresses.chunks(ports).enumerate() {
            links.set_upstream(NodeId(i), addresses[0]);
        }
        let (_, preexisting_strays) = family_and_strays(&ProcessIdentity::default());
        let run = format!("{}-{:x}", std::process::id(), rand::random::<u64>());
        guard.add(&GuardedResource::Run(run.clone()));
        let mut nodes = Vec::with_capacity(count);
        for (i, addresses) in addresses.chunks(ports).enumerate() {
            let name = NodeId(i).to_string();
            let peers = (0..count).filter(|peer| *peer != i);
            let log_path = logs.join(format!("{name}.log"));
            let place = Place {
                name: name.clone(),
                addresses: addresses.to_vec(),
                advertised: links.advertised(NodeId(i)).unwrap_or(addresses[0]),
                peers: peers
                    .map(|p| (NodeId(p).to_string(), links.dial_address(NodeId(i), NodeId(p))))
                    .collect(),
                data: store.join("data").join(&name),
                log: NodeOutput::new(log_path.clone()),
                client_log: store.join("clients").join(format!("{name}.log")),
                dial: Arc::new(NodeDialer { links: links.clone(), node: NodeId(i) }),
            };
            std::fs::create_dir_all(&place.data)
                .with_context(|| format!("cannot create {}", place.data.display()))?;
            let log = NodeLog::create(&log_path, clock)
                .with_context(|| format!("cannot create {}", log_path.display()))?;
            let namespace = namespaces.map(|namespaces| namespaces.of(i)).transpose()?;
            let mut for_clients = place.clone();
            if clients_proxied {
                for address in &mut for_clients.addresses {
                    let opened = links.for_clients(NodeId(i), *address);
                    *address = opened.context("cannot open the links of clients")?;
                }
            }
            let cgroup = cgroup(&format!("tribunal-{run}-{name}"), &guard);
            let mark = format!("{run}/{name}");
            let node = Node::new(place, for_clients, log_path, log, mark, namespace, cgroup, guard.deaths());
            links.follow(NodeId(i), node.pids());
            links.set_mark(NodeId(i), node.mark.clone());
            if let Some(cgroup) = node.cgroup() {
                links.set_cgroup(NodeId(i), cgroup.id());
            }
            nodes.push(node);
        }
        if nodes.iter().any(|node: &Arc<Node>| node.cgroup().is_none()) {
            strays::watch(&guard).context("cannot watch for daemons")?;
        }
        let spawner = Spawner::start().context("cannot start the spawner")?;
        let places = nodes.iter().map(|node| &node.place);
        let of_system = system.clone();
        let which = DataFiles::new(move |path| of_system.is_data(path));
        let disks = Disks::lay_out(disks, places, &which, store, &guard)?;
        let operators = Operators::default();
        let (links, failures) = (links.clone(), failures.clone());
        Ok(Cluster {
            system,
            nodes,
            spawner,
            guard,
            disks,
            operators,
            links,
            failures,
            preexisting_strays,
            replica_watch: OnceLock::new(),
            _ports: held,
        })
    }

    /// From now on, `watch` looks at each node before it is killed.
    pub(crate) fn look_before_kills(&self, watch: &Arc<ReplicaWatch>) {
        let _ = self.replica_watch.set(Arc::downgrade(watch));
    }

    /// From its next start on, the system calls of this node are written beside its log.
    pub(crate) fn trace(&self, node: &str) {
        self.nodes.iter().filter(|it| it.place.name == node).for_each(|it| it.trace());
    }

    /// Prepares the first start of every node.
    ///
    /// # Errors
    /// When that fails.
    pub(crate) async fn prepare(&self) -> Result<()> {
        for place in self.places() {
            let prepared = self.system.prepare(&place).await;
            prepared.map_err(|why| anyhow!("cannot prepare {}: {why}", place.name))?;
            sync_all(&place.data).with_context(|| format!("cannot sync {}", place.data.display()))?;
        }
        Ok(())
    }

    /// Sets the cluster up, once its nodes are started.
    ///
    /// # Errors
    /// When that fails.
    pub(crate) async fn set_up(&self) -> Result<()> {
        let done = self.system.set_up(&self.places()).await;
        done.map_err(|why| anyhow!("cannot set the cluster up: {why}"))
    }

    fn places(&self) -> Vec<Place> {
        self.nodes.iter().map(|node| node.place.clone()).collect()
    }

    /// The first line of each node's log that matches, or that the system's own nodes never write, from now
    /// on, with the node's name.
    pub(crate) fn fatal_lines(
        &self,
        is_fatal: fn(&str) -> bool,
    ) -> mpsc::UnboundedReceiver<(NodeId, String)> {
        let (sender, lines) = mpsc::unbounded_channel();
        for (i, node) in self.nodes.iter().enumerate() {
            let system = self.system.clone();
            let is_fatal =
                move |line: &str| system.is_fatal(line) || is_fatal(line) && !system.is_harmless(line);
            node.log.report_first(NodeId(i), is_fatal, sender.clone());
        }
        lines
    }

    /// Starts every node that is down.
    pub(crate) fn start_all(&self) -> Result<()> {
        for node in &self.nodes {
            let start = node.start(&*self.system, &self.spawner, &self.guard);
            start.with_context(|| {
                let program = self.system.command(&node.place).program;
                format!("cannot start {} ({})", node.place.name, program.display())
            })?;
        }
        Ok(())
    }

    /// Waits until every node is ready, except those that a fault keeps down.
    ///
    /// # Errors
    /// The node that is not ready within `patience`, the reason, and the end of its log.
    pub(crate) async fn ready(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        for node in &self.nodes {
            while let Err(why) = self.system.ready(&node.place).await {
                if node.is_down_by_fault() {
                    break;
                }
                if Instant::now() >= deadline {
                    let last_words = logs::excerpt(&node.log_path);
                    bail!("{} is not ready after {patience:?}: {why}\n{last_words}", node.place.name);
                }
                sleep(READY_POLL).await;
            }
            node.note_answer();
        }
        Ok(())
    }

    /// The nodes that are not ready now, each with the reason and the end of its log.
    pub(crate) async fn unready(&self) -> Vec<(String, String)> {
        let mut unready = Vec::new();
        for node in &self.nodes {
            if let Err(why) = self.system.ready(&node.place).await {
                unready.push((node.place.name.clone(), format!("{why}\n{}", logs::excerpt(&node.log_path))));
            }
        }
        unready
    }

    /// Foreign processes that listen on the nodes' ports, as messages.
    pub(crate) async fn foreign_listeners(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            for address in &node.place.addresses {
                found.extend(self.links.foreign_listener_at(NodeId(i), *address).await);
            }
        }
        found
    }

    /// From now on, forwards every line of the nodes' logs to `run_events`.
    pub(crate) fn forward_lines(&self, run_events: &mpsc::UnboundedSender<tribunal_nemesis::RunEvent>) {
        for (i, node) in self.nodes.iter().enumerate() {
            node.log.forward_to(NodeId(i), run_events.clone());
        }
    }

    /// Stops every node, then removes its cgroup and its disk.
    ///
    /// # Errors
    /// When a node does not exit, a cgroup cannot be removed, or a disk cannot be unmounted.
    pub(crate) async fn stop(&self) -> Result<()> {
        let signal = self.system.stop_signal();
        let ends = self.nodes.iter().map(|node| {
            let node = node.clone();
            tokio::spawn(async move { node.terminate(signal).await })
        });
        for (end, node) in ends.collect::<Vec<_>>().into_iter().zip(&self.nodes) {
            if !matches!(timeout(EXIT_TIMEOUT, end).await, Ok(Ok(()))) {
                bail!("{} did not end within {EXIT_TIMEOUT:?}, although it was killed", node.place.name);
            }
        }
        // All nodes are down, so every remaining stray belonged to one.
        let (_, strays) = family_and_strays(&ProcessIdentity::default());
        for stray in strays.into_iter().filter(|stray| !self.preexisting_strays.contains(stray)) {
            let _ = kill(Pid::from_raw(stray), Signal::SIGKILL);
        }
        for cgroup in self.nodes.iter().filter_map(|node| node.cgroup()) {
            let path = cgroup.path().to_owned();
            remove_cgroup(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            self.guard.remove(&GuardedResource::Cgroup(path));
        }
        self.disks.unmount(&self.guard).await
    }
}

impl Cluster {
    /// Waits until no process of a killed node exists or listens on its ports, which may take a moment.
    ///
    /// # Errors
    /// When something remains.
    async fn await_down(&self, node: NodeId) -> Result<(), String> {
        let down = async {
            while self.state(node) != NodeState::Down {
                sleep(DOWN_POLL).await;
            }
        };
        let stays = |_| format!("{node} was killed, and something still runs or listens in its place");
        timeout(DOWN_TIMEOUT, down).await.map_err(stays)
    }
}

/// A cgroup with that name. Without one, processes are assigned to a node by process group, parent and
/// environment.
fn cgroup(name: &str, guard: &Guard) -> Option<NodeCgroup> {
    NodeCgroup::make(name, |path| guard.add(&GuardedResource::Cgroup(path.to_owned()))).ok()
}

/// The addresses of nodes with network namespaces of their own, where all ports are free.
fn in_namespaces(namespaces: &Namespaces, ports: usize) -> Vec<SocketAddr> {
    const FIRST_PORT: u16 = 7001;
    let nodes = namespaces.addresses().into_iter();
    nodes.flat_map(|ip| (FIRST_PORT..).take(ports).map(move |port| (ip, port).into())).collect()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.iter().for_each(|node| node.kill_now());
    }
}

impl Cluster {
    /// The nodes that claim leadership, each with its term; the most credible first.
    pub(crate) async fn leaders(&self) -> Vec<(NodeId, u64)> {
        let terms = join_all(self.nodes.iter().map(|node| self.system.leads(&node.place))).await;
        let leading = terms.into_iter().enumerate().filter_map(|(i, term)| Some((NodeId(i), term?)));
        let mut leaders: Vec<_> = leading.collect();
        leaders.sort_by_key(|&(node, term)| (Reverse(term), node));
        leaders
    }
}

impl Nodes for Cluster {
    fn count(&self) -> usize {
        self.nodes.len()
    }

    async fn kill(&self, node: NodeId) -> Result<(), String> {
        if let Some(watch) = self.replica_watch.get().and_then(Weak::upgrade) {
            watch.last_look_at(node.0).await;
        }
        self.nodes[node.0].kill().await;
        self.await_down(node).await
    }

    async fn terminate(&self, node: NodeId) -> Result<(), String> {
        self.nodes[node.0].terminate(self.system.stop_signal()).await;
        self.await_down(node).await
    }

    async fn pause(&self, node: NodeId) -> Result<(), String> {
        if !self.nodes[node.0].signal(Signal::SIGSTOP) {
            return Err(format!("{node} is down"));
        }
        // A process blocked in the kernel stops when its system call returns; until then it does nothing.
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.state(node) == NodeState::Running && Instant::now() < deadline {
            sleep(STOP_POLL).await;
            // A child forked in the meantime has not received the signal.
            self.nodes[node.0].signal(Signal::SIGSTOP);
        }
        Ok(())
    }

    async fn resume(&self, node: NodeId) -> Result<(), String> {
        self.nodes[node.0].signal(Signal::SIGCONT);
        Ok(())
    }

    async fn start(&self, node: NodeId) -> Result<(), String> {
        let start = self.nodes[node.0].start(&*self.system, &self.spawner, &self.guard);
        start.map_err(|error| {
            let error = format!("cannot start {node}: {error}");
            self.failures.raise("cluster", &error);
            error
        })
    }

    fn pid(&self, node: NodeId) -> Option<i32> {
        self.nodes[node.0].pid().map(Pid::as_raw)
    }

    fn processes(&self, node: NodeId) -> Vec<i32> {
        self.nodes[node.0].processes()
    }

    fn may_die(&self, node: NodeId) {
        self.nodes[node.0].excuse(Excuse::ThisProcess);
    }

    fn cgroup(&self, path: &Path, exists: bool) {
        let cgroup = GuardedResource::Cgroup(path.to_owned());
        if exists { self.guard.add(&cgroup) } else { self.guard.remove(&cgroup) }
    }

    fn allows(&self, act: Act) -> Result<(), String> {
        if act.reconfigures().is_some() && !self.system.has_operators() {
            return Err(format!("{} takes no such request", self.system.name()));
        }
        self.disks.allows(act)
    }

    async fn set_member(&self, node: NodeId, member: bool) -> Result<bool, String> {
        self.operators.set_member(self, node, member).await
    }

    async fn add_owed_members(&self) {
        self.operators.add_owed(self).await;
    }

    async fn restore_members(&self) -> Result<(), String> {
        self.operators.restore_members(self).await
    }

    async fn transfer_leadership(&self, to: NodeId) -> Result<bool, String> {
        operators::transfer_leadership(self, to).await
    }

    async fn lose_power(&self, node: NodeId, seed: u64) -> Result<(), String> {
        // Without power its writes fail, so it may exit before it is killed.
        self.nodes[node.0].excuse(Excuse::ThisProcess);
        self.disks.cut_power(node).await?;
        self.nodes[node.0].kill().await;
        self.disks.restore_power(node, seed).await
    }

    async fn set_disk_fault(&self, node: NodeId, fault: Option<DiskFault>) -> Result<(), String> {
        if fault.is_some() {
            self.nodes[node.0].excuse(Excuse::Permanent);
            return self.disks.set_fault(node, fault).await;
        }
        if !self.disks.is_faulty(node) {
            return Ok(());
        }
        self.disks.set_fault(node, None).await?;
        // The node may still be about to die of the last error.
        sleep(DISK_DEATH_DELAY).await;
        if !self.disks.is_damaged(node) {
            self.nodes[node.0].excuse(Excuse::Until((Instant::now() + DISK_DEATH_MAX).into_std()));
        }
        match self.nodes[node.0].state() {
            NodeState::Down => self.start(node).await,
            _ => Ok(()),
        }
    }

    async fn backup(&self, node: NodeId) -> Result<(), String> {
        self.disks.backup(node).await
    }

    async fn damage(&self, node: NodeId, damage: Damage, seed: u64) -> Result<String, String> {
        self.nodes[node.0].excuse(Excuse::Permanent);
        self.disks.damage(node, damage, seed).await
    }

    fn disk_counters(&self, node: NodeId) -> DiskCounters {
        self.disks.counters(node)
    }

    fn state(&self, node: NodeId) -> NodeState {
        self.nodes[node.0].state()
    }

    async fn primaries(&self) -> Vec<NodeId> {
        self.leaders().await.into_iter().map(|(node, _)| node).collect()
    }
}

/// Makes durable what was written below a directory, so that the first power failure does not take what a node cannot
/// start without.
fn sync_all(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => sync_all(&entry.path())?,
            kind if kind.is_file() => std::fs::File::open(entry.path())?.sync_all()?,
            _ => {}
        }
    }
    std::fs::File::open(directory)?.sync_all()
}
