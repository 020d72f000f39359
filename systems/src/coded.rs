//! Clients in code, for protocols in which an operation is more than one request and its response. A description
//! names one as its wire.
//!
//! Each is a [`Session`] of one process with one node. It never reconnects by itself and never sends a request again
//! whose outcome it does not know.

#[cfg(feature = "amqp")]
mod amqp;
mod jetstream;
#[cfg(feature = "zookeeper")]
mod zookeeper;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;
use tribunal_checker::op::{F, Value};
use tribunal_workloads::{Client, Completion, Invocation, Object, Request};

use crate::{BoxFuture, NodePort};

/// A client in code that a description may choose.
pub(crate) struct Coded {
    /// The operations that it knows, such as `register.read`.
    pub(crate) operations: &'static [&'static str],
    /// Its options, each with the values that it may have; the first is the default.
    pub(crate) options: &'static [(&'static str, &'static [&'static str])],
    /// Makes a client.
    pub(crate) client: fn(Setting) -> Box<dyn Client>,
}

/// The clients, by the names of their wires; `None`: this build lacks the feature of the same name.
pub(crate) fn find(wire: &str) -> Option<&'static Coded> {
    match wire {
        "jetstream" => Some(&jetstream::CODED),
        #[cfg(feature = "zookeeper")]
        "zookeeper" => Some(&zookeeper::CODED),
        #[cfg(feature = "amqp")]
        "amqp" => Some(&amqp::CODED),
        _ => None,
    }
}

/// What a session is for.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The node's port.
    pub(crate) port: NodePort,
    /// How long an operation may take.
    pub(crate) limit: Duration,
    /// The object of the operations.
    pub(crate) object: Object,
    /// The process; unique in the run.
    pub(crate) process: u64,
    /// The number of nodes.
    pub(crate) nodes: usize,
    /// The options of the description.
    pub(crate) options: &'static BTreeMap<String, String>,
}

impl Setting {
    /// The value of an option; the description was checked.
    fn option(&self, of: &Coded, name: &str) -> &'static str {
        let default = of.options.iter().find(|(it, _)| *it == name).map_or("", |(_, values)| values[0]);
        self.options.get(name).map_or(default, String::as_str)
    }
}

/// Why an operation has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It certainly did not happen.
    Never(String),
    /// It certainly did not happen, and the session has ended.
    Lost(String),
    /// It may have happened, and the session has ended.
    Unknown(String),
}

/// A connection to a node on which operations are sent.
pub(crate) trait Session: Sized + Send {
    /// Connects.
    ///
    /// # Errors
    /// Why not; no operation was sent.
    fn open(setting: &Setting) -> BoxFuture<'_, Result<Self, String>>;

    /// Executes an operation. After a timeout the session is dropped.
    fn operate<'a>(
        &'a mut self,
        object: Object,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Value, Trouble>>;
}

/// A client of sessions, one after another.
struct SessionClient<S> {
    setting: Setting,
    session: Option<S>,
}

impl<S: Session + 'static> SessionClient<S> {
    fn make(setting: Setting) -> Box<dyn Client> {
        Box::new(SessionClient::<S> { setting, session: None })
    }
}

impl<S: Session> Client for SessionClient<S> {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(async move {
            let limit = self.setting.limit;
            let mut session = match self.session.take() {
                Some(session) => session,
                None => match timeout(limit, S::open(&self.setting)).await {
                    Ok(Ok(session)) => session,
                    Ok(Err(why)) => return Completion::Fail(format!("cannot connect: {why}")),
                    Err(_) => return Completion::Fail("cannot connect: timed out".into()),
                },
            };
            let object = self.setting.object.of(&request.key);
            let why = match timeout(limit, session.operate(object, request)).await {
                Ok(Ok(value)) => {
                    self.session = Some(session);
                    return Completion::Ok(value);
                }
                Ok(Err(Trouble::Never(why))) => {
                    self.session = Some(session);
                    return Completion::Fail(why);
                }
                Ok(Err(Trouble::Lost(why))) => return Completion::Fail(why),
                Ok(Err(Trouble::Unknown(why))) => why,
                Err(_) => format!("no reply within {limit:?}"),
            };
            // A read changes nothing.
            if request.f == F::Read { Completion::Fail(why) } else { Completion::Info(why) }
        })
    }
}

/// An operation that the client does not know.
fn unknown_operation(request: &Request) -> Trouble {
    Trouble::Never(format!("this client has no operation `{}`", request.f.name()))
}

/// The value of a text that was stored: an integer if it is one.
fn stored(text: &[u8]) -> Value {
    let text = String::from_utf8_lossy(text);
    text.parse().map_or_else(|_| Value::str(&text), Value::Int)
}

/// The sum that an `add` of a request makes.
fn sum(before: &Value, request: &Request) -> Result<i64, Trouble> {
    match (before, request.value.as_int()) {
        (Value::Nil, Some(more)) => Ok(more),
        (Value::Int(before), Some(more)) => Ok(before.wrapping_add(more)),
        _ => Err(Trouble::Never("no number is stored".into())),
    }
}
