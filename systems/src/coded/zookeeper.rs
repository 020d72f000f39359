//! ZooKeeper: every object is a znode.
//!
//! | object | znode | |
//! |---|---|---|
//! | register | `/register-KEY` | its data; `cas` sets it with the version that was read |
//! | counter, list | `/counter-KEY`, `/list-KEY` | the same: read, change, set with the version |
//! | set | `/set-KEY` | its children |
//! | queue | `/queue-KEY` | its children, numbered by ZooKeeper; `dequeue` deletes the first |
//!
//! A server answers reads from its own state. With the option `reads = "sync"` every read follows a `sync`, as
//! ZooKeeper's programmer's guide advises to those who need the newest value; with `local` it does not. A sync does not
//! go through a majority (ZOOKEEPER-1675); with `write` every read follows a write, which does. What an operation
//! compares with before it changes something is always read after a `sync`, or a write.
//!
//! Errors of the server say that it changed nothing, except "connection loss" and those of the session.

use tribunal_checker::op::{F, Value};
use tribunal_workloads::{Object, Request};
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error};

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
    ],
    options: &[("reads", &["sync", "local", "write"])],
    client: SessionClient::<ZooKeeper>::make,
};

/// How often a change is tried again after another client's came between.
const TRIES_MAX: usize = 100;

const PERSISTENT: CreateOptions<'static> = CreateMode::Persistent.with_acls(Acls::anyone_all());

/// A child of a queue: ZooKeeper appends its number.
const NUMBERED: CreateOptions<'static> = CreateMode::PersistentSequential.with_acls(Acls::anyone_all());

struct ZooKeeper {
    client: Client,
    reads: &'static str,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        let why = error.to_string();
        match error {
            Error::NoNode
            | Error::NoAuth
            | Error::BadVersion
            | Error::NodeExists
            | Error::NotEmpty
            | Error::BadArguments(_)
            | Error::InvalidAcl
            | Error::NotReadOnly
            | Error::Throttled => Trouble::Never(why),
            _ => Trouble::Unknown(why),
        }
    }
}

impl Session for ZooKeeper {
    fn open(setting: &Setting) -> BoxFuture<'_, Result<Self, String>> {
        Box::pin(async move {
            // The library connects by itself, and would talk to whoever listens: this one makes sure that it is the node.
            drop(setting.port.open().await.map_err(|error| error.to_string())?);
            let connector = Client::connector().with_connection_timeout(setting.limit).with_fail_eagerly();
            let client = connector.connect(&setting.port.address.to_string()).await;
            let client = client.map_err(|error| error.to_string())?;
            Ok(ZooKeeper { client, reads: setting.option(&CODED, "reads") })
        })
    }

    fn operate<'a>(
        &'a mut self,
        object: Object,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Value, Trouble>> {
        Box::pin(async move {
            let path = format!("/{}-{}", table(object), request.key);
            if request.f == F::Read && self.reads != "local" {
                self.catch_up().await?;
            }
            match (&request.f, request.value.as_pair()) {
                (F::Read, _) if object == Object::Set => self.children(&path).await,
                (F::Read, _) if object == Object::List => Ok(list(&self.data(&path).await?.0)),
                (F::Read, _) => Ok(self.data(&path).await?.0),
                (F::Write, _) => self.write(&path, &request.value.to_string()).await,
                (F::Add, _) if object == Object::Set => {
                    self.create_below(&path, &request.value.to_string(), &PERSISTENT).await?;
                    Ok(Value::Nil)
                }
                (F::Cas, Some((from, to))) => {
                    let mut refused = false;
                    self.change(&path, |value| {
                        refused = value != from;
                        Ok((!refused).then(|| to.to_string()))
                    })
                    .await?;
                    Ok(Value::Bool(!refused))
                }
                (F::Add, _) => {
                    let mut after = 0;
                    self.change(&path, |value| {
                        after = sum(value, request)?;
                        Ok(Some(after.to_string()))
                    })
                    .await?;
                    Ok(Value::Int(after))
                }
                (F::Enqueue, _) => {
                    self.create_below(&path, &format!("{}.", request.value), &NUMBERED).await?;
                    Ok(Value::Nil)
                }
                (F::Dequeue, _) => self.dequeue(&path).await,
                (F::Append, _) => {
                    self.change(&path, |value| {
                        Ok(Some(match value {
                            Value::Nil => request.value.to_string(),
                            others => format!("{others},{}", request.value),
                        }))
                    })
                    .await?;
                    Ok(Value::Nil)
                }
                _ => Err(unknown_operation(request)),
            }
        })
    }
}

