//! Panics. A panic is a bug in Tribunal. In any task or thread of a trial it is a harness failure: it is
//! reported, the run ends in order, and what was recorded is kept.
//!
//! A program that uses the library may have threads of its own; their panics do not concern a trial. So each
//! thread of a trial registers with it ([`register_thread`]). A thread of Tribunal that works for no
//! particular trial is recognized by its name: it begins with [`THREAD_PREFIX`], or there is none (threads of
//! libraries). Its panic fails every running trial.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Arc, Mutex, Once, Weak};

use futures_util::FutureExt;

use crate::catch_panic::message;
use crate::failure::Failures;
use crate::lock::locked;

/// Prefix of the names of Tribunal's threads.
const THREAD_PREFIX: &str = "tribunal-";

thread_local! {
    static TRIAL: RefCell<Weak<Failures>> = const { RefCell::new(Weak::new()) };
}

/// The running trials.
static TRIALS: Mutex<Vec<Weak<Failures>>> = Mutex::new(Vec::new());

/// From now on, a panic of this thread is a failure of that trial.
pub(crate) fn register_thread(failures: &Arc<Failures>) {
    TRIAL.set(Arc::downgrade(failures));
}

/// From now on, until the trial ends, a panic of any thread of Tribunal is a failure of this trial, unless
/// the thread works for another one.
pub(crate) fn register_trial(failures: &Arc<Failures>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            previous(panic);
            raise(panic);
        }));
    });
    let mut trials = locked(&TRIALS);
    trials.retain(|trial| trial.strong_count() > 0);
    trials.push(Arc::downgrade(failures));
}

fn raise(panic: &PanicHookInfo<'_>) {
    let own = TRIAL.try_with(|trial| trial.borrow().upgrade()).ok().flatten();
    let is_ours = || std::thread::current().name().is_none_or(|name| name.starts_with(THREAD_PREFIX));
    let affected = match own {
        Some(own) => vec![own],
        None if is_ours() => {
            let trials = locked(&TRIALS);
            trials.iter().filter_map(Weak::upgrade).collect()
        }
        None => Vec::new(),
    };
    affected.iter().for_each(|failures| failures.raise("tribunal", describe(panic)));
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    format!("it panicked{}: {}", place.unwrap_or_default(), message(panic.payload()))
}

/// Runs one phase of a run. If it panics, the next phase is run all the same: the failure is already
/// reported, and what was started must be stopped.
pub(crate) async fn run_phase(phase: impl Future<Output = ()>) {
    let _ = AssertUnwindSafe(phase).catch_unwind().await;
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn trial() -> (Arc<Failures>, CancellationToken) {
        let stop = CancellationToken::new();
        (Arc::new(Failures::new(stop.clone())), stop)
    }

    #[tokio::test]
    async fn a_panic_of_a_thread_or_task_fails_its_trial_only() {
        let ((failures, stop), (other, _)) = (trial(), trial());
        register_trial(&failures);
        register_trial(&other);
        let theirs = std::thread::Builder::new().name("theirs".into());
        let _ = theirs.spawn(|| panic!("a thread of the program that holds the trial")).unwrap().join();
        assert!(failures.first().is_none() && other.first().is_none());

        register_thread(&failures);
        run_phase(async { panic!("in a phase") }).await;
        let first = failures.first().expect("the first is kept");
        let _ = tokio::spawn(async { panic!("in a task") }).await;
        assert!(stop.is_cancelled());
        assert_eq!(first.source, "tribunal");
        assert!(first.error.starts_with("it panicked at trial/panics.rs:"), "{}", first.error);
        assert!(first.error.ends_with(": in a phase"), "{}", first.error);
        assert_eq!(failures.first(), Some(first), "what follows from it is noise");
        assert!(other.first().is_none(), "another trial has nothing to do with it");

        let ours = std::thread::Builder::new().name(format!("{THREAD_PREFIX}proxy"));
        let _ = ours.spawn(|| panic!("in a thread for all")).unwrap().join();
        assert!(other.first().is_some_and(|failure| failure.error.ends_with("in a thread for all")));
    }
}
