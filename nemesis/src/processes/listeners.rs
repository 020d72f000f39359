//! Who listens on an address: shows whether a killed node has stopped serving, whatever became of its
//! processes.

use std::{collections::HashSet, io, net::SocketAddr};

use crate::{links::sock_diag, processes::holders::sockets};

/// Inodes of the sockets that listen on one of these addresses in this network namespace.
///
/// # Errors
/// When the kernel does not tell.
pub fn listening_on(addresses: &[SocketAddr]) -> io::Result<HashSet<u64>> {
    let serves = |at: SocketAddr| {
        addresses.iter().any(|it| it.port() == at.port() && (it.ip() == at.ip() || at.ip().is_unspecified()))
    };
    let listeners = sock_diag::listening()?.into_iter().filter(|end| serves(end.local));
    Ok(listeners.map(|end| end.inode).collect())
}

/// The processes among these that hold one of these sockets.
pub fn holders_among(pids: &[i32], inodes: &HashSet<u64>) -> Vec<i32> {
    pids.iter().copied().filter(|pid| sockets(*pid).any(|inode| inodes.contains(&inode))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_its_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("it is bound");
        let found = listening_on(&[at]).expect("the kernel tells");
        assert_eq!(found.len(), 1);
        let own = std::process::id() as i32;
        assert_eq!(holders_among(&[own, 1], &found), [own]);
        drop(listener);
        assert_eq!(listening_on(&[at]).expect("the kernel tells").len(), 0);
    }
}
