//! Connections between nodes.
//!
//! Every node connects to every other one and only *sends* on that connection; it receives on the connection
//! that the peer opened. So each direction of a link can fail separately.
//!
//! A node can use several connections to each peer. Messages then alternate between them and may overtake
//! each other, as in systems with a connection pool or datagrams.
//!
//! Nothing here is reliable: a frame may be lost with a connection, or because the queue to a stalled peer is
//! full, or arrive very late when a stall ends. Protocols resend what matters, and forwarded requests are
//! retried.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::codec::{Encoder as _, FramedRead};
use tokio_util::task::AbortOnDropHandle;

use super::NodeId;
use super::gateway::{Attempt, LeaderRequest, LeaderResponse};
use super::server::Event;
use crate::boxed::boxed;
use crate::frame::{decode, encode};
use crate::logging::log;
use crate::wire::{frames, send_queued};

/// Frames queued for a peer; more are dropped.
const QUEUE: usize = 1024;
const DIAL_TIMEOUT: Duration = Duration::from_millis(500);
/// A connection is closed if data on it stays unacknowledged for this long (TCP_USER_TIMEOUT, man 7 tcp). The
/// kernel alone would retransmit ever more rarely and notice late that the network is back.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(1);
/// A frame that does not arrive completely in this time has a wrong length, or is stuck in a stall; closing
/// the connection ends both.
const FRAME_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that lasted this long counts as established.
const ESTABLISHED_AFTER: Duration = Duration::from_millis(500);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// A frame between nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Frame<M> {
    /// The first frame of a connection: the sender's name.
    Hello(NodeId),
    /// A message of the protocol.
    Protocol(M),
    /// A client's request, forwarded to the leader.
    Forward(Attempt, LeaderRequest),
    /// The leader's response to it.
    Response(Attempt, LeaderResponse),
}

/// The sending side of the link to one peer.
#[derive(Debug)]
pub(super) struct Link<M> {
    connections: Vec<Connection<M>>,
    /// The connection for the next message.
    next: Cell<usize>,
}

#[derive(Debug)]
struct Connection<M> {
    queue: mpsc::Sender<Frame<M>>,
    _task: AbortOnDropHandle<()>,
}

impl<M: Serialize + Send + 'static> Link<M> {
    /// Opens this many connections to `peer`; dropping the link closes them.
    pub(super) fn dial(me: &NodeId, peer: &NodeId, address: SocketAddr, connections: usize) -> Self {
        let connect = || {
            let (queue, frames) = mpsc::channel(QUEUE);
            let task = tokio::spawn(boxed(keep_connected(me.clone(), peer.clone(), address, frames)));
            Connection { queue, _task: AbortOnDropHandle::new(task) }
        };
        Link { connections: std::iter::repeat_with(connect).take(connections).collect(), next: Cell::new(0) }
    }

    /// Queues a frame, or drops it if the queue is full.
    pub(super) fn send(&self, frame: Frame<M>) {
        let turn = self.next.replace((self.next.get() + 1) % self.connections.len());
        let _ = self.connections[turn].queue.try_send(frame);
    }
}

async fn keep_connected<M: Serialize>(
    me: NodeId,
    peer: NodeId,
    address: SocketAddr,
    mut queue: mpsc::Receiver<Frame<M>>,
) {
    let mut backoff = BACKOFF.0;
    loop {
        if let Ok(Ok(stream)) = timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await {
            let since = Instant::now();
            let Err(error) = pump(&me, stream, &mut queue).await else { return };
            // A proxy whose server is down accepts and closes at once: that was no connection.
            if since.elapsed() >= ESTABLISHED_AFTER {
                log(format_args!("lost the connection to {peer}: {error}"));
                backoff = BACKOFF.0;
            }
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

/// Sends queued frames until the queue ends, with `Ok`, or the connection fails.
async fn pump<M: Serialize>(
    me: &NodeId,
    stream: TcpStream,
    queue: &mut mpsc::Receiver<Frame<M>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    let (mut incoming, mut outgoing) = stream.into_split();
    let sending = async {
        let mut hello = BytesMut::new();
        frames().encode(encode(&Frame::<M>::Hello(me.clone())), &mut hello)?;
        outgoing.write_all(&hello).await?;
        send_queued(outgoing, queue, encode).await
    };
    // The peer sends nothing on this connection; reading detects that it was closed.
    tokio::select! {
        sent = sending => sent,
        ended = incoming.read_u8() => Err(ended.err().unwrap_or_else(|| std::io::Error::other("the peer spoke"))),
    }
}

/// Reads the frames of one incoming connection and passes them on with the sender's name, until it ends.
pub(super) async fn receive<M: DeserializeOwned>(
    stream: TcpStream,
    peers: Vec<NodeId>,
    events: mpsc::Sender<Event<M>>,
) {
    let mut incoming = FramedRead::new(stream, frames());
    let mut from = None;
    let why = loop {
        let bytes = match timeout(FRAME_TIMEOUT, incoming.next()).await {
            Ok(Some(Ok(bytes))) => bytes,
            Ok(Some(Err(_))) => break "a frame is too long, or the connection was reset",
            Ok(None) => return,
            Err(_) if incoming.read_buffer().is_empty() => continue,
            Err(_) => break "a frame does not end",
        };
        match (decode(bytes), &from) {
            (Ok(Frame::Hello(peer)), None) if peers.contains(&peer) => from = Some(peer),
            (Ok(_), None) => break "it does not say who it is",
            (Ok(frame), Some(peer)) => {
                if events.send(Event::Peer(peer.clone(), frame)).await.is_err() {
                    return;
                }
            }
            (Err(why), _) => break why,
        }
    };
    let who = from.map_or("somebody".to_owned(), |peer| peer.to_string());
    log(format_args!("closed the connection from {who}: {why}"));
}
