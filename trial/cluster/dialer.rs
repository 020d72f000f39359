//! Connects clients to their node, and to nothing else on its port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tribunal_nemesis::{Links, NodeId};
use tribunal_systems::{BoxFuture, Dial};

/// Opens connections to one node.
#[derive(Clone, Debug)]
pub(super) struct NodeDialer {
    pub(super) links: Arc<Links>,
    pub(super) node: NodeId,
}

impl Dial for NodeDialer {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(self.links.connect(self.node, address))
    }
}
