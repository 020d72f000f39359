//! A server whose nodes send each other requests: the process around the systems without a log.
//!
//! ```text
//!   rpc::args          the command line of a node
//!   rpc::peers         requests to other nodes, and their responses ... I/O
//!   rpc                clients, other nodes' requests, shutdown ....... I/O
//!   rpc::test_cluster  several nodes in one process, for tests
//!   Service            what a system does with a client's and a peer's request
//! ```
//!
//! Every request has its own task, so a service is sequential code: send, wait, decide. State shared between
//! tasks is behind a lock that is never held across a wait.
//!
//! Caveats: the set of nodes is fixed at the start. A request is sent once; without a response its outcome is
//! unknown.

mod args;
mod peers;
#[cfg(test)]
pub(crate) mod test_cluster;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

pub(crate) use self::args::NodeArgs;
pub(crate) use self::peers::Peers;
use crate::boxed::boxed;
use crate::logging::log;
use crate::machine::{Command, Op};
use crate::process::{self, Place, Shutdown};
pub(crate) use crate::replica::outcome_of;
use crate::value::Value;
use crate::wire::{Outcome, Request, Response, frames, send_queued};
use crate::{frame, wire};

/// Responses queued for a peer that does not read; further ones wait.
const RESPONSES: usize = 1024;

/// The interface of a system to this server.
pub(crate) trait Service: Send + Sync + Sized + 'static {
    /// A request from one node to another.
    type PeerRequest: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The response.
    type PeerResponse: Serialize + DeserializeOwned + Send + 'static;

    /// Executes a client's operation. It is cancelled at the request's deadline.
    fn request(&self, command: Command) -> impl Future<Output = Outcome> + Send;

    /// Answers another node.
    fn answer(
        &self,
        from: &str,
        request: Self::PeerRequest,
    ) -> impl Future<Output = Self::PeerResponse> + Send;

    /// The leader that this node knows, and its term. A node without a leader is not ready. Where all nodes
    /// are equal, a node returns itself.
    fn leader(&self) -> Option<(String, u64)>;

    /// Background work, until it is dropped.
    fn background(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// Runs a node until it is stopped.
pub(crate) fn run<S: Service>(
    place: Place,
    open: impl FnOnce(Peers<S::PeerRequest, S::PeerResponse>, &Path) -> io::Result<S>,
) -> u8 {
    process::run(async |shutdown| serve(place, open, shutdown).await)
}

async fn serve<S: Service>(
    place: Place,
    open: impl FnOnce(Peers<S::PeerRequest, S::PeerResponse>, &Path) -> io::Result<S>,
    shutdown: Shutdown,
) -> io::Result<()> {
    let peers = place.peers().map_err(io::Error::other)?;
    fs::create_dir_all(&place.data)?;
    let service = Arc::new(open(Peers::dial(&place.id, &peers), &place.data)?);
    let (peers, clients) = (TcpListener::bind(place.listen).await?, TcpListener::bind(place.client).await?);
    log(format_args!("{} starts", place.id));
    let me: Arc<str> = place.id.as_str().into();
    tokio::select! {
        () = shutdown => {}
        () = service.background() => {}
        () = accept(peers, |stream| converse(stream, service.clone(), peer_frame::<S>)) => {}
        () = accept(clients, |stream| {
            let me = me.clone();
            converse(stream, service.clone(), move |service, bytes| client_frame(service, me.clone(), bytes))
        }) => {}
    }
    log(format_args!("stops"));
    Ok(())
}

async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    converse: impl Fn(TcpStream) -> F,
) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(boxed(converse(stream)))),
            Err(error) => {
                log(format_args!("cannot accept a connection: {error}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Answers every frame of a connection, each in its own task, until the sender disconnects.
async fn converse<S, F, R>(stream: TcpStream, service: Arc<S>, reply: F)
where
    S: Service,
    F: Fn(Arc<S>, bytes::BytesMut) -> R,
    R: Future<Output = Option<Bytes>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let (incoming, outgoing) = stream.into_split();
    let mut incoming = FramedRead::new(incoming, frames());
    let (queue, mut replies) = mpsc::channel(RESPONSES);
    let reading = async {
        let mut tasks = JoinSet::new();
        while let Some(Ok(bytes)) = incoming.next().await {
            let (reply, queue) = (reply(service.clone(), bytes), queue.clone());
            tasks.spawn(boxed(async move {
                if let Some(bytes) = reply.await {
                    let _ = queue.send(bytes).await;
                }
            }));
            while tasks.try_join_next().is_some() {}
        }
        // Tasks in progress run to their end, even if their response cannot be delivered.
        tasks.detach_all();
    };
    tokio::select! {
        () = reading => {}
        _ = send_queued(outgoing, &mut replies, Bytes::clone) => {}
    }
}

async fn peer_frame<S: Service>(service: Arc<S>, bytes: bytes::BytesMut) -> Option<Bytes> {
    // An unreadable frame was damaged in transit: it counts as lost.
    let (id, from, request): (u64, String, S::PeerRequest) = frame::decode(bytes).ok()?;
    let answer = service.answer(&from, request).await;
    Some(frame::encode(&(id, answer)))
}

async fn client_frame<S: Service>(service: Arc<S>, me: Arc<str>, bytes: bytes::BytesMut) -> Option<Bytes> {
    let response = match serde_json::from_slice::<Request>(&bytes) {
        Ok(request) => Response { id: request.id, outcome: outcome(&*service, &me, request).await },
        Err(error) => Response { id: 0, outcome: Outcome::Fail(format!("not a request: {error}")) },
    };
    Some(serde_json::to_vec(&response).expect("a response has only string keys").into())
}

async fn outcome<S: Service>(service: &S, me: &str, request: Request) -> Outcome {
    if request.f == "status" {
        return Outcome::Ok(status(me, service.leader()));
    }
    let deadline = Duration::from_millis(request.timeout_ms);
    let command = match command(request) {
        Ok(command) => command,
        Err(why) => return Outcome::Fail(why),
    };
    let changes_nothing = command.op.is_read_only();
    let outcome =
        timeout(deadline, service.request(command)).await.unwrap_or(Outcome::Info("timed out".into()));
    match outcome {
        Outcome::Info(why) if changes_nothing => Outcome::Fail(why),
        outcome => outcome,
    }
}

fn status(me: &str, leader: Option<(String, u64)>) -> serde_json::Value {
    let (leader, term) = leader.map_or((None, 0), |(leader, term)| (Some(leader), term));
    let role = if leader.as_deref() == Some(me) { "leader" } else { "follower" };
    serde_json::json!({ "id": me, "role": role, "term": term, "leader": leader })
}

fn command(request: wire::Request) -> Result<Command, String> {
    let op = Op::parse(&request.f, Value::given(request.key)?, Value::given(request.value)?)?;
    Ok(Command { client: request.client.into(), seq: request.seq, op })
}
