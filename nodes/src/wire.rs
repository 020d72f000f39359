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
//! An operator sends requests to a Raft leader in the same way: `add-node`, `remove-node` and
//! `transfer-leadership`, with a node's name as `value`. `ok` means that the change has begun; `status` then
//! returns the committed `members` and the leader.
//!
//! `role` is `leader`, `follower` or `candidate`. The receiving node answers `status` at once, about itself;
//! all other answers are for the whole cluster. An operation that does not fit the value of the key (`add` to
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

use std::io;

use bytes::Bytes;
use futures_util::SinkExt;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio_util::codec::{FramedWrite, LengthDelimitedCodec};

/// A client's request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client; returned in the response.
    pub id: u64,
    /// The client's name, never reused.
    #[serde(default)]
    pub client: String,
    /// The operation's number among those of this client.
    #[serde(default)]
    pub seq: u64,
    /// The operation; see the table of this module.
    pub f: String,
    /// The object.
    #[serde(default)]
    pub key: Json,
    /// The input.
    #[serde(default)]
    pub value: Json,
    /// How long the server may try, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

fn default_timeout_ms() -> u64 {
    1000
}

/// The response to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The `id` of the request; 0 if the request could not be read.
    pub id: u64,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of an operation, as far as the server knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It happened, with this output.
    Ok(Json),
    /// It did not happen and never will; the reason.
    Fail(String),
    /// Unknown; the reason.
    Info(String),
}

/// The framing between clients and nodes and between nodes: frames of at most 64 MiB.
pub fn frames() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(64 << 20).new_codec()
}

/// Sends queued frames, as many at once as there are, until the queue ends or the connection fails.
pub(crate) async fn send_queued<T>(
    outgoing: OwnedWriteHalf,
    queue: &mut mpsc::Receiver<T>,
    encode: fn(&T) -> Bytes,
) -> io::Result<()> {
    let mut outgoing = FramedWrite::new(outgoing, frames());
    while let Some(item) = queue.recv().await {
        outgoing.feed(encode(&item)).await?;
        while let Ok(item) = queue.try_recv() {
            outgoing.feed(encode(&item)).await?;
        }
        SinkExt::<Bytes>::flush(&mut outgoing).await?;
    }
    Ok(())
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
        assert_eq!((&request.key, &request.value), (&Json::from("k1"), &Json::from(5)));

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
