//! A key-value node on TiKV's raft: raft-rs-node INDEX NODES DATA PEER-ADDRESS API-ADDRESS PEERS, with peers as
//! 2=127.0.0.1:7002,3=... The library forwards proposals and reads to the leader.

mod disk;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::routing::{get, post};
use disk::Disk;
use protobuf::Message as _;
use raft::eraftpb::{Entry, Message, MessageType};
use raft::{RawNode, SnapshotStatus, StateRole};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const TICK: Duration = Duration::from_millis(30);
const SNAPSHOT_EVERY: u64 = 500;
const KEPT: u64 = 100;

/// An HTTP status and a body. 421: it certainly was not proposed; 503: nobody knows.
type Answer = (u16, String);
type Values = BTreeMap<String, String>;

enum Event {
    Message(Message),
    /// A message to this node was sent or lost.
    Sent(u64, MessageType, bool),
    Read(String, oneshot::Sender<Answer>),
    Change(String, oneshot::Sender<Answer>),
    Health(oneshot::Sender<Answer>),
}

/// The node: it alone touches the library and the values.
struct Server {
    raft: RawNode<Disk>,
    peers: BTreeMap<u64, tokio::sync::mpsc::Sender<Message>>,
    values: Values,
    applied: u64,
    /// Changes by the name in front of their command.
    changes: HashMap<String, oneshot::Sender<Answer>>,
    /// Reads by their name, and those of which the index is known.
    reads: HashMap<Vec<u8>, (String, oneshot::Sender<Answer>)>,
    indexed: Vec<(u64, String, oneshot::Sender<Answer>)>,
}

impl Server {
    fn run(mut self, events: mpsc::Receiver<Event>) {
        let mut next_tick = Instant::now() + TICK;
        loop {
            match events.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    self.handle(event);
                    events.try_iter().for_each(|event| self.handle(event));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= next_tick {
                self.raft.tick();
                next_tick = Instant::now() + TICK;
            }
            if self.raft.has_ready() {
                self.ready();
            }
            self.answer_reads();
            self.compact();
        }
    }

    fn handle(&mut self, event: Event) {
        let name = rand::random::<u64>().to_string();
        match event {
            // A message from a node that is not a member, or of a kind that only the library makes.
            Event::Message(message) => drop(self.raft.step(message)),
            Event::Sent(id, kind, sent) => {
                if kind == MessageType::MsgSnapshot {
                    let status = if sent { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
                    self.raft.report_snapshot(id, status);
                } else if !sent {
                    self.raft.report_unreachable(id);
                }
            }
            Event::Read(key, answer) => {
                self.reads.retain(|_, (_, answer)| !answer.is_closed());
                self.raft.read_index(name.clone().into_bytes());
                self.reads.insert(name.into_bytes(), (key, answer));
            }
            Event::Change(command, answer) => {
                match self.raft.propose(vec![], format!("{name} {command}").into()) {
                    Ok(()) => {
                        self.changes.retain(|_, answer| !answer.is_closed());
                        self.changes.insert(name, answer);
                    }
                    Err(error) => {
                        let dropped = matches!(error, raft::Error::ProposalDropped);
                        let _ = answer.send((if dropped { 421 } else { 503 }, error.to_string()));
                    }
                }
            }
            Event::Health(answer) => {
                let leader = self.raft.raft.state == StateRole::Leader;
                let _ =
                    answer.send((200, format!(r#"{{"leader": {leader}, "term": {}}}"#, self.raft.raft.term)));
            }
        }
    }

    fn ready(&mut self) {
        let mut ready = self.raft.ready();
        self.send(ready.take_messages());
        let snapshot = (!ready.snapshot().is_empty()).then(|| (ready.snapshot().clone(), true));
        if let Some((snapshot, _)) = &snapshot {
            self.values = serde_json::from_slice(&snapshot.data).expect("a snapshot of ours");
            self.applied = snapshot.get_metadata().index;
        }
        if ready.must_sync() || ready.hs().is_some() || snapshot.is_some() {
            self.raft.mut_store().save(ready.hs(), snapshot, ready.entries()).expect("the disk works");
        }
        self.apply(ready.take_committed_entries());
        self.send(ready.take_persisted_messages());
        for state in ready.take_read_states() {
            if let Some((key, answer)) = self.reads.remove(&state.request_ctx) {
                self.indexed.push((state.index, key, answer));
            }
        }
        let mut light = self.raft.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.raft.mut_store().memory.wl().mut_hard_state().commit = commit;
        }
        self.send(light.take_messages());
        self.apply(light.take_committed_entries());
        self.raft.advance_apply();
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            let (to, kind) = (message.to, message.get_msg_type());
            if self.peers[&to].try_send(message).is_err() {
                self.handle(Event::Sent(to, kind, false));
            }
        }
    }

    /// Executes commands: NAME set K V, NAME cas K FROM TO, NAME add K N, NAME append K V.
    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.applied = entry.index;
            let command = String::from_utf8_lossy(&entry.data);
            let [name, kind, key, value, ref rest @ ..] = command.split(' ').collect::<Vec<_>>()[..] else {
                continue;
            };
            let old = self.values.get(key).cloned().unwrap_or_default();
            let new = match kind {
                "cas" if old != value => None,
                "cas" => Some(rest[0].to_owned()),
                "add" => Some((old.parse().unwrap_or(0) + value.parse().unwrap_or(0)).to_string()),
                "append" if !old.is_empty() => Some(format!("{old},{value}")),
                _ => Some(value.to_owned()),
            };
            if let Some(answer) = self.changes.remove(name) {
                let _ = answer.send((if new.is_some() { 200 } else { 409 }, String::new()));
            }
            if let Some(new) = new {
                self.values.insert(key.to_owned(), new);
            }
        }
    }

