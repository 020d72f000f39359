//! Panics: mistakes of ours. One that is made anywhere, in a task, in a thread or in the main line, is a harness failure: it is
//! told, what is under way ends in order, and what was recorded is kept.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use futures_util::FutureExt;

use crate::failure::Failures;

/// From now on a panic of any thread is a failure of the run that is under way.
pub(crate) fn fail(failures: Arc<Failures>) {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        tell(panic);
        failures.raise("tribunal", in_words(panic));
    }));
}

fn in_words(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    format!("it panicked{}: {}", place.unwrap_or_default(), message(panic.payload()))
}

fn message(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Does something.
///
/// # Errors
/// When it panics.
pub(crate) fn caught<T>(what: impl FnOnce() -> T) -> Result<T> {
    panic::catch_unwind(AssertUnwindSafe(what))
        .map_err(|payload| anyhow!("it panicked: {}", message(&*payload)))
}

/// Does one phase of a run. If it panics, the next one follows all the same: the failure has been raised, and what was begun
/// has to be ended.
pub(crate) async fn survived(phase: impl Future<Output = ()>) {
    let _ = AssertUnwindSafe(phase).catch_unwind().await;
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn a_panic_of_any_thread_or_task_is_a_failure_and_no_end() {
        let stop = CancellationToken::new();
        let failures = Arc::new(Failures::new(stop.clone()));
        fail(failures.clone());
        survived(async { panic!("in a phase") }).await;
        let first = failures.first().expect("the first is kept");
        let _ = std::thread::spawn(|| panic!("in a thread")).join();
        let _ = tokio::spawn(async { panic!("in a task") }).await;
        drop(panic::take_hook());

        assert!(stop.is_cancelled());
        assert_eq!(first.source, "tribunal");
        assert!(first.error.starts_with("it panicked at src/panics.rs:"), "{}", first.error);
        assert!(first.error.ends_with(": in a phase"), "{}", first.error);
        assert_eq!(failures.first(), Some(first), "what follows from it is noise");

        let said = |what: fn()| caught(what).expect_err("it panics").to_string();
        assert_eq!(said(|| panic!("plain")), "it panicked: plain");
        assert_eq!(said(|| panic!("number {}", 7)), "it panicked: number 7");
        assert_eq!(said(|| panic::panic_any(7)), "it panicked: no message");
        assert_eq!(caught(|| 7).ok(), Some(7));
    }
}
