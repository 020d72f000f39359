//! A client of the built-in systems' wire protocol: JSON frames with a 32-bit big-endian length prefix.
//!
//! A request `{"id":7,"client":"c3","seq":4,"f":"cas","key":"k1","value":[1,2],"timeout_ms":1000}` is
//! answered by `{"id":7,"ok":VALUE}`, `{"id":7,"fail":"why"}` (it did not happen and never will) or
//! `{"id":7,"info":"why"}`.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tribunal_checker::op::Value;
use tribunal_records::wire::{self, Outcome, Response, Status};
use tribunal_workloads::{Client, Completion, Invocation, Request};

use crate::{AdminRequest, NodePort};

/// A request whose texts and values are somebody else's.
type Ask<'a> = wire::Request<&'a str, &'a Value>;

/// Null is omitted.
fn given(value: &Value) -> Option<&Value> {
    (!value.is_nil()).then_some(value)
}

type Connection = Framed<TcpStream, LengthDelimitedCodec>;

/// The longest response that is read: many times what any operation can return.
const FRAME_BYTES_MAX: usize = 4 << 20;

async fn connect(to: &NodePort) -> io::Result<Connection> {
    let codec = LengthDelimitedCodec::builder().max_frame_length(FRAME_BYTES_MAX).new_codec();
    Ok(Framed::new(to.open().await?, codec))
}

/// Sends one request and waits for the response with its id; skips responses to abandoned requests.
async fn exchange<T: for<'de> Deserialize<'de>>(
    on: &mut Connection,
    ask: &Ask<'_>,
) -> io::Result<Outcome<T>> {
    let frame = serde_json::to_vec(ask).map_err(io::Error::other)?;
    on.send(Bytes::from(frame)).await?;
    loop {
        let frame = on.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
        let response: Response<T> = serde_json::from_slice(&frame).map_err(io::Error::other)?;
        if response.id == ask.id {
            return Ok(response.outcome);
        }
    }
}

/// A client of one node of a built-in system.
pub(crate) struct FramedClient {
    port: NodePort,
    name: String,
    seq: u64,
    timeout: Duration,
    connection: Option<Connection>,
}

impl FramedClient {
    pub(crate) fn new(port: NodePort, process: u64, timeout: Duration) -> Self {
        FramedClient { port, name: format!("c{process}"), seq: 0, timeout, connection: None }
    }

    async fn ask(&mut self, request: &Request) -> Completion {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match timeout(self.timeout, connect(&self.port)).await {
                Ok(Ok(connection)) => connection,
                // Nothing was sent, so nothing can have happened.
                Ok(Err(error)) => return Completion::Fail(format!("cannot connect: {error}")),
                Err(_) => return Completion::Fail("cannot connect: timed out".into()),
            },
        };
        self.seq += 1;
        let ask = Ask {
            id: self.seq,
            client: &self.name,
            seq: self.seq,
            f: request.f.name(),
            key: given(&request.key),
            value: given(&request.value),
            // The server gives up first, so that its knowledge of the outcome can still arrive.
            timeout_ms: (self.timeout * 4 / 5).as_millis() as u64,
        };
        match timeout(self.timeout, exchange::<Value>(&mut connection, &ask)).await {
            Ok(Ok(Outcome::Ok(value))) => {
                self.connection = Some(connection);
                Completion::Ok(value)
            }
            Ok(Ok(Outcome::Fail(why))) => {
                self.connection = Some(connection);
                Completion::Fail(why)
            }
            Ok(Ok(Outcome::Info(why))) => Completion::Info(why),
            Ok(Err(error)) => Completion::Info(format!("connection lost: {error}")),
            Err(_) => Completion::Info(format!("no reply within {:?}", self.timeout)),
        }
    }
}

impl Client for FramedClient {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(self.ask(request))
    }
}

/// A node that does not report its status in this time counts as unreachable (it may be paused).
const STATUS_TIMEOUT: Duration = Duration::from_millis(250);

/// Requests a node's status.
pub(crate) async fn status(port: NodePort) -> io::Result<Status> {
    ask_node(port, "status", None, None).await
}

/// Asks a node about itself.
pub(crate) async fn ask_node<T: for<'de> Deserialize<'de>>(
    port: NodePort,
    f: &str,
    key: Option<&Value>,
    value: Option<&Value>,
) -> io::Result<T> {
    let timeout_ms = STATUS_TIMEOUT.as_millis() as u64;
    let ask = Ask { id: 1, client: "status", seq: 0, f, key, value, timeout_ms };
    let answer = timeout(STATUS_TIMEOUT, async { exchange(&mut connect(&port).await?, &ask).await });
    match answer.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
        Outcome::Ok(answer) => Ok(answer),
        Outcome::Fail(why) | Outcome::Info(why) => Err(io::Error::other(why)),
    }
}

/// Sends an operator's request to a node.
pub(crate) async fn operate(port: NodePort, operation: AdminRequest<'_>) -> Result<(), String> {
    let (f, node) = match operation {
        AdminRequest::Add(node) => ("add-node", node),
        AdminRequest::Remove(node) => ("remove-node", node),
        AdminRequest::Transfer(node) => ("transfer-leadership", node),
    };
    let (node, timeout_ms) = (Value::str(node), STATUS_TIMEOUT.as_millis() as u64);
    let ask = Ask { id: 1, client: "operator", seq: 0, f, key: None, value: Some(&node), timeout_ms };
    let answer = timeout(STATUS_TIMEOUT, async { exchange::<Value>(&mut connect(&port).await?, &ask).await });
    match answer.await {
        Ok(Ok(Outcome::Ok(_))) => Ok(()),
        Ok(Ok(Outcome::Fail(why) | Outcome::Info(why))) => Err(why),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it does not answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;

    use tribunal_checker::op::F;

    use super::*;

    /// A server that answers the first request of each connection with one frame, or disconnects.
    async fn answering(reply: Option<&'static str>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut framed = Framed::new(stream, LengthDelimitedCodec::new());
            framed.next().await.unwrap().unwrap();
            if let Some(reply) = reply {
                framed.send(Bytes::from_static(reply.as_bytes())).await.unwrap();
            }
        });
        address
    }

    async fn completion(reply: Option<&'static str>) -> Completion {
        let mut client = FramedClient::new(answering(reply).await.into(), 1, Duration::from_secs(5));
        client.invoke(&Request { f: F::Read, key: Value::str("k1"), value: Value::Nil }).await
    }

    #[tokio::test]
    async fn each_reply_is_taken_at_its_word() {
        assert_eq!(completion(Some(r#"{"id":1,"ok":null}"#)).await, Completion::Ok(Value::Nil));
        assert_eq!(completion(Some(r#"{"id":1,"ok":[1,2]}"#)).await, Completion::Ok(Value::pair(1, 2)));
        assert_eq!(completion(Some(r#"{"id":1,"fail":"no"}"#)).await, Completion::Fail("no".into()));
        assert_eq!(completion(Some(r#"{"id":1,"info":"eh"}"#)).await, Completion::Info("eh".into()));
    }

    #[tokio::test]
    async fn a_lost_connection_is_unknown_and_a_refused_one_certain() {
        assert!(matches!(completion(None).await, Completion::Info(_)));
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut client = FramedClient::new(address.into(), 1, Duration::from_secs(5));
        let request = Request { f: F::Read, key: Value::Nil, value: Value::Nil };
        assert!(matches!(client.invoke(&request).await, Completion::Fail(_)));
    }
}
