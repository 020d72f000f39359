//! A client of etcd's JSON gateway, and the meaning of etcd's errors.
//!
//! Keys and values are base64; 64-bit numbers are strings; fields that are zero, false or empty are omitted.
//! A register's value is stored as JSON text, a counter as decimal digits.
//!
//! # Which errors are certain
//!
//! The operation certainly did not happen after: a refused connection; a request that was not even partly
//! written; a failed read (it changes nothing); and the errors that etcd 3.4 returns before it proposes to
//! Raft (`etcdserver/v3_server.go`, `processInternalRaftRequestOnce`). All other errors are unknown: "request
//! timed out" and "leader changed" say nothing about the outcome, "server stopped" can also come after the
//! proposal, and "database space exceeded" even after a write was *applied* (`quotaApplierV3` applies first,
//! then complains).

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tribunal_checker::op::{F, Value};
use tribunal_workloads::{Client, Completion, Invocation, Request};

use crate::NodePort;
use crate::http::{Http, Unanswered};

/// How often an `add` retries after another client changed the number first.
const ADD_TRIES_MAX: usize = 100;

/// A client of one member.
pub(crate) struct EtcdClient {
    http: Http,
    /// The owner name of the locks that it acquires.
    owner: String,
    serializable_reads: bool,
}

#[derive(Deserialize)]
struct Status {
    header: Header,
    #[serde(default)]
    leader: String,
    #[serde(default, rename = "raftTerm")]
    raft_term: String,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    member_id: String,
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    #[serde(default)]
    value: String,
    mod_revision: String,
}

#[derive(Deserialize)]
struct Txn {
    header: Revision,
    #[serde(default)]
    succeeded: bool,
}

#[derive(Deserialize)]
struct Revision {
    revision: String,
}

/// A response whose fields are not used.
#[derive(Deserialize)]
struct Done {}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// The value of a key and its revision.
struct Stored {
    bytes: Vec<u8>,
    mod_revision: String,
}

impl EtcdClient {
    pub(crate) fn new(port: NodePort, timeout: Duration, serializable_reads: bool) -> Self {
        EtcdClient { http: Http::new(port, timeout), owner: String::new(), serializable_reads }
    }

    /// Sets the process that this client acts for.
    pub(crate) fn of(self, process: u64) -> Self {
        EtcdClient { owner: format!("c{process}"), ..self }
    }

    /// The Raft term in which the member believes itself the leader.
    pub(crate) async fn leads(&mut self) -> Option<u64> {
        let status: Status = self.call("/v3/maintenance/status", &json!({})).await.ok()?;
        if status.leader == status.header.member_id { status.raft_term.parse().ok() } else { None }
    }

    /// The member's version: `3.4.23`.
    pub(crate) async fn version(&mut self) -> Option<String> {
        let status: Status = self.call("/v3/maintenance/status", &json!({})).await.ok()?;
        status.version
    }

    /// The value of a key, by a linearizable read. The error says why there was no response.
    pub(crate) async fn read(&mut self, key: &str) -> Result<Option<Vec<u8>>, String> {
        match self.range(key.as_bytes(), false).await {
            Ok(stored) => Ok(stored.map(|stored| stored.bytes)),
            Err(Completion::Fail(why) | Completion::Info(why)) => Err(why),
            Err(Completion::Ok(_)) => unreachable!("an answer is no error"),
        }
    }

