//! One node as a process: sockets, the disk and the clock around the [protocol](super::Protocol).
//!
//! ```text
//!   clients ==> connection tasks --+                                +--> links ==> peers
//!   peers  ===> receive tasks -----+--> events --> the loop --------+--> connection tasks ==> clients
//!   disk thread ---- durable ------+               protocol, ....   +--> disk thread
//!   clock -------------------------+               gateway, service
//! ```
//!
//! One task owns all the state. It takes all pending events, then carries out the protocol's effects: the
//! busier the node, the larger its batches. The disk has its own thread, because a sync blocks; while it
//! writes one batch, the next collects in its queue.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{io, thread};

use chacha20::ChaCha8Rng;
use chacha20::rand_core::SeedableRng as _;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::applied::{self, AppliedLog};
use super::client;
use super::gateway::{Gateway, LeaderRequest, LeaderResponse, outcome_of};
use super::link::{self, Frame, Link};
use super::service::{Requester, Service};
use super::{Config, Disk, NodeId, NotLeader, Opened, Operation, Protocol, Ready, Time};
use crate::boxed::boxed;
use crate::logging::log;
use crate::machine::{Command, Machine, Op};
use crate::value::Value;
use crate::wal::WalError;
use crate::wire::{Outcome, Request};

/// Events queued for the loop; if the queue is full, their senders wait.
const EVENTS: usize = 4096;
/// Events that are taken before the effects are carried out.
const BATCH: usize = 512;

/// The setup of a server.
#[derive(Clone, Debug)]
pub(crate) struct Setup<Bug, Options = ()> {
    pub(crate) config: Config<Bug, Options>,
    /// The addresses for peers and clients.
    pub(crate) listen: SocketAddr,
    pub(crate) client: SocketAddr,
    /// The address of each peer.
    pub(crate) peers: BTreeMap<NodeId, SocketAddr>,
    pub(crate) data: PathBuf,
    /// The number of entries between snapshots.
    pub(crate) snapshot_every: u64,
    /// The number of connections to each peer.
    pub(crate) connections: usize,
}

/// Why a server did not start, or stopped on its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error("the snapshot is not one of this state machine: {0}")]
    Snapshot(#[from] postcard::Error),
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    #[error("the log could not be written: {0}")]
    Disk(io::Error),
}

/// An external event.
#[derive(Debug)]
pub(super) enum Event<M> {
    Peer(NodeId, Frame<M>),
    Client(Request, client::Reply),
}

/// Serves until `shutdown` completes or the disk fails.
pub(crate) async fn serve<P: Protocol>(
    setup: Setup<P::Bug, P::Options>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let bugs: Vec<_> = setup.config.bugs.iter().filter_map(clap::ValueEnum::to_possible_value).collect();
    let bugs: Vec<&str> = bugs.iter().map(clap::builder::PossibleValue::get_name).collect();
    let server_bugs = P::server_bugs(&setup.config.bugs);
    let (me, peers) = (setup.config.id.clone(), setup.config.peers.clone());
    let rng = ChaCha8Rng::seed_from_u64(rand::random());
    let Opened { protocol, disk, snapshot, torn } = P::open(setup.config, &setup.data, rng)?;
    if let Some(torn) = torn {
        log(format_args!("cut a torn tail of {} bytes at byte {} of the log", torn.bytes, torn.at));
    }
    let machine = match &snapshot {
        Some(snapshot) => Machine::restore(&snapshot.data)?,
        None => Machine::default(),
    };
    let listen = |address| async move {
        TcpListener::bind(address).await.map_err(|error| ServerError::Listen(address, error))
    };
    let (peer_listener, client_listener) = (listen(setup.listen).await?, listen(setup.client).await?);
    log(format_args!("{me} starts: {}, bugs {bugs:?}", protocol.start_summary()));

    let (events, mut incoming) = mpsc::channel(EVENTS);
    let mut tasks = JoinSet::new();
    tasks.spawn(boxed(accept_peers(peer_listener, peers, events.clone())));
    tasks.spawn(boxed(client::accept(client_listener, events)));
    let (disk, mut durable, writer) =
        start_disk(disk, server_bugs.acks_before_fsync).map_err(ServerError::Thread)?;

    let start = Instant::now();
    let dial = |(peer, address): (&NodeId, &SocketAddr)| {
        (peer.clone(), Link::dial(&me, peer, *address, setup.connections))
    };
    let mut node = Node {
        links: setup.peers.iter().map(dial).collect(),
        gateway: Gateway::new(rand::random(), server_bugs.fails_without_answer),
        applied: AppliedLog::new(rand::random(), &machine),
        service: Service::new(machine, server_bugs),
        protocol,
        disk,
        start,
        now: Time::ZERO,
        leader: None,
        led: None,
        snapshot_every: setup.snapshot_every,
    };

    tokio::pin!(shutdown);
    let ended = loop {
        let wake = start + node.next_wake();
        let mut stored = None;
        let mut event = None;
        tokio::select! {
            () = &mut shutdown => break Ok(()),
            result = durable.recv() => stored = Some(result.unwrap_or_else(|| Err(io::Error::other("its thread died")))),
            Some(next) = incoming.recv() => event = Some(next),
            () = sleep_until(wake) => {}
        }
        node.now = start.elapsed();
        let mut taken = 0;
        while let Some(next) = event {
            node.take(next);
            taken += 1;
            event = if taken < BATCH { incoming.try_recv().ok() } else { None };
        }
        while let Some(result) = stored {
            match result {
                Ok(number) => node.protocol.persisted(number),
                Err(error) => return Err(ServerError::Disk(error)),
            }
            stored = durable.try_recv().ok();
        }
        node.protocol.tick(node.now);
        node.settle();
    };
    log(format_args!("stops"));
    // The thread ends with its queue, after the current write.
    drop(node);
    let _ = writer.join();
    tasks.shutdown().await;
    ended
}

