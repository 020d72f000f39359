//! Ports that are really free, and stay ours.
//!
//! A node's port must be there for it whenever it comes back, and nobody else may answer there meanwhile. So each port is held by a
//! socket of the controller that is bound to it and does not listen:
//!
//! ```text
//!   bind, without SO_REUSEADDR     refused if anybody has the port: a listener, or the holder of another run
//!   then SO_REUSEADDR              now the node, which asks for that, too, may bind and listen
//! ```
//!
//! As long as it is held, the kernel gives the port to no outgoing connection and to nobody who asks for any port. While the node is
//! down a connection to it is refused, as if there were no holder.
//!
//! CAVEATS. A server that does not ask for SO_REUSEADDR cannot have a port that is held; nor could it start again within a minute
//! after it was killed. Who asks for this very number, with SO_REUSEADDR, gets it while the node is down: that is found out by
//! whoever connects (`nemesis/src/links/door.rs`).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use anyhow::{Result, bail};
use rand::RngExt;
use tokio::net::TcpSocket;

/// Ports below this one belong to well-known services.
const LOWEST: u16 = 10_000;

/// Tries that may fail before the search is given up.
const TRIES_MAX: usize = 10_000;

/// A port of loopback that nobody else gets before this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) address: SocketAddr,
    _holder: TcpSocket,
}

impl Held {
    fn take(port: u16) -> io::Result<Held> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let holder = TcpSocket::new_v4()?;
        holder.bind(address)?;
        holder.set_reuseaddr(true)?;
        Ok(Held { address, _holder: holder })
    }
}

/// This many ports that nobody has, drawn from below those that the kernel gives to outgoing connections.
///
/// # Errors
/// When there are not so many, or sockets cannot be had.
pub(crate) fn allot(count: usize) -> Result<Vec<Held>> {
    allot_from(LOWEST..ephemeral_start(), count)
}

fn allot_from(range: Range<u16>, count: usize) -> Result<Vec<Held>> {
    let mut held: Vec<Held> = Vec::with_capacity(count);
    for _ in 0..TRIES_MAX {
        if held.len() == count {
            break;
        }
        match Held::take(rand::rng().random_range(range.clone())) {
            Ok(port) => held.push(port),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => bail!("cannot take a port: {error}"),
        }
    }
    if held.len() < count {
        bail!("found only {} of {count} free ports in {}..{}", held.len(), range.start, range.end);
    }
    Ok(held)
}

/// Where the kernel starts to take ports for outgoing connections.
fn ephemeral_start() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let start = text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768);
    start.max(LOWEST + 1_000)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// The ports are few, and the nodes of the first run are all down when the second looks for its own.
    #[test]
    fn two_runs_never_share_a_port() {
        let range = 31_000..31_060;
        let first = allot_from(range.clone(), 20).unwrap();
        let second = allot_from(range.clone(), 20).unwrap();
        let all: HashSet<_> = first.iter().chain(&second).map(|held| held.address).collect();
        assert_eq!(all.len(), 40);
        let error = allot_from(range, 30).unwrap_err().to_string();
        assert!(error.starts_with("found only "), "{error}");
    }

    #[test]
    fn a_held_port_is_the_nodes_and_answers_only_while_the_node_is_up() {
        for Held { address, _holder } in allot(40).unwrap() {
            assert!(TcpStream::connect(address).is_err(), "nobody is there");
            let node = TcpListener::bind(address).unwrap(); // with SO_REUSEADDR, as servers do
            TcpStream::connect(address).unwrap();
            drop(node);
            assert!(TcpStream::connect(address).is_err());
            TcpListener::bind(address).unwrap();
        }
    }
}
