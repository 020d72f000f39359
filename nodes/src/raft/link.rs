//! Connections between nodes.
//!
//! Every node dials every other one and only *sends* on that connection; what the other has to say comes in on the one
//! that it dialled. So each direction of a link can fail by itself.
//!
//! Nothing here is reliable: a frame may be lost with a connection, or because the queue towards a stalled peer is
//! full, or come very late when a stall ends. Raft sends again what matters, and forwarded requests are retried.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::codec::{Encoder as _, FramedRead};
use tokio_util::task::AbortOnDropHandle;

use super::gateway::{Answer, Ask, Attempt};
use super::message::{Message, NodeId};
use crate::logging::log;
use crate::wire::{frames, send_queued};

/// Frames that may wait for a peer; more are dropped.
const QUEUE: usize = 1024;
const DIAL_TIMEOUT: Duration = Duration::from_millis(500);
/// A connection that lasts so long is one.
const LASTING: Duration = Duration::from_millis(500);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// What nodes send each other: postcard in length-delimited frames.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Frame {
    /// The first frame of a connection: who dials.
    Hello(NodeId),
    Raft(Message),
    /// A client's request, handed on to the leader.
    Forward(Attempt, Ask),
    /// What the leader says to it.
    Answer(Attempt, Answer),
}

/// The sending end towards one peer.
#[derive(Debug)]
pub(super) struct Link {
    queue: mpsc::Sender<Frame>,
    _task: AbortOnDropHandle<()>,
}

impl Link {
    /// Starts to dial `peer`; dropping the link ends it.
    pub(super) fn dial(me: NodeId, peer: NodeId, address: SocketAddr) -> Self {
        let (queue, frames) = mpsc::channel(QUEUE);
        let task = tokio::spawn(keep_connected(me, peer, address, frames));
        Link { queue, _task: AbortOnDropHandle::new(task) }
    }

    /// Queues a frame, or drops it if the peer does not take them.
    pub(super) fn send(&self, frame: Frame) {
        let _ = self.queue.try_send(frame);
    }
}

async fn keep_connected(me: NodeId, peer: NodeId, address: SocketAddr, mut queue: mpsc::Receiver<Frame>) {
    let mut backoff = BACKOFF.0;
    loop {
        if let Ok(Ok(stream)) = timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await {
            let since = Instant::now();
            let Err(error) = pump(&me, stream, &mut queue).await else { return };
            // Whoever accepts and hangs up at once, as a proxy does whose server is down, was never there.
            if since.elapsed() >= LASTING {
                log(format_args!("lost the connection to {peer}: {error}"));
                backoff = BACKOFF.0;
            }
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

/// Sends what is queued until the queue ends, with `Ok`, or the connection does.
async fn pump(me: &NodeId, stream: TcpStream, queue: &mut mpsc::Receiver<Frame>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut incoming, mut outgoing) = stream.into_split();
    let sending = async {
        let mut hello = BytesMut::new();
        frames().encode(encode(&Frame::Hello(me.clone())), &mut hello)?;
        outgoing.write_all(&hello).await?;
        send_queued(outgoing, queue, encode).await
    };
    // The peer says nothing here; reading is how one learns that it hung up.
    tokio::select! {
        sent = sending => sent,
        ended = incoming.read_u8() => Err(ended.err().unwrap_or_else(|| std::io::Error::other("the peer spoke"))),
    }
}

fn encode(frame: &Frame) -> Bytes {
    postcard::to_stdvec(frame).expect("frames hold only what postcard can write").into()
}

/// Reads the frames of one incoming connection and hands them on with the sender's name, until it ends.
pub(super) async fn receive<E: From<(NodeId, Frame)>>(
    stream: TcpStream,
    peers: Vec<NodeId>,
    events: mpsc::Sender<E>,
) {
    let mut incoming = FramedRead::new(stream, frames());
    let mut from = None;
    while let Some(Ok(bytes)) = incoming.next().await {
        match (postcard::from_bytes(&bytes), &from) {
            (Ok(Frame::Hello(peer)), None) if peers.contains(&peer) => from = Some(peer),
            (Ok(frame), Some(peer)) => {
                if events.send(E::from((peer.clone(), frame))).await.is_err() {
                    return;
                }
            }
            (_, who) => {
                log(format_args!("closed a connection with an unexpected frame from {who:?}"));
                return;
            }
        }
    }
}
