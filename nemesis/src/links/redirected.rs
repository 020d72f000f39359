//! The ends of a connection that the kernel redirected.
//!
//! `REDIRECT` in the namespace between the nodes (`filter.rs`) rewrites only the destination. The source
//! address still tells which node connects, and the kernel remembers the original destination
//! (`SO_ORIGINAL_DST`, from connection tracking): any port, even one that the system has announced to nobody.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::NodeId;

/// A redirected connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Redirected {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    /// The original destination.
    pub(crate) destination: SocketAddr,
}

/// The ends of a connection between nodes with these addresses; `None` if it does not join two nodes.
pub(crate) fn ends(dialler: &TcpStream, addresses: &[Ipv4Addr]) -> Option<Redirected> {
    let source = dialler.peer_addr().ok()?;
    let destination = SockRef::from(dialler).original_dst_v4().ok()?.as_socket()?;
    Some(Redirected { from: node(source, addresses)?, to: node(destination, addresses)?, destination })
}

fn node(address: SocketAddr, addresses: &[Ipv4Addr]) -> Option<NodeId> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    addresses.iter().position(|node| *node == ip).map(NodeId)
}