    async fn execute(&mut self, request: &Request) -> Result<Value, Completion> {
        let key = request.key.to_string().into_bytes();
        match (&request.f, request.value.as_pair()) {
            (F::Read, _) => match self.range(&key, self.serializable_reads).await? {
                Some(stored) => Ok(from_json(&stored.bytes)),
                None => Ok(Value::Nil),
            },
            (F::Write, _) => {
                let put = json!({"key": encode(&key), "value": encode(&to_json(&request.value)?)});
                self.call::<Done>("/v3/kv/put", &put).await?;
                Ok(Value::Nil)
            }
            (F::Cas, Some((from, to))) => {
                let only_if = match from {
                    Value::Nil => json!({"target": "CREATE", "create_revision": "0"}),
                    from => json!({"target": "VALUE", "value": encode(&to_json(from)?)}),
                };
                Ok(Value::Bool(self.put_if(&key, only_if, &to_json(to)?).await?.is_some()))
            }
            (F::Add, _) => {
                let more = request.value.as_int().ok_or_else(|| never("add needs an integer"))?;
                self.add(&key, more).await
            }
            (F::Generate, _) => self.add(&key, 1).await,
            // A held lock is a key with the holder's name as its value. The revision that created it is the
            // fencing token.
            (F::Acquire, _) => {
                let free = json!({"target": "CREATE", "create_revision": "0"});
                let token = self.put_if(&key, free, self.owner.clone().as_bytes()).await?;
                Ok(token.map_or(Value::Bool(false), Value::Int))
            }
            (F::Release, _) => {
                let held = json!({"target": "VALUE", "value": encode(self.owner.as_bytes())});
                let delete = json!({"request_delete_range": {"key": encode(&key)}});
                Ok(Value::Bool(self.change_if(&key, held, delete).await?.is_some()))
            }
            (f, _) => Err(never(&format!("this client has no operation `{}`", f.name()))),
        }
    }

    /// Reads a number and writes the sum in a transaction that compares the revision. A retry is no second
    /// operation: it only follows an attempt that certainly changed nothing.
    async fn add(&mut self, key: &[u8], more: i64) -> Result<Value, Completion> {
        for _ in 0..ADD_TRIES_MAX {
            let (sum, revision) = match self.range(key, false).await? {
                Some(Stored { bytes, mod_revision }) => {
                    let Value::Int(sum) = from_json(&bytes) else { return Err(never("no number is stored")) };
                    (sum, mod_revision)
                }
                None => (0, "0".into()),
            };
            let only_if = json!({"target": "MOD", "mod_revision": revision});
            let sum = Value::Int(sum.wrapping_add(more));
            if self.put_if(key, only_if, &to_json(&sum)?).await?.is_some() {
                return Ok(sum);
            }
        }
        Err(never("others were faster every time"))
    }

    /// Reads a key: its current value, or a possibly stale one if `serializable`. A read changes nothing, so
    /// a lost response is a certain failure.
    async fn range(&mut self, key: &[u8], serializable: bool) -> Result<Option<Stored>, Completion> {
        let request = json!({"key": encode(key), "serializable": serializable});
        let range = self.call::<Range>("/v3/kv/range", &request).await.map_err(|trouble| match trouble {
            Completion::Info(why) => Completion::Fail(why),
            certain => certain,
        })?;
        let stored = |kv: KeyValue| match BASE64.decode(&kv.value) {
            Ok(bytes) => Ok(Stored { bytes, mod_revision: kv.mod_revision }),
            Err(error) => Err(never(&format!("a value that is not base64: {error}"))),
        };
        range.kvs.into_iter().next().map(stored).transpose()
    }

    /// Writes in a transaction if the comparison holds. Returns the revision if it held.
    async fn put_if(
        &mut self,
        key: &[u8],
        comparison: serde_json::Value,
        value: &[u8],
    ) -> Result<Option<i64>, Completion> {
        let put = json!({"request_put": {"key": encode(key), "value": encode(value)}});
        self.change_if(key, comparison, put).await
    }

    /// Makes a change in a transaction if the comparison holds. Returns the revision if it held.
    async fn change_if(
        &mut self,
        key: &[u8],
        comparison: serde_json::Value,
        change: serde_json::Value,
    ) -> Result<Option<i64>, Completion> {
        let mut compare = json!({"key": encode(key), "result": "EQUAL"});
        for (name, field) in comparison.as_object().into_iter().flatten() {
            compare[name] = field.clone();
        }
        let txn = json!({"compare": [compare], "success": [change]});
        let Txn { header, succeeded } = self.call("/v3/kv/txn", &txn).await?;
        let revision = header.revision.parse();
        let revision = revision.map_err(|_| Completion::Info("a revision that is no number".into()))?;
        Ok(succeeded.then_some(revision))
    }

