//! Real servers, three in one process, with sockets, files and clocks. No test here depends on how long a
//! step takes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::server::{ServerError, Setup, serve};
use super::simulated::{ELECTION_TIMEOUT, HEARTBEAT};
use super::{Config, NodeId, Protocol};
use crate::wire::{Outcome, Response, frames};
use crate::{paxos, raft, zab};

/// How often an operation is tried before the test fails.
const TRIES: u64 = 60;

/// A handle to stop a server, and its result.
type Running = (oneshot::Sender<()>, JoinHandle<Result<(), ServerError>>);

struct Cluster<P: Protocol> {
    setups: Vec<Setup<P::Bug, P::Options>>,
    running: Vec<Option<Running>>,
}

impl<P: Protocol> Cluster<P> {
    fn start(data: &Path) -> Self {
        let names = ["n1", "n2", "n3"];
        let peer_ports = free_ports(names.len());
        let client_ports = free_ports(names.len());
        let setup = |node: usize| {
            let peers: BTreeMap<NodeId, SocketAddr> = (0..names.len())
                .filter(|peer| *peer != node)
                .map(|peer| (names[peer].into(), peer_ports[peer]))
                .collect();
            Setup {
                config: Config {
                    id: names[node].into(),
                    peers: peers.keys().cloned().collect(),
                    election_timeout: ELECTION_TIMEOUT,
                    heartbeat: HEARTBEAT,
                    options: P::Options::default(),
                    bugs: Vec::new(),
                },
                listen: peer_ports[node],
                client: client_ports[node],
                peers,
                data: data.join(names[node]),
                snapshot_every: 10,
                connections: 2,
            }
        };
        let mut cluster = Cluster::<P> { setups: (0..names.len()).map(setup).collect(), running: Vec::new() };
        cluster.running.resize_with(names.len(), || None);
        for node in 0..names.len() {
            cluster.start_node(node);
        }
        cluster
    }

    fn start_node(&mut self, node: usize) {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { stopped.await.unwrap_or(()) };
        let task = tokio::spawn(serve::<P>(self.setups[node].clone(), shutdown));
        self.running[node] = Some((stop, task));
    }

    async fn stop_node(&mut self, node: usize) {
        let (stop, task) = self.running[node].take().expect("it runs");
        stop.send(()).unwrap();
        task.await.unwrap().unwrap();
    }

    async fn stop(mut self) {
        for node in 0..self.running.len() {
            self.stop_node(node).await;
        }
    }

