//! NATS JetStream: objects are subjects of a stream with replicas, over the text protocol of NATS.
//!
//! | object | subject | |
//! |---|---|---|
//! | register, counter | `tribunal.register.KEY` | the last message is the value; `cas` and `add` publish with the expected sequence number |
//! | set, list | `tribunal.set.KEY` | every message is an element |
//! | queue | `tribunal.queue.KEY` | `dequeue` gets the first message and deletes it |
//! | lock | `tribunal.lock.KEY` | a message is the holder, its sequence number the fencing token; `release` deletes it |
//!
//! A response to a publication says that the stream has stored it. It certainly was not stored if there is no stream,
//! if the sequence number is not the expected one, and after "no responders": nobody got the request, since only the
//! leader of a stream subscribes to it. All other errors are unknown outcomes.
//!
//! The protocol is simple, and the client library of NATS reconnects and queues requests by itself, which hides what
//! happened: so this is a client of its own. <https://docs.nats.io/reference/reference-protocols/nats-protocol>

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tribunal_checker::op::{F, Value};
use tribunal_workloads::{Object, Request};

use super::{Coded, Session, SessionClient, Setting, Trouble, stored, sum, unknown_operation};
use crate::BoxFuture;
use crate::described::table;

pub(super) const CODED: Coded = Coded {
    operations: &[
        "register.read",
        "register.write",
        "register.cas",
        "counter.read",
        "counter.add",
        "set.read",
        "set.add",
        "list.read",
        "list.append",
        "queue.enqueue",
        "queue.dequeue",
        "lock.acquire",
        "lock.release",
    ],
    options: &[("replicas", &["all", "one"])],
    client: SessionClient::<JetStream>::make,
};

/// The stream.
const STREAM: &str = "tribunal";
/// JetStream's error codes (server/errors.json).
const STREAM_EXISTS: u32 = 10058;
const NO_STREAM: u32 = 10059;
const NO_MESSAGE: u32 = 10037;
const NO_SUCH_SEQUENCE: u32 = 10057;
const WRONG_LAST_SEQUENCE: u32 = 10071;
/// The largest message that is read, in bytes.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// How often an `add` or a `cas` tries again after another client's change came between.
const TRIES_MAX: usize = 100;
/// The most replicas of a stream that JetStream supports.
const REPLICAS_MAX: usize = 5;

struct JetStream {
    connection: BufReader<TcpStream>,
    inbox: String,
    requests: u64,
    /// The name of this process as the holder of locks.
    holder: String,
}

#[derive(Deserialize)]
struct Response {
    error: Option<ApiError>,
    message: Option<Message>,
    /// Of a publication.
    seq: Option<u64>,
    /// Of a deletion.
    success: Option<bool>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u32,
    description: String,
}

#[derive(Deserialize)]
struct Message {
    seq: u64,
    #[serde(default)]
    data: String,
}

/// Why a request has no response.
enum NoResponse {
    /// Nobody subscribes to its subject.
    NoResponders,
    Lost(io::Error),
}

impl From<io::Error> for NoResponse {
    fn from(error: io::Error) -> NoResponse {
        NoResponse::Lost(error)
    }
}

impl From<NoResponse> for Trouble {
    fn from(it: NoResponse) -> Trouble {
        match it {
            NoResponse::NoResponders => Trouble::Never("no responders".into()),
            NoResponse::Lost(error) => Trouble::Unknown(format!("connection lost: {error}")),
        }
    }
}

impl Session for JetStream {
    fn open(setting: &Setting) -> BoxFuture<'_, Result<Self, String>> {
        Box::pin(async move {
            let stream = setting.port.open().await.map_err(|error| error.to_string())?;
            let mut session = JetStream {
                connection: BufReader::new(stream),
                inbox: format!("_INBOX.{:016x}.{}", rand::random::<u64>(), setting.process),
                requests: 0,
                holder: format!("p{}", setting.process),
            };
            session.greet().await.map_err(|error| error.to_string())?;
            let replicas = match setting.option(&CODED, "replicas") {
                "one" => 1,
                _ => setting.nodes.min(REPLICAS_MAX),
            };
            session.create(replicas).await?;
            Ok(session)
        })
    }

    fn operate<'a>(
        &'a mut self,
        object: Object,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Value, Trouble>> {
        Box::pin(async move {
            let subject = format!("{STREAM}.{}.{}", table(object), request.key);
            let value = request.value.to_string();
            match (&request.f, request.value.as_pair()) {
                (F::Read, _) if matches!(object, Object::Set | Object::List) => self.all(&subject).await,
                (F::Read, _) => Ok(self.last(&subject).await?.1),
                (F::Add, _) if object == Object::Counter => {
                    self.change(&subject, |before| sum(before, request).map(Value::Int).map(Some)).await
                }
                (F::Write | F::Append | F::Add | F::Enqueue, _) => {
                    self.publish(&subject, &value, None).await?;
                    Ok(Value::Nil)
                }
                (F::Cas, Some((from, to))) => {
                    let done =
                        self.change(&subject, |before| Ok((before == from).then(|| to.clone()))).await?;
                    Ok(Value::Bool(done != Value::Nil))
                }
                (F::Dequeue, _) => self.dequeue(&subject).await,
                (F::Acquire, _) => {
                    let holder = self.holder.clone();
                    match self.publish(&subject, &holder, Some(0)).await? {
                        Some(token) => Ok(Value::Int(token.cast_signed())),
                        None => Ok(Value::Bool(false)),
                    }
                }
                (F::Release, _) => {
                    let (seq, holder) = self.last(&subject).await?;
                    let is_ours = holder == Value::str(&self.holder);
                    Ok(Value::Bool(is_ours && self.delete(seq).await?))
                }
                _ => Err(unknown_operation(request)),
            }
        })
    }
}