    /// Sends the request once. The error is the completion of an operation that consists of this request.
    async fn call<T: DeserializeOwned>(
        &mut self,
        path: &str,
        request: &impl Serialize,
    ) -> Result<T, Completion> {
        let request = serde_json::to_vec(request).map_err(|error| never(&error.to_string()))?;
        let (status, body) = self.http.post(path, request).await.map_err(|unanswered| match unanswered {
            Unanswered::NotSent(why) => Completion::Fail(why),
            Unanswered::Unknown(why) => Completion::Info(why),
        })?;
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &body));
        }
        let answer = serde_json::from_slice(&body);
        answer.map_err(|error| Completion::Info(format!("an answer that is none: {error}")))
    }
}

impl Client for EtcdClient {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(async { self.execute(request).await.map_or_else(|trouble| trouble, Completion::Ok) })
    }
}

/// Errors that etcd 3.4 returns before it proposes anything, by their text.
const BEFORE_THE_PROPOSAL: &[&str] = &[
    "etcdserver: too many requests",
    "etcdserver: request is too large",
    "etcdserver: key is not provided",
    "etcdserver: not capable",
    // The member's own Raft dropped the proposal: it knows no leader to forward it to.
    "raft proposal dropped",
];

fn refusal(status: u16, body: &[u8]) -> Completion {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { error }) if BEFORE_THE_PROPOSAL.contains(&error.as_str()) => Completion::Fail(error),
        Ok(Refusal { error }) => Completion::Info(error),
        Err(_) => Completion::Info(format!("HTTP status {status}: {}", String::from_utf8_lossy(body).trim())),
    }
}

fn never(why: &str) -> Completion {
    Completion::Fail(why.into())
}

fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

fn to_json(value: &Value) -> Result<Vec<u8>, Completion> {
    serde_json::to_vec(value).map_err(|error| never(&error.to_string()))
}

/// A client writes only JSON. Anything else is returned as text, for the checker to judge.
fn from_json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| Value::str(&String::from_utf8_lossy(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(error: &str) -> Completion {
        let body = format!(r#"{{"error":"{error}","message":"{error}","code":2}}"#);
        refusal(500, body.as_bytes())
    }

    #[test]
    fn only_what_precedes_the_proposal_is_certain() {
        for certain in BEFORE_THE_PROPOSAL {
            assert_eq!(refused(certain), Completion::Fail((*certain).into()));
        }
        for unknown in [
            "etcdserver: request timed out",
            "etcdserver: request timed out, possibly due to previous leader failure",
            "etcdserver: request timed out, possibly due to connection lost",
            "etcdserver: leader changed",
            "etcdserver: server stopped",
            "etcdserver: mvcc: database space exceeded",
            "raft: stopped",
            "context canceled",
            "transport is closing",
        ] {
            assert_eq!(refused(unknown), Completion::Info(unknown.into()));
        }
        assert_eq!(refusal(502, b"no JSON\n"), Completion::Info("HTTP status 502: no JSON".into()));
    }

    #[test]
    fn answers_leave_out_what_is_zero_false_or_empty() {
        let range: Range = serde_json::from_str(r#"{"header":{}}"#).unwrap();
        assert!(range.kvs.is_empty());
        let range: Range =
            serde_json::from_str(r#"{"kvs":[{"key":"azE=","mod_revision":"7","value":"MQ=="}],"count":"1"}"#)
                .unwrap();
        assert_eq!((range.kvs[0].value.as_str(), range.kvs[0].mod_revision.as_str()), ("MQ==", "7"));
        assert!(!serde_json::from_str::<Txn>(r#"{"header":{"revision":"7"}}"#).unwrap().succeeded);
    }

    #[test]
    fn values_are_kept_as_they_are() {
        for value in [Value::Int(-3), Value::str("x"), Value::pair(1, 2), Value::Bool(true)] {
            assert_eq!(from_json(&to_json(&value).unwrap()), value);
        }
        assert_eq!(from_json(b"{torn"), Value::str("{torn"));
    }
}
