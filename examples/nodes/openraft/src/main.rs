//! A key-value node on openraft: openraft-node INDEX NODES DATA PEER-ADDRESS API-ADDRESS PEERS
//! [--forget-committed], with peers as 2=127.0.0.1:7002,3=... Log, vote and snapshot are in one redb file. A follower
//! forwards requests to the leader.

mod disk;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::routing::{get, post};
use disk::{Disk, Machine};
use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{BasicNode, SnapshotPolicy};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Cursor};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

openraft::declare_raft_types!(pub Types: D = String, R = bool);
type Raft = openraft::Raft<Types>;
/// An HTTP status and a body.
type Answer = (u16, String);

#[derive(Serialize, Deserialize)]
enum Request {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<u64>),
    Snapshot(InstallSnapshotRequest<Types>),
    /// A client's command, forwarded.
    Execute(String),
}

async fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; stream.read_u32().await? as usize];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn send(stream: &mut TcpStream, message: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    stream.write_all(&[&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat()).await
}

/// A connection to another node, opened when it is needed.
struct Peer {
    id: u64,
    address: String,
    connection: Option<TcpStream>,
}

impl Peer {
    async fn exchange<A: DeserializeOwned>(&mut self, request: Request) -> io::Result<A> {
        // Taken out: after an error, or when the caller gives up, the connection is closed.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => TcpStream::connect(&self.address).await?,
        };
        send(&mut connection, &request).await?;
        let answer = serde_json::from_slice(&receive(&mut connection).await?)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    async fn call<A, E>(&mut self, request: Request) -> Result<A, RPCError<u64, BasicNode, E>>
    where
        A: DeserializeOwned,
        E: DeserializeOwned + std::error::Error,
    {
        let answer: Result<A, E> = self.exchange(request).await.map_err(|error| Unreachable::new(&error))?;
        answer.map_err(|error| RemoteError::new(self.id, error).into())
    }
}

type CallError<E = openraft::error::Infallible> = RPCError<u64, BasicNode, RaftError<u64, E>>;

impl RaftNetwork<Types> for Peer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, CallError> {
        self.call(Request::Append(rpc)).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, CallError> {
        self.call(Request::Vote(rpc)).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, CallError<InstallSnapshotError>> {
        self.call(Request::Snapshot(rpc)).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(Duration::from_millis(100)))
    }
}

#[derive(Clone)]
struct Peers(Arc<BTreeMap<u64, String>>);

impl RaftNetworkFactory<Types> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, id: u64, _node: &BasicNode) -> Peer {
        Peer { id, address: self.0[&id].clone(), connection: None }
    }
}

#[derive(Clone)]
struct Node {
    id: u64,
    raft: Raft,
    machine: Machine,
    peers: Peers,
}

impl Node {
    /// Executes a command if this node is the leader. 421: it certainly was not proposed.
    async fn execute(&self, command: &str) -> Answer {
        if self.raft.current_leader().await != Some(self.id) {
            return (421, "not the leader".into());
        }
        // Any error from here on leaves the outcome open, even "forward to the leader": openraft says so as well
        // when an entry was truncated, and another node may still hold it.
        if let Some(key) = command.strip_prefix("get ") {
            return match self.raft.ensure_linearizable().await {
                Ok(_) => self.machine.read(key).map_or((404, String::new()), |value| (200, value)),
                Err(error) => (503, error.to_string()),
            };
        }
        match self.raft.client_write(command.to_owned()).await {
            Ok(done) => (if done.data { 200 } else { 409 }, String::new()),
            Err(error) => (503, error.to_string()),
        }
    }

    /// Executes a command here or at the leader.
    async fn route(&self, command: String) -> Answer {
        let answer = async {
            match self.raft.current_leader().await {
                Some(id) if id != self.id => {
                    let mut peer = self.peers.clone().new_client(id, &BasicNode::default()).await;
                    peer.exchange(Request::Execute(command))
                        .await
                        .unwrap_or_else(|error| (503, error.to_string()))
                }
                _ => self.execute(&command).await,
            }
        };
        tokio::time::timeout(Duration::from_secs(1), answer).await.unwrap_or((503, "timeout".into()))
    }

    async fn serve(self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            match serde_json::from_slice(&receive(&mut stream).await?)? {
                Request::Append(rpc) => send(&mut stream, &self.raft.append_entries(rpc).await).await?,
                Request::Vote(rpc) => send(&mut stream, &self.raft.vote(rpc).await).await?,
                Request::Snapshot(rpc) => send(&mut stream, &self.raft.install_snapshot(rpc).await).await?,
                Request::Execute(command) => send(&mut stream, &self.execute(&command).await).await?,
            }
        }
    }

    async fn answer(&self, command: String) -> (StatusCode, String) {
        let (status, body) = self.route(command).await;
        (StatusCode::from_u16(status).expect("one of ours"), body)
    }
}

async fn health(Shared(node): Shared<Node>) -> String {
    let metrics = node.raft.metrics().borrow().clone();
    format!(r#"{{"leader": {}, "term": {}}}"#, metrics.current_leader == Some(node.id), metrics.current_term)
}

async fn read(Shared(node): Shared<Node>, Path(key): Path<String>) -> (StatusCode, String) {
    node.answer(format!("get {key}")).await
}

async fn change(Shared(node): Shared<Node>, command: String) -> (StatusCode, String) {
    node.answer(command).await
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).take(6).collect();
    let [id, nodes, data, address, api, peers] =
        arguments.try_into().expect("INDEX NODES DATA PEER-ADDRESS API-ADDRESS PEERS [--forget-committed]");
    let (id, nodes) = (id.parse().expect("a number"), nodes.parse::<u64>().expect("a number"));
    let peers = peers.split(',').filter_map(|peer| peer.split_once('='));
    let peers =
        Peers(Arc::new(peers.map(|(id, at)| (id.parse().expect("a number"), at.to_owned())).collect()));
    let config = openraft::Config {
        heartbeat_interval: 60,
        election_timeout_min: 300,
        election_timeout_max: 600,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(500),
        max_in_snapshot_log_to_keep: 100,
        ..Default::default()
    };
    let config = Arc::new(config.validate().expect("valid"));
    let disk = Disk::open(&data).expect("the data directory is writable");
    let machine = Machine::load(&disk).expect("the snapshot is readable");
    let raft = Raft::new(id, config, peers.clone(), disk, machine.clone()).await.expect("openraft starts");
    let members: BTreeMap<u64, BasicNode> = (1..=nodes).map(|id| (id, BasicNode::default())).collect();
    // Every node may say this, with the same members; one that has been started before refuses.
    let _ = raft.initialize(members).await;

    // After an error of the storage openraft stops for good: a supervisor may start the node again.
    let mut metrics = raft.metrics();
    tokio::spawn(async move {
        while metrics.changed().await.is_ok() && metrics.borrow().running_state.is_ok() {}
        eprintln!("openraft stopped: {:?}", metrics.borrow().running_state);
        std::process::exit(1);
    });
    let node = Node { id, raft, machine, peers };
    let listener = TcpListener::bind(address).await.expect("the peer port is free");
    let acceptor = node.clone();
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(acceptor.clone().serve(stream))),
                // Too many open files: later there may be fewer.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    let app = axum::Router::new()
        .route("/health", get(health))
        .route("/{key}", get(read))
        .route("/", post(change))
        .with_state(node);
    let listener = TcpListener::bind(api).await.expect("the API port is free");
    axum::serve(listener, app).await.expect("the API is served");
}
