//! Failures of this machine while connections are opened and carried. They are not outcomes of the system
//! under test, but stop the trial. Only the first is kept; the others may only follow from it.

use std::io;

use tokio::sync::watch;

/// Keeps the first harness failure.
#[derive(Debug, Default)]
pub(crate) struct HarnessFailures(watch::Sender<Option<String>>);

impl HarnessFailures {
    pub(crate) fn report(&self, what: String) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(what);
            is_first
        });
    }

    /// Reports an error if this machine caused it.
    pub(crate) fn report_if_local(&self, error: &io::Error, doing: impl FnOnce() -> String) {
        if is_local(error) {
            self.report(format!("{}: {error}", doing()));
        }
    }

    /// Waits for the first failure.
    pub(crate) fn first(&self) -> impl Future<Output = String> + Send + 'static {
        let mut first = self.0.subscribe();
        async move {
            let found = first.wait_for(Option::is_some).await.ok().and_then(|first| first.clone());
            match found {
                Some(failure) => failure,
                // The links are gone, so there will be no failure.
                None => std::future::pending().await,
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn first_now(&self) -> Option<String> {
        self.0.borrow().clone()
    }
}

/// Whether a connection failed because this machine lacks something: descriptors, memory, ports, a right. The
/// other end is not involved.
fn is_local(error: &io::Error) -> bool {
    use nix::libc::{EACCES, EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM};
    const LOCAL: [i32; 7] = [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EACCES, EPERM];
    error.raw_os_error().is_some_and(|code| LOCAL.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_failure_of_this_machine_is_kept() {
        let failures = HarnessFailures::default();
        let first = failures.first();
        failures.report_if_local(&io::ErrorKind::ConnectionRefused.into(), || "cannot connect".into());
        assert_eq!(failures.first_now(), None, "the other end refused");
        failures
            .report_if_local(&io::Error::from_raw_os_error(nix::libc::EMFILE), || "cannot connect".into());
        failures.report("cannot accept".into());
        assert_eq!(first.await, "cannot connect: Too many open files (os error 24)");
    }
}
