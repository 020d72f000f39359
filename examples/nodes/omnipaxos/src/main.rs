//! A key-value node on OmniPaxos: omnipaxos-node INDEX NODES DATA PEER-ADDRESS API-ADDRESS PEERS [--snapshots], with
//! peers as 2=127.0.0.1:7002,3=... Every operation, reads included, is a command of the log; the library forwards
//! proposals.

mod disk;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::routing::{get, post};
use disk::Disk;
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, Snapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, ServerConfig};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const TICK: Duration = Duration::from_millis(10);
const SNAPSHOT_EVERY: usize = 500;

/// An HTTP status and a body.
type Answer = (u16, String);

/// get K, set K V, cas K FROM TO, add K N, append K V; the name is unique.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Command {
    name: u64,
    text: String,
}

impl Entry for Command {
    type Snapshot = Commands;
}

/// A snapshot has to be made of any part of the log by itself. What a comparison or an addition does depends on what
/// was before, so here it is the commands.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Commands(Vec<Command>);

impl Snapshot<Command> for Commands {
    fn create(entries: &[Command]) -> Self {
        Self(entries.to_vec())
    }

    fn merge(&mut self, delta: Self) {
        self.0.extend(delta.0);
    }

    /// Off by default: version 0.2.4 loses entries when it merges a snapshot into a log that is behind.
    fn use_snapshots() -> bool {
        std::env::args().any(|argument| argument == "--snapshots")
    }
}

enum Event {
    Message(Message<Command>),
    Reconnected(u64),
    Execute(String, oneshot::Sender<Answer>),
    Health(oneshot::Sender<Answer>),
}

/// The node: it alone touches the log and the values.
struct Server {
    id: u64,
    paxos: OmniPaxos<Command, Disk>,
    peers: BTreeMap<u64, tokio::sync::mpsc::Sender<Message<Command>>>,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    values: HashMap<String, String>,
    applied: usize,
}

