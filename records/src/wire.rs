//! The protocol between clients and the built-in systems.
//!
//! TCP. Each frame is a 32-bit big-endian length, then that many bytes of JSON. A connection may carry
//! several requests at once; responses come in any order and name their request by `id`. A request is at most
//! 1 MiB.
//!
//! ```text
//! -> {"id":7,"client":"c12-3","seq":4,"f":"cas","key":"k1","value":[2,5],"timeout_ms":1000}
//! <- {"id":7,"ok":true}                 it happened, with this output
//! <- {"id":7,"fail":"no leader"}        it certainly did not happen, and will not
//! <- {"id":7,"info":"timed out"}        unknown: it may have happened, or may happen at any later time
//! ```
//!
//! `key` and `value` are null, booleans, 64-bit integers, strings, or lists of these; both may be omitted
//! (null).
//!
//! | `f` | `value` | `ok` |
//! |---|---|---|
//! | `read`, `get` | | the value of `key`, null if none |
//! | `write`, `put` | the new value | null |
//! | `cas` | `[from, to]` | whether the comparison held (and `to` was written) |
//! | `add` | an amount: an integer | the new total |
//! | `add` | an element for the set: anything else | whether it was new |
//! | `generate` | | the next of 1, 2, 3, ... |
//! | `append` | an element for the end of the list | null |
//! | `add_element` | an element for the set, integers too | whether it was new |
//! | `contains` | an element | whether the list or set contains it |
//! | `delete` | null for the whole key, else an element | whether there was something to delete |
//! | `enqueue`, `push` | an element | null |
//! | `dequeue`, `pop` | | the oldest, the newest element; null when empty |
//! | `acquire` | the owner's name; null: the client's | the fencing token (an integer that only grows), or `false` if it is held |
//! | `release` | the owner's name; null: the client's | whether that owner held it |
//! | `status` | | `{"id":"n1","role":"leader","term":5,"leader":"n1","commit":9,"applied":9,"last":10,"snapshot":0}` |
//!
//! | `applied` | a position `n` | what this node applied after `n`: see [`Applied`] |
//! | `entries` | `[from, to]`: two positions | the entries there, as far as it still has them: a list of [`AppliedEntry`] |
//! | `peek` | | `[position, value]`: what this node itself holds under `key`, after that position |
//!
//! The last three are for an observer that compares the nodes. They exist where nodes apply one log, and are
//! answered at once, by the receiving node, about itself.
//!
//! An operator sends requests to a Raft leader in the same way: `add-node`, `remove-node` and
//! `transfer-leadership`, with a node's name as `value`. `ok` means that the change has begun; `status` then
//! returns the committed `members` and the leader.
//!
//! `role` is `leader`, `follower` or `candidate`. The receiving node answers `status` at once, about itself;
//! the operations above it are for the whole cluster. An operation that does not fit the value of the key (`add` to
//! a string) is a `fail`.
//!
//! **Exactly once.** `client` and `seq` identify an operation: it takes effect at most once, whatever retries
//! the servers make. A client uses each `seq` for one operation, in increasing order, and waits for one
//! before it sends the next. An operation that is overtaken by a later `seq` of its client is no longer
//! executed, and is answered with `info` (it may have been executed before). Only operations that change
//! something need `client` and `seq`.
//!
//! **Time.** `timeout_ms` (1000 if absent) is how long the server tries, including retries. After that the
//! answer is `fail` if the operation was certainly never written to any log, otherwise `info`. A read changes
//! nothing, so an unanswered read is always a `fail`.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A client's request. `S` is the type of its texts, `V` of its values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request<S = String, V = Json> {
    /// Chosen by the client; returned in the response.
    pub id: u64,
    /// The client's name, never reused.
    #[serde(default)]
    pub client: S,
    /// The operation's number among those of this client.
    #[serde(default)]
    pub seq: u64,
    /// The operation; see the table of this module.
    pub f: S,
    /// The object.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub key: Option<V>,
    /// The input.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub value: Option<V>,
    /// How long the server may try, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

