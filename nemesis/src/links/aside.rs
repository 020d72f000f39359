//! Whose a connection is that the kernel turned aside.
//!
//! `REDIRECT` in the namespace between the nodes (`filter.rs`) rewrites only where a connection goes. Its source address still
//! says which node dials, and the kernel remembers where it was going (`SO_ORIGINAL_DST`, from connection tracking): any
//! port, whether or not the system has told anybody of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::NodeId;

/// A connection that was turned aside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    /// Where it was going.
    pub(crate) destination: SocketAddr,
}

/// The ends of a connection between nodes of these addresses; `None` if it is not between two nodes.
pub(crate) fn ends(dialler: &TcpStream, addresses: &[Ipv4Addr]) -> Option<Aside> {
    let source = dialler.peer_addr().ok()?;
    let destination = SockRef::from(dialler).original_dst_v4().ok()?.as_socket()?;
    Some(Aside { from: node(source, addresses)?, to: node(destination, addresses)?, destination })
}

fn node(address: SocketAddr, addresses: &[Ipv4Addr]) -> Option<NodeId> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    addresses.iter().position(|node| *node == ip).map(NodeId)
}
