//! How a client connects to a node.
//!
//! The system defines the protocol. The controller owns the ports, so it makes the connections, and only to
//! the node that is meant.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::BoxFuture;

/// Makes connections to a node.
pub trait Dial: Debug + Send + Sync {
    /// Connects to one of the node's addresses. After an error nothing was sent.
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>>;
}

/// Connects without checking which process listens.
#[derive(Clone, Copy, Debug)]
pub struct Direct;

impl Dial for Direct {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }
}

/// A client port of a node, and how to connect to it.
#[derive(Clone, Debug)]
pub struct NodePort {
    pub(crate) address: SocketAddr,
    pub(crate) dial: Arc<dyn Dial>,
}

impl NodePort {
    pub(crate) async fn open(&self) -> io::Result<TcpStream> {
        self.dial.dial(self.address).await
    }
}

#[cfg(test)]
impl From<SocketAddr> for NodePort {
    fn from(address: SocketAddr) -> NodePort {
        NodePort { address, dial: Arc::new(Direct) }
    }
}
