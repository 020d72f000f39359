//! Tasks of one type: tokio's machinery around a task is compiled for each type of future, twice.

use std::pin::Pin;

pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) fn boxed(task: impl Future<Output = ()> + Send + 'static) -> Task {
    Box::pin(task)
}
