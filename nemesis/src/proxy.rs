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
//! Direction follows the *bytes*, not the dialler: systems answer, and some (etcd) stream whole logs, over connections
//! that the other side opened; a one-way partition that went by the dialler would leak.
//!
//! Everything that travels waits at a stalled gate, in order: bytes, the end of the stream, and the news that a socket was
//! reset. A connection that is opened during a stall of either direction is accepted, and carried to the other node on
//! heal, unless its dialler has given up by then.
//!
//! A chunk costs one read, one write and one atomic load on the gate. Buffers belong to the *thread* and are held only
//! while they have bytes in them, so that an idle connection costs its two sockets and no memory or time.
//!
//! CAVEATS. The kernel's own buffers stand behind the proxy's: bytes that the sender's `write` accepted may still wait at
//! a cut, and a node learns nothing of it. The proxy acknowledges what it has read, whether or not it can deliver it.

use std::{
    cell::RefCell,
    io::{self, ErrorKind},
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

use crate::gate::{Gate, LinkState};

/// The two directed links that a connection's bytes belong to.
#[derive(Clone)]
pub(crate) struct Route {
    /// From the node that dialled to the node that was dialled.
    pub(crate) forward: Arc<Gate>,
    /// The way back.
    pub(crate) backward: Arc<Gate>,
}

/// Carries a connection that was accepted on a link's listener until it ends, by itself or by a reset of the link.
pub(crate) async fn carry(dialler: TcpStream, upstream: Option<SocketAddr>, route: Route) {
    let (forward, backward) = (route.forward.clone(), route.backward.clone());
    // Counts before the sockets close, so that who sees the reset can see it counted.
    let reset = async |gate: &Gate, seen| {
        gate.reset_since(seen).await;
        gate.connections_withheld.fetch_add(1, Relaxed);
    };
    let (forward_resets, backward_resets) = (forward.resets(), backward.resets());
    if let Some(cut) = [&forward, &backward].into_iter().find(|gate| gate.state() == LinkState::Reset) {
        cut.connections_withheld.fetch_add(1, Relaxed);
        drop(Socket::accepted(dialler));
        return;
    }
    select! {
        () = converse(Socket::accepted(dialler), upstream, route) => {}
        () = reset(&forward, forward_resets) => {}
        () = reset(&backward, backward_resets) => {}
    }
}

/// The life of a connection whose links are not reset. Returning, or being dropped, closes both sockets.
async fn converse(dialler: Arc<Socket>, upstream: Option<SocketAddr>, route: Route) {
    let Some(first_bytes) = admit(&dialler, &route).await else { return };
    let Some(upstream) = upstream else { return };
    let Ok(upstream) = Socket::connect(upstream).await else { return };
    route.forward.connections_carried.fetch_add(1, Relaxed);

    let broken = Arc::new(AtomicBool::new(false));
    let mut pumps = JoinSet::new();
    pumps.spawn(Pump::new(&dialler, &upstream, &route.forward, &broken).run(first_bytes));
    pumps.spawn(Pump::new(&upstream, &dialler, &route.backward, &broken).run(Chunk::default()));
    while let Some(Ok(end)) = pumps.join_next().await {
        match end {
            End::Eof | End::Unwritable => {}
            End::Reset => return,
        }
    }
    if !broken.load(SeqCst) {
        dialler.close_in_order();
        upstream.close_in_order();
    }
}

/// Holds a new connection until both its links are open. Gives what the dialler has sent so far, or `None` if it gave up.
async fn admit(dialler: &Socket, route: &Route) -> Option<Chunk> {
    let mut first_bytes = Chunk::default();
    let mut counted = false;
    while let Some(cut) = [&route.forward, &route.backward].into_iter().find(|gate| !gate.is_open()) {
        if !counted {
            cut.connections_withheld.fetch_add(1, Relaxed);
            counted = true;
        }
        if let Some(End::Eof | End::Reset) = withhold(dialler, cut, &mut first_bytes).await {
            return None;
        }
    }
    Some(first_bytes)
}

/// Collects into `chunk` what `from` sends while `gate` is cut, as far as the chunk has room. Returns when the gate
/// is open, or at the end of the stream: `Some(how it ended)`.
async fn withhold(from: &Socket, gate: &Gate, chunk: &mut Chunk) -> Option<End> {
    loop {
        select! {
            biased;
            () = gate.opened() => return None,
            _ = from.readable(), if chunk.has_room() => {}
        }
        match chunk.fill(from) {
            Ok(0) => return Some(End::Eof),
            Ok(read) => {
                gate.bytes_withheld.fetch_add(read as u64, Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Some(End::Reset),
        }
    }
}

/// How one direction of a connection ended.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The sender closed its side, and the receiver was told.
    Eof,
    /// The sender's socket was reset: so must be the receiver's.
    Reset,
    /// The receiver takes no more. It is for the other direction, whose gate that news has to pass, to say so.
    Unwritable,
}

/// One direction of a connection.
struct Pump {
    from: Arc<Socket>,
    to: Arc<Socket>,
    gate: Arc<Gate>,
    /// A socket of this connection could not be written to: it will not end in order.
    broken: Arc<AtomicBool>,
}

impl Pump {
    fn new(from: &Arc<Socket>, to: &Arc<Socket>, gate: &Arc<Gate>, broken: &Arc<AtomicBool>) -> Pump {
        Pump { from: from.clone(), to: to.clone(), gate: gate.clone(), broken: broken.clone() }
    }

    /// Moves `chunk`, then everything that `from` sends, to `to`.
    async fn run(self, mut chunk: Chunk) -> End {
        loop {
            match self.deliver(&mut chunk).await {
                Ok(None) => {}
                Ok(Some(end)) => return self.pass_on(end).await,
                Err(_) => {
                    self.broken.store(true, SeqCst);
                    return End::Unwritable;
                }
            }
            chunk.give_back();
            if self.from.readable().await.is_err() {
                return self.pass_on(End::Reset).await;
            }
            match chunk.fill(&self.from) {
                Ok(0) => return self.pass_on(End::Eof).await,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return self.pass_on(End::Reset).await,
            }
        }
    }

    /// Writes the chunk out, waiting whenever the gate is cut. `Some` if the sender's stream was seen to end meanwhile;
    /// an error if the receiver does not take it.
    async fn deliver(&self, chunk: &mut Chunk) -> io::Result<Option<End>> {
        let mut end = None;
        while !chunk.is_empty() {
            if !self.gate.is_open() {
                self.gate.bytes_withheld.fetch_add(chunk.len() as u64, Relaxed);
                if end.is_none() {
                    end = withhold(&self.from, &self.gate, chunk).await;
                }
                self.gate.opened().await;
                continue; // by now it may be cut again
            }
            match self.to.try_write(chunk.bytes()) {
                Ok(written) => {
                    chunk.advance(written);
                    self.gate.bytes_carried.fetch_add(written as u64, Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.to.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(end)
    }

    /// Tells the receiver how the stream ended, once the gate lets it through.
    async fn pass_on(&self, end: End) -> End {
        self.gate.opened().await;
        match end {
            End::Eof if !self.broken.load(SeqCst) => match self.to.shutdown_write() {
                Ok(()) => End::Eof,
                Err(_) => End::Reset,
            },
            _ => End::Reset,
        }
    }
}

/// A socket that is reset when it is dropped, unless it was said to close in order: what is cut short must not look as
/// if it had been complete.
struct Socket(TcpStream);

impl Socket {
    fn accepted(stream: TcpStream) -> Arc<Socket> {
        let _ = stream.set_zero_linger();
        // Nothing waits for more bytes to come: small messages are what consensus is made of.
        let _ = stream.set_nodelay(true);
        Arc::new(Socket(stream))
    }

    async fn connect(address: SocketAddr) -> io::Result<Arc<Socket>> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Before it connects: the receiver may have accepted by the time that we are cut short.
        socket.set_zero_linger()?;
        socket.set_nodelay(true)?;
        Ok(Arc::new(Socket(socket.connect(address).await?)))
    }

    fn close_in_order(&self) {
        let _ = SockRef::from(&self.0).set_linger(None);
    }

    fn shutdown_write(&self) -> io::Result<()> {
        SockRef::from(&self.0).shutdown(Shutdown::Write)
    }
}

impl Deref for Socket {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.0
    }
}

/// How much a connection holds in each direction.
const CHUNK: usize = 64 * 1024;

/// How many unused buffers a thread keeps: 4 MiB.
const SPARE_MAX: usize = 64;

thread_local! {
    /// Buffers that no connection needs now.
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes on their way. Has memory only between `fill` and `give_back`.
#[derive(Default)]
struct Chunk {
    memory: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Chunk {
    fn len(&self) -> usize {
        self.end - self.start
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn has_room(&self) -> bool {
        self.end < CHUNK
    }

    fn bytes(&self) -> &[u8] {
        self.memory.as_deref().map_or(&[], |memory| &memory[self.start..self.end])
    }

    fn advance(&mut self, written: usize) {
        self.start += written;
    }

    /// Reads once into the room behind the bytes; 0 is the end of the stream, as `has_room` holds.
    fn fill(&mut self, from: &TcpStream) -> io::Result<usize> {
        let memory = self.memory.get_or_insert_with(|| {
            let spare = SPARE.with_borrow_mut(Vec::pop);
            spare.unwrap_or_else(|| vec![0; CHUNK].into_boxed_slice())
        });
        let read = from.try_read(&mut memory[self.end..])?;
        self.end += read;
        Ok(read)
    }

    /// Returns the memory of a chunk that has been delivered.
    fn give_back(&mut self) {
        let Some(memory) = std::mem::take(self).memory else { return };
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_MAX {
                spare.push(memory);
            }
        });
    }
}
