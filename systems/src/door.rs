//! How a client gets its connection.
//!
//! A system knows what to say to a node, and the controller whose the port is: it makes the connections, and gives none that does
//! not lead to the node.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::Answer;

/// Makes connections to a node.
pub trait Dial: Debug + Send + Sync {
    /// Connects to one of its addresses. An error says that nothing was sent.
    fn dial(&self, address: SocketAddr) -> Answer<'_, io::Result<TcpStream>>;
}

/// Connects, whoever is there.
#[derive(Clone, Copy, Debug)]
pub struct Direct;

impl Dial for Direct {
    fn dial(&self, address: SocketAddr) -> Answer<'_, io::Result<TcpStream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }
}

/// A port of a node, and how to get in.
#[derive(Clone, Debug)]
pub struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) dial: Arc<dyn Dial>,
}

impl Door {
    pub(crate) async fn open(&self) -> io::Result<TcpStream> {
        self.dial.dial(self.address).await
    }
}

#[cfg(test)]
impl From<SocketAddr> for Door {
    fn from(address: SocketAddr) -> Door {
        Door { address, dial: Arc::new(Direct) }
    }
}