type Durable = mpsc::UnboundedReceiver<io::Result<u64>>;

/// With `early_report`: the longest delay of a sync.
const SYNC_DELAY_MAX: Duration = Duration::from_secs(1);

/// Starts the thread that writes to the disk; all queued writes go into one batch. With `early_report` a
/// batch is reported durable before it is synced.
fn start_disk<D: Disk>(
    mut disk: D,
    early_report: bool,
) -> io::Result<(std::sync::mpsc::Sender<D::Write>, Durable, thread::JoinHandle<()>)> {
    let (queue, writes) = std::sync::mpsc::channel::<D::Write>();
    let (report, durable) = mpsc::unbounded_channel();
    let write = move || {
        let mut synced = std::time::Instant::now();
        while let Ok(first) = writes.recv() {
            let batch: Vec<D::Write> = std::iter::once(first).chain(writes.try_iter()).collect();
            let last = D::number(batch.last().expect("it has the first"));
            let mut result = disk.write(batch);
            if !early_report || synced.elapsed() >= SYNC_DELAY_MAX {
                result = result.and_then(|()| disk.sync());
                synced = std::time::Instant::now();
            }
            let failed = result.is_err();
            if report.send(result.map(|()| last)).is_err() || failed {
                return;
            }
        }
    };
    let writer = thread::Builder::new().name("disk".into()).spawn(write)?;
    Ok((queue, durable, writer))
}

