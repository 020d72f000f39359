//! Connections from clients; the protocol is in [`crate::wire`].

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::codec::FramedRead;

use super::server::Event;
use crate::boxed::boxed;
use crate::logging::log;
use crate::wire::{Outcome, Request, Response, frames, send_queued};

/// The size limit of a request in bytes: it must fit into one message between nodes, with some margin.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Responses queued for a client that does not read; more are dropped, and the client times out.
const RESPONSES: usize = 1024;

/// Where to send the response to one request.
#[derive(Debug)]
pub(super) struct Reply {
    id: u64,
    connection: mpsc::Sender<Response>,
}

impl Reply {
    /// Sends the response, unless the client has disconnected.
    pub(super) fn send(self, outcome: Outcome) {
        let _ = self.connection.try_send(Response { id: self.id, outcome });
    }
}

/// Accepts clients until it is aborted.
pub(super) async fn accept<M: Send + 'static>(listener: TcpListener, events: mpsc::Sender<Event<M>>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(boxed(converse(stream, events.clone())))),
            Err(error) => {
                log(format_args!("cannot accept a client: {error}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Reads requests until the client disconnects or violates the protocol.
async fn converse<M>(stream: TcpStream, events: mpsc::Sender<Event<M>>) {
    let _ = stream.set_nodelay(true);
    let (incoming, outgoing) = stream.into_split();
    let mut frames = frames();
    frames.set_max_frame_length(REQUEST_BYTES_MAX);
    let mut incoming = FramedRead::new(incoming, frames);
    let (connection, mut responses) = mpsc::channel(RESPONSES);
    let reading = async {
        while let Some(Ok(bytes)) = incoming.next().await {
            match serde_json::from_slice::<Request>(&bytes) {
                Ok(request) => {
                    let reply = Reply { id: request.id, connection: connection.clone() };
                    if events.send(Event::Client(request, reply)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let reply = Reply { id: 0, connection: connection.clone() };
                    reply.send(Outcome::Fail(format!("not a request: {error}")));
                }
            }
        }
    };
    tokio::select! {
        () = reading => {}
        _ = send_queued(outgoing, &mut responses, encode) => {}
    }
}

fn encode(response: &Response) -> Bytes {
    serde_json::to_vec(response).expect("a response has only string keys").into()
}
