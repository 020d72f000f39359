//! Three nodes in one process, for tests: the real services, without sockets.
//!
//! Time is tokio's. A test that pauses it (`start_paused`) does not wait, and is deterministic: a request
//! takes [`LATENCY`] to arrive, and its response as long again. A message is lost if its link is cut when it
//! would arrive.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::peers::RequestQueue;
use super::{Peers, Service};
use crate::wire::{Outcome, Request};

pub(crate) const LATENCY: Duration = Duration::from_millis(10);

const NAMES: [&str; 3] = ["n1", "n2", "n3"];

type Open<S> =
    dyn Fn(Peers<<S as Service>::PeerRequest, <S as Service>::PeerResponse>, &Path) -> io::Result<S>;

/// The nodes, and the cut links between them.
pub(crate) struct TestCluster<S: Service> {
    network: Arc<Network<S>>,
    /// The background task of each node.
    background_tasks: BTreeMap<&'static str, AbortOnDropHandle<()>>,
    open: Box<Open<S>>,
    data: tempfile::TempDir,
    seq: Cell<u64>,
}

struct Network<S> {
    nodes: Mutex<BTreeMap<String, Arc<S>>>,
    cut: Mutex<BTreeSet<String>>,
}

impl<S> Network<S> {
    /// The receiving node, if the link between the two works.
    fn reach(&self, one: &str, other: &str, to: &str) -> Option<Arc<S>> {
        let cut = self.cut.lock().unwrap();
        let node = self.nodes.lock().unwrap().get(to).cloned();
        node.filter(|_| !cut.contains(one) && !cut.contains(other))
    }
}

async fn carry<S: Service>(
    network: Arc<Network<S>>,
    me: String,
    to: String,
    mut requests: RequestQueue<S::PeerRequest, S::PeerResponse>,
) {
    while let Some((request, reply)) = requests.recv().await {
        let (network, me, to) = (network.clone(), me.clone(), to.clone());
        tokio::spawn(async move {
            sleep(LATENCY).await;
            if let Some(node) = network.reach(&me, &to, &to) {
                let answer = node.answer(&me, request).await;
                sleep(LATENCY).await;
                if network.reach(&me, &to, &me).is_some() {
                    let _ = reply.send(answer);
                    return;
                }
            }
            // A lost message is not refused: the sender waits.
            std::future::pending::<()>().await;
            drop(reply);
        });
    }
}

impl<S: Service> TestCluster<S> {
    /// Starts three nodes.
    pub(crate) fn new(
        open: impl Fn(Peers<S::PeerRequest, S::PeerResponse>, &Path) -> io::Result<S> + 'static,
    ) -> Self {
        let mut cluster = TestCluster {
            network: Arc::new(Network { nodes: Mutex::default(), cut: Mutex::default() }),
            background_tasks: BTreeMap::new(),
            open: Box::new(open),
            data: tempfile::tempdir().unwrap(),
            seq: Cell::new(0),
        };
        NAMES.into_iter().for_each(|name| cluster.start(name));
        cluster
    }

    /// Starts a node, or restarts it after a crash.
    pub(crate) fn start(&mut self, name: &'static str) {
        let others: Vec<String> = NAMES.iter().filter(|it| **it != name).map(|it| it.to_string()).collect();
        let peers = Peers::linked(name, others.iter(), |to, requests| {
            carry(self.network.clone(), name.to_owned(), to.clone(), requests)
        });
        let node = Arc::new((self.open)(peers, &self.data.path().join(name)).unwrap());
        self.network.nodes.lock().unwrap().insert(name.to_owned(), node.clone());
        let task = tokio::spawn(async move { node.background().await });
        self.background_tasks.insert(name, AbortOnDropHandle::new(task));
    }

    /// Stops a node; only its disk remains.
    pub(crate) fn crash(&mut self, name: &str) {
        self.background_tasks.remove(name);
        self.network.nodes.lock().unwrap().remove(name);
    }

    /// Isolates a node from the others; its clients still reach it.
    pub(crate) fn cut_off(&self, name: &str) {
        self.network.cut.lock().unwrap().insert(name.to_owned());
    }

    pub(crate) fn heal(&self) {
        self.network.cut.lock().unwrap().clear();
    }

    pub(crate) fn leads(&self, name: &str) -> bool {
        self.node(name).leader().is_some_and(|(leader, _)| leader == name)
    }

    fn node(&self, name: &str) -> Arc<S> {
        self.network.nodes.lock().unwrap()[name].clone()
    }

    /// Sends a client's request to a node, on key `k0`.
    pub(crate) async fn request(&self, node: &str, client: &str, f: &str, value: impl Into<Json>) -> Outcome {
        self.seq.set(self.seq.get() + 1);
        let request = Request {
            id: 1,
            client: client.into(),
            seq: self.seq.get(),
            f: f.into(),
            key: Some("k0".into()),
            value: Some(value.into()),
            timeout_ms: 1_000,
        };
        super::outcome(&*self.node(node), node, request).await
    }

    /// The output of a request that must succeed.
    pub(crate) async fn ok(&self, node: &str, f: &str, value: impl Into<Json>) -> Json {
        match self.request(node, &format!("client of {node}"), f, value).await {
            Outcome::Ok(output) => output,
            other => panic!("{node}: {f}: {other:?}"),
        }
    }

    /// The result of a read on every node.
    pub(crate) async fn reads(&self) -> [Json; 3] {
        [self.ok("n1", "read", ()).await, self.ok("n2", "read", ()).await, self.ok("n3", "read", ()).await]
    }
}