impl ZooKeeper {
    /// The data of a znode and its version: nil and `None` if there is none.
    async fn data(&self, path: &str) -> Result<(Value, Option<i32>), Trouble> {
        match self.client.get_data(path).await {
            Ok((data, stat)) => Ok((stored(&data), Some(stat.version))),
            Err(Error::NoNode) => Ok((Value::Nil, None)),
            Err(error) => Err(error.into()),
        }
    }

    /// Brings the server's state up to date.
    async fn catch_up(&self) -> Result<(), Trouble> {
        match self.reads {
            "write" => self.write("/written", "").await.map(drop),
            _ => Ok(self.client.sync("/").await?),
        }
    }

    async fn names(&self, path: &str) -> Result<Vec<String>, Trouble> {
        match self.client.list_children(path).await {
            Err(Error::NoNode) => Ok(Vec::new()),
            names => Ok(names?),
        }
    }

    async fn children(&self, path: &str) -> Result<Value, Trouble> {
        Ok(Value::List(self.names(path).await?.iter().map(|name| stored(name.as_bytes())).collect()))
    }

    /// Takes the first child: its name is the value and its number. If others take it first, the next one.
    async fn dequeue(&self, path: &str) -> Result<Value, Trouble> {
        for _ in 0..TRIES_MAX {
            let read = async {
                self.catch_up().await?;
                self.names(path).await
            };
            let mut names = read.await.map_err(unchanged)?;
            let number = |name: &String| name.rsplit_once('.').and_then(|(_, it)| it.parse::<i64>().ok());
            names.sort_by_key(number);
            if names.is_empty() {
                return Ok(Value::Nil);
            }
            for name in &names {
                match self.client.delete(&format!("{path}/{name}"), None).await {
                    Err(Error::NoNode) => {}
                    done => {
                        done?;
                        let value = name.rsplit_once('.').map_or(&**name, |(value, _)| value);
                        return Ok(stored(value.as_bytes()));
                    }
                }
            }
        }
        Err(Trouble::Never("others were faster every time".into()))
    }

    async fn write(&self, path: &str, value: &str) -> Result<Value, Trouble> {
        match self.client.set_data(path, value.as_bytes(), None).await {
            Err(Error::NoNode) => {}
            done => return done.map(|_| Value::Nil).map_err(Trouble::from),
        }
        match self.client.create(path, value.as_bytes(), &PERSISTENT).await {
            Err(Error::NodeExists) => {}
            done => return done.map(|_| Value::Nil).map_err(Trouble::from),
        }
        self.client.set_data(path, value.as_bytes(), None).await?;
        Ok(Value::Nil)
    }

    /// Creates a child; if there is no parent, the parent first. A child that is there already is enough.
    async fn create_below(&self, path: &str, name: &str, how: &CreateOptions<'_>) -> Result<(), Trouble> {
        let child = format!("{path}/{name}");
        match self.client.create(&child, b"", how).await {
            Err(Error::NoNode) => {}
            Ok(_) | Err(Error::NodeExists) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        match self.client.create(path, b"", &PERSISTENT).await {
            Ok(_) | Err(Error::NodeExists) => {}
            // It has no child yet.
            Err(error) => return Err(unchanged(error.into())),
        }
        match self.client.create(&child, b"", how).await {
            Ok(_) | Err(Error::NodeExists) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the data of a znode by what `next` makes of it, if it makes anything of it. A further try only
    /// follows one that certainly changed nothing.
    async fn change(
        &self,
        path: &str,
        mut next: impl FnMut(&Value) -> Result<Option<String>, Trouble> + Send,
    ) -> Result<(), Trouble> {
        for _ in 0..TRIES_MAX {
            let read = async {
                self.catch_up().await?;
                self.data(path).await
            };
            let (value, version) = read.await.map_err(unchanged)?;
            let Some(next) = next(&value)? else { return Ok(()) };
            let done = match version {
                Some(_) => self.client.set_data(path, next.as_bytes(), version).await.map(drop),
                None => self.client.create(path, next.as_bytes(), &PERSISTENT).await.map(drop),
            };
            match done {
                Err(Error::BadVersion | Error::NodeExists) => {}
                done => return done.map_err(Trouble::from),
            }
        }
        Err(Trouble::Never("others were faster every time".into()))
    }
}

/// An error before anything was changed.
fn unchanged(it: Trouble) -> Trouble {
    match it {
        Trouble::Unknown(why) => Trouble::Lost(why),
        other => other,
    }
}

/// The elements of a list that was stored as text.
fn list(value: &Value) -> Value {
    match value {
        Value::Nil => Value::Nil,
        Value::Str(text) => Value::List(text.split(',').map(|item| stored(item.as_bytes())).collect()),
        one => Value::List([one.clone()].into()),
    }
}
