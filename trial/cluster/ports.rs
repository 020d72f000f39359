//! Reserves ports for nodes.
//!
//! A node's port must be available whenever the node restarts, and meanwhile no other process may answer on
//! it. So the controller holds each port with a socket that is bound, but does not listen:
//!
//! ```text
//!   bind, without SO_REUSEADDR     fails if the port is in use: by a listener, or by the reservation of another run
//!   then SO_REUSEADDR              now the node, which also sets SO_REUSEADDR, can bind and listen
//! ```
//!
//! While a port is reserved, the kernel assigns it to no outgoing connection and to no bind to port 0. While
//! the node is down, connections to the port are refused, as without the reservation.
//!
//! CAVEATS. A server that does not set SO_REUSEADDR cannot use a reserved port; it could not restart within a
//! minute after a kill either. A process that binds this very port with SO_REUSEADDR gets it while the node
//! is down; this is detected when connecting (`nemesis/src/links/connector.rs`).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use anyhow::{Result, bail};
use rand::RngExt;
use tokio::net::TcpSocket;

/// Ports below this one belong to well-known services.
const LOWEST: u16 = 10_000;

/// Number of failed attempts before giving up.
const TRIES_MAX: usize = 10_000;

/// A reserved port on loopback; dropping this releases it.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    pub(crate) address: SocketAddr,
    _holder: TcpSocket,
}

impl ReservedPort {
    fn take(port: u16) -> io::Result<ReservedPort> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let holder = TcpSocket::new_v4()?;
        holder.bind(address)?;
        holder.set_reuseaddr(true)?;
        Ok(ReservedPort { address, _holder: holder })
    }
}

/// Reserves free ports below the kernel's range for outgoing connections.
///
/// # Errors
/// When there are not enough free ports, or a socket cannot be created.
pub(crate) fn reserve(count: usize) -> Result<Vec<ReservedPort>> {
    reserve_from(LOWEST..ephemeral_start(), count)
}

fn reserve_from(range: Range<u16>, count: usize) -> Result<Vec<ReservedPort>> {
    let mut held: Vec<ReservedPort> = Vec::with_capacity(count);
    for _ in 0..TRIES_MAX {
        if held.len() == count {
            break;
        }
        match ReservedPort::take(rand::rng().random_range(range.clone())) {
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

/// Start of the kernel's port range for outgoing connections.
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

    /// There are few ports, and the nodes of the first run are down when the second run reserves its ports.
    #[test]
    fn two_runs_never_share_a_port() {
        let range = 31_000..31_060;
        let first = reserve_from(range.clone(), 20).unwrap();
        let second = reserve_from(range.clone(), 20).unwrap();
        let all: HashSet<_> = first.iter().chain(&second).map(|held| held.address).collect();
        assert_eq!(all.len(), 40);
        let error = reserve_from(range, 30).unwrap_err().to_string();
        assert!(error.starts_with("found only "), "{error}");
    }

    #[test]
    fn a_reserved_port_answers_only_while_the_node_is_up() {
        for ReservedPort { address, _holder } in reserve(40).unwrap() {
            assert!(TcpStream::connect(address).is_err(), "nobody is there");
            let node = TcpListener::bind(address).unwrap(); // with SO_REUSEADDR, as servers do
            TcpStream::connect(address).unwrap();
            drop(node);
            assert!(TcpStream::connect(address).is_err());
            TcpListener::bind(address).unwrap();
        }
    }
}