impl Server {
    fn run(mut self, events: mpsc::Receiver<Event>) {
        let mut next_tick = Instant::now() + TICK;
        loop {
            match events.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {
                    self.paxos.tick();
                    next_tick = Instant::now() + TICK;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.apply();
            let mut messages = Vec::new();
            self.paxos.take_outgoing_messages(&mut messages);
            for message in messages {
                // A full queue drops the message, as a network would.
                let _ = self.peers[&message.get_receiver()].try_send(message);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.paxos.handle_incoming(message),
            Event::Reconnected(id) => self.paxos.reconnected(id),
            Event::Execute(text, answer) => {
                let command = Command { name: rand::random(), text };
                self.waiting.retain(|_, answer| !answer.is_closed());
                self.waiting.insert(command.name, answer);
                self.paxos.append(command).expect("the cluster is not being changed");
            }
            Event::Health(answer) => {
                let leader = self.paxos.get_current_leader() == Some((self.id, true));
                let term = self.paxos.get_promise().n;
                let _ = answer.send((200, format!(r#"{{"leader": {leader}, "term": {term}}}"#)));
            }
        }
    }

    fn apply(&mut self) {
        for entry in self.paxos.read_decided_suffix(self.applied).unwrap_or_default() {
            match entry {
                LogEntry::Decided(command) => {
                    self.execute(&command);
                    self.applied += 1;
                }
                LogEntry::Snapshotted(snapshot) => {
                    self.values.clear();
                    snapshot.snapshot.0.iter().for_each(|command| self.execute(command));
                    self.applied = snapshot.trimmed_idx;
                }
                other => panic!("neither decided nor a snapshot: {other:?}"),
            }
        }
        if Commands::use_snapshots() && self.applied >= self.paxos.get_compacted_idx() + SNAPSHOT_EVERY {
            self.paxos.snapshot(Some(self.applied), true).expect("all of it is decided");
        }
    }

    fn execute(&mut self, command: &Command) {
        let words: Vec<&str> = command.text.split(' ').collect();
        let old = self.values.get(words[1]).cloned();
        let new = match (words[0], &old) {
            ("get", _) => None,
            ("cas", _) if old.as_deref().unwrap_or_default() != words[2] => None,
            ("cas", _) => Some(words[3].to_owned()),
            ("add", _) => Some(
                (old.map_or(0, |old| old.parse().unwrap_or(0)) + words[2].parse().unwrap_or(0)).to_string(),
            ),
            ("append", Some(old)) => Some(format!("{old},{}", words[2])),
            _ => Some(words[2].to_owned()),
        };
        let answer = match (words[0], &new) {
            ("get", _) => {
                self.values.get(words[1]).map_or((404, String::new()), |value| (200, value.clone()))
            }
            (_, None) => (409, String::new()),
            (_, Some(_)) => (200, String::new()),
        };
        if let Some(new) = new {
            self.values.insert(words[1].to_owned(), new);
        }
        if let Some(waiting) = self.waiting.remove(&command.name) {
            let _ = waiting.send(answer);
        }
    }
}

/// Sends messages to one peer; those that cannot be sent are lost.
async fn send(
    id: u64,
    address: String,
    mut messages: tokio::sync::mpsc::Receiver<Message<Command>>,
    events: mpsc::Sender<Event>,
) {
    let mut connection: Option<TcpStream> = None;
    while let Some(message) = messages.recv().await {
        if connection.is_none() {
            connection = TcpStream::connect(&address).await.ok();
            if connection.is_some() {
                let _ = events.send(Event::Reconnected(id));
            }
        }
        let Some(open) = &mut connection else { continue };
        let bytes = serde_json::to_vec(&message).expect("plain data");
        let frame = [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
        if !matches!(tokio::time::timeout(Duration::from_secs(1), open.write_all(&frame)).await, Ok(Ok(()))) {
            connection = None;
        }
    }
}

async fn receive(mut stream: TcpStream, events: mpsc::Sender<Event>) -> io::Result<()> {
    loop {
        let mut frame = vec![0; stream.read_u32().await? as usize];
        stream.read_exact(&mut frame).await?;
        let _ = events.send(Event::Message(serde_json::from_slice(&frame)?));
    }
}

async fn ask(
    events: mpsc::Sender<Event>,
    event: impl FnOnce(oneshot::Sender<Answer>) -> Event,
) -> (StatusCode, String) {
    let (sender, receiver) = oneshot::channel();
    let _ = events.send(event(sender));
    match tokio::time::timeout(Duration::from_secs(1), receiver).await {
        Ok(Ok((status, body))) => (StatusCode::from_u16(status).expect("one of ours"), body),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not decided in time".into()),
    }
}

async fn health(Shared(events): Shared<mpsc::Sender<Event>>) -> (StatusCode, String) {
    ask(events, Event::Health).await
}

async fn read(Shared(events): Shared<mpsc::Sender<Event>>, Path(key): Path<String>) -> (StatusCode, String) {
    ask(events, |answer| Event::Execute(format!("get {key}"), answer)).await
}

async fn change(Shared(events): Shared<mpsc::Sender<Event>>, command: String) -> (StatusCode, String) {
    ask(events, |answer| Event::Execute(command, answer)).await
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).take(6).collect();
    let [id, nodes, data, address, api, peers] =
        arguments.try_into().expect("INDEX NODES DATA PEER-ADDRESS API-ADDRESS PEERS [--snapshots]");
    let (id, nodes) = (id.parse().expect("a number"), nodes.parse().expect("a number"));
    let cluster = ClusterConfig { configuration_id: 1, nodes: (1..=nodes).collect(), flexible_quorum: None };
    let server = ServerConfig {
        pid: id,
        election_tick_timeout: 15,
        resend_message_tick_timeout: 20,
        ..Default::default()
    };
    let disk = Disk::open(&data).expect("the data directory is writable");
    let paxos = cluster.build_for_server(server, disk).expect("a valid configuration");

    let (sender, events) = mpsc::channel();
    let mut queues = BTreeMap::new();
    for (peer, at) in peers.split(',').filter_map(|peer| peer.split_once('=')) {
        let peer = peer.parse().expect("a number");
        let (queue, messages) = tokio::sync::mpsc::channel(4096);
        queues.insert(peer, queue);
        tokio::spawn(send(peer, at.to_owned(), messages, sender.clone()));
    }
    let listener = TcpListener::bind(address).await.expect("the peer port is free");
    let incoming = sender.clone();
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(receive(stream, incoming.clone()))),
                // Too many open files: later there may be fewer.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    let server =
        Server { id, paxos, peers: queues, waiting: HashMap::new(), values: HashMap::new(), applied: 0 };
    std::thread::spawn(move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.run(events)));
        std::process::exit(outcome.is_err() as i32);
    });
    let app = axum::Router::new()
        .route("/health", get(health))
        .route("/{key}", get(read))
        .route("/", post(change))
        .with_state(sender);
    let listener = TcpListener::bind(api).await.expect("the API port is free");
    axum::serve(listener, app).await.expect("the API is served");
}
