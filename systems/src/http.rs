//! JSON over HTTP. An error says whether the server can have received the request.
//!
//! There are no retries: a request sent twice would be an operation that the history does not contain.
//!
//! Every request has its own connection. HTTP/1 does not number responses: on a reused connection, a
//! duplicated or late response would be taken for the response to the next request.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::NodePort;

/// The longest response body that is read: many times what any operation can return.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Why a request has no response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The server has received no part of it.
    NotSent(String),
    /// The server may have received all of it.
    Unknown(String),
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Unanswered::NotSent(why) | Unanswered::Unknown(why)) = self;
        f.write_str(why)
    }
}

/// A client of one address.
pub(crate) struct Http {
    port: NodePort,
    /// Bounds the connecting, and again the exchange.
    timeout: Duration,
}

struct Connection {
    requests: SendRequest<Full<Bytes>>,
    /// Drives the connection; dropping it closes the socket.
    _pump: AbortOnDropHandle<hyper::Result<()>>,
}

impl Http {
    pub(crate) fn new(port: impl Into<NodePort>, timeout: Duration) -> Self {
        Http { port: port.into(), timeout }
    }

    /// Posts JSON. Returns the status and the body of the response.
    pub(crate) async fn post(&self, path: &str, json: Vec<u8>) -> Result<(StatusCode, Bytes), Unanswered> {
        let headers = [(CONTENT_TYPE.as_str(), "application/json".to_string())];
        self.send("POST", path, &headers, json).await
    }

    /// Sends a request. Returns the status and the body of the response.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Unanswered> {
        let request = Request::builder().method(method).uri(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let request = request
            .header(HOST, self.port.address.to_string())
            .header(CONNECTION, "close")
            .body(Full::from(body))
            .map_err(|error| Unanswered::NotSent(error.to_string()))?;
        let mut connection = self.connect().await.map_err(Unanswered::NotSent)?;
        let exchange = async {
            let answer = connection.requests.try_send_request(request).await.map_err(|error| {
                // hyper returns the request only if it has not begun to write it.
                let not_sent = error.message().is_some();
                let why = format!("connection lost: {}", error.into_error());
                if not_sent { Unanswered::NotSent(why) } else { Unanswered::Unknown(why) }
            })?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => Unanswered::Unknown(format!("an answer of more than {} MiB", BODY_BYTES_MAX >> 20)),
                false => Unanswered::Unknown(format!("connection lost: {error}")),
            })?;
            Ok((status, body.to_bytes()))
        };
        let answer = timeout(self.timeout, exchange).await;
        answer.unwrap_or_else(|_| Err(Unanswered::Unknown(format!("no reply within {:?}", self.timeout))))
    }

    async fn connect(&self) -> Result<Connection, String> {
        let connecting = async {
            let stream = self.port.open().await.map_err(|error| error.to_string())?;
            // Without this, every request would leave one of some 28,000 local ports in TIME_WAIT.
            stream.set_zero_linger().map_err(|error| error.to_string())?;
            let shaken = http1::handshake(TokioIo::new(stream)).await;
            let (requests, pump) = shaken.map_err(|error| error.to_string())?;
            Ok::<_, String>(Connection { requests, _pump: AbortOnDropHandle::new(tokio::spawn(pump)) })
        };
        match timeout(self.timeout, connecting).await {
            Ok(connected) => connected.map_err(|error| format!("cannot connect: {error}")),
            Err(_) => Err("cannot connect: timed out".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn answer(stream: &mut TcpStream, with: &str) {
        let mut heard = Vec::new();
        while !heard.ends_with(b"{}") {
            let mut bytes = [0; 1024];
            let read = stream.read(&mut bytes).await.unwrap();
            assert_ne!(read, 0, "the request is whole");
            heard.extend(&bytes[..read]);
        }
        stream.write_all(with.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_comes_twice_or_late_is_nobody_elses() {
        let (listener, address) = listener().await;
        let server = tokio::spawn(async move {
            let mut old = Vec::new();
            for body in ["41", "42", "43"] {
                let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{body}");
                let (mut stream, _) = listener.accept().await.unwrap();
                // While this request waits, each older connection that is still open receives its last
                // response again.
                for (stream, reply) in &mut old {
                    let _ = TcpStream::write_all(stream, String::as_bytes(reply)).await;
                }
                answer(&mut stream, &reply.repeat(2)).await;
                old.push((stream, reply));
            }
        });
        let http = Http::new(address, PATIENCE);
        for body in ["41", "42", "43"] {
            assert_eq!(http.post("/a", b"{}".to_vec()).await, Ok((StatusCode::OK, Bytes::from(body))));
        }
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_refusal_has_a_status_and_a_body() {
        let (listener, address) = listener().await;
        let server = tokio::spawn(async move {
            let reply = "HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
            answer(&mut listener.accept().await.unwrap().0, reply).await;
        });
        let busy = (StatusCode::SERVICE_UNAVAILABLE, Bytes::from("x"));
        assert_eq!(Http::new(address, PATIENCE).post("/a", b"{}".to_vec()).await, Ok(busy));
        server.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_none() {
        let (listener, address) = listener().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer(&mut stream, "HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\n").await;
            let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
        });
        let said = Http::new(address, PATIENCE).post("/a", b"{}".to_vec()).await;
        assert_eq!(said, Err(Unanswered::Unknown("an answer of more than 4 MiB".into())));
        server.await.unwrap();
    }

    #[tokio::test]
    async fn what_was_sent_and_not_answered_is_unknown() {
        let (listener, address) = listener().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
        });
        let http = Http::new(address, PATIENCE);
        assert!(matches!(http.post("/a", b"{}".to_vec()).await, Err(Unanswered::Unknown(_))));
        server.await.unwrap();

        let (silent, address) = self::listener().await;
        let http = Http::new(address, Duration::from_millis(50));
        assert!(matches!(http.post("/a", b"{}".to_vec()).await, Err(Unanswered::Unknown(_))));
        drop(silent);
        assert!(matches!(http.post("/a", b"{}".to_vec()).await, Err(Unanswered::NotSent(_))));
    }
}
