//! Does every connection between nodes go through a proxy?
//!
//! A server may learn another server's real address, from a handshake or a membership list, and connect to it
//! directly (ZooKeeper's election does). Such a connection crosses every cut, so a run with partitions would
//! prove nothing. So this module looks at the TCP connections of the machine. If processes of two different
//! nodes hold the two ends of a connection, it is a bypass: of a proxied connection, one end is always ours.

use std::{
    collections::HashSet,
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{NodeId, links::sock_diag::TcpEnd};

/// A connection between two nodes without a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bypass {
    /// The node that connected, and its address.
    pub from: (NodeId, SocketAddr),
    /// The node that accepted, and its address.
    pub to: (NodeId, SocketAddr),
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((from, from_address), (to, to_address)) = (self.from, self.to);
        write!(f, "{from} ({from_address}) speaks to {to} ({to_address}) directly")
    }
}

/// The bypasses among all TCP sockets of the machine; `holder` tells which node holds a socket.
pub(crate) fn find(ends: &[TcpEnd], holder: impl Fn(&TcpEnd) -> Option<NodeId>) -> Vec<Bypass> {
    let here: HashSet<IpAddr> = ends.iter().map(|end| end.local.ip()).collect();
    let listeners: Vec<(SocketAddr, NodeId)> =
        ends.iter().filter(|end| end.listens).filter_map(|end| Some((end.local, holder(end)?))).collect();
    let listener_at = |address: SocketAddr| {
        let fits = |ip: IpAddr| ip == address.ip() || (ip.is_unspecified() && here.contains(&address.ip()));
        let fitting = listeners.iter().find(|(at, _)| at.port() == address.port() && fits(at.ip()));
        fitting.map(|(_, node)| *node)
    };
    let mut found = Vec::new();
    for end in ends.iter().filter(|end| !end.listens) {
        let (Some(from), Some(to)) = (holder(end), listener_at(end.remote)) else { continue };
        // An accepted socket has the port of its listener: it is skipped, so that each connection is found
        // once.
        let accepted = listener_at(end.local) == Some(from);
        if from != to && !accepted {
            found.push(Bypass { from: (from, end.local), to: (to, end.remote) });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const N1: NodeId = NodeId(0);
    const N2: NodeId = NodeId(1);

    fn end(local: u16, remote: u16, inode: u64) -> TcpEnd {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        TcpEnd {
            local: address(local),
            remote: address(remote),
            listens: remote == 0,
            inode,
            uid: 0,
            cgroup: None,
        }
    }

    #[test]
    fn a_connection_between_two_nodes_is_named_once_with_both_ends() {
        let holders = HashMap::from([(1, N1), (2, N2), (3, N1), (4, N2), (5, N1)]);
        let ends = [
            end(100, 0, 1),       // n1 listens
            end(200, 0, 2),       // n2 listens
            end(50_000, 200, 3),  // n1 dials n2 ...
            end(200, 50_000, 4),  // ... which has accepted
            end(50_001, 100, 5),  // n1 dials itself
            end(50_002, 9000, 5), // n1 dials a proxy
            end(50_003, 100, 99), // the controller dials n1
            end(50_004, 200, 0),  // a process that is gone dialled n2
        ];
        let holder = |end: &TcpEnd| holders.get(&end.inode).copied();
        let found = find(&ends, holder);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].to_string(), "n1 (127.0.0.1:50000) speaks to n2 (127.0.0.1:200) directly");
        // It is found even before it is accepted.
        assert_eq!(find(&ends[..3], holder), found);
    }
}
