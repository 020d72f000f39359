//! Mutexes that ignore poisoning: a panic is already a failure of the trial (`panics.rs`), and the data
//! behind each lock is consistent even then.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn locked<T: ?Sized>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
