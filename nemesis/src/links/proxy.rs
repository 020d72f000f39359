//! One proxied connection, from the accept to the last byte.
//!
//! ```text
//!             dialler (node i)            proxy                     node j
//!                  │  connect  ─────▶  accept │ connect  ─────────▶  │
//!                  │                          │                      │
//!                  │  ── forward pump: obeys the gate of i→j ──────▶ │
//!                  │  ◀── backward pump: obeys the gate of j→i ───── │
//! ```
//!
//! Direction follows the *bytes*, not the dialler: systems respond, and some (etcd) stream whole logs, over
//! connections that the other node opened. A one-way partition by dialler would leak.
//!
//! Everything waits at a stalled gate, in order: bytes, the end of the stream, and the reset of a socket. A
//! connection that is opened during a stall of either direction is accepted, and carried to the other node
//! after the heal, unless its dialler has given up by then.
//!
//! CAVEATS. The kernel's own buffers come before the proxy's: bytes that the sender's `write` accepted may
//! still wait at a cut, and the node does not notice. The proxy acknowledges what it has read, even if it
//! cannot deliver it.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    ops::Deref,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use socket2::SockRef;
use tokio::{
    net::{TcpSocket, TcpStream},
    select,
    task::JoinSet,
};

use crate::{
    NodeId,
    links::{
        connector::NodeConnector,
        gate::{Gate, LinkState},
        pump::{Chunk, End, Pump, withhold},
    },
};

/// The two directed links of a connection.
#[derive(Clone)]
pub(crate) struct Route {
    /// From the node that dialled to the node that was dialled.
    pub(crate) forward: Arc<Gate>,
    /// The opposite direction.
    pub(crate) backward: Arc<Gate>,
}

/// The destination of a connection.
pub(crate) struct Upstream {
    pub(crate) node: NodeId,
    /// The node's real address, if it is known.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) connector: Arc<NodeConnector>,
}

impl Upstream {
    /// Connects; `None` if no process or a foreign one listens.
    async fn connect(&self) -> Option<Arc<Socket>> {
        let address = self.address?;
        let prepare = |socket: &TcpSocket| {
            // Set before connecting: the receiver may have accepted by the time that this task is cancelled.
            socket.set_zero_linger()?;
            socket.set_nodelay(true)
        };
        Some(Arc::new(Socket(self.connector.connect(self.node, address, prepare).await.ok()?)))
    }
}

/// Carries an accepted connection until it ends, by itself or by a reset of the link.
pub(crate) async fn carry(dialler: TcpStream, upstream: Upstream, route: Route) {
    let (forward, backward) = (route.forward.clone(), route.backward.clone());
    // Counts before the sockets close, so that a test that sees the reset also sees the count.
    let reset = async |gate: &Gate, seen| {
        gate.reset_since(seen).await;
        gate.connections_withheld.fetch_add(1, Relaxed);
    };
    let (forward_resets, backward_resets) = (forward.resets(), backward.resets());
    if let Some(cut) = [&forward, &backward].into_iter().find(|gate| gate.state() == LinkState::Reset) {
        cut.connections_withheld.fetch_add(1, Relaxed);
        cut.connections_refused.fetch_add(1, Relaxed);
        drop(Socket::accepted(dialler));
        return;
    }
    select! {
        () = relay(Socket::accepted(dialler), upstream, route) => {}
        () = reset(&forward, forward_resets) => {}
        () = reset(&backward, backward_resets) => {}
    }
}

/// Carries a connection whose links are not reset. Returning, or being dropped, closes both sockets.
async fn relay(dialler: Arc<Socket>, upstream: Upstream, route: Route) {
    let Some(first_bytes) = wait_until_open(&dialler, &route).await else { return };
    let Some(upstream) = upstream.connect().await else {
        route.forward.connections_refused.fetch_add(1, Relaxed);
        return;
    };
    route.forward.connections_carried.fetch_add(1, Relaxed);

    let broken = Arc::new(AtomicBool::new(false));
    let mut pumps = JoinSet::new();
    pumps.spawn(Pump::new(&dialler, &upstream, &route.forward, &broken).run(first_bytes));
    pumps.spawn(Pump::new(&upstream, &dialler, &route.backward, &broken).run(Chunk::default()));
    while let Some(Ok(end)) = pumps.join_next().await {
        match end {
            End::Eof | End::Unwritable => {}
            End::Closed => break,
            End::Reset => return,
        }
    }
    if !broken.load(SeqCst) {
        dialler.close_in_order();
        upstream.close_in_order();
    }
}

/// Holds a new connection until both its links are open. Returns what the dialler has sent so far, or `None`
/// if it gave up.
async fn wait_until_open(dialler: &Socket, route: &Route) -> Option<Chunk> {
    let mut first_bytes = Chunk::default();
    let mut counted = false;
    while let Some(cut) = [&route.forward, &route.backward].into_iter().find(|gate| !gate.is_open()) {
        if !counted {
            cut.connections_withheld.fetch_add(1, Relaxed);
            cut.connections_refused.fetch_add(1, Relaxed);
            counted = true;
        }
        if let Some(End::Eof | End::Reset) = withhold(dialler, cut, &mut first_bytes).await {
            return None;
        }
    }
    Some(first_bytes)
}

/// A socket that is reset when it is dropped, unless it was told to close in order: a stream that is cut
/// short must not look complete.
pub(crate) struct Socket(TcpStream);

impl Socket {
    fn accepted(stream: TcpStream) -> Arc<Socket> {
        let _ = stream.set_zero_linger();
        // No delay for small messages, which consensus protocols consist of.
        let _ = stream.set_nodelay(true);
        Arc::new(Socket(stream))
    }

    fn close_in_order(&self) {
        let _ = SockRef::from(&self.0).set_linger(None);
    }

    /// Tells the other end that no more will come; what it sends still arrives.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        SockRef::from(&self.0).shutdown(Shutdown::Write)
    }
}

impl Deref for Socket {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.0
    }
}