async fn accept_peers<M: DeserializeOwned + Send + 'static>(
    listener: TcpListener,
    peers: Vec<NodeId>,
    events: mpsc::Sender<Event<M>>,
) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                drop(connections.spawn(boxed(link::receive(stream, peers.clone(), events.clone()))))
            }
            Err(error) => {
                log(format_args!("cannot accept a peer: {error}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// The state of one node.
struct Node<P: Protocol> {
    protocol: P,
    gateway: Gateway<client::Reply>,
    service: Service,
    applied: AppliedLog,
    links: BTreeMap<NodeId, Link<P::Message>>,
    disk: std::sync::mpsc::Sender<<P::Disk as Disk>::Write>,
    start: Instant,
    /// The time of all events of one batch.
    now: Time,
    /// The leader when requests were last tried.
    leader: Option<NodeId>,
    /// The leadership that this node had then.
    led: Option<String>,
    snapshot_every: u64,
}

impl<P: Protocol> Node<P> {
    fn next_wake(&self) -> Time {
        let tick = self.protocol.next_tick();
        self.gateway.next_wake(self.protocol.leader().is_some()).map_or(tick, |wake| wake.min(tick))
    }

    /// Takes an event, without acting on it yet.
    fn take(&mut self, event: Event<P::Message>) {
        match event {
            Event::Peer(from, Frame::Protocol(message)) => self.protocol.receive(self.now, &from, message),
            Event::Peer(from, Frame::Forward(attempt, request)) => {
                let requester = Requester::Peer(from, attempt);
                match self.service.submit(&mut self.protocol, requester.clone(), &request) {
                    Ok(answers) => self.answer(answers),
                    Err(_) => self.answer(vec![(requester, LeaderResponse::NotLeader)]),
                }
            }
            Event::Peer(_, Frame::Response(attempt, answer)) => {
                if let Some((reply, outcome)) = self.gateway.forwarding_answered(self.now, attempt, answer) {
                    reply.send(outcome);
                }
            }
            Event::Peer(_, Frame::Hello(_)) => {}
            Event::Client(request, reply) if request.f == "status" => {
                reply.send(Outcome::Ok(self.protocol.status()))
            }
            Event::Client(request, reply) if request.f == "applied" => {
                let applied = self.applied.after(request.value.as_ref(), self.protocol.term());
                reply.send(Outcome::Ok(serde_json::to_value(applied).expect("it has only string keys")));
            }
            Event::Client(request, reply) if request.f == "entries" => {
                let entries = self.applied.entries(request.value.as_ref());
                reply.send(Outcome::Ok(serde_json::to_value(entries).expect("it has only string keys")));
            }
            Event::Client(request, reply) if request.f == "peek" => {
                let held = applied::peek(self.service.machine(), request.key);
                reply.send(held.map_or_else(Outcome::Fail, Outcome::Ok));
            }
            Event::Client(request, reply)
                if let Some(operation) = Operation::parse(&request.f, request.value.as_ref()) =>
            {
                let begun = self.protocol.operate(&operation);
                reply.send(begun.map_or_else(Outcome::Fail, |()| Outcome::Ok(serde_json::Value::Null)));
            }
            Event::Client(request, reply) => {
                let timeout = Duration::from_millis(request.timeout_ms);
                match leader_request(request) {
                    Ok(LeaderRequest::Read(op)) if self.service.reads_here() => {
                        reply.send(outcome_of(self.service.machine().read(&op)));
                    }
                    Ok(request) => self.gateway.accept(self.now, request, timeout, reply),
                    Err(why) => reply.send(Outcome::Fail(why)),
                }
            }
        }
    }

    /// Acts on all events taken.
    fn settle(&mut self) {
        self.note_leadership();
        self.try_requests();
        let ready = self.protocol.ready();
        self.carry_out(ready);
        for (reply, outcome) in self.gateway.expire(self.now) {
            reply.send(outcome);
        }
        self.protocol.compact_if_due(self.snapshot_every, || self.service.snapshot());
        let ready = self.protocol.ready();
        self.carry_out(ready);
    }

    fn note_leadership(&mut self) {
        let led = self.protocol.leadership();
        if self.led != led {
            self.led.clone_from(&led);
            if let Some(led) = led {
                self.applied.lead(led, self.protocol.term());
            }
        }
    }

    fn try_requests(&mut self) {
        if self.leader.as_ref() != self.protocol.leader() {
            self.leader = self.protocol.leader().cloned();
            self.gateway.leader_changed(self.now);
        }
        let Some(leader) = &self.leader else { return };
        let mut answers = Vec::new();
        for token in self.gateway.due(self.now) {
            if let Some(link) = self.links.get(leader) {
                if let Some((attempt, request)) = self.gateway.forward(self.now, token) {
                    link.send(Frame::Forward(attempt, request));
                }
            } else if let Some(request) = self.gateway.request(token) {
                match self.service.submit(&mut self.protocol, Requester::Own(token), request) {
                    Ok(now) => {
                        self.gateway.taken(token);
                        answers.extend(now);
                    }
                    Err(NotLeader) => answers.push((Requester::Own(token), LeaderResponse::NotLeader)),
                }
            }
        }
        self.answer(answers);
    }

    fn carry_out(&mut self, ready: Ready<P>) {
        for notice in ready.notices {
            log(format_args!("{notice}"));
        }
        for (to, message) in ready.messages {
            if let Some(link) = self.links.get(&to) {
                link.send(Frame::Protocol(message));
            }
        }
        if let Some(write) = ready.write {
            // If the thread has ended, it has reported why.
            let _ = self.disk.send(write);
        }
        if ready.deposed {
            let answers = self.service.deposed();
            self.answer(answers);
        }
        if let Some(snapshot) = ready.install {
            match Machine::restore(&snapshot.data) {
                Ok(machine) => {
                    self.applied.install(&machine);
                    self.service.install(machine);
                }
                Err(error) => log(format_args!("the leader's snapshot cannot be read: {error}")),
            }
        }
        for entry in &ready.committed {
            let answers = self.service.apply(&entry.payload);
            self.applied.add(&entry.payload, self.service.machine());
            self.answer(answers);
        }
        for id in ready.reads {
            let answer = self.service.answer_read(id);
            self.answer(answer);
        }
        for id in ready.leased {
            let read = self.service.answer_read(id);
            // The check uses the time after the state was read: a pause before it may have ended the lease.
            let holds = self.protocol.lease_holds(self.start.elapsed());
            self.answer(read.map(|(requester, answer)| {
                (requester, if holds { answer } else { LeaderResponse::Uncertain })
            }));
        }
    }

    fn answer(&mut self, answers: impl IntoIterator<Item = (Requester, LeaderResponse)>) {
        for (requester, answer) in answers {
            match requester {
                Requester::Own(token) => {
                    if let Some((reply, outcome)) = self.gateway.answered(self.now, token, answer) {
                        reply.send(outcome);
                    }
                }
                Requester::Peer(node, attempt) => {
                    if let Some(link) = self.links.get(&node) {
                        link.send(Frame::Response(attempt, answer));
                    }
                }
            }
        }
    }
}

/// The request to the leader for a client's request; the error says why it can never be executed.
fn leader_request(request: Request) -> Result<LeaderRequest, String> {
    let op = Op::parse(&request.f, Value::given(request.key)?, Value::given(request.value)?)?;
    if op.is_read_only() {
        return Ok(LeaderRequest::Read(op));
    }
    if request.client.is_empty() {
        return Err(format!("{} needs a client and a seq", request.f));
    }
    Ok(LeaderRequest::Change(Command { client: request.client.into(), seq: request.seq, op }))
}