    fn answer_reads(&mut self) {
        let (now, later) = self.indexed.drain(..).partition(|(index, ..)| *index <= self.applied);
        self.indexed = later;
        let now: Vec<(u64, String, oneshot::Sender<Answer>)> = now;
        for (_, key, answer) in now {
            let _ =
                answer.send(self.values.get(&key).map_or((404, String::new()), |value| (200, value.clone())));
        }
    }

    fn compact(&mut self) {
        let store = self.raft.store();
        if self.applied < store.snapshot.get_metadata().index + SNAPSHOT_EVERY {
            return;
        }
        let mut snapshot = store.snapshot.clone();
        let meta = snapshot.mut_metadata();
        meta.index = self.applied;
        meta.term = self.raft.raft.raft_log.term(self.applied).expect("it is in the log");
        snapshot.data = serde_json::to_vec(&self.values).expect("plain data").into();
        // With the hard state, whose commit index must not be before the snapshot.
        let hard = store.memory.rl().hard_state().clone();
        self.raft.mut_store().save(Some(&hard), Some((snapshot, false)), &[]).expect("the disk works");
        self.raft.mut_store().memory.wl().compact(self.applied - KEPT).expect("it is in the log");
    }
}

/// Sends messages to one peer; those that cannot be sent are lost.
async fn send(
    id: u64,
    address: String,
    mut messages: tokio::sync::mpsc::Receiver<Message>,
    events: mpsc::Sender<Event>,
) {
    let mut connection: Option<TcpStream> = None;
    while let Some(message) = messages.recv().await {
        if connection.is_none() {
            connection = TcpStream::connect(&address).await.ok();
        }
        let mut sent = false;
        if let Some(open) = &mut connection {
            let bytes = message.write_to_bytes().expect("all fields are set");
            let frame = [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
            let writing = tokio::time::timeout(Duration::from_secs(1), open.write_all(&frame));
            sent = matches!(writing.await, Ok(Ok(())));
        }
        if !sent {
            connection = None;
        }
        if !sent || message.get_msg_type() == MessageType::MsgSnapshot {
            let _ = events.send(Event::Sent(id, message.get_msg_type(), sent));
        }
    }
}

async fn receive(mut stream: TcpStream, events: mpsc::Sender<Event>) -> io::Result<()> {
    loop {
        let mut frame = vec![0; stream.read_u32().await? as usize];
        stream.read_exact(&mut frame).await?;
        let _ = events.send(Event::Message(Message::parse_from_bytes(&frame).map_err(io::Error::other)?));
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
        _ => (StatusCode::SERVICE_UNAVAILABLE, "no answer in time".into()),
    }
}

async fn health(Shared(events): Shared<mpsc::Sender<Event>>) -> (StatusCode, String) {
    ask(events, Event::Health).await
}

async fn read(Shared(events): Shared<mpsc::Sender<Event>>, Path(key): Path<String>) -> (StatusCode, String) {
    ask(events, |answer| Event::Read(key, answer)).await
}

async fn change(Shared(events): Shared<mpsc::Sender<Event>>, command: String) -> (StatusCode, String) {
    ask(events, |answer| Event::Change(command, answer)).await
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let [id, nodes, data, address, api, peers] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .expect("INDEX NODES DATA PEER-ADDRESS API-ADDRESS PEERS");
    let (id, nodes) = (id.parse().expect("a number"), nodes.parse().expect("a number"));
    let disk = Disk::open(&data, (1..=nodes).collect()).expect("the data directory is readable and writable");
    let applied = disk.snapshot.get_metadata().index;
    let values = serde_json::from_slice(&disk.snapshot.data).expect("a snapshot of ours");
    let config = raft::Config {
        id,
        election_tick: 10,
        heartbeat_tick: 1,
        applied,
        max_size_per_msg: 65536,
        check_quorum: true,
        pre_vote: true,
        ..Default::default()
    };
    let raft =
        RawNode::new(&config, disk, &slog::Logger::root(slog::Discard, slog::o!())).expect("a valid state");

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
    let server = Server {
        raft,
        peers: queues,
        values,
        applied,
        changes: HashMap::new(),
        reads: HashMap::new(),
        indexed: vec![],
    };
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
