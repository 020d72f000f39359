//! Turns a panic into an error.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use anyhow::{Result, anyhow};

pub(crate) fn message(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Calls a function.
///
/// # Errors
/// When it panics.
pub fn catch_panic<T>(what: impl FnOnce() -> T) -> Result<T> {
    panic::catch_unwind(AssertUnwindSafe(what))
        .map_err(|payload| anyhow!("it panicked: {}", message(&*payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let said = |what: fn()| catch_panic(what).expect_err("it panics").to_string();
        assert_eq!(said(|| panic!("plain")), "it panicked: plain");
        assert_eq!(said(|| panic!("number {}", 7)), "it panicked: number 7");
        assert_eq!(said(|| std::panic::panic_any(7)), "it panicked: no message");
        assert_eq!(catch_panic(|| 7).ok(), Some(7));
    }
}
