//! One direction of a connection: copies bytes from one socket to the other, as the gate of their link
//! allows.
//!
//! A chunk costs one read, one write and one atomic load on the gate. Buffers belong to the *thread* and are
//! in use only while they hold bytes, so an idle connection costs its two sockets, and no memory or time.
//!
//! [`crate::links::degraded`] describes degraded links.

use std::{
    cell::RefCell,
    io::{self, ErrorKind, Read},
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use socket2::SockRef;
use tokio::{io::Interest, select, task::coop::consume_budget};

use crate::links::{gate::Gate, proxy::Socket, proxy_thread::note_chunk};

/// How one direction of a connection ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// The sender closed its side, and the receiver was told.
    Eof,
    /// The sender's socket was reset, so the receiver's must be, too.
    Reset,
    /// The link itself ended the connection. Both ends see an orderly end.
    Closed,
    /// The receiver does not take more. The pump of the other direction reports this to the sender, once its
    /// gate is open.
    Unwritable,
}

pub(crate) struct Pump {
    pub(crate) from: Arc<Socket>,
    pub(crate) to: Arc<Socket>,
    pub(crate) gate: Arc<Gate>,
    /// Set if writing to a socket of this connection failed: then it cannot end in order.
    broken: Arc<AtomicBool>,
}

impl Pump {
    pub(crate) fn new(
        from: &Arc<Socket>,
        to: &Arc<Socket>,
        gate: &Arc<Gate>,
        broken: &Arc<AtomicBool>,
    ) -> Pump {
        Pump { from: from.clone(), to: to.clone(), gate: gate.clone(), broken: broken.clone() }
    }

    /// Writes `chunk`, then everything that `from` sends, to `to`.
    pub(crate) async fn run(self, mut chunk: Chunk) -> End {
        loop {
            let delivered = match self.gate.is_degraded() {
                false => self.deliver(&mut chunk).await,
                true => self.deliver_degraded(&mut chunk).await,
            };
            match delivered {
                Ok(None) => {}
                Ok(Some(end)) => return self.pass_on(end).await,
                Err(_) => {
                    self.broken.store(true, SeqCst);
                    return End::Unwritable;
                }
            }
            chunk.give_back();
            // Two fast sockets may never make this task wait, but other tasks on this thread need to run,
            // too.
            consume_budget().await;
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

    /// Writes the chunk out, and waits whenever the gate is cut. Returns how the sender's stream ended, if it
    /// ended meanwhile.
    ///
    /// # Errors
    /// When the receiver does not take the bytes.
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

    /// Tells the receiver how the stream ended, once the gate is open.
    async fn pass_on(&self, end: End) -> End {
        self.gate.opened().await;
        match end {
            End::Closed => End::Closed,
            End::Eof if !self.broken.load(SeqCst) => match self.to.shutdown_write() {
                Ok(()) => End::Eof,
                Err(_) => End::Reset,
            },
            _ => End::Reset,
        }
    }
}

/// Collects into `chunk` what `from` sends while `gate` is cut, as far as the chunk has room. Returns `None`
/// when the gate is open, or how the stream ended.
pub(crate) async fn withhold(from: &Socket, gate: &Gate, chunk: &mut Chunk) -> Option<End> {
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

/// Size of a chunk in bytes: the most that a connection holds in each direction.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Maximum number of unused buffers that a thread keeps: 4 MiB.
const SPARE_MAX: usize = 64;

thread_local! {
    /// Unused buffers.
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes on their way. Has a buffer only between `fill` and `give_back`.
#[derive(Default)]
pub(crate) struct Chunk {
    memory: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn has_room(&self) -> bool {
        self.end < CHUNK
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.as_deref().map_or(&[], |memory| &memory[self.start..self.end])
    }

    pub(crate) fn advance(&mut self, written: usize) {
        self.start += written;
    }

    /// Reads once into the free part of the buffer. Returns 0 at the end of the stream; the chunk must have
    /// room.
    pub(crate) fn fill(&mut self, from: &Socket) -> io::Result<usize> {
        let memory = self.memory.get_or_insert_with(|| {
            let spare = SPARE.with_borrow_mut(Vec::pop);
            spare.unwrap_or_else(|| vec![0; CHUNK].into_boxed_slice())
        });
        let room = &mut memory[self.end..];
        let mut read = None;
        let tried = from.try_io(Interest::READABLE, || {
            let bytes = (&*SockRef::from(&**from)).read(room)?;
            read = Some(bytes);
            // A read that leaves room has emptied the socket. Reporting it saves another read.
            if (1..room.len()).contains(&bytes) { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        let read = match (read, tried) {
            (Some(read), _) => read,
            (None, Err(error)) => return Err(error),
            (None, Ok(())) => return Err(ErrorKind::WouldBlock.into()),
        };
        self.end += read;
        note_chunk();
        Ok(read)
    }

    /// Returns the buffer of a delivered chunk.
    pub(crate) fn give_back(&mut self) {
        let Some(memory) = std::mem::take(self).memory else { return };
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_MAX {
                spare.push(memory);
            }
        });
    }
}