impl JetStream {
    async fn greet(&mut self) -> io::Result<()> {
        let info = self.line().await?;
        if !info.starts_with("INFO ") {
            return Err(io::Error::other(format!(
                "expected a NATS server, which begins with INFO, not `{info}`"
            )));
        }
        let options = json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "protocol": 1,
            "lang": "rust", "version": env!("CARGO_PKG_VERSION"), "name": "tribunal",
        });
        let hello = format!("CONNECT {options}\r\nSUB {}.* 1\r\nPING\r\n", self.inbox);
        self.connection.write_all(hello.as_bytes()).await?;
        loop {
            match &*self.line().await? {
                "PONG" => return Ok(()),
                "PING" => self.connection.write_all(b"PONG\r\n").await?,
                refused if refused.starts_with("-ERR") => return Err(io::Error::other(refused.to_string())),
                _ => {}
            }
        }
    }

    /// Creates the stream, if there is none.
    async fn create(&mut self, replicas: usize) -> Result<(), String> {
        let config = json!({
            "name": STREAM, "subjects": [format!("{STREAM}.>")], "retention": "limits", "storage": "file",
            "discard": "old", "num_replicas": replicas, "max_msgs_per_subject": -1,
            "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msg_size": -1,
        });
        let subject = format!("$JS.API.STREAM.CREATE.{STREAM}");
        let response = match self.call(&subject, None, &config.to_string()).await {
            Ok(response) => response,
            Err(NoResponse::NoResponders) => return Err("no responders".into()),
            Err(NoResponse::Lost(error)) => return Err(error.to_string()),
        };
        match response.error {
            Some(error) if error.err_code != STREAM_EXISTS => {
                Err(format!("cannot create the stream: {}", error.description))
            }
            _ => Ok(()),
        }
    }

    /// The last message of a subject and its sequence number: 0 and nil if there is none.
    async fn last(&mut self, subject: &str) -> Result<(u64, Value), Trouble> {
        let found = self.get(json!({ "last_by_subj": subject })).await?;
        Ok(found.unwrap_or((0, Value::Nil)))
    }

    /// All messages of a subject, in order. New ones only come at the end, so that the list is that of the moment in
    /// which there was no further one.
    async fn all(&mut self, subject: &str) -> Result<Value, Trouble> {
        let (mut values, mut seq) = (Vec::new(), 1);
        while let Some((at, value)) = self.get(json!({ "seq": seq, "next_by_subj": subject })).await? {
            values.push(value);
            seq = at + 1;
        }
        Ok(Value::List(values.into()))
    }

    /// Replaces the value of a subject by what `next` makes of it; nil if it makes nothing of it. A further try only
    /// follows one that certainly changed nothing.
    async fn change(
        &mut self,
        subject: &str,
        next: impl Fn(&Value) -> Result<Option<Value>, Trouble> + Send,
    ) -> Result<Value, Trouble> {
        for _ in 0..TRIES_MAX {
            let (seq, value) = self.last(subject).await?;
            let Some(next) = next(&value)? else { return Ok(Value::Nil) };
            if self.publish(subject, &next.to_string(), Some(seq)).await?.is_some() {
                return Ok(next);
            }
        }
        Err(Trouble::Never("others were faster every time".into()))
    }

    /// Takes the first message. If others take it first, the next one.
    async fn dequeue(&mut self, subject: &str) -> Result<Value, Trouble> {
        for _ in 0..TRIES_MAX {
            let first = self.get(json!({ "seq": 1, "next_by_subj": subject })).await?;
            let Some((seq, value)) = first else { return Ok(Value::Nil) };
            if self.delete(seq).await? {
                return Ok(value);
            }
        }
        Err(Trouble::Never("others were faster every time".into()))
    }

    async fn get(&mut self, which: serde_json::Value) -> Result<Option<(u64, Value)>, Trouble> {
        let subject = format!("$JS.API.STREAM.MSG.GET.{STREAM}");
        let response = self.call(&subject, None, &which.to_string()).await;
        // It comes before every change of an operation, and changes nothing.
        let response = response.map_err(|it| match it.into() {
            Trouble::Unknown(why) => Trouble::Lost(why),
            other => other,
        })?;
        match (response.message, response.error) {
            (Some(message), _) => {
                let data = BASE64.decode(&message.data);
                let data =
                    data.map_err(|error| Trouble::Never(format!("a message that is no base64: {error}")))?;
                Ok(Some((message.seq, stored(&data))))
            }
            (None, Some(error)) if error.err_code == NO_MESSAGE => Ok(None),
            (None, error) => Err(Trouble::Never(error.map_or("no message".into(), |it| it.description))),
        }
    }

    /// Publishes a message. Returns its sequence number; `None` if the last one of the subject was not the expected.
    async fn publish(
        &mut self,
        subject: &str,
        payload: &str,
        last: Option<u64>,
    ) -> Result<Option<u64>, Trouble> {
        let response = self.call(subject, last, payload).await?;
        match (response.seq, response.error) {
            (_, Some(error)) if error.err_code == WRONG_LAST_SEQUENCE => Ok(None),
            (_, Some(error)) if error.err_code == NO_STREAM => Err(Trouble::Never(error.description)),
            (_, Some(error)) => Err(Trouble::Unknown(error.description)),
            (Some(seq), None) => Ok(Some(seq)),
            (None, None) => Err(Trouble::Unknown("a response without a sequence number".into())),
        }
    }

    /// Deletes a message. Returns whether it was there.
    async fn delete(&mut self, seq: u64) -> Result<bool, Trouble> {
        let subject = format!("$JS.API.STREAM.MSG.DELETE.{STREAM}");
        let response =
            self.call(&subject, None, &json!({ "seq": seq, "no_erase": true }).to_string()).await?;
        match (response.success, response.error) {
            (_, Some(error)) if [NO_MESSAGE, NO_SUCH_SEQUENCE].contains(&error.err_code) => Ok(false),
            (_, Some(error)) => Err(Trouble::Unknown(error.description)),
            (success, None) => Ok(success == Some(true)),
        }
    }

    async fn call(
        &mut self,
        subject: &str,
        last: Option<u64>,
        payload: &str,
    ) -> Result<Response, NoResponse> {
        self.requests += 1;
        let reply = format!("{}.{}", self.inbox, self.requests);
        let request = match last {
            None => format!("PUB {subject} {reply} {}\r\n{payload}\r\n", payload.len()),
            Some(last) => {
                let headers = format!("NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: {last}\r\n\r\n");
                let (header, all) = (headers.len(), headers.len() + payload.len());
                format!("HPUB {subject} {reply} {header} {all}\r\n{headers}{payload}\r\n")
            }
        };
        self.connection.write_all(request.as_bytes()).await?;
        loop {
            let line = self.line().await?;
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match *words.as_slice() {
                ["PING"] => self.connection.write_all(b"PONG\r\n").await?,
                ["MSG", subject, _, .., length] => {
                    let is_ours = subject == reply;
                    let payload = self.payload(length).await?;
                    if is_ours {
                        let response = serde_json::from_slice(&payload).map_err(io::Error::other)?;
                        return Ok(response);
                    }
                }
                ["HMSG", subject, _, .., length] => {
                    let is_ours = subject == reply;
                    let payload = self.payload(length).await?;
                    if is_ours && payload.starts_with(b"NATS/1.0 503") {
                        return Err(NoResponse::NoResponders);
                    }
                    if is_ours {
                        return Err(io::Error::other("a response with headers").into());
                    }
                }
                ["-ERR", ..] => return Err(io::Error::other(line).into()),
                _ => {}
            }
        }
    }

    async fn payload(&mut self, length: &str) -> io::Result<Vec<u8>> {
        let length = length.parse::<usize>().ok().filter(|it| *it <= MESSAGE_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a message of more than 4 MiB"))?;
        let mut payload = vec![0; length + 2];
        self.connection.read_exact(&mut payload).await?;
        payload.truncate(length);
        Ok(payload)
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let read = (&mut self.connection).take(MESSAGE_BYTES_MAX as u64).read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_string()),
            None if read == MESSAGE_BYTES_MAX => Err(io::Error::other("a line of more than 4 MiB")),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