fn none<V>() -> Option<V> {
    None
}

fn default_timeout_ms() -> u64 {
    1000
}

/// The response to a client. `V` is the type of the output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields<V>", bound(deserialize = "V: Deserialize<'de>"))]
pub struct Response<V = Json> {
    /// The `id` of the request; 0 if the request could not be read.
    pub id: u64,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome<V>,
}

/// The outcome of an operation, as far as the server knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome<V = Json> {
    /// It happened, with this output.
    Ok(V),
    /// It did not happen and never will; the reason.
    Fail(String),
    /// Unknown; the reason.
    Info(String),
}

/// The fields of a response; read in one pass, without a copy of the output.
#[derive(Deserialize)]
#[serde(bound(deserialize = "V: Deserialize<'de>"))]
struct Fields<V> {
    id: u64,
    /// Any JSON, even `null`, so its presence counts.
    #[serde(default = "none", deserialize_with = "present")]
    ok: Option<V>,
    fail: Option<String>,
    info: Option<String>,
}

fn present<'de, V: Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Option<V>, D::Error> {
    V::deserialize(from).map(Some)
}

impl<V> TryFrom<Fields<V>> for Response<V> {
    type Error = &'static str;

    fn try_from(Fields { id, ok, fail, info }: Fields<V>) -> Result<Response<V>, &'static str> {
        let outcome = match (ok, fail, info) {
            (Some(value), ..) => Outcome::Ok(value),
            (None, Some(why), _) => Outcome::Fail(why),
            (None, None, Some(why)) => Outcome::Info(why),
            (None, None, None) => return Err("a response has ok, fail or info"),
        };
        Ok(Response { id, outcome })
    }
}

/// The output of `status`. Each protocol adds fields of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// `leader`, `follower` or `candidate`.
    pub role: String,
    /// The current term, ballot or epoch.
    pub term: u64,
    /// The leader that the node knows.
    pub leader: Option<String>,
    /// The committed members, in systems with membership changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

/// The output of `applied`. Positions count the applied entries, from 1, whatever the protocol calls them;
/// they are the same on every node. Hashes can be compared between nodes that run the same program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// A random number: another one after a restart.
    pub boot: u64,
    /// The current term, ballot or epoch.
    pub term: u64,
    /// Every leadership that this process has won, such as `term 5`, with its term. Two nodes never win the
    /// same.
    pub led: Vec<(String, u64)>,
    /// The position of the last applied entry.
    pub last: u64,
    /// The position of the last snapshot that was installed in place of entries; 0 if none was.
    pub installed: u64,
    /// For positions in order: the position, the hash of the entry, and the hash of the whole state after it.
    /// The node keeps only the latest.
    pub rows: Vec<(u64, u64, u64)>,
}

/// One applied entry, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedEntry {
    /// Its position.
    pub position: u64,
    /// The key, if it has one.
    pub key: Option<Json>,
    /// What it does, such as `write 5 to "k1" (operation 3 of c7)`.
    pub what: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_responses_are_written_as_documented() {
        let request: Request =
            serde_json::from_str(r#"{"id":7,"client":"c12-3","seq":4,"f":"write","key":"k1","value":5}"#)
                .unwrap();
        assert_eq!((request.id, request.seq, request.timeout_ms), (7, 4, 1000));
        assert_eq!((request.key, request.value), (Some("k1".into()), Some(5.into())));

        for (outcome, text) in [
            (Outcome::Ok(Json::Null), r#"{"id":7,"ok":null}"#),
            (Outcome::Fail("no leader".into()), r#"{"id":7,"fail":"no leader"}"#),
            (Outcome::Info("timed out".into()), r#"{"id":7,"info":"timed out"}"#),
        ] {
            let response = Response { id: 7, outcome };
            assert_eq!(serde_json::to_string(&response).unwrap(), text);
            assert_eq!(serde_json::from_str::<Response>(text).unwrap(), response);
        }
    }
}
