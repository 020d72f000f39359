//! The interface between a workload's requests and a system's wire protocol.

use std::pin::Pin;

use tribunal_checker::op::{F, Value};

/// One operation to be invoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The kind of operation.
    pub f: F,
    /// The object.
    pub key: Value,
    /// The input; `nil` if there is none.
    pub value: Value,
}

/// How an invocation ended. There is no fourth outcome and no `Result`: a client must classify every error as
/// "certainly did not happen" or "unknown". A wrong [`Completion::Fail`] makes correct systems look broken;
/// when in doubt, use [`Completion::Info`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It happened, with this output.
    Ok(Value),
    /// It did not happen and never will; the reason.
    Fail(String),
    /// It may have happened, or may still happen; the reason.
    Info(String),
}

/// The future of one invocation.
pub type Invocation<'a> = Pin<Box<dyn Future<Output = Completion> + Send + 'a>>;

/// A single-threaded client of one node, for one process.
///
/// It connects at its first request and bounds every wait by its own timeout. It never retries: a retry after
/// an unknown outcome would be a second operation that the history does not contain.
pub trait Client: Send {
    /// Sends one request.
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a>;

    /// The rule that the last invocation broke, of the protocol between Tribunal and a program of the user that
    /// acts for this client.
    fn broken_rule(&self) -> Option<&'static str> {
        None
    }
}
