//! Requests to other nodes.
//!
//! A node connects to each of its peers, and sends requests and receives responses on that connection;
//! several requests may be in flight. When a connection ends, the requests in flight on it end without a
//! response: their outcome is unknown.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::codec::FramedRead;
use tokio_util::task::AbortOnDropHandle;

use crate::boxed::boxed;
use crate::frame;
use crate::wire::{frames, send_queued};

/// Requests queued for a peer; more are not sent.
const QUEUE: usize = 1024;
const DIAL_TIMEOUT: Duration = Duration::from_millis(500);
const BACKOFF: Duration = Duration::from_millis(50);

/// The other nodes.
pub(crate) struct Peers<Q, A> {
    /// This node's own name.
    pub(crate) me: String,
    links: BTreeMap<String, Link<Q, A>>,
}

/// Queued requests, each with the channel for its response.
pub(super) type RequestQueue<Q, A> = mpsc::Receiver<(Q, oneshot::Sender<A>)>;

struct Link<Q, A> {
    requests: mpsc::Sender<(Q, oneshot::Sender<A>)>,
    _task: AbortOnDropHandle<()>,
}

impl<Q, A> Peers<Q, A>
where
    Q: Serialize + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
{
    pub(super) fn dial(me: &str, peers: &BTreeMap<String, SocketAddr>) -> Self {
        Peers::linked(me, peers.keys(), |name, queue| keep_connected(me.to_owned(), peers[name], queue))
    }

    /// The peers, each with the task that sends its requests.
    pub(super) fn linked<'a, F: Future<Output = ()> + Send + 'static>(
        me: &str,
        peers: impl Iterator<Item = &'a String>,
        carry: impl Fn(&String, RequestQueue<Q, A>) -> F,
    ) -> Self {
        let link = |name: &String| {
            let (requests, queue) = mpsc::channel(QUEUE);
            let task = tokio::spawn(boxed(carry(name, queue)));
            (name.clone(), Link { requests, _task: AbortOnDropHandle::new(task) })
        };
        Peers { me: me.to_owned(), links: peers.map(link).collect() }
    }

    /// The names of the peers, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.links.keys()
    }

    /// The peers, beginning with the one after this node and wrapping around.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = &String> {
        let after = self.links.keys().filter(|name| **name > self.me);
        after.chain(self.links.keys().filter(|name| **name < self.me))
    }

    /// The size of a majority of all nodes.
    pub(crate) fn majority(&self) -> usize {
        let nodes = self.links.len() + 1;
        nodes / 2 + 1
    }

    /// The node with the smallest name, this one included.
    pub(crate) fn first(&self) -> &str {
        self.links.keys().chain([&self.me]).min().expect("it has this node")
    }

    /// Sends a request to one node; `None` if there is no response within the timeout.
    pub(crate) async fn call(&self, peer: &str, request: Q, response_timeout: Duration) -> Option<A> {
        let (reply, answer) = oneshot::channel();
        self.links.get(peer)?.requests.try_send((request, reply)).ok()?;
        timeout(response_timeout, answer).await.ok()?.ok()
    }

    /// Sends one request to all peers; yields the responses as they arrive, and ends when no more are
    /// expected.
    pub(crate) fn call_all<'a>(
        &'a self,
        request: &'a Q,
        response_timeout: Duration,
    ) -> impl Stream<Item = (&'a str, A)> + Unpin + Send + 'a
    where
        Q: Clone,
    {
        let call = |name: &'a String| async move {
            (name.as_str(), self.call(name, request.clone(), response_timeout).await)
        };
        let answers: FuturesUnordered<_> = self.links.keys().map(call).collect();
        answers.filter_map(|(name, answer)| std::future::ready(answer.map(|answer| (name, answer))))
    }
}

async fn keep_connected<Q: Serialize, A: DeserializeOwned>(
    me: String,
    address: SocketAddr,
    mut queue: RequestQueue<Q, A>,
) {
    let mut next = 0;
    loop {
        if let Ok(Ok(stream)) = timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await
            && pump(&me, stream, &mut next, &mut queue).await.is_ok()
        {
            return;
        }
        // Requests queued while the peer was unreachable are dropped.
        while queue.try_recv().is_ok() {}
        sleep(BACKOFF).await;
    }
}

/// Sends queued requests and returns the responses, until the queue ends, with `Ok`, or the connection fails.
async fn pump<Q: Serialize, A: DeserializeOwned>(
    me: &str,
    stream: TcpStream,
    next: &mut u64,
    queue: &mut RequestQueue<Q, A>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (incoming, outgoing) = stream.into_split();
    let open: Arc<Mutex<HashMap<u64, oneshot::Sender<A>>>> = Arc::default();
    let (frames_out, mut outbox) = mpsc::channel::<Bytes>(QUEUE);
    let sending = async {
        while let Some((request, reply)) = queue.recv().await {
            *next += 1;
            {
                let mut open = open.lock().expect("nobody panics while holding it");
                open.retain(|_, reply| !reply.is_closed());
                open.insert(*next, reply);
            }
            if frames_out.send(frame::encode(&(*next, me, request))).await.is_err() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        Ok(())
    };
    let receiving = async {
        let mut incoming = FramedRead::new(incoming, frames());
        while let Some(bytes) = incoming.next().await {
            let Ok((id, answer)) = frame::decode::<(u64, A)>(bytes?) else { break };
            if let Some(reply) = open.lock().expect("nobody panics while holding it").remove(&id) {
                let _ = reply.send(answer);
            }
        }
        Err(io::ErrorKind::ConnectionReset.into())
    };
    tokio::select! {
        ended = sending => ended,
        ended = receiving => ended,
        ended = send_queued(outgoing, &mut outbox, Bytes::clone) => ended.and(Err(io::ErrorKind::BrokenPipe.into())),
    }
}
