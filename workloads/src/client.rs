//! The seam between what is asked and the wire it is asked over.

use std::pin::Pin;

use tribunal_checker::op::{F, Value};

/// One operation to be invoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub f: F,
    /// Of which object.
    pub key: Value,
    /// With what input; `nil` where there is none.
    pub value: Value,
}

/// How an invocation ended. There is no fourth way and no `Result`: whoever writes a client must say of every
/// error whether it means "certainly did not happen" or "unknown". A wrong [`Completion::Fail`] makes correct
/// systems look broken; when in doubt it is [`Completion::Info`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It happened, with this output.
    Ok(Value),
    /// It certainly did not happen and never will; why.
    Fail(String),
    /// Nobody knows whether it happened, or will; why.
    Info(String),
}

/// An invocation under way.
pub type Invocation<'a> = Pin<Box<dyn Future<Output = Completion> + Send + 'a>>;

/// A single-threaded client of one node: the wire of one process.
///
/// It connects when first asked, bounds every wait by a time-out of its own, and never asks twice on its own
/// account: a retry after an unknown outcome would be a second operation that the history does not show.
pub trait Client: Send {
    /// Asks once.
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a>;
}
