//! A cluster without a trial: no workload, no faults, no verdict. The linter and the doctor use it.

use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tribunal_nemesis::Links;
use tribunal_records::Net;
use tribunal_systems::{Direct, Entry, Place, Switches, System, Wiring};
use tribunal_workloads::{Client, Completion, Object, Request};

use crate::clock::Clock;
use crate::cluster::disks::DiskRequest;
use crate::cluster::guard::{Guard, GuardedResource, SCRATCH};
use crate::cluster::namespaces::{self, Namespaces};
use crate::cluster::{Cluster, Death, Network};
use crate::error::TrialError;
use crate::executable;
use crate::failure::Failures;
use crate::lock::locked;
use crate::plan;
use crate::registry::Registry;

/// How often the nodes are tried in turn.
const SERVING_POLL: Duration = Duration::from_millis(100);

/// A cluster in a temporary directory.
pub(crate) struct Rehearsal {
    pub(crate) entry: Entry,
    pub(crate) cluster: Cluster,
    pub(crate) links: Arc<Links>,
    pub(crate) op_timeout: Duration,
    /// The systems of the clients: one for each object, so that the clients of one share what it holds for all.
    systems: Mutex<HashMap<Object, Box<dyn System>>>,
    next_process: AtomicU64,
    deaths: mpsc::UnboundedReceiver<Death>,
    _namespaces: Option<Namespaces>,
    _directory: Directory,
}

/// A directory that is removed at the end. Users other than this one may enter it.
struct Directory(PathBuf);

impl Directory {
    /// The guard removes it if this process is killed.
    fn make(guard: &Guard) -> Result<Directory> {
        let path = std::env::temp_dir().join(format!("{SCRATCH}{:016x}", rand::random::<u64>()));
        let path = std::path::absolute(&path).with_context(|| format!("cannot use {}", path.display()))?;
        guard.add(&GuardedResource::Scratch(path.clone()));
        let made = fs::DirBuilder::new().mode(0o755).create(&path);
        made.with_context(|| format!("cannot create {}", path.display()))?;
        // Whatever the umask says.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The network that the system needs.
fn net(system: &dyn System) -> Net {
    match system.wiring() {
        Wiring::AddressMap | Wiring::Attributed => Net::Proxy,
        Wiring::Transparent => Net::Transparent,
        Wiring::Netns => Net::Netns,
    }
}

impl Rehearsal {
    async fn open(entry: Entry, nodes: usize, op_timeout: Duration) -> Result<Self> {
        let (sender, deaths) = mpsc::unbounded_channel();
        let guard = Arc::new(Guard::start(sender).context("cannot start the guard")?);
        let directory = Directory::make(&guard)?;
        let system = entry.make(&switches(Object::default())?)?;
        let namespaces = (net(&*system) != Net::Proxy).then(|| Namespaces::make(nodes)).transpose()?;
        let addresses = namespaces.as_ref().map(Namespaces::addresses).unwrap_or_default();
        let links = match system.wiring() {
            Wiring::AddressMap => Links::open(nodes).context("cannot open the links")?,
            Wiring::Attributed => Links::open_attributed(nodes).context("cannot open the links")?,
            Wiring::Transparent => Links::open_transparent(&addresses).context("cannot open the links")?,
            Wiring::Netns => Links::open_filtered(&addresses).context("cannot open the links")?,
        };
        let links = Arc::new(links);
        let network = Network { links: &links, namespaces: namespaces.as_ref(), clients_proxied: false };
        let disks = DiskRequest { kind: None, needed: false, bytes: 0 };
        let failures = Arc::new(Failures::new(CancellationToken::new()));
        let cluster =
            Cluster::lay_out(system, &network, &directory.0, Clock::start(), guard, &disks, &failures)?;
        Ok(Rehearsal {
            entry,
            cluster,
            links,
            op_timeout,
            systems: Mutex::default(),
            next_process: AtomicU64::new(0),
            deaths,
            _namespaces: namespaces,
            _directory: directory,
        })
    }

    /// Prepares, starts and sets up all nodes, and waits until they are ready.
    ///
    /// # Errors
    /// The step that failed.
    pub(crate) async fn start(&mut self) -> Result<()> {
        self.cluster.prepare().await?;
        self.cluster.start_all()?;
        self.set_up().await?;
        self.ready().await?;
        sleep(self.cluster.system.warm_up()).await;
        Ok(())
    }

    /// Sets the cluster up.
    ///
    /// # Errors
    /// When that fails, or a node dies.
    pub(crate) async fn set_up(&mut self) -> Result<()> {
        unless_one_dies(&mut self.deaths, self.cluster.set_up()).await
    }

    /// Waits until all nodes are ready.
    ///
    /// # Errors
    /// When one is not ready in time, or dies.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let limit = self.cluster.system.start_limit();
        unless_one_dies(&mut self.deaths, self.cluster.ready(limit)).await
    }

    /// The deaths since the last call, as messages.
    pub(crate) fn deaths(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.deaths.try_recv().ok()).map(|it| it.said("")).collect()
    }

