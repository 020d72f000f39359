//! Locks that outlive a panic: whoever panics with one is a failure of the trial anyway (`panics.rs`), and what it held is whole.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn locked<T: ?Sized>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
