//! What goes wrong on our side while connections are made and carried: no outcome of the system under test, but a reason to
//! stop the trial. Only the first is kept; what follows from it is noise.

use std::io;

use tokio::sync::watch;

/// Keeps the first trouble.
#[derive(Debug, Default)]
pub(crate) struct Troubles(watch::Sender<Option<String>>);

impl Troubles {
    pub(crate) fn report(&self, what: String) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(what);
            is_first
        });
    }

    /// Reports an error if it is one of this machine's.
    pub(crate) fn see(&self, error: &io::Error, doing: impl FnOnce() -> String) {
        if is_of_this_machine(error) {
            self.report(format!("{}: {error}", doing()));
        }
    }

    /// The first trouble, once there is one.
    pub(crate) fn first(&self) -> impl Future<Output = String> + Send + 'static {
        let mut first = self.0.subscribe();
        async move {
            let found = first.wait_for(Option::is_some).await.ok().and_then(|first| first.clone());
            match found {
                Some(trouble) => trouble,
                // Nobody is left who could have any.
                None => std::future::pending().await,
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn first_now(&self) -> Option<String> {
        self.0.borrow().clone()
    }
}

/// Whether a connection failed for want of something on this side: descriptors, memory, ports to dial from, a right. The other
/// end had no part in it.
fn is_of_this_machine(error: &io::Error) -> bool {
    use nix::libc::{EACCES, EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM};
    const OURS: [i32; 7] = [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EACCES, EPERM];
    error.raw_os_error().is_some_and(|code| OURS.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_trouble_of_this_machine_is_kept() {
        let troubles = Troubles::default();
        let first = troubles.first();
        troubles.see(&io::ErrorKind::ConnectionRefused.into(), || "cannot connect".into());
        assert_eq!(troubles.first_now(), None, "the other end refused");
        troubles.see(&io::Error::from_raw_os_error(nix::libc::EMFILE), || "cannot connect".into());
        troubles.report("cannot accept".into());
        assert_eq!(first.await, "cannot connect: Too many open files (os error 24)");
    }
}