    /// A client of a node for a new process. With addresses, its connections go there instead.
    ///
    /// # Errors
    /// When the system cannot be made for this object.
    pub(crate) fn client(
        &self,
        node: usize,
        object: Object,
        instead: Option<&[SocketAddr]>,
    ) -> Result<Box<dyn Client>> {
        let mut place: Place = self.cluster.nodes[node].for_clients.clone();
        if let Some(addresses) = instead {
            place.addresses = addresses.to_vec();
            place.dial = Arc::new(Direct);
        }
        let process = self.next_process.fetch_add(1, Ordering::Relaxed);
        let mut systems = locked(&self.systems);
        let system = match systems.entry(object) {
            Occupied(system) => system.into_mut(),
            Vacant(vacant) => vacant.insert(self.entry.make(&switches(object)?)?),
        };
        Ok(system.client(&place, process, self.op_timeout))
    }

    /// The first node that does this operation, tried in turn for at most `patience`: a cluster that is ready may still
    /// elect its leader, and in some systems only the leader serves clients. `None` if no node does it.
    pub(crate) async fn serving(
        &self,
        object: Object,
        request: &Request,
        patience: Duration,
    ) -> Option<usize> {
        let deadline = Instant::now() + patience;
        loop {
            for node in 0..self.cluster.nodes.len() {
                let mut client = self.client(node, object, None).ok()?;
                match client.invoke(request).await {
                    Completion::Ok(_) => return Some(node),
                    _ if client.broken_rule().is_some() => return None,
                    _ => {}
                }
            }
            if Instant::now() > deadline {
                return None;
            }
            sleep(SERVING_POLL).await;
        }
    }

    /// The addresses and the directory of a node.
    pub(crate) fn place(&self, node: usize) -> &Place {
        &self.cluster.nodes[node].place
    }
}

/// Does the work, as long as no node dies.
async fn unless_one_dies(
    deaths: &mut mpsc::UnboundedReceiver<Death>,
    work: impl Future<Output = Result<()>>,
) -> Result<()> {
    tokio::select! {
        biased;
        Some(death) = deaths.recv() => Err(anyhow!(death.said(""))),
        done = work => done,
    }
}

fn switches(object: Object) -> Result<Switches> {
    Ok(Switches { tribunal: executable::path()?.to_owned(), object, ..Switches::default() })
}

/// Rehearses with a cluster of the named system, or of the system that a file describes. The nodes are stopped
/// at the end, whatever the outcome.
///
/// # Errors
/// When the system is unknown, or its description is wrong; what `work` returns; and what could not be
/// stopped.
pub(crate) fn rehearse<T: Send>(
    name: &str,
    nodes: usize,
    op_timeout: Duration,
    work: impl AsyncFnOnce(&mut Rehearsal) -> Result<T> + Send,
) -> Result<T, TrialError> {
    executable::path().map_err(TrialError::harness)?;
    let entry = plan::system(name, &Registry::built_in()).map_err(TrialError::spec)?;
    let made = switches(Object::default()).and_then(|switches| Ok(entry.make(&switches)?));
    let net = net(&*made.map_err(TrialError::spec)?);
    let on_thread = move || {
        namespaces::enter(net)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_keep_alive(Duration::MAX)
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        runtime.block_on(async {
            let mut rehearsal = Rehearsal::open(entry, nodes, op_timeout).await?;
            let done = work(&mut rehearsal).await;
            rehearsal.links.heal_all();
            let stopped = rehearsal.cluster.stop().await;
            let done = done?;
            stopped.map(|()| done)
        })
    };
    thread::scope(|scope| {
        let held = thread::Builder::new().name("tribunal-rehearsal".into()).spawn_scoped(scope, on_thread);
        let held = held.context("cannot start a thread").map_err(TrialError::harness)?;
        let done = held.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a panic of Tribunal's own")));
        done.map_err(TrialError::harness)
    })
}