    /// Sends a request to a node until it succeeds, with the same sequence number each time.
    async fn ok(&self, node: usize, mut request: Json) -> Json {
        for id in 1..=TRIES {
            request["id"] = json!(id);
            match send_request(self.setups[node].client, &request).await {
                Some(Response { outcome: Outcome::Ok(value), .. }) => return value,
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        panic!("{request} had {TRIES} tries");
    }
}

/// Addresses that were free a moment ago.
fn free_ports(count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<_> = (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

/// Sends one request on a new connection.
async fn send_request(address: SocketAddr, request: &Json) -> Option<Response> {
    let stream = TcpStream::connect(address).await.ok()?;
    let mut framed: Framed<TcpStream, LengthDelimitedCodec> = Framed::new(stream, frames());
    framed.send(bytes::Bytes::from(request.to_string())).await.ok()?;
    let response = framed.next().await?.ok()?;
    let response: Response = serde_json::from_slice(&response).expect("a response");
    assert_eq!(Some(response.id), request["id"].as_u64());
    Some(response)
}

#[tokio::test]
async fn raft_serves_at_every_node_and_what_was_said_outlives_restarts() {
    serves_and_remembers::<raft::core::Core>().await;
}

#[tokio::test]
async fn paxos_serves_at_every_node_and_what_was_said_outlives_restarts() {
    serves_and_remembers::<paxos::core::Core>().await;
}

#[tokio::test]
async fn zab_serves_at_every_node_and_what_was_said_outlives_restarts() {
    serves_and_remembers::<zab::core::Core>().await;
}

async fn serves_and_remembers<P: Protocol>() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::<P>::start(data.path());
    let add = |seq: u64| json!({"client": "c", "seq": seq, "f": "add", "key": "total", "value": 1});
    let read = json!({"f": "read", "key": "total"});

    // Through each node in turn. A request sent twice under one number counts once.
    for seq in 1..=30 {
        let node = seq as usize % 3;
        assert_eq!(cluster.ok(node, add(seq)).await, json!(seq));
        assert_eq!(cluster.ok((node + 1) % 3, add(seq)).await, json!(seq));
        assert_eq!(cluster.ok((node + 2) % 3, read.clone()).await, json!(seq));
    }

    // With one node down the others continue, past a snapshot; it catches up before the next one stops.
    for down in 0..3 {
        cluster.stop_node(down).await;
        let first = 31 + 20 * down as u64;
        for seq in first..first + 20 {
            assert_eq!(cluster.ok((down + 1) % 3, add(seq)).await, json!(seq));
        }
        cluster.start_node(down);
        assert_eq!(cluster.ok(down, read.clone()).await, json!(first + 19));
    }

    // After a restart of all nodes nothing is lost, and the session is still known.
    for node in 0..3 {
        cluster.stop_node(node).await;
    }
    for node in 0..3 {
        cluster.start_node(node);
    }
    assert_eq!(cluster.ok(0, add(90)).await, json!(90));
    assert_eq!(cluster.ok(1, read.clone()).await, json!(90));
    let status = cluster.ok(2, json!({"f": "status"})).await;
    assert!(![json!(0), Json::Null].contains(&status["snapshot"]), "{status}");
    cluster.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_answered() {
    let data = tempfile::tempdir().unwrap();
    let cluster = Cluster::<raft::core::Core>::start(data.path());
    cluster.ok(0, json!({"client": "c", "seq": 1, "f": "write", "key": "k", "value": "text"})).await;
    for request in [
        json!({"id": 1, "client": "c", "seq": 2, "f": "frobnicate"}),
        json!({"id": 2, "client": "c", "seq": 3, "f": "add", "key": "k", "value": 1}),
        json!({"id": 3, "client": "c", "seq": 4, "f": "cas", "key": "k", "value": 1}),
        json!({"id": 4, "client": "c", "seq": 5, "f": "write", "key": "k", "value": 1.5}),
        json!({"id": 5, "f": "write", "key": "k", "value": 1}),
        json!({"id": 0, "no": "request"}),
    ] {
        let response = send_request(cluster.setups[0].client, &request).await.expect("a response");
        assert!(matches!(response.outcome, Outcome::Fail(_)), "{request} {response:?}");
    }
    assert_eq!(cluster.ok(1, json!({"f": "read", "key": "k"})).await, json!("text"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_alone_fails_what_it_cannot_hand_on() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::<raft::core::Core>::start(data.path());
    cluster.ok(0, json!({"client": "c", "seq": 1, "f": "write", "key": "k", "value": 1})).await;
    cluster.stop_node(1).await;
    cluster.stop_node(2).await;
    // The node starts alone: since its restart it has known no leader.
    cluster.stop_node(0).await;
    cluster.start_node(0);
    for request in [
        json!({"client": "c", "seq": 2, "f": "write", "key": "k", "value": 2, "timeout_ms": 100}),
        json!({"f": "read", "key": "k", "timeout_ms": 100}),
    ] {
        let mut response = None;
        for id in 1..=TRIES {
            let mut request = request.clone();
            request["id"] = json!(id);
            response = send_request(cluster.setups[0].client, &request).await;
            if response.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(matches!(response.expect("it listens").outcome, Outcome::Fail(_)), "{request}");
    }
    cluster.stop_node(0).await;
}
